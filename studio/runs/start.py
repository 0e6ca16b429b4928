"""Starting the child processes that do the work."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.core.command_queue import CommandQueue
from studio.core.jobs import Job, Train, write_job
from studio.core.paths import python_environment
from studio.core.problems import problem
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.storage import cannot_write
from studio.core.translatable import N_
from studio.core.writer_lock import WriterLock

LOG_MARK = "---- started "
"""Begins the line in a job's log where another process begins to write."""


@dataclass
class JobProcess:
    """A child process and the folder that it writes to, or watches over."""

    folder: JobFolder
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.poll()


def start_job(folder: JobFolder, job: Job, *, secret: str = "") -> JobProcess:
    """Write `job.json` and start `python -m studio.engine <job> FOLDER` in a process group of its own.

    Output goes to the folder's log. `secret` becomes the first line of its standard input: it stands in no file, and
    not among what a system tells of processes. Raises ProblemError when a process is already at work in that folder.
    """
    _prepare(folder, job)
    return start_engine(folder, job, secret=secret)


def start_training(run: RunFolder, job: Train) -> JobProcess:
    """Start the supervisor of a training (`studio.runs.supervisor`), which starts the engine and, where that helps,
    starts it again. It sees no other cards than those that `job` names, where it names any.

    Raises ProblemError when a process is already at work in that folder, or the folder can't be written.
    """
    _prepare(run, job)
    CommandQueue(run).take()  # meant for a process that is gone: a stop from then mustn't end this one
    cards = ",".join(job.where.cards)
    chosen = {"CUDA_VISIBLE_DEVICES": cards} if cards else {}
    return spawn([sys.executable, "-m", "studio.runs.supervisor", str(run.path)], run, chosen)


def start_engine(folder: JobFolder, job: Job, watched_by: WriterLock | None = None, *, secret: str = "") -> JobProcess:
    """Start the process that does the job whose `job.json` is written already. Its log begins with `LOG_MARK`.

    With `watched_by`, the lock of the process that calls this, the engine holds that too: it counts as at work from its
    first moment on, also when its supervisor is killed. Windows can't hand on such a lock.
    """
    with open(folder.log, "a", encoding="utf-8") as log:
        log.write(f"{LOG_MARK}{time.strftime('%Y-%m-%d %H:%M:%S')}\n")
    shared = watched_by.descriptor if watched_by is not None and sys.platform != "win32" else None
    command = [sys.executable, "-m", "studio.engine", job.job, str(folder.path)]
    return spawn(command, folder, shared=() if shared is None else (shared,), secret=secret)


def require_at_rest(folder: JobFolder) -> None:
    """Raises `ProblemError` while a process is at work in that folder."""
    if folder.is_at_work():
        raise problem(
            "run.already_going",
            N_("A run is already going on here."),
            N_("Two at once would only slow each other down, or damage what they write."),
            N_("Wait until it ends, or press Stop first."),
        )


def _prepare(folder: JobFolder, job: Job) -> None:
    require_at_rest(folder)
    try:
        write_job(folder, job)
    except OSError as error:
        raise cannot_write(folder.path, error) from error


def spawn(
    command: list[str],
    folder: JobFolder,
    environment: Mapping[str, str] | None = None,
    *,
    shared: tuple[int, ...] = (),
    secret: str = "",
) -> JobProcess:
    """Start a process of this program that outlives its parent, with its output in the folder's log, `environment`
    on top of what every child gets, the open files `shared`, and `secret` as all of its standard input. Raises
    OSError."""
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    with open(folder.log, "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if secret else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**python_environment(), **(environment or {})},
            start_new_session=sys.platform != "win32",
            creationflags=flags,
            pass_fds=shared,
        )
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin:  # a child that is gone already tells so itself
            process.stdin.write(f"{secret}\n".encode())
    return JobProcess(folder, process)
