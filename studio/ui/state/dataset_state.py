"""The data of the draft as far as it has been read: table, examples, what the data check found, how long they are.

Everything is done by the worker, a process of its own; threads of the window only wait for its answers.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from studio.core.problems import Problem, Remedy
from studio.core.recipe.recipe import Recipe
from studio.core.translatable import N_
from studio.runs.prepare import prepare
from studio.ui.state.background import run_in_background

if TYPE_CHECKING:
    from studio.dataset.quality.report import Report
    from studio.dataset.store import StoredExamples
    from studio.dataset.table import Table
    from studio.runs.prepare import PreparationReply
    from studio.tokenization.lengths import Lengths
    from studio.worker.client import WorkerClient
    from studio.worker.protocol import Built, EncoderSettings, ExampleRead, FirstRows, Opened, Progress

T = TypeVar("T")

MEASURED = 20_000
"""Examples whose tokens are counted at most; more are measured on an even sample."""
IDLE = 120_000
"""Milliseconds without a request after which the workers are closed."""
UNLIMITED = 1 << 30

READ_AS = {"path", "split", "sheet", "encoding", "delimiter", "header_row", "chunk_size"}
"""Fields of `DataChoice` that say how a file is read."""
BUILT_AS = {"mapping", "fixes", "system_prompt", "corrections"}
"""Fields of `DataChoice` that say how examples are made from it."""


class DatasetState(QObject):
    """Read the attributes; `changed` says that one of them is another now, `mapping_found` that the columns were
    understood.

    Only the newest round of reading counts: what an older one still brings is dropped.
    """

    changed = Signal()
    mapping_found = Signal(object)
    _replied = Signal(int, object, object, object)
    """The round, the worker's reply, and the table and the examples that it names, if any."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.table: Table | None = None
        """Its rows stay on disk; the first ones only, while a large file is still being read."""
        self.opened: Opened | None = None
        """How the columns of the whole table were understood; None before all of it is there."""
        self.examples: StoredExamples | None = None
        self.built: Built | None = None
        """What each fix did, which rows were skipped, and what should be known about `examples`."""
        self.report: Report | None = None
        self.lengths: Lengths | None = None
        """In tokens of the base model, of `MEASURED` examples at most."""
        self.problem: Problem | None = None
        self.progress: Progress | None = None
        self.reading = False
        self.examining = False
        self._round = 0
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._workers: dict[str, WorkerClient] = {}
        self._measured: tuple[Path, Path, str] | None = None
        self._reading_one = False
        self._next_one: Callable[[], None] | None = None
        self._replied.connect(self._on_reply, Qt.ConnectionType.QueuedConnection)
        self._idle = QTimer(self, singleShot=True, interval=IDLE)
        self._idle.timeout.connect(self._on_idle)

    # What is asked for

    def expect_file(self) -> None:
        """A person drags or looks for a file: what reads it is started now, so that nobody waits for that."""
        if self.reading or self.examining:
            return

        def work() -> None:
            import studio.dataset.store  # noqa: F401 - with arrow, by which the rows are shown
            from studio.worker.protocol import GetReady, Ready

            self._worker("long").ask(GetReady(), Ready)

        self._run(work, lambda _: None, None)

    def open(self, recipe: Recipe, *, keep: bool = False) -> None:
        """Read the file of this recipe. With `keep`, what is there stays until the new is: other columns or fixes."""
        self._begin()
        if not keep:
            self.table = self.opened = None
            self._clear_examples()
        self.reading = bool(recipe.data.path)
        if self.reading:
            self._start(recipe)
        self.changed.emit()

    def examine_again(self, recipe: Recipe) -> None:
        """The same examples with others set aside."""
        if self.examples is None or self.reading:
            return
        self._begin()
        self._start(recipe)

    def measure(self, reader: EncoderSettings | None) -> None:
        """Count the tokens of the examples for this model, unless they are counted already."""
        if reader is None or self.examples is None or self.reading or self.examining:
            return
        stored = self.examples.folder
        asked = (stored, reader.model, f"{reader.loss_on} {reader.pairs} {reader.added_tokens}")
        if asked == self._measured:
            return
        self._measured = asked
        self.lengths = None
        number = self._round

        def work() -> Lengths:
            from studio.tokenization.lengths import Lengths
            from studio.worker.protocol import Measured, MeasureLengths

            unlimited = reader.model_copy(update={"max_length": UNLIMITED, "truncation": "cut"})
            request = MeasureLengths(examples=stored, encoder=unlimited, most=MEASURED)
            answer = self._worker("long").ask(request, Measured, cancelled=self._cancelled)
            return Lengths(array("i", answer.total), array("i", answer.first_label), answer.plain)

        def measured(lengths: Lengths | None) -> None:
            if lengths is not None and asked == self._measured and number == self._round:
                self.lengths = lengths
                self.changed.emit()

        def failed(_problem: Problem) -> None:
            """The pane that shows an example says why this model can't read them."""

        self._run(work, measured, failed)

    def read_example(
        self,
        position: int,
        reader: EncoderSettings,
        done: Callable[[ExampleRead], None],
        failed: Callable[[Problem], None],
    ) -> None:
        """Show one example as the model reads it. While one is being read only the newest request waits."""
        if self.examples is None:
            return
        if self._reading_one:
            self._next_one = lambda: self.read_example(position, reader, done, failed)
            return
        self._reading_one = True
        stored = self.examples.folder

        def work() -> ExampleRead:
            from studio.worker.protocol import ExampleRead, ReadExample

            return self._worker("quick").ask(
                ReadExample(examples=stored, position=position, encoder=reader), ExampleRead
            )

        def ended() -> bool:
            """Whether the answer is still wanted."""
            self._reading_one = False
            waiting, self._next_one = self._next_one, None
            if waiting is not None:
                waiting()
            return waiting is None

        self._run(
            work,
            lambda read: done(read) if ended() and read is not None else None,
            lambda problem: failed(problem) if ended() else None,
        )

    def cancel(self) -> None:
        """Stop reading. What was there before stays."""
        self._cancelled.set()
        self._end_round()
        self.changed.emit()

    def close(self) -> None:
        self._cancelled.set()
        self._end_round()
        self._on_idle()

    # One round of work

    def _begin(self) -> None:
        self._cancelled.set()
        self._cancelled = threading.Event()
        self._end_round()
        self.problem = None

    def _end_round(self) -> None:
        self._round += 1
        self.reading = self.examining = False
        self.progress = None

    def _clear_examples(self) -> None:
        self.examples = self.built = self.report = self.lengths = self._measured = None

    def _start(self, recipe: Recipe) -> None:
        number, cancelled = self._round, self._cancelled

        def on_reply(reply: PreparationReply) -> None:
            """Opens beside the window what a reply names: a disk may be slow."""
            from studio.dataset.store import StoredExamples, open_table_at

            table: Table | None = None
            examples: StoredExamples | None = None
            if reply.reply == "first_rows":
                table = _beginning(reply)
            elif reply.reply == "opened":
                table = open_table_at(reply.table)
            elif reply.reply == "built":
                examples = StoredExamples(reply.examples)
            self._replied.emit(number, reply, table, examples)

        def work() -> Report | None:
            return prepare(self._worker("long"), recipe, on_reply, cancelled)

        def done(report: Report | None) -> None:
            if number == self._round:
                self._end_round()
                self.report = report
                self.changed.emit()

        def failed(problem: Problem) -> None:
            if number == self._round:
                self._end_round()
                self.problem = problem
                self.changed.emit()

        self._run(work, done, failed)

    @Slot(int, object, object, object)
    def _on_reply(
        self, number: int, reply: PreparationReply, table: Table | None, examples: StoredExamples | None
    ) -> None:
        if number != self._round:
            return
        if reply.reply == "progress":
            self.progress = reply
        elif reply.reply == "first_rows":
            self.table, self.opened = table, None
        elif reply.reply == "opened":
            if self.opened is None or reply.table != self.opened.table:
                self.table = table
            self.opened, self.problem = reply, reply.problem
            if reply.problem is not None:
                self._clear_examples()
            self.mapping_found.emit(reply.mapping)
        else:
            self._clear_examples()
            self.examples, self.built = examples, reply
            self.reading, self.examining = False, True
        self.changed.emit()

    # The workers

    def _run(
        self,
        work: Callable[[], T],
        done: Callable[[T | None], object],
        failed: Callable[[Problem], object] | None,
    ) -> None:
        """As `run_in_background`; `done` hears None where it was cancelled."""
        from studio.worker.client import Cancelled

        def unless_cancelled() -> T | None:
            try:
                return work()
            except Cancelled:
                return None

        self._idle.start()
        run_in_background(self, unless_cancelled, done, failed)

    def _worker(self, which: Literal["long", "quick"]) -> WorkerClient:
        """`long` for reading and examining, `quick` for single examples. Called from threads."""
        from studio.worker.client import WorkerClient

        with self._lock:
            if which not in self._workers:
                self._workers[which] = WorkerClient()
            return self._workers[which]

    @Slot()
    def _on_idle(self) -> None:
        if self.reading or self.examining:
            self._idle.start()
            return
        with self._lock:
            workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.close()


def _beginning(first: FirstRows) -> Table:
    from studio.dataset.table import with_rows

    return with_rows(first.info, [dict(zip(first.info.columns, cells, strict=True)) for cells in first.rows])


# Whether it can be trained on


def reasons_against_training(data: DatasetState, recipe: Recipe) -> tuple[Problem, ...]:
    """Everything about the data that keeps training from starting, the weightiest first.

    The one rule: the Data page, the step in the sidebar and the button that starts training ask here.
    """
    if data.problem is not None:
        return (data.problem,)
    if data.reading:
        return (still_reading(),)
    if data.examples is None or not len(data.examples):
        return (no_data(),)
    reasons = []
    if data.examining:
        reasons.append(still_checking())
    if data.report is not None and data.report.stop is not None:
        reasons.append(data.report.stop.as_problem())
    lengths, limit, mode = data.lengths, recipe.training.max_length, recipe.data.truncation
    if lengths is not None and len(lengths):
        if mode == "leave_out" and lengths.longer_than(limit) == len(lengths):
            reasons.append(all_left_out(limit))
        elif mode != "leave_out" and lengths.nothing_left_at(limit) == len(lengths):
            reasons.append(nothing_left(limit))
    return tuple(reasons)


def no_data() -> Problem:
    return Problem(
        code="run.no_data",
        what=N_("There are no examples to learn from yet."),
        why=N_("The model learns from your questions and answers."),
        fix=N_("Open a file, or try with the sample."),
        remedy=Remedy.choose_file,
    )


def still_reading() -> Problem:
    return Problem(
        code="run.still_reading",
        what=N_("Your data is still being read."),
        fix=N_("Wait a moment, then try again."),
    )


def still_checking() -> Problem:
    return Problem(
        code="run.still_checking",
        what=N_("Your examples are still being checked."),
        why=N_("What the data check finds could make training useless."),
        fix=N_("Wait a moment, or cancel the check on the Data page."),
    )


def nothing_left(limit: int) -> Problem:
    return Problem(
        code="data.nothing_left",
        what=N_("With {limit} tokens, nothing of the answers is left to learn from."),
        why=N_("Every example is cut before its answer begins."),
        fix=N_("Set the longest example higher on the Data page."),
        remedy=Remedy.see_settings,
        values={"limit": limit},
    )


def all_left_out(limit: int) -> Problem:
    return Problem(
        code="data.all_left_out",
        what=N_("Every example is longer than {limit} tokens and would be left out."),
        why=N_("Examples that are too long are left out, as you chose."),
        fix=N_("Set the longest example higher on the Data page."),
        remedy=Remedy.see_settings,
        values={"limit": limit},
    )
