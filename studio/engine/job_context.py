"""What a job says and hears: its journal, its heartbeat, its commands, and exactly one ending."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType

import psutil

from studio.core.command_queue import CommandQueue
from studio.core.commands import Ask, Command, Pause, Remember, SaveNow, Stop, StopAnswer
from studio.core.events import (
    BatchChanged,
    CommandReceived,
    Ending,
    Event,
    Failed,
    Finished,
    NoticeLogged,
    Paused,
    PhaseChanged,
    ProcessStarted,
    Progressed,
    Stopped,
)
from studio.core.jobs import FRESH_START
from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.run_folder import JobFolder
from studio.core.translatable import N_, sentence, type_of_value
from studio.core.versions import library_versions
from studio.core.writer_lock import lock_is_held

HEARTBEAT = 2.0
"""Seconds between two touches of the heartbeat file."""

LISTENING = 0.1
"""Seconds between two looks for commands."""

ENDING_WAITS = 10.0
"""Seconds that a job's ending waits for room on a full disk; after that whoever follows writes one."""

TOLD_ASIDE = (ProcessStarted, NoticeLogged, BatchChanged, Failed)
"""Of a process that isn't the first of its job; what all of them do, the first tells."""

Phase = PhaseChanged.model_fields["phase"].annotation


FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a disk, or a person's part of it, on which nothing more fits."""


class FreshStart(BaseException):
    """Raised where a training can go on in a fresh process only: the job ends without an ending, with the exit code
    `FRESH_START`, and its supervisor starts another one. Not an Exception: no library may swallow it."""


class StopRequested(BaseException):
    """Raised in the main thread where the job may be left at once. Not an Exception: no library may swallow it."""


class JobContext:
    """One job's line to whoever follows it. Use `run`, which writes the first event and the ending.

    Of several processes that do one job, one has the job's own folder; each other one tells `aside`, a folder of its
    own, hears no commands, and ends with the first.
    """

    def __init__(self, folder: JobFolder, job: str, *, aside: JobFolder | None = None) -> None:
        self.folder = folder
        self._own = aside or folder
        self._is_first = aside is None
        self.job = job
        self.keep = True
        self.pausing = False
        """Whether the stop that was asked for is a pause."""
        self._writer = self._own.writer()
        self._writing = threading.Lock()
        self._unwritten: deque[Event] = deque()
        self._commands = CommandQueue(self._own)
        self._waiting: list[Command] = []
        self._arrived = threading.Condition()
        self._stopping = False
        self._interruptible = False
        self._closed = threading.Event()
        self._parent: int | None = None
        self._begun = time.monotonic()
        self.is_cut_off: Callable[[], bool] = lambda: False
        """Whether a signal means that another process of this job is lost, and not that this one is to end."""

    @property
    def seconds(self) -> float:
        """For how long the job has gone on."""
        return time.monotonic() - self._begun

    def end_with_parent(self) -> None:
        """Stop when the process that started this job is gone: for jobs that are of no use without it."""
        self._parent = os.getppid()

    # Telling

    def write(self, event: Event, *, durable: bool = False) -> bool:
        """Append to the journal, from any thread. While the disk refuses, events wait here, in their order. Returns
        whether it is there now; with `durable`, forced to the disk. Aside, only what went wrong is told."""
        if not self._is_first and not isinstance(event, TOLD_ASIDE):
            return True
        with self._writing:
            self._unwritten.append(event)
            return self._write_waiting(durable)

    def _write_waiting(self, durable: bool = False) -> bool:
        try:
            while self._unwritten:
                self._writer.write(self._unwritten[0])
                self._unwritten.popleft()
            if durable:
                self._writer.sync()
        except OSError:
            return False
        return True

    def phase(self, phase: str, text: str, *, long: bool = False, **values: type_of_value) -> None:
        """Say what is done now; also the place where a waiting stop is obeyed."""
        self.obey_stop()
        event = PhaseChanged.model_validate({"phase": phase, "text": sentence(text, **values), "long": long})
        self.write(event)

    def notice(self, code: str, text: str, **values: type_of_value) -> None:
        self.write(NoticeLogged(code=code, text=sentence(text, **values)))

    def progress(self, done: int, total: int | None, unit: str, text: str, **values: type_of_value) -> None:
        self.write(Progressed(done=done, total=total, unit=unit, text=sentence(text, **values)))

    # Listening

    @property
    def supervised(self) -> bool:
        """Whether somebody starts another process when this one ends with `FreshStart`."""
        return lock_is_held(self.folder.supervisor_lock)

    @property
    def stopping(self) -> bool:
        return self._stopping

    def obey_stop(self) -> None:
        """Raise `StopRequested` when somebody asked for it."""
        if self._stopping:
            raise StopRequested

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, a stop raises `StopRequested` at the next line of Python instead of waiting to be asked for.
        Nothing in here may leave half-written state behind."""
        before, self._interruptible = self._interruptible, True
        try:
            self.obey_stop()
            yield
        finally:
            self._interruptible = before

    def commands(self, wait: float = 0.0) -> list[Command]:
        """Commands other than Stop that arrived since the last call; waits up to `wait` seconds for the first."""
        with self._arrived:
            if not self._waiting and wait > 0 and not self._stopping:
                self._arrived.wait(wait)
            taken, self._waiting = self._waiting, []
            return taken

    def _listen(self) -> None:
        last = 0.0
        while not self._closed.wait(LISTENING):
            now = time.monotonic()
            if now - last >= HEARTBEAT:
                last = now
                with contextlib.suppress(OSError):
                    self._own.heartbeat.touch()
                with self._writing:
                    self._write_waiting()
                if self._parent is not None and not parent_lives(self._parent):
                    self._request_stop()
            for command in self._commands.take():
                self.write(CommandReceived(id=command.id, command=command.type))
                match command:
                    case Stop():
                        self.keep, self.pausing = command.keep, False
                        self._request_stop()
                    case Pause():
                        self.pausing = True
                        self._request_stop()
                    case Ask() | Remember() | StopAnswer() | SaveNow():
                        with self._arrived:
                            self._waiting.append(command)
                            self._arrived.notify_all()

    def _request_stop(self) -> None:
        # The handler runs in the main thread, so that a stop by command and one by signal are the same thing.
        if not self._closed.is_set():
            signal.raise_signal(signal.SIGTERM) if sys.platform == "win32" else os.kill(os.getpid(), signal.SIGTERM)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._is_first:
            return
        if self.is_cut_off():
            os._exit(FRESH_START)  # whatever it waits for never comes
        self._stopping = True
        if self._interruptible:
            self._interruptible = False
            raise StopRequested

    # The whole job

    def run(self, work: Callable[[JobContext], Ending | None]) -> int:
        """Do `work` and write the ending. Returns the exit code: 0 done or stopped, 2 a problem, `FRESH_START` without
        an ending."""
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        process = psutil.Process()
        self.write(
            ProcessStarted(
                job=self.job,
                pid=process.pid,
                started=process.create_time(),
                versions=library_versions(),
            )
        )
        self._own.heartbeat.touch()
        listener = threading.Thread(target=self._listen, name="listener", daemon=True)
        listener.start()
        try:
            ending = self._attempt(work)
        finally:
            self._closed.set()
            listener.join()
        for number, handler in previous.items():
            signal.signal(number, handler)
        if ending is not None:
            self._write_ending(ending)
        self._writer.close()
        return FRESH_START if ending is None else 2 if isinstance(ending, Failed) else 0

    def _write_ending(self, ending: Ending) -> None:
        self.write(ending, durable=True)
        until = time.monotonic() + ENDING_WAITS
        while self._unwritten and time.monotonic() < until:
            time.sleep(0.2)
            with self._writing:
                self._write_waiting()  # not forced to the disk: where that is what fails, the line is there already

    def _attempt(self, work: Callable[[JobContext], Ending | None]) -> Ending | None:
        try:
            return work(self) or Finished()
        except FreshStart:
            return None
        except StopRequested:
            return Paused() if self.pausing else Stopped()
        except ProblemError as error:
            traceback.print_exc()
            return Failed(problem=error.problem)
        except Exception as error:
            traceback.print_exc()
            if is_poisoned(error):
                # Whatever touches the card now may hang, the interpreter's own tidying up too. The journal is whole.
                os._exit(1)
            return Failed(problem=problem_of(error))


def parent_lives(parent: int) -> bool:
    """Whether the process that started this one, `os.getppid()` then, is still there."""
    # elsewhere than under Windows an orphan is given to another process
    return psutil.pid_exists(parent) if sys.platform == "win32" else os.getppid() == parent


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the card or in the computer; torch has no single type for both."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def is_poisoned(error: BaseException) -> bool:
    """Whether a card reported an error after which this process can't compute on it any more."""
    text = str(error).lower()
    cuda = type(error).__name__ == "AcceleratorError" or "cuda error" in text or "device-side assert" in text
    return cuda and not is_out_of_memory(error)


def problem_of(error: Exception) -> Problem:
    """An exception that no part of the job put into words itself, as well as its type tells."""
    if is_out_of_memory(error):
        return Problem(
            code="engine.out_of_memory",
            what=N_("This computer ran out of memory for this run."),
            why=N_("The model, the examples computed at once and their length need more than there is."),
            fix=N_(
                "Choose fewer examples at once, a shorter longest example, the memory saver, or a smaller model. "
                "What was saved before is kept."
            ),
            remedy=Remedy.see_settings,
        )
    if isinstance(error, OSError) and error.errno in FULL:
        return Problem(
            code="engine.disk_full",
            what=N_("The disk is full."),
            why=N_("The computer says: {reason}"),
            fix=N_("Free some space and start again. What was saved before is kept."),
            values={"reason": str(error)[:300]},
            remedy=Remedy.try_again,
        )
    return Problem(
        code="engine.unexpected",
        what=N_("Something went wrong that the program didn't expect."),
        why=N_("It says: {reason}"),
        fix=N_("Nothing that was saved is lost. The log has the details; try again, or report it with the log."),
        values={"reason": (str(error) or type(error).__name__)[:300]},
        remedy=Remedy.open_log,
    )
