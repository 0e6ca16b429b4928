"""One job as the window sees it: its folded state, kept up to date by a follower thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.events import Event, ProcessStarted
from studio.core.jobs import Job, Train
from studio.core.problems import Problem
from studio.core.run_folder import JobFolder, RunFolder, StateT
from studio.ui.state.background import JobFollower

if TYPE_CHECKING:
    from studio.runs.start import JobProcess

SHORTEST_INTERVAL = 100
"""Milliseconds between two `updated` signals at least: ten times a second is as fast as people read."""


FOLDING_TIME = 0.006
"""Seconds of folding before the window gets its turn again."""


LOOK_AT_HEART = 2_000
"""Milliseconds between two looks whether a job still gives a sign of life."""

SILENT_AFTER = 120.0
"""Seconds without a sign of life after which a person is told; as `studio.runs.follow` counts them."""


SILENT_AFTER_ASKED = 12.0
"""The same for a job that was told to stop or pause: then a person waits for it."""


class Heartbeat:
    """For how long a job has been silent. Its file is only asked whether it changed, as clocks may jump."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._changed: float | None = None
        self._seen = 0.0

    def begin(self, folder: JobFolder) -> None:
        self._file, self._changed, self._seen = folder.heartbeat, None, time.monotonic()

    def beat(self) -> None:
        """The job told something."""
        self._seen = time.monotonic()

    def quiet_seconds(self) -> float:
        """Since the last change; what was silent before anybody looked counts from the file's own time."""
        try:
            changed = self._file.stat().st_mtime if self._file is not None else 0.0
        except OSError:
            changed = 0.0
        now = time.monotonic()
        if changed != self._changed:
            first = self._changed is None and changed > 0.0
            self._changed = changed
            self._seen = now - max(0.0, time.time() - changed) if first else now
        return now - self._seen


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
        self._earlier: ProcessStarted | None = None
        self._told_to_end = False
        self._heart = Heartbeat()
        self._silence = 0.0
        self._look_at_heart = QTimer(self, interval=LOOK_AT_HEART)
        self._look_at_heart.timeout.connect(self._on_look_at_heart)

    def start(self, folder: JobFolder, job: Job) -> None:
        def begin() -> JobProcess:
            from studio.runs.start import start_job, start_training  # brings along a lot: not before the first frame

            return start_training(RunFolder(folder.path), job) if isinstance(job, Train) else start_job(folder, job)

        self.launch(folder, begin)

    def launch(self, folder: JobFolder, begin: Callable[[], JobProcess]) -> None:
        """Start a job with `begin`, which is called beside the window, and follow it. What its journal tells of an
        earlier process, which this one goes on from, is folded first and isn't taken for its own ending."""
        earlier = self.state.process if folder == self.folder else None
        self._living = True
        self._follow(folder, begin)
        self._earlier = earlier

    def attach(self, folder: JobFolder) -> None:
        """Follow a job that was started earlier, from its first event on, whether it still runs or not."""
        self._living = folder.is_at_work()
        self._follow(folder, None)

    def is_running(self) -> bool:
        """Whether the job was started, or attached to while running, and has not ended as far as is known."""
        if not self._living or self._follower is None or self.problem is not None:
            return False
        return self.state.ending is None or self._earlier is not None

    @property
    def silent_seconds(self) -> float:
        """For how long a job that runs has given no sign of life, 0 as long as that means nothing: many phases are
        exempt, and two minutes are allowed, or some seconds where it was told to end."""
        return self._silence if self.is_running() else 0.0

    def stop(self, keep: bool = True) -> None:
        """Ask the job to end soon; with `keep` it saves what was learned first."""
        from studio.runs.command import stop

        if self.folder is not None and self.is_running():
            self._told_to_end = True
            stop(self.folder, keep=keep)

    def save_now(self) -> None:
        from studio.runs.command import save_now

        if self.folder is not None and self.is_running():
            save_now(self.folder)

    def pause(self) -> None:
        from studio.runs.command import pause

        if self.folder is not None and self.is_running():
            self._told_to_end = True
            pause(self.folder)

    def kill(self) -> None:
        """End the process that `start` began at once, whatever it is doing; `ended` follows."""
        if self._follower is not None:
            self._follower.kill()

    def leave(self) -> None:
        self._waiting.clear()
        self._look_at_heart.stop()
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

    def _follow(self, folder: JobFolder, launch: Callable[[], JobProcess] | None) -> None:
        self.leave()
        self.folder, self.state, self.problem = folder, self._new_state(), None
        self._earlier = None
        self._told_to_end = False
        self._heart.begin(folder)
        self._silence = 0.0
        self._look_at_heart.start()
        self._follower = JobFollower(folder, launch)
        self._follower.events_arrived.connect(self._on_events_arrived)
        self._follower.failed.connect(self._on_failed)
        self._follower.ended.connect(self._on_ended)
        self._follower.start()

    @Slot(list)
    def _on_events_arrived(self, events: list[Event]) -> None:
        if self._follower is None or self.sender() is not self._follower:
            return  # queued before we left that job
        self._heart.beat()
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
                if isinstance(event, ProcessStarted) and self.state.process == self._earlier:
                    self._earlier = (
                        None  # all that came before is folded: from now on it is the new process that speaks
                    )
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

    @Slot()
    def _on_look_at_heart(self) -> None:
        if not self.is_running():
            self._look_at_heart.stop()
            return
        quiet = self._heart.quiet_seconds()
        exempt = self.state.phase is not None and self.state.phase.long
        allowed = SILENT_AFTER_ASKED if self._told_to_end else SILENT_AFTER
        silence = 0.0 if exempt or quiet < allowed else quiet
        if silence != self._silence:
            self._silence = silence
            self.updated.emit()

    def _end(self) -> None:
        self._end_waits = False
        self._look_at_heart.stop()
        self._follower = None
        self._pause.stop()
        self._changed = False
        self.updated.emit()
        self.ended.emit()
