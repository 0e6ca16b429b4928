"""Asking the worker (`python -m studio.worker`): starting it, waiting for replies within limits, ending it."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import IO, TypeVar

import psutil

from studio.core.paths import python_environment
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.worker.protocol import (
    REPLY,
    Built,
    ExampleRead,
    FirstRows,
    Measured,
    Opened,
    Progress,
    Ready,
    Reply,
    ReportReady,
    Request,
    RequestCrashed,
    RequestRefused,
)

PATIENCE = 30.0
"""Seconds without a word after which the worker is ended: of its own processor time, so that it may take longer on a
busy computer; or of the clock, where it takes no processor time either."""
IDLE_SHARE = 0.01
"""Of a processor; what takes less than this isn't at work."""
MEMORY = 1 << 30
"""Bytes of its own memory, mapped files left out, at which it is ended."""
_LOOK_EVERY = 0.1
_OUT_OF_MEMORY = 137
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""numpy, which arrow brings along, would start threads for algebra at each start; nothing here computes any."""
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)

Heard = Callable[[Progress | FirstRows], None]
T = TypeVar("T", Ready, Opened, Built, ReportReady, ExampleRead, Measured)


class Cancelled(Exception):
    """The person changed their mind. Not an error."""


class WorkerCrashed(Exception):
    """A bug in the worker; carries its traceback."""


class WorkerClient(AbstractContextManager["WorkerClient"]):
    """One worker process, started when the first request comes and again whenever it had to be ended.

    Requests are answered one after another; a second thread waits for its turn. With `patience` in seconds and `memory`
    in bytes.
    """

    def __init__(self, patience: float = PATIENCE, memory: int = MEMORY) -> None:
        self._patience = patience
        self._memory = memory
        self._turn = threading.Lock()
        self._worker: _Worker | None = None

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the process, None where none is running."""
        worker = self._worker
        return worker.process.pid if worker is not None and worker.process.poll() is None else None

    def start(self) -> None:
        """Start the process ahead of the first request."""
        with self._turn:
            self._started()

    def close(self) -> None:
        """End the process. Whoever waits for a reply gets `Cancelled`."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    def ask(
        self, request: Request, wanted: type[T], heard: Heard | None = None, cancelled: threading.Event | None = None
    ) -> T:
        """The reply of the wanted kind; `heard` is called with what is said before. Blocks.

        Raises `ProblemError`, `Cancelled` once `cancelled` is set, and `WorkerCrashed`.
        """
        with self._turn:
            if cancelled is not None and cancelled.is_set():
                raise Cancelled
            worker = self._started()
            worker.send(request.model_dump_json())
            return self._wait(worker, wanted, heard, cancelled)

    def _wait(self, worker: _Worker, wanted: type[T], heard: Heard | None, cancelled: threading.Event | None) -> T:
        patience = Patience(worker.process, self._patience)
        while True:
            try:
                line = worker.lines.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                self._check(worker, cancelled)
                if patience.is_over():
                    self._drop(worker)
                    raise _too_slow(self._patience) from None
                continue
            if line is None:
                dropped = self._worker is not worker
                self._drop(worker)
                if dropped:
                    raise Cancelled
                raise _died(worker, self._memory)
            patience.begin()
            reply: Reply = REPLY.validate_json(line)
            if isinstance(reply, Progress | FirstRows):
                self._check(worker, cancelled)
                if heard is not None:
                    heard(reply)
            elif isinstance(reply, RequestRefused):
                raise ProblemError(reply.problem)
            elif isinstance(reply, RequestCrashed):
                raise WorkerCrashed(reply.traceback)
            else:
                assert isinstance(reply, wanted), reply.reply
                return reply

    def _check(self, worker: _Worker, cancelled: threading.Event | None) -> None:
        if cancelled is not None and cancelled.is_set():
            self._drop(worker)
            raise Cancelled
        with suppress(psutil.Error):
            used = psutil.Process(worker.process.pid).memory_info()
            if used.rss - getattr(used, "shared", 0) > self._memory:
                self._drop(worker)
                raise _too_much_memory(self._memory)

    def _started(self) -> _Worker:
        if self._worker is None or self._worker.process.poll() is not None:
            self.close()
            self._worker = _Worker()
        return self._worker

    def _drop(self, worker: _Worker) -> None:
        if self._worker is worker:
            self._worker = None
        worker.end()


class _Worker:
    """A running process; `lines` are those that it writes, and None once it has ended."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: deque[str] = deque(maxlen=200)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "studio.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**python_environment(), **_ONE_THREAD},
            encoding="utf-8",
            errors="replace",
            start_new_session=sys.platform != "win32",
            creationflags=_NO_WINDOW,
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        threading.Thread(target=self._listen, args=(self.process.stdout,), name="worker", daemon=True).start()
        self._listener = threading.Thread(target=self._listen_to_errors, args=(self.process.stderr,), daemon=True)
        self._listener.start()

    def _listen(self, out: IO[str]) -> None:
        with out, suppress(OSError, ValueError):
            for line in out:
                self.lines.put(line)
        self.lines.put(None)

    def _listen_to_errors(self, out: IO[str]) -> None:
        with out, suppress(OSError, ValueError):
            self._errors.extend(out)

    def send(self, line: str) -> None:
        """Whoever waits for its reply hears of a process that has ended."""
        with suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """Kill it, if it is still running."""
        with suppress(OSError):
            self.process.kill()
        with suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        self.process.wait()

    def last_words(self) -> str:
        """The end of what it wrote to its standard error before it ended."""
        self._listener.join(5)
        return "".join(self._errors)


class Patience:
    """How long a process has been silent: by its own processor time, and by the clock while it takes none."""

    def __init__(self, process: subprocess.Popen[str], seconds: float) -> None:
        self._pid = process.pid
        self._seconds = seconds
        self.begin()

    def begin(self) -> None:
        """It has just said something."""
        self._spoke_at = self._busy_at = self._processor_time()
        self._busy_since = time.monotonic()

    def is_over(self) -> bool:
        """Whether it is over."""
        spent = self._processor_time()
        if spent - self._busy_at > IDLE_SHARE * self._seconds:
            self._busy_at, self._busy_since = spent, time.monotonic()
        return spent - self._spoke_at > self._seconds or time.monotonic() - self._busy_since > self._seconds

    def _processor_time(self) -> float:
        """Seconds that all of its threads took together."""
        try:
            times = psutil.Process(self._pid).cpu_times()
        except psutil.Error:
            return 0.0  # it has ended, which is heard of in another way
        return times.user + times.system


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
        N_("Delete what is empty or not needed in it, or keep a part of it, for instance the first 100,000 rows."),
        remedy=Remedy.choose_file,
        limit=limit / 2**20,
    )


def _died(worker: _Worker, memory: int) -> ProblemError:
    code = worker.process.returncode
    # The reader of workbooks, written in Rust, gives up at once when the system refuses it memory.
    if code == _OUT_OF_MEMORY or "memory allocation of" in worker.last_words():
        return _too_much_memory(memory)
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
