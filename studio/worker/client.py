"""Asking the worker (`python -m studio.worker`): starting it, waiting for answers within limits, ending it."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import IO, TypeVar

import psutil

from studio.core.paths import python_environment
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.worker.protocol import (
    ANSWER,
    Answer,
    Built,
    ExampleRead,
    FirstRows,
    Measured,
    Opened,
    Progress,
    Question,
    ReportReady,
    RequestCrashed,
    RequestRefused,
)

PATIENCE = 30.0
"""Seconds without a sign of life after which the desk is ended."""
MEMORY = 1 << 30
"""Bytes of its own memory, mapped files left out, at which it is ended."""
_LOOK_EVERY = 0.1

Said = Progress | FirstRows
Heard = Callable[[Said], None]
T = TypeVar("T", Opened, Built, ReportReady, ExampleRead, Measured)


class Cancelled(Exception):
    """The person changed their mind. Not an error."""


class WorkerCrashed(Exception):
    """A bug in the desk; carries its traceback."""


class WorkerClient:
    """One desk process, started when the first question comes and again whenever it had to be ended.

    Questions are asked one after another; a second thread waits for its turn. With `patience` in seconds and `memory`
    in bytes.
    """

    def __init__(self, patience: float = PATIENCE, memory: int = MEMORY) -> None:
        self._patience = patience
        self._memory = memory
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the process, None where none is running."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the process ahead of the first question."""
        with self._turn:
            self._started()

    def close(self) -> None:
        """End the process. Whoever waits for an answer gets `Cancelled`."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def ask(
        self, question: Question, wanted: type[T], heard: Heard | None = None, cancelled: threading.Event | None = None
    ) -> T:
        """The answer of the wanted kind; `heard` is called with what is said before. Blocks.

        Raises `ProblemError`, `Cancelled` once `cancelled` is set, and `WorkerCrashed`.
        """
        with self._turn:
            if cancelled is not None and cancelled.is_set():
                raise Cancelled
            process = self._started()
            try:
                assert process.stdin is not None
                process.stdin.write(question.model_dump_json() + "\n")
                process.stdin.flush()
            except OSError:
                pass  # it has just ended: the loop says how
            return self._wait(process, wanted, heard, cancelled)

    def _wait(
        self,
        process: subprocess.Popen[str],
        wanted: type[T],
        heard: Heard | None,
        cancelled: threading.Event | None,
    ) -> T:
        alive = time.monotonic()
        while True:
            try:
                line = self._answers.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                if cancelled is not None and cancelled.is_set():
                    self._drop(process)
                    raise Cancelled from None
                if time.monotonic() - alive > self._patience:
                    self._drop(process)
                    raise _too_slow(self._patience) from None
                self._guard_memory(process)
                continue
            alive = time.monotonic()
            if line is None:
                dropped = self._process is not process
                self._drop(process)
                if dropped:
                    raise Cancelled
                raise _died(process)
            answer: Answer = ANSWER.validate_json(line)
            if isinstance(answer, Progress | FirstRows):
                self._guard_memory(process)
                if cancelled is not None and cancelled.is_set():
                    self._drop(process)
                    raise Cancelled
                if heard is not None:
                    heard(answer)
            elif isinstance(answer, RequestRefused):
                raise ProblemError(answer.problem)
            elif isinstance(answer, RequestCrashed):
                raise WorkerCrashed(answer.traceback)
            else:
                assert isinstance(answer, wanted), answer.answer
                return answer

    def _guard_memory(self, process: subprocess.Popen[str]) -> None:
        with suppress(psutil.Error):
            used = psutil.Process(process.pid).memory_info()
            if used.rss - getattr(used, "shared", 0) > self._memory:
                self._drop(process)
                raise _too_much_memory(self._memory)

    def _started(self) -> subprocess.Popen[str]:
        process = self._process
        if process is not None and process.poll() is None:
            return process
        answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.CREATE_NO_WINDOW
        process = subprocess.Popen(
            [sys.executable, "-m", "studio.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=python_environment(),
            encoding="utf-8",
            start_new_session=sys.platform != "win32",
            creationflags=flags,
        )
        assert process.stdout is not None
        threading.Thread(target=_listen, args=(process.stdout, answers), name="desk", daemon=True).start()
        self._process, self._answers = process, answers
        return process

    def _drop(self, process: subprocess.Popen[str]) -> None:
        if self._process is process:
            self._process = None
        _end(process)


def _listen(out: IO[str], answers: queue.SimpleQueue[str | None]) -> None:
    with out, suppress(OSError, ValueError):
        for line in out:
            answers.put(line)
    answers.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):
        process.kill()
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    process.wait()


def _too_slow(seconds: float) -> ProblemError:
    return problem(
        "data.took_too_long",
        N_("Reading was stopped after {seconds:.0f} seconds in which it didn't get any further."),
        N_("The file is made in a way that keeps a computer busy without end, or its disk doesn't answer."),
        N_("Try it again, or save it in another format (for tables: CSV) and choose that."),
        remedy=Remedy.choose_file,
        seconds=seconds,
    )


def _too_much_memory(limit: int) -> ProblemError:
    return problem(
        "data.took_too_much",
        N_("Reading was stopped because it needed more than {limit:.0f} MB of memory."),
        N_("The file is far larger inside than it looks, whether by accident or as a trap."),
        N_("Keep a part of it, for instance the first 100,000 rows, and choose that file."),
        remedy=Remedy.choose_file,
        limit=limit / 2**20,
    )


def _died(process: subprocess.Popen[str]) -> ProblemError:
    code = process.returncode
    if code == 137:  # its own limit
        return _too_much_memory(MEMORY)
    if code == -9:
        return problem(
            "data.reader_killed",
            N_("The part of the program that reads files was ended from outside."),
            N_("Usually that is the system, when the computer has no memory left."),
            N_("Close other programs, then try again. Your file is unchanged."),
            remedy=Remedy.try_again,
        )
    return problem(
        "data.reader_died",
        N_("The part of the program that reads files ended unexpectedly (code {exit})."),
        N_("Something in this file makes one of the libraries that read it crash. Nothing else is harmed."),
        N_("Save it in another format (for tables: CSV) and choose that."),
        remedy=Remedy.choose_file,
        exit=code,
    )
