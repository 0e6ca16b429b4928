"""Following a job's journal until its ending, and telling a living job from one that is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psutil

from studio.core.command_queue import CommandQueue
from studio.core.events import CommandReceived, Crashed, Ending, Event, Paused, ProcessStarted, Stopped
from studio.core.journal import JournalReader, JournalWriter
from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.run_folder import JobFolder
from studio.core.run_state import RunState
from studio.core.translatable import N_
from studio.runs.start import LOG_MARK, JobProcess

SILENT_AFTER = 120.0
"""Seconds without a heartbeat after which a living process counts as silent."""

LOOK_EVERY = 10
"""Polls between two looks whether a job that was found again still lives; each opens a file."""

LOG_END = 4000
"""Bytes of the log kept in a `Crashed` event."""

_AT_ONCE = 2**18
"""Bytes of a journal read at once, about 1,000 events: a long one as a whole would take hundreds of megabytes."""

SUPERVISOR = "supervisor"
"""What a training's supervisor calls its job in its `ProcessStarted`."""

JobStatus = Literal["none", "running", "silent", "ended", "interrupted"]


def follow(
    folder: JobFolder,
    process: JobProcess | None = None,
    *,
    stop: threading.Event | None = None,
    poll: float = 0.1,
) -> Iterator[list[Event]]:
    """Yield the journal's events in batches of about 1,000, from its beginning until an ending was yielded.

    With `process`, or for a job found again without it, a job that nobody does any more and that has no ending gets
    one, written here. `poll` is the seconds between two looks into the journal. Setting `stop` ends the iteration and
    leaves the job alone.
    """
    reader = folder.reader()
    ended = False
    # a job found again gets a moment to take its lock
    look_again = time.monotonic() + LOOK_EVERY * poll / 2
    while not (stop is not None and stop.is_set()):
        gone = False  # asked before reading, so that the last events aren't missed
        if process is not None:
            gone = process.poll() is not None and not folder.is_at_work()
        elif ended or time.monotonic() >= look_again:
            gone = not folder.is_at_work()
        events = reader.read_new(most=_AT_ONCE)
        ended = _ending_after(events, ended)
        if events:
            yield events
            continue  # there may be more, and an ending in the middle is none
        if process is None and time.monotonic() >= look_again:
            look_again = time.monotonic() + LOOK_EVERY * poll
        if gone and ended:
            return
        if gone:
            missing = write_missing_ending(folder, process.poll() if process is not None else None)
            if missing is not None:
                yield reader.read_new() or [missing]
                return
            # somebody else wrote the ending, or goes on with the job
        if stop is not None:
            stop.wait(poll)
        else:
            time.sleep(poll)


def _ending_after(events: list[Event], ended: bool) -> bool:
    for event in events:
        if isinstance(event, Ending):
            ended = True
        elif isinstance(event, ProcessStarted):
            ended = False
    return ended


def job_status(folder: JobFolder) -> JobStatus:
    """How a job stands, without folding its whole journal."""
    if not folder.events.exists():
        return "running" if folder.is_at_work() else "none"
    if folder.is_at_work():
        try:
            quiet = time.time() - folder.heartbeat.stat().st_mtime
        except FileNotFoundError:
            return "running"
        return "silent" if quiet > SILENT_AFTER else "running"
    return "ended" if ending_of(folder) is not None else "interrupted"


def ending_of(folder: JobFolder) -> Ending | None:
    """The ending of a job that nobody has begun again since; None without one. Reads the end of its journal only."""
    try:
        size = folder.events.stat().st_size
    except FileNotFoundError:
        return None
    reader = JournalReader(folder.events)
    reader.skip_to(max(0, size - 65536))
    for event in reversed(reader.read_new()):
        if isinstance(event, Ending):
            return event
        if isinstance(event, ProcessStarted):
            return None
    return None


def write_missing_ending(folder: JobFolder, code: int | None = None) -> Ending | None:
    """Append the ending of a job whose process is gone without one; None when the journal has an ending already or
    another process is writing it.

    A job that was told to end has ended as it was told, also where it no longer heard that. Any other is `Crashed`, and
    why is told from the exit code of its process, as `subprocess` gives it, and the end of its log. Where the folder
    can't be written, the ending is given back all the same.
    """
    ending: Ending | None = None
    with contextlib.suppress(ProblemError, OSError), JournalWriter(folder.events, folder.lock) as writer:
        if ending_of(folder) is None:
            ending = ending_asked_for(folder, writer) or _crashed(code, read_log_end(folder.log))
            writer.write(ending, durable=True)
    return ending


def ending_asked_for(folder: JobFolder, writer: JournalWriter) -> Stopped | Paused | None:
    """The ending that the job's last process was told to come to and had no time for. What it kept is the newest save
    point. Commands that it didn't take any more are taken and acknowledged."""
    for command in CommandQueue(folder).take():
        writer.write(CommandReceived(id=command.id, command=command.type))
    heard: set[str] = set()
    state = RunState()
    for event in folder.outline():
        state.apply(event)
        if isinstance(event, ProcessStarted):
            heard.clear()
        elif isinstance(event, CommandReceived):
            heard.add(event.command)
    if not heard & {"stop", "pause"}:
        return None
    step = max((point.step for point in state.checkpoints), default=0)
    return Paused(step=step) if "pause" in heard else Stopped(step=step)


def _crashed(code: int | None, log_end: str) -> Crashed:
    name = name_of_signal(code)
    return Crashed(
        exit_code=code if name is None else None,
        signal=name,
        log_end=log_end,
        problem=explain_crash(code, name, log_end),
    )


def name_of_signal(code: int | None) -> str | None:
    """The signal that ended a process with this exit code of `subprocess`, None where it wasn't one."""
    if code is None or code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def read_log_end(log: Path) -> str:
    """The last 4,000 bytes of the log as text, nothing from before its last process; empty when there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LOG_END))
            return file.read().decode("utf-8", errors="replace").rpartition(LOG_MARK)[2]
    except OSError:
        return ""


def explain_crash(code: int | None, signal_name: str | None, log_end: str) -> Problem:
    """Why a process that said nothing is gone, as far as its exit and the end of its log tell."""
    text = log_end.lower()
    if "modulenotfounderror" in text:
        return Problem(
            code="crashed.not_installed",
            what=N_("A part of the program is missing, so the work couldn't start."),
            why=N_("A Python package that the trainer needs isn't installed."),
            fix=N_("Run `python3 packaging/bootstrap.py app` once more; it repairs the installation."),
            remedy=Remedy.open_log,
        )
    if "out of memory" in text or "cuda_error_out_of_memory" in text or "std::bad_alloc" in text:
        return Problem(
            code="crashed.out_of_memory",
            what=N_("The work ended because memory ran out."),
            why=N_("The library that computes in 4 bits ends the whole process when that happens."),
            fix=N_("Choose fewer examples at once or a shorter longest example, then try again."),
            remedy=Remedy.see_settings,
        )
    if "cuda error" in text or "error in function" in text or "cublas" in text or "device-side assert" in text:
        return Problem(
            code="crashed.cuda",
            what=N_("The graphics card reported an error, and the work ended."),
            why=N_("The card's state can't be trusted after such an error, so nothing more was computed."),
            fix=N_("Try again. When it happens twice, restart the computer and update the graphics driver."),
            remedy=Remedy.open_log,
        )
    if signal_name == "SIGKILL":
        return Problem(
            code="crashed.killed",
            what=N_("The work was ended from outside."),
            why=N_("Either somebody ended the process, or the computer ran out of memory and chose it."),
            fix=N_("Close other programs and try again. Nothing that was saved is lost."),
            remedy=Remedy.try_again,
        )
    if code == 0:  # it came to an ending, which it tells, unless that can't be written
        return Problem(
            code="crashed.unwritten",
            what=N_("The work came to its end, but what it found couldn't all be written."),
            why=N_("The disk took nothing more: usually it is full."),
            fix=N_("Make room on it and try again. What was written before is kept."),
            remedy=Remedy.try_again,
        )
    if code is None:
        return Problem(
            code="crashed.interrupted",
            what=N_("The work was interrupted."),
            why=N_("Its process is gone: the computer was switched off, or somebody ended it."),
            fix=N_("Start again when you like. Nothing that was saved is lost."),
            remedy=Remedy.try_again,
        )
    return Problem(
        code="crashed.silently",
        what=N_("The work ended without saying why ({how})."),
        why=N_("The end of its log may tell more."),
        fix=N_("Open the log, or try again. Nothing that was saved is lost."),
        values={"how": signal_name or f"exit code {code}"},
        remedy=Remedy.open_log,
    )


def processes_of(folder: JobFolder) -> list[psutil.Process]:
    """The living processes that do this job: the one that computes, and for a training the one that watches over it.
    None of them is a stranger who has their pid now."""
    if not folder.is_at_work():
        return []
    started: dict[Path, ProcessStarted] = {}
    for event in folder.outline():
        if isinstance(event, ProcessStarted):
            started[folder.supervisor_lock if event.job == SUPERVISOR else folder.lock] = event
    return [process for lock, event in started.items() if (process := _living(event, lock)) is not None]


def _living(started: ProcessStarted, lock: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(started.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        # A clock that was put right meanwhile moves the time at which a process began; its lock stays.
        same = abs(process.create_time() - started.started) < 2.0 or _has_open(process, lock)
    except psutil.Error:
        return None
    return process if same else None


def _has_open(process: psutil.Process, file: Path) -> bool:
    return str(file.resolve()) in {one.path for one in process.open_files()}
