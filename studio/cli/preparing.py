"""Data as the verbs of the command line need it: read, made into examples and examined by the desk."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from studio.cli.following import require_data
from studio.core.problems import ProblemError, problem
from studio.core.recipe.data_choice import ColumnMapping, DataChoice
from studio.core.recipe.recipe import Recipe, parse
from studio.core.translatable import N_, Sentence
from studio.dataset.quality.fixes import Step
from studio.dataset.quality.report import Report
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table
from studio.runs.prepare import AtWork, ExamplesMade, Said, TableRead, prepare
from studio.worker.client import WorkerClient

SEVERAL = ("options",)


@dataclass(frozen=True)
class Prepared:
    """What is known of the data. `recipe` holds the roles that were found out; `sure` and `why` are about those."""

    recipe: Recipe
    table: Table
    sure: bool
    why: tuple[Sentence, ...]
    made: StoredExamples
    steps: tuple[Step, ...]
    report: Report


def prepared(recipe: Recipe, desk: WorkerClient, *, quiet: bool) -> Prepared:
    """Read and examine the data of a recipe, fetched from the Hub where it has to be. Raises `ProblemError`."""
    require_data(recipe.data, quiet=quiet)
    tables: list[TableRead] = []
    examples: list[ExamplesMade] = []

    def say(said: Said) -> None:
        if isinstance(said, TableRead):
            tables.append(said)
        elif isinstance(said, ExamplesMade):
            examples.append(said)
        elif isinstance(said, AtWork) and not quiet and sys.stderr.isatty():
            share = f" {100 * said.done // said.total} %" if said.total else ""
            print(f"\r{said.text.english()}{share}\x1b[K", end="", file=sys.stderr)

    try:
        report = prepare(desk, recipe, say)
    finally:
        if not quiet and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
    read = tables[-1]
    if read.problem is not None:
        raise ProblemError(read.problem)
    made = examples[-1].examples.examples
    assert report is not None and isinstance(made, StoredExamples)
    data = recipe.data.model_copy(update={"mapping": read.mapping})
    recipe = recipe.model_copy(update={"data": data})
    return Prepared(recipe, read.table, read.sure, read.why, made, examples[-1].steps, report)


def chosen_data(arguments: argparse.Namespace) -> DataChoice:
    """The file with the flags that say how to read it. Raises `ProblemError`."""
    tree = {
        "path": _absolute(arguments.file),
        "split": arguments.split,
        "sheet": arguments.sheet,
        "encoding": arguments.encoding,
        "delimiter": arguments.delimiter,
        "header_row": arguments.header_row,
        "mapping": _roles(arguments.mapping),
        "system_prompt": arguments.system_prompt,
    }
    return parse({"data": tree}).data


def _absolute(file: str) -> str:
    try:
        path = Path(file).expanduser()
        return str(path.absolute()) if path.exists() else file
    except (OSError, RuntimeError):
        return file  # a forbidden folder, or a home that isn't there: the reader has words for that


def _roles(given: list[str]) -> dict[str, object]:
    """From `question=COLUMN`; options take several, with commas between them."""
    roles: dict[str, object] = {}
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
        roles[part] = tuple(name.strip() for name in column.split(",")) if part in SEVERAL else column
    return roles
