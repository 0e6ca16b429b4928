"""Data as the verbs of the command line need it: read, built into examples and checked by the worker."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from studio.cli.fetching import require_data
from studio.core.problems import ProblemError, problem
from studio.core.recipe.data_choice import ColumnMapping, DataChoice
from studio.core.recipe.recipe import Recipe, parse
from studio.core.translatable import N_
from studio.dataset.quality.report import Report
from studio.runs.prepare import prepare
from studio.worker.client import WorkerClient
from studio.worker.protocol import Built, FirstRows, Opened, Progress

if TYPE_CHECKING:
    from studio.dataset.store import StoredExamples
    from studio.dataset.table import Table

SEVERAL = ("options", "ratings")


@dataclass(frozen=True)
class Prepared:
    """What is known of the data. `recipe` holds the mapping that was found out, `opened` how sure that is."""

    recipe: Recipe
    opened: Opened
    built: Built
    report: Report

    # Rows and examples lie on the disk; to open them takes arrow, and a report doesn't need it.

    @cached_property
    def table(self) -> Table:
        from studio.dataset.store import open_table_at

        return open_table_at(self.opened.table)

    @cached_property
    def examples(self) -> StoredExamples:
        from studio.dataset.store import StoredExamples

        return StoredExamples(self.built.examples)


def prepared(recipe: Recipe, worker: WorkerClient, *, quiet: bool) -> Prepared:
    """Read and check the data of a recipe, fetched from the Hub where it has to be. Raises `ProblemError`."""
    require_data(recipe.data, quiet=quiet)
    opened: list[Opened] = []
    built: list[Built] = []

    def heard(reply: Progress | FirstRows | Opened | Built) -> None:
        if isinstance(reply, Opened):
            opened.append(reply)
        elif isinstance(reply, Built):
            built.append(reply)
        elif isinstance(reply, Progress) and not quiet and sys.stderr.isatty():
            share = f" {100 * reply.done // reply.total} %" if reply.total else ""
            print(f"\r{reply.text.english()}{share}\x1b[K", end="", file=sys.stderr)

    try:
        report = prepare(worker, recipe, heard)
    finally:
        if not quiet and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
    if opened[0].problem is not None:
        raise ProblemError(opened[0].problem)
    assert report is not None
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"mapping": opened[0].mapping})})
    return Prepared(recipe, opened[0], built[0], report)


def chosen_data(arguments: argparse.Namespace) -> DataChoice:
    """The file with the flags that say how to read it. Raises `ProblemError`."""
    tree = {
        "path": _absolute(arguments.file),
        "split": arguments.split,
        "sheet": arguments.sheet,
        "encoding": arguments.encoding,
        "delimiter": arguments.delimiter,
        "header_row": arguments.header_row,
        "mapping": _mapping(arguments.mapping),
        "system_prompt": arguments.system_prompt,
    }
    return parse({"data": tree}).data


def _absolute(file: str) -> str:
    try:
        path = Path(file).expanduser()
        return str(path.absolute()) if path.exists() else file
    except (OSError, RuntimeError):
        return file  # a forbidden folder, or a home that isn't there: the reader has words for that


def _mapping(given: list[str]) -> dict[str, object]:
    """From `question=COLUMN`; options take several, with commas between them."""
    mapping: dict[str, object] = {}
    for one in given:
        part, _, column = one.partition("=")
        if part not in ColumnMapping.model_fields or not column:
            raise problem(
                "data.unknown_role",
                N_("{given} doesn't say which column plays which part."),
                N_("It has to be a part, an equals sign and a column, such as question=Title."),
                N_("The parts are: {parts}."),
                given=one,
                parts=", ".join(ColumnMapping.model_fields),
            )
        mapping[part] = tuple(name.strip() for name in column.split(",")) if part in SEVERAL else column
    return mapping
