"""Exports of the window, one after the other: what is made, checked and handed over now, and what waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QObject, Signal, Slot

from studio.core.events import Crashed, Exported, Failed
from studio.core.job_states import ExportState
from studio.core.problems import Problem
from studio.core.run_folder import JobFolder, RunFolder
from studio.ui.state.background import run_in_background
from studio.ui.state.job_state import SHORTEST_INTERVAL, JobState

if TYPE_CHECKING:
    from studio.core.jobs import Job
    from studio.export.destinations import Destination
    from studio.export.programs.program import HandedOver

Stage = Literal["preparing", "exporting", "checking", "handing_over"]


@dataclass(frozen=True)
class Wish:
    """The model of `run` is to go to `destination`: made in `quality` at `out`, or among the run's exports, checked,
    and, with a `name`, handed over to the destination's program under it. It takes `size` bytes of the disk meanwhile.
    `job` is a process that was found at work on it."""

    run: RunFolder
    destination: Destination
    quality: str = ""
    out: Path | None = None
    name: str = ""
    size: int = 0
    job: JobFolder | None = None


class ExportQueue(QObject):
    """Ask for an export with `add`; what goes on is `current`, in its `stage`, and what waits is `waiting`.

    An export goes on when another run is shown, or none. When the window closes, the process of the current one goes
    on, and what waits is given up, see `ends_with_window`.
    """

    changed = Signal()
    """Something came, went or moved on; at most ten times a second."""
    ended = Signal(object)
    """A `Wish` is over, or a copy that is still being checked is there. What came of it is in its run's folder, or in
    `problems`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.job = JobState(ExportState, self)
        self.current: Wish | None = None
        self.stage: Stage = "preparing"
        self.waiting: list[Wish] = []
        self.problems: dict[tuple[RunFolder, str], Problem] = {}
        """What stopped the newest wish of a run for a destination, by its name, until it is dismissed."""
        self.handed: tuple[int, int | None] = (0, None)
        """Bytes that the program has so far, and all of them where that is known."""
        self._cancelled = threading.Event()
        self.job.updated.connect(self.changed)
        self.job.ended.connect(self._on_job_ended)
        self.job.failed.connect(self._fail)

    # Asking

    def add(self, wish: Wish) -> None:
        """Begin with it at once where nothing goes on, else when what came before is over."""
        self.dismiss(wish.run, wish.destination.name)
        self.waiting.append(wish)
        self._next()
        self.changed.emit()

    def of(self, run: RunFolder, destination: str) -> Wish | None:
        """The wish that goes on or waits for that destination of a run."""
        every = [self.current, *self.waiting] if self.current is not None else self.waiting
        return next((w for w in every if w is not None and (w.run, w.destination.name) == (run, destination)), None)

    def is_running(self) -> bool:
        return self.current is not None

    def ends_with_window(self) -> bool:
        """Whether something would be given up if the window closed now: what waits, and what a program takes in."""
        return bool(self.waiting) or (self.current is not None and self.stage == "handing_over")

    def cancel(self, wish: Wish) -> None:
        """Take it back, or end what goes on; nothing half-made stays."""
        if wish in self.waiting:
            self.waiting.remove(wish)
            self.ended.emit(wish)
        elif wish == self.current:
            self._cancelled.set()
            self.job.stop(keep=False)
        self.changed.emit()

    def dismiss(self, run: RunFolder, destination: str) -> None:
        """Forget what stopped the newest wish there."""
        self.problems.pop((run, destination), None)

    def stop(self) -> None:
        """End everything, and begin with nothing more."""
        self.waiting.clear()
        if self.current is not None:
            self.cancel(self.current)

    def leave(self) -> None:
        """Stop following; a process that was started goes on."""
        self.waiting.clear()
        self._cancelled.set()
        self.current = None
        self.job.leave()

    # Doing

    def _next(self) -> None:
        if self.current is not None or not self.waiting:
            return
        wish = self.current = self.waiting.pop(0)
        self.stage, self.handed = "preparing", (0, None)
        self._cancelled = threading.Event()
        self.job.clear()
        if wish.job is not None:
            self.stage = "exporting"
            self.job.attach(wish.job)
        elif wish.destination.exporter.job is None:
            run_in_background(self, lambda: _copied(wish), self._begin("checking"), self._fail)
        else:
            run_in_background(self, lambda: _prepared(wish), self._begin("exporting"), self._fail)

    def _begin(self, stage: Stage) -> Callable[[_Prepared | Exported | None], None]:
        """What goes on with the wish of now, unless that was taken back meanwhile: a job that was prepared, or the
        handing over of what is there already."""
        wish, cancelled = self.current, self._cancelled

        def begin(prepared: _Prepared | Exported | None) -> None:
            if wish is None or wish is not self.current:
                return
            if prepared is None or cancelled.is_set():
                self._end()
            elif isinstance(prepared, Exported):
                self._hand_over(prepared)
            else:
                self.stage = stage
                self.job.start(*prepared)
                if stage == "checking":
                    self.ended.emit(wish)  # what is checked is there already
                self.changed.emit()

        return begin

    @Slot()
    def _on_job_ended(self) -> None:
        wish, state = self.current, self.job.state
        if wish is None:
            return
        exported = state.exported
        if isinstance(state.ending, Failed | Crashed):
            self._fail(state.ending.problem)
        elif exported is not None and exported.passed and wish.name:
            self._hand_over(exported)
        elif exported is not None:
            run_in_background(self, lambda: _finish(wish, exported), lambda _: self._end(), self._fail)
        else:
            self._end()

    def _hand_over(self, exported: Exported) -> None:
        wish, cancelled = self.current, self._cancelled
        assert wish is not None
        self.stage = "handing_over"
        self.changed.emit()
        told = _Progress(self)
        told.moved.connect(self._on_handed)

        def hand_over() -> HandedOver | None:
            from studio.export.made import record_handover
            from studio.export.programs.program import Cancelled, Handover

            last = 0.0

            def progress(done: int, total: int | None) -> None:
                nonlocal last
                if cancelled.is_set():
                    raise Cancelled
                if (now := time.monotonic()) - last >= SHORTEST_INTERVAL / 1000:
                    last = now
                    told.moved.emit((done, total))

            program = wish.destination.program
            assert program is not None
            handover = Handover(run=wish.run, export=Path(exported.folder), name=wish.name, size=exported.size)
            try:
                handed = program.hand_over(handover, progress)
            except Cancelled:
                return None
            record_handover(wish.run, handed)
            return handed

        run_in_background(self, hand_over, lambda handed: self._end(), self._fail)

    @Slot(object)
    def _on_handed(self, handed: tuple[int, int | None]) -> None:
        self.handed = handed
        self.changed.emit()

    @Slot(object)
    def _fail(self, problem: Problem) -> None:
        if self.current is not None:
            self.problems[self.current.run, self.current.destination.name] = problem
        self._end()

    def _end(self) -> None:
        wish, self.current = self.current, None
        if wish is not None:
            self.ended.emit(wish)
        self._next()
        self.changed.emit()


class _Progress(QObject):
    """Brings what a thread tells into the window's."""

    moved = Signal(object)


_Prepared = tuple[JobFolder, "Job"]
"""Where a job will run, and the job."""


def _prepared(wish: Wish) -> _Prepared | Exported:
    """The job that makes it, after a look whether it can be done, or what was made before and is to be handed over.
    Raises `ProblemError`."""
    from studio.core.problems import Remedy
    from studio.core.storage import require_new, require_room
    from studio.export.exporters import COMPARED, require_possible
    from studio.export.made import made_before

    run, exporter = wish.run, wish.destination.exporter
    if wish.name and wish.out is None and (made := made_before(run, exporter, wish.quality)) is not None:
        return made.exported
    require_possible(exporter, run, wish.quality)
    out = wish.out or exporter.folder(run, wish.quality)
    require_new(out)
    require_room(out, wish.size, remedy=Remedy.choose_folder)
    assert exporter.job is not None
    return exporter.job_folder(run), exporter.job(run, out, wish.quality, COMPARED)


def _copied(wish: Wish) -> _Prepared | None:
    """Copy, and the job that checks what was copied, where there is one. Raises `ProblemError`."""
    from studio.export.exporters import COMPARED, export_now

    run, exporter = wish.run, wish.destination.exporter
    out = wish.out or exporter.folder(run, wish.quality)
    export_now(exporter, run, out)
    if exporter.check is None:
        return None
    return exporter.job_folder(run), exporter.check(run, out, COMPARED)


def _finish(wish: Wish, exported: Exported) -> None:
    from studio.export.exporters import finish

    finish(wish.destination.exporter, wish.run, exported)
