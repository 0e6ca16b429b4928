"""Telling a job to stop: politely with a command, then by force, and never a stranger."""

from __future__ import annotations

import contextlib
import time

import psutil

from studio.core.command_queue import new_id, send
from studio.core.commands import Pause, SaveNow, Stop
from studio.core.run_folder import JobFolder
from studio.runs.follow import processes_of, write_missing_ending

PATIENCE = 10.0
"""Seconds that a job has to end after it was asked to. With what force takes, it is gone within 15."""

SAVING_PATIENCE = 60.0
"""The same for one that is just writing a save point: that is worth waiting for."""


def stop(folder: JobFolder, *, keep: bool = True) -> None:
    """Ask the job to end; with `keep`, what was learned is saved first."""
    send(folder, Stop(id=new_id(), keep=keep))


def pause(folder: JobFolder) -> None:
    """Ask the training to save all that going on needs, and to end."""
    send(folder, Pause(id=new_id()))


def save_now(folder: JobFolder) -> None:
    """Ask the training for a save point after its current step."""
    send(folder, SaveNow(id=new_id()))


def end(folder: JobFolder, *, keep: bool = True, patience: float = PATIENCE) -> bool:
    """Ask the job to end, and end it by force when it hasn't after `patience` seconds. True when it is gone.

    Returns within 15 seconds by default, also for a process that hangs or was halted; only a save point that is just
    being written is waited for longer.
    """
    stop(folder, keep=keep)
    asked = time.monotonic()
    while folder.is_at_work():
        waited = time.monotonic() - asked
        if waited > SAVING_PATIENCE or (waited > patience and not _is_saving(folder)):
            return end_forcefully(folder, grace=1.0)
        time.sleep(0.1)
    write_missing_ending(folder)
    return True


def _is_saving(folder: JobFolder) -> bool:
    """Whether a save point is just being written by a process that shows signs of life."""
    if not any((folder.path / "checkpoints").glob(".tmp-step-*")):
        return False
    with contextlib.suppress(OSError):
        return time.time() - folder.heartbeat.stat().st_mtime < PATIENCE
    return False


def end_forcefully(folder: JobFolder, grace: float = 5.0) -> bool:
    """End the job's processes and their children: terminate, wait `grace` seconds, kill. True when they are gone."""
    family: set[psutil.Process] = set()
    for process in processes_of(folder):
        with contextlib.suppress(psutil.Error):
            family |= {process, *process.children(recursive=True)}
    for one in family:
        with contextlib.suppress(psutil.Error):
            one.terminate()
    _, alive = psutil.wait_procs(family, timeout=grace)
    for one in alive:
        with contextlib.suppress(psutil.Error):
            one.kill()
    deadline = time.monotonic() + grace
    while folder.is_at_work() and time.monotonic() < deadline:
        time.sleep(0.05)
    if folder.is_at_work():
        return False
    write_missing_ending(folder)
    return True
