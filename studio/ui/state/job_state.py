"""One job as the window sees it: its folded state, kept up to date by a follower thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Generic

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.events import Event
from studio.core.jobs import Job
from studio.core.problems import Problem
from studio.core.run_folder import JobFolder, StateT
from studio.ui.state.background import JobFollower

SHORTEST_INTERVAL = 100
"""Milliseconds between two `updated` signals at least: ten times a second is as fast as people read."""


FOLDING_TIME = 0.006
"""Seconds of folding before the window gets its turn again."""


class JobState(QObject, Generic[StateT]):
    """Start or attach to a job with `start` or `attach`; read `state`, which is of the
    kind that `new_state` makes; `leave` to stop following it."""

    updated = Signal()
    """`state` changed; at most ten times a second."""
    events_arrived = Signal(list)
    """The events themselves, after they were folded into `state`."""
    ended = Signal()
    """The job's ending is in `state`."""
    failed = Signal(object)
    """A `Problem`: the job could not be started or followed."""

    def __init__(self, new_state: Callable[[], StateT], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder: JobFolder | None = None
        self._new_state = new_state
        self.state = new_state()
        self.problem: Problem | None = None
        self._follower: JobFollower | None = None
        self._pause = QTimer(self, singleShot=True, interval=SHORTEST_INTERVAL)
        self._pause.timeout.connect(self._on_pause_over)
        self._changed = False
        self._waiting: deque[list[Event]] = deque()
        self._end_waits = False
        self._fold_soon = QTimer(self, singleShot=True, interval=1)
        self._fold_soon.timeout.connect(self._fold)
        self._living = False

    def start(self, folder: JobFolder, job: Job) -> None:
        self._living = True
        self._follow(folder, job)

    def attach(self, folder: JobFolder) -> None:
        """Follow a job that was started earlier, from its first event on, whether it still runs or not."""
        self._living = folder.is_at_work()
        self._follow(folder, None)

    def is_running(self) -> bool:
        """Whether the job was started, or attached to while running, and has not ended as far as is known."""
        return self._living and self._follower is not None and self.problem is None and self.state.ending is None

    def stop(self, keep: bool = True) -> None:
        """Ask the job to end soon; with `keep` it saves what was learned first."""
        from studio.runs.command import stop

        if self.folder is not None and self.is_running():
            stop(self.folder, keep=keep)

    def save_now(self) -> None:
        from studio.runs.command import save_now

        if self.folder is not None and self.is_running():
            save_now(self.folder)

    def kill(self) -> None:
        """End the process that `start` began at once, whatever it is doing; `ended` follows."""
        if self._follower is not None:
            self._follower.kill()

    def leave(self) -> None:
        self._waiting.clear()
        self._fold_soon.stop()
        self._end_waits = False
        if self._follower is None:
            return
        follower, self._follower = self._follower, None
        follower.events_arrived.disconnect(self._on_events_arrived)
        follower.failed.disconnect(self._on_failed)
        follower.ended.disconnect(self._on_ended)
        follower.leave()

    def clear(self) -> None:
        self.leave()
        self.folder, self.state, self.problem = None, self._new_state(), None

    def _follow(self, folder: JobFolder, job: Job | None) -> None:
        self.leave()
        self.folder, self.state, self.problem = folder, self._new_state(), None
        self._follower = JobFollower(folder, job)
        self._follower.events_arrived.connect(self._on_events_arrived)
        self._follower.failed.connect(self._on_failed)
        self._follower.ended.connect(self._on_ended)
        self._follower.start()

    @Slot(list)
    def _on_events_arrived(self, events: list[Event]) -> None:
        if self._follower is None or self.sender() is not self._follower:
            return  # queued before we left that job
        self._waiting.append(events)
        if not self._fold_soon.isActive():
            self._fold()

    @Slot()
    def _fold(self) -> None:
        """Take in what is waiting, for a few milliseconds at a time: a long history must not stop the window."""
        begun = time.perf_counter()
        while self._waiting and time.perf_counter() - begun < FOLDING_TIME:
            events = self._waiting.popleft()
            for event in events:
                self.state.apply(event)
            self.events_arrived.emit(events)
            self._changed = True
        if self._waiting:
            self._fold_soon.start()
        elif self._end_waits:
            self._end()
            return
        if not self._pause.isActive():
            self._on_pause_over()

    @Slot()
    def _on_pause_over(self) -> None:
        if self._changed:
            self._changed = False
            self._pause.start()
            self.updated.emit()

    @Slot(object)
    def _on_failed(self, problem: Problem) -> None:
        if self._follower is None or self.sender() is not self._follower:
            return
        self.problem = problem
        self.failed.emit(problem)

    @Slot()
    def _on_ended(self) -> None:
        if self._follower is None or self.sender() is not self._follower:
            return
        self._end_waits = True
        if not self._waiting:
            self._end()

    def _end(self) -> None:
        self._end_waits = False
        self._follower = None
        self._pause.stop()
        self._changed = False
        self.updated.emit()
        self.ended.emit()
