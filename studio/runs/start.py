"""Starting the child processes that do the work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.core.jobs import Job, write_job
from studio.core.journal import lock_is_held
from studio.core.paths import python_environment
from studio.core.problems import problem
from studio.core.run_folder import JobFolder
from studio.core.translatable import N_


@dataclass
class JobProcess:
    """A child process and the folder that it writes to."""

    folder: JobFolder
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.poll()


def start_job(folder: JobFolder, job: Job) -> JobProcess:
    """Write `job.json` and start `python -m studio.engine <job> FOLDER` in a process group of its own.

    Output goes to the folder's log. Raises ProblemError when a process is already at work in that folder.
    """
    if lock_is_held(folder.lock):
        raise problem(
            "run.already_going",
            N_("A run is already going on here."),
            N_("Two at once would only slow each other down, or damage what they write."),
            N_("Wait until it ends, or press Stop first."),
        )
    write_job(folder, job)
    return spawn([sys.executable, "-m", "studio.engine", job.job, str(folder.path)], folder)


def spawn(command: list[str], folder: JobFolder, environment: Mapping[str, str] | None = None) -> JobProcess:
    """Start a process of this program that outlives its parent, with its output in the folder's log and `environment`
    on top of what every child gets. Raises OSError."""
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    with open(folder.log, "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**python_environment(), **(environment or {})},
            start_new_session=sys.platform != "win32",
            creationflags=flags,
        )
    return JobProcess(folder, process)
