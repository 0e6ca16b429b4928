"""Preparing data for a run through the desk: the table, its examples, what the doctor says of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.problems import Problem
from studio.core.recipe.data_choice import ColumnMapping
from studio.core.recipe.recipe import Recipe
from studio.core.translatable import Sentence

if TYPE_CHECKING:
    from studio.dataset.columns.apply_mapping import ExampleSet
    from studio.dataset.quality.fixes import Step
    from studio.dataset.quality.report import Report
    from studio.dataset.table import Table
    from studio.worker.client import WorkerClient
    from studio.worker.protocol import FirstRows, Progress


@dataclass(frozen=True)
class FirstTable:
    """The beginning of a large file, while the rest of it is still being read."""

    table: Table


@dataclass(frozen=True)
class TableRead:
    """A table in the store at `folder`, the parts of its columns, and what keeps them from being used."""

    folder: Path
    table: Table
    mapping: ColumnMapping
    sure: bool
    why: tuple[Sentence, ...]
    problem: Problem | None


@dataclass(frozen=True)
class ExamplesMade:
    """The examples, still on disk, what each repair did to them, and what should be known about them."""

    examples: ExampleSet
    steps: tuple[Step, ...]
    notes: tuple[Sentence, ...]


@dataclass(frozen=True)
class AtWork:
    """How far the desk is; `total` is 0 where it isn't known."""

    done: int
    total: int
    text: Sentence


Said = FirstTable | TableRead | ExamplesMade | AtWork


def prepare(
    desk: WorkerClient, recipe: Recipe, say: Callable[[Said], None], cancelled: threading.Event | None = None
) -> Report | None:
    """Read, make examples, examine; `say` hears of each. What is in the store already isn't done again.

    None where the columns have no usable parts. Blocks; raises `ProblemError` and what `WorkerClient.ask` raises.
    """
    from studio.dataset.columns.apply_mapping import ExampleSet
    from studio.dataset.store import StoredExamples, open_table_at
    from studio.worker.protocol import BuildExamples, Built, Examine, Opened, OpenTable, ReportReady

    def heard(said: Progress | FirstRows) -> None:
        if said.answer == "progress":
            say(AtWork(said.done, said.total, said.text))
        else:
            say(FirstTable(_table_of(said, recipe.data.path)))

    choice = recipe.data
    opened = desk.ask(OpenTable(choice=choice), Opened, heard, cancelled)
    choice = choice.model_copy(update={"mapping": opened.mapping})
    table = open_table_at(opened.table)
    say(TableRead(opened.table, table, opened.mapping, opened.sure, opened.why, opened.problem))
    if opened.problem is not None:
        return None
    made = desk.ask(BuildExamples(table=opened.table, choice=choice), Built, heard, cancelled)
    stored = StoredExamples(made.examples)
    say(ExamplesMade(ExampleSet(stored, made.skipped, stored.rows), made.steps, made.notes))
    question = Examine(examples=made.examples, held_out=choice.validation_split, seed=recipe.training.seed)
    return desk.ask(question, ReportReady, heard, cancelled).report


def _table_of(first: FirstRows, path: str) -> Table:
    from studio.dataset.table import Table

    rows = [dict(zip(first.columns, cells, strict=True)) for cells in first.rows]
    return Table(path=Path(path), format=first.format, columns=first.columns, rows=rows)
