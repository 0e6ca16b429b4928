"""Telling a job to stop: politely with a command, then by force, and never a stranger."""

from __future__ import annotations

import contextlib
import time

import psutil

from studio.core.command_queue import new_id, send
from studio.core.events import SaveNow, Stop
from studio.core.run_folder import JobFolder
from studio.runs.follow import process_of, write_crash


def stop(folder: JobFolder, *, keep: bool = True) -> None:
    """Ask the job to end; with `keep`, what was learned is saved first."""
    send(folder, Stop(id=new_id(), keep=keep))


def save_now(folder: JobFolder) -> None:
    """Ask the training for a save point after its current step."""
    send(folder, SaveNow(id=new_id()))


def end_forcefully(folder: JobFolder, grace: float = 5.0) -> bool:
    """End the job's process and its children: terminate, wait `grace` seconds, kill. True when it is gone."""
    process = process_of(folder)
    if process is None:
        return True
    with contextlib.suppress(psutil.Error):
        family = [*process.children(recursive=True), process]
        for one in family:
            with contextlib.suppress(psutil.Error):
                one.terminate()
        _, alive = psutil.wait_procs(family, timeout=grace)
        for one in alive:
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(alive, timeout=grace)
    deadline = time.monotonic() + grace
    while process_of(folder) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    if process_of(folder) is None:
        write_crash(folder)
        return True
    return False
