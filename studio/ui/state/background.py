"""Work beside the window: a function in a thread, or a job's process that is started and followed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from PySide6.QtCore import QObject, Qt, QThread, Signal, Slot
from shiboken6 import isValid

from studio.core.problems import Problem, ProblemError
from studio.core.run_folder import JobFolder
from studio.core.translatable import N_

if TYPE_CHECKING:
    from studio.runs.start import JobProcess

T = TypeVar("T")

CHUNK = 500
"""Events handed to the window at once: folding them takes about a millisecond."""

_running: set[QThread] = set()  # a QThread whose last reference goes while it runs ends the program


def unexpected() -> Problem:
    """What a page shows when a bug ended its work; the dialog with the details comes from the exception hook."""
    return Problem(
        code="window.unexpected",
        what=N_("Something went wrong inside the program."),
        why=N_("That is a mistake of ours, not yours. Nothing that was saved is lost."),
        fix=N_("Try again. If it happens again, copy the details and report them."),
    )


class Task(QThread):
    """Runs one function beside the window and hands its outcome back in the window's thread.

    When `owner` is gone by then, nobody is told.
    """

    _done = Signal()

    def __init__(
        self,
        owner: QObject,
        function: Callable[[], Any],
        on_success: Callable[[Any], object],
        on_failure: Callable[[Problem], object] | None,
    ) -> None:
        super().__init__()
        self._owner = owner
        self._function = function
        self._on_success = on_success
        self._on_failure = on_failure
        self._value: Any = None
        self._error: Exception | None = None
        self._done.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self.finished.connect(self._forget, Qt.ConnectionType.QueuedConnection)
        _running.add(self)

    def run(self) -> None:
        try:
            self._value = self._function()
        except Exception as error:  # handed over to the window's thread, where it is shown
            self._error = error
        self._done.emit()

    @Slot()
    def _deliver(self) -> None:
        alive = isValid(self._owner)
        if self._error is None:
            if alive:
                self._on_success(self._value)
            return
        expected = isinstance(self._error, ProblemError)
        problem = self._error.problem if isinstance(self._error, ProblemError) else unexpected()
        if self._on_failure is not None and alive:
            self._on_failure(problem)
        if not expected or (alive and self._on_failure is None):
            sys.excepthook(type(self._error), self._error, self._error.__traceback__)

    @Slot()
    def _forget(self) -> None:
        self.wait()
        _running.discard(self)


def run_in_background(
    owner: QObject,
    function: Callable[[], T],
    on_success: Callable[[T], object],
    on_failure: Callable[[Problem], object] | None = None,
) -> Task:
    """Run `function` in a thread; then one of the callbacks in the window's thread, unless `owner` is gone.

    A `ProblemError` reaches `on_failure` (without one, a small dialog); any other exception is a bug and goes to the
    exception dialog too. `function` must not touch widgets.
    """
    task = Task(owner, function, on_success, on_failure)
    task.start()
    return task


class JobFollower(QThread):
    """Supervises one job: starts its process with `launch` (or, without it, attaches to it) and reports its events.

    The job outlives this thread: `leave` only stops following.
    """

    events_arrived = Signal(list)
    """Batches of at most `CHUNK` events, oldest first."""
    failed = Signal(object)
    """A `Problem`: the process could not be started or followed."""
    ended = Signal()
    """The ending event has been handed over (not emitted after `leave`)."""

    def __init__(self, folder: JobFolder, launch: Callable[[], JobProcess] | None = None) -> None:
        super().__init__()
        self.folder = folder
        self._launch = launch
        self._process: JobProcess | None = None
        self._killed = False
        self._starting = threading.Lock()
        self._leave = threading.Event()
        self.finished.connect(self._forget, Qt.ConnectionType.QueuedConnection)
        _running.add(self)

    def leave(self) -> None:
        """Stop following soon; the job goes on."""
        self._leave.set()

    def kill(self) -> None:
        """End the process that this started, or don't start it. One that was found again is left alone."""
        with self._starting:
            self._killed = True
            if self._process is not None:
                self._process.process.kill()

    def run(self) -> None:
        from studio.runs.follow import follow

        try:
            with self._starting:
                if self._killed:
                    self.ended.emit()
                    return
                if self._launch is not None:
                    self._process = self._launch()
            for batch in follow(self.folder, self._process, stop=self._leave):
                for start in range(0, len(batch), CHUNK):
                    if self._leave.is_set():
                        return
                    self.events_arrived.emit(batch[start : start + CHUNK])
        except ProblemError as error:
            self.failed.emit(error.problem)
        except Exception:  # the hook shows it; the page still hears that this job can't be followed
            sys.excepthook(*sys.exc_info())
            self.failed.emit(unexpected())
        else:
            if not self._leave.is_set():
                self.ended.emit()

    @Slot()
    def _forget(self) -> None:
        self.wait()
        _running.discard(self)


def wait_for_all(milliseconds: int = 5_000) -> bool:
    """Leave every job and wait for every thread, as the window closes. False when one is still busy after that."""
    for thread in list(_running):
        if isinstance(thread, JobFollower):
            thread.leave()
    done = True
    for thread in list(_running):
        if thread.wait(milliseconds):
            _running.discard(thread)
        else:
            done = False
    return done
