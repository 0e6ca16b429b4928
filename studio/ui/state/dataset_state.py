"""The data of the draft as far as it has been read: table, examples, what the doctor says, how long they are.

Everything is done by the desk, a process of its own; threads of the window only wait for its answers.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from studio.core.problems import Problem
from studio.core.recipe.recipe import Recipe
from studio.core.translatable import Sentence
from studio.runs.prepare import ExamplesMade, FirstTable, Said, TableRead, prepare
from studio.ui.state.background import run_in_background

if TYPE_CHECKING:
    from studio.dataset.columns.apply_mapping import ExampleSet
    from studio.dataset.quality.fixes import Step
    from studio.dataset.quality.report import Report
    from studio.dataset.table import Table
    from studio.tokenization.lengths import Lengths
    from studio.worker.client import WorkerClient
    from studio.worker.protocol import ExampleRead, Reader

T = TypeVar("T")

MEASURED = 20_000
"""Examples whose word pieces are counted at most; more are measured on an even sample."""
IDLE = 120_000
"""Milliseconds without a question after which the desks are closed."""
UNLIMITED = 1 << 30

READ_AS = {"path", "split", "sheet", "encoding", "delimiter", "header_row", "chunk_size"}
MADE_AS = {"mapping", "fixes", "system_prompt"}


@dataclass(frozen=True)
class _Heard:
    """Something that a worker of round `number` has to say."""

    number: int
    what: Said


class DatasetState(QObject):
    """Read the attributes; `changed` says that one of them is another now, `roles_found` that columns got their parts.

    Only the newest round of reading counts: what an older one still brings is dropped.
    """

    changed = Signal()
    roles_found = Signal(object)
    _heard = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.table: Table | None = None
        self.sure = True
        self.why: tuple[Sentence, ...] = ()
        self.examples: ExampleSet | None = None
        self.report: Report | None = None
        self.lengths: Lengths | None = None
        self.lengths_of = 0
        self.steps: tuple[Step, ...] = ()
        self.notes: tuple[Sentence, ...] = ()
        self.problem: Problem | None = None
        self.progress: tuple[int, int, Sentence] | None = None
        self.reading = False
        self.examining = False
        self._folder: Path | None = None
        self._number = 0
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._desks: dict[str, WorkerClient] = {}
        self._measured: tuple[Path, Path, str] | None = None
        self._reading_one = False
        self._next_one: Callable[[], None] | None = None
        self._heard.connect(self._on_heard, Qt.ConnectionType.QueuedConnection)
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE)
        self._idle.timeout.connect(self._on_idle)

    @property
    def whole(self) -> bool:
        """Whether `table` is all of the file, and not only its first rows."""
        return self.table is not None and self._folder is not None

    # What is asked for

    def open(self, recipe: Recipe, *, keep: bool = False) -> None:
        """Read the file of this recipe. With `keep`, what is there stays until the new is: other parts or repairs."""
        self._begin()
        if not keep:
            self.table = None
            self._clear_examples()
            self.sure, self.why = True, ()
        self.reading = bool(recipe.data.path)
        if self.reading:
            self._start(recipe)
        self.changed.emit()

    def examine_again(self, recipe: Recipe) -> None:
        """The same examples with another part set aside."""
        if self.examples is None or self.reading:
            return
        self._begin()
        self._start(recipe)

    def measure(self, reader: Reader | None) -> None:
        """Count the word pieces of the examples for this model, unless they are counted already."""
        stored = self._stored_folder()
        if reader is None or stored is None or self.reading or self.examining:
            return
        asked = (stored, reader.model, reader.loss_on)
        if asked == self._measured:
            return
        self._measured = asked
        self.lengths, self.lengths_of = None, 0
        number = self._number

        def work() -> Lengths:
            from studio.tokenization.lengths import Lengths
            from studio.worker.protocol import Measured, MeasureLengths

            question = MeasureLengths(
                examples=stored,
                reader=reader.model_copy(update={"max_length": UNLIMITED, "truncation": "cut"}),
                most=MEASURED,
            )
            answer = self._desk("long").ask(question, Measured, cancelled=self._cancelled)
            return Lengths(array("i", answer.total), array("i", answer.first_label))

        def measured(lengths: Lengths) -> None:
            if asked == self._measured and number == self._number:
                self.lengths, self.lengths_of = lengths, len(lengths)
                self.changed.emit()

        def failed(_problem: Problem) -> None:
            """The pane that shows an example says why this model can't read them."""

        self._run(work, measured, failed)

    def read_example(
        self,
        position: int,
        reader: Reader,
        done: Callable[[ExampleRead], None],
        failed: Callable[[Problem], None],
    ) -> None:
        """Show one example as the model reads it. While one is being read only the newest request waits."""
        stored = self._stored_folder()
        if stored is None:
            return
        if self._reading_one:
            self._next_one = lambda: self.read_example(position, reader, done, failed)
            return
        self._reading_one = True

        def work() -> ExampleRead:
            from studio.worker.protocol import ExampleRead, ReadExample

            question = ReadExample(examples=stored, position=position, reader=reader)
            return self._desk("quick").ask(question, ExampleRead)

        def ended() -> bool:
            """Whether the answer is still wanted."""
            self._reading_one = False
            waiting, self._next_one = self._next_one, None
            if waiting is not None:
                waiting()
            return waiting is None

        self._run(
            work,
            lambda read: done(read) if ended() else None,
            lambda problem: failed(problem) if ended() else None,
        )

    def cancel(self) -> None:
        """Stop reading. What was there before stays."""
        self._cancelled.set()
        self._number += 1
        self.reading = self.examining = False
        self.progress = None
        self.changed.emit()

    def close(self) -> None:
        """End the desks."""
        self._cancelled.set()
        self._number += 1
        self.reading = self.examining = False
        self._on_idle()

    # One round of work

    def _begin(self) -> None:
        self._cancelled.set()
        self._cancelled = threading.Event()
        self._number += 1
        self.problem = None
        self.progress = None
        self.examining = False

    def _clear_examples(self) -> None:
        self.examples = self.report = self.lengths = self._measured = None
        self.lengths_of = 0
        self.steps = ()
        self.notes = ()

    def _start(self, recipe: Recipe) -> None:
        number, cancelled = self._number, self._cancelled

        def say(what: Said) -> None:
            self._heard.emit(_Heard(number, what))

        def work() -> Report | None:
            return prepare(self._desk("long"), recipe, say, cancelled)

        def done(report: Report | None) -> None:
            if number == self._number:
                self.reading = self.examining = False
                self.progress = None
                self.report = report
                self.changed.emit()

        def failed(problem: Problem) -> None:
            if number == self._number:
                self.reading = self.examining = False
                self.progress = None
                self.problem = problem
                self.changed.emit()

        self._run(work, done, failed)

    @Slot(object)
    def _on_heard(self, heard: _Heard) -> None:
        if heard.number != self._number:
            return
        said = heard.what
        if isinstance(said, TableRead):
            if self.table is None or said.folder != self._folder:
                self._folder, self.table = said.folder, said.table
            self.sure, self.why, self.problem = said.sure, said.why, said.problem
            if said.problem is not None:
                self._clear_examples()
            self.roles_found.emit(said.mapping)
        elif isinstance(said, ExamplesMade):
            self._clear_examples()
            self.examples, self.steps, self.notes = said.examples, said.steps, said.notes
            self.reading, self.examining = False, True
        elif isinstance(said, FirstTable):
            self._folder, self.table = None, said.table
        else:
            self.progress = (said.done, said.total, said.text)
        self.changed.emit()

    # The desks

    def _run(
        self, work: Callable[[], T], done: Callable[[T], object], failed: Callable[[Problem], object] | None
    ) -> None:
        """As `run_in_background`; what was cancelled is neither done nor failed."""
        self._idle.start()

        def arrived(outcome: tuple[T] | None) -> None:
            if outcome is not None:
                done(outcome[0])

        run_in_background(self, lambda: _unless_cancelled(work), arrived, failed)

    def _desk(self, which: str) -> WorkerClient:
        """`long` for reading and examining, `quick` for single examples. Called from threads."""
        from studio.worker.client import WorkerClient

        with self._lock:
            if which not in self._desks:
                self._desks[which] = WorkerClient()
            return self._desks[which]

    @Slot()
    def _on_idle(self) -> None:
        if self.reading or self.examining:
            self._idle.start()
            return
        with self._lock:
            desks, self._desks = list(self._desks.values()), {}
        for desk in desks:
            desk.close()

    def _stored_folder(self) -> Path | None:
        if self.examples is None:
            return None
        from studio.dataset.store import StoredExamples

        held = self.examples.examples
        return held.folder if isinstance(held, StoredExamples) else None


def _unless_cancelled(work: Callable[[], T]) -> tuple[T] | None:
    """What `work` brings, in a tuple; None where it was cancelled."""
    from studio.worker.client import Cancelled

    try:
        return (work(),)
    except Cancelled:
        return None
