"""Preparing data for a run through the worker: the table, its examples, what the data check says of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from studio.core.recipe.recipe import Recipe

if TYPE_CHECKING:
    from studio.dataset.quality.report import Report
    from studio.worker.client import WorkerClient
    from studio.worker.protocol import Built, FirstRows, Opened, Progress

    PreparationReply = Progress | FirstRows | Opened | Built
    """How far the worker is, the beginning of a large file, the table, its examples."""


def prepare(
    worker: WorkerClient,
    recipe: Recipe,
    on_reply: Callable[[PreparationReply], None],
    cancelled: threading.Event | None = None,
) -> Report | None:
    """Read, make examples, examine; `on_reply` hears of each. What is in the store already isn't done again.

    None where the columns have no usable mapping. Blocks; raises `ProblemError` and what `WorkerClient.ask` raises.
    """
    from studio.worker.protocol import BuildExamples, Built, Examine, Opened, OpenTable, ReportReady

    opened = worker.ask(OpenTable(choice=recipe.data), Opened, on_reply, cancelled)
    on_reply(opened)
    if opened.problem is not None:
        return None
    marks = recipe.objective.uses == "marks"
    mapping = opened.mapping.model_copy(update={"undesirable": "keep" if marks else "leave_out"})
    choice = recipe.data.model_copy(update={"mapping": mapping})
    built = worker.ask(BuildExamples(table=opened.table, choice=choice), Built, on_reply, cancelled)
    on_reply(built)
    request = Examine(examples=built.examples, held_out=choice.validation_split, seed=recipe.training.seed)
    return worker.ask(request, ReportReady, on_reply, cancelled).report
