"""The queue as the window sees it: read beside the window every few seconds, changed by what a person presses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.problems import Problem
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.ui.state.background import run_in_background

if TYPE_CHECKING:
    from studio.runs.queue import EntryStatus, QueueResult
    from studio.runs.queue_file import Entry, Queue, When

LOOK_AT_QUEUE = 2_000
"""Milliseconds between two looks at the queue: other windows, the command line and the runner change it, too."""


@dataclass(frozen=True)
class QueueRow:
    """An entry with all that is shown of it. `problem` says why it is skipped."""

    entry: Entry
    name: str
    project: str
    status: EntryStatus
    problem: Problem | None = None

    @property
    def run(self) -> Path:
        return self.entry.run


@dataclass(frozen=True)
class QueueView:
    """`set_aside` names what of the queue's file couldn't be read."""

    rows: tuple[QueueRow, ...] = ()
    set_aside: tuple[Problem, ...] = ()


class QueueState(QObject):
    """Read `view`, listen to `changed`."""

    changed = Signal()
    problem_raised = Signal(object)
    """A `Problem`: a change was refused, or the file can't be read."""
    done = Signal(object, bool)
    """A `QueueResult`, once to one of all windows, when nothing waits or goes on any more; and whether it came to that
    while no window was open."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.view = QueueView()
        self._looking = False
        self._look_again = False
        self._changing = 0
        self._queued: set[Path] = set()
        self._was_asked = False
        self._timer = QTimer(self, interval=LOOK_AT_QUEUE)
        self._timer.timeout.connect(self.look)

    def begin(self) -> None:
        """Look at the queue from now on. What waits in it is started even where nothing else looks after it."""

        def begin() -> bool:
            from studio.runs.queue import ensure_runner  # takes a while: beside the window

            return ensure_runner()

        self._timer.start()
        if _exists():
            self._do(begin)

    def close(self) -> None:
        self._timer.stop()

    @Slot()
    def look(self) -> None:
        if self._looking:
            self._look_again = True
            return
        if not self.view.rows and not _exists():
            return
        self._looking = True
        self._look_again = False

        def seen(view: QueueView) -> None:
            self._looking = False
            # what was read before a change that was shown already would turn it back for a moment
            if view != self.view and not self._look_again and not self._changing:
                self.view = view
                self._queued.update(row.run for row in view.rows)
                self.changed.emit()
            if self._look_again and not self._changing:
                self.look()

        def failed(problem: Problem) -> None:
            self._looking = False
            if problem not in self.view.set_aside:  # said once, not every two seconds
                self.view = replace(self.view, set_aside=(*self.view.set_aside, problem))
                self.problem_raised.emit(problem)

        run_in_background(self, _look, seen, failed)
        self._take_result()

    def _take_result(self) -> None:
        first, self._was_asked = not self._was_asked, True

        def take() -> QueueResult | None:
            from studio.runs.queue import take_result

            return take_result()

        def taken(result: QueueResult | None) -> None:
            if result is not None:
                self.done.emit(result, first)

        run_in_background(self, take, taken, lambda _: None)

    def was_queued(self, run: RunFolder) -> bool:
        """Whether this run was seen in the queue."""
        return run.path in self._queued

    # What a person does with it

    def move(self, run: Path, position: int) -> None:
        """Shown at once, as it was dragged there; 0 is the front."""
        from studio.runs.queue import move

        rows = [row for row in self.view.rows if row.run != run]
        rows.insert(max(0, position), next(row for row in self.view.rows if row.run == run))
        self.view = replace(self.view, rows=tuple(rows))
        self.changed.emit()
        self._do(lambda: move(run, position))

    def remove(self, run: Path) -> None:
        from studio.runs.queue import remove

        self._do(lambda: remove(run))

    def hold(self, run: Path) -> None:
        from studio.runs.queue import hold

        self._do(lambda: hold(run))

    def release(self, run: Path) -> None:
        """Let a held or paused run wait for its turn again."""
        from studio.runs.queue import release

        self._change(lambda: release(run))

    def reschedule(self, run: Path, when: When) -> None:
        from studio.runs.queue import reschedule

        self._change(lambda: reschedule(run, when))

    def edit(self, run: Path, recipe: Recipe, done: Callable[[], object]) -> None:
        from studio.runs.queue import edit

        self._do(lambda: edit(run, recipe), done)

    def add(self, run: RunFolder) -> None:
        """Let a run that was interrupted, paused or not yet begun wait for its turn."""
        from studio.runs.queue import add

        self._change(lambda: add([run]))

    def dismiss_set_aside(self) -> None:
        from studio.runs.queue import dismiss_set_aside

        self._do(dismiss_set_aside)

    def _change(self, change: Callable[[], Queue]) -> None:
        """With something that may have to be started now."""
        from studio.runs.queue import ensure_runner

        def both() -> None:
            change()
            ensure_runner()

        self._do(both)

    def _do(self, change: Callable[[], object], done: Callable[[], object] | None = None) -> None:
        self._changing += 1

        def ready(_: object) -> None:
            self._changing -= 1
            self.look()
            if done is not None:
                done()

        def failed(problem: Problem) -> None:
            self._changing -= 1
            self.look()
            self.problem_raised.emit(problem)

        run_in_background(self, change, ready, failed)


def _exists() -> bool:
    from studio.runs.queue_file import queue_file

    return queue_file().exists()


def _look() -> QueueView:
    """Reads the disk."""
    from studio.runs.project import project_of
    from studio.runs.queue import problem_of, status_of
    from studio.runs.queue_file import name_of, read_queue

    queue = read_queue()
    rows = []
    for entry in queue.entries:
        status = status_of(entry)
        if status != "ended":
            problem = problem_of(entry) if status == "unusable" else None
            project = project_of(RunFolder(entry.run)).name
            rows.append(QueueRow(entry, name_of(entry.run), project, status, problem))
    return QueueView(tuple(rows), queue.set_aside)
