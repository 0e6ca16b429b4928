"""Every job ends with exactly one ending, whatever becomes of its process."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from studio.core.events import (
    CheckpointRemoved,
    Crashed,
    Event,
    Finished,
    Paused,
    ProcessStarted,
    StepDone,
    Stopped,
)
from studio.core.run_folder import JobFolder
from studio.core.run_state import RunState
from studio.runs.command import end_forcefully, save_now, stop
from studio.runs.follow import ending_of, explain_crash, follow, job_status, processes_of, write_missing_ending
from studio.runs.start import JobProcess
from tests.runs.conftest import StartJob


def everything(folder: JobFolder, process: JobProcess | None) -> list[Event]:
    return [event for batch in follow(folder, process, poll=0.02) for event in batch]


def wait_for_steps(folder: JobFolder, number: int) -> None:
    deadline = time.monotonic() + 20
    while len(folder.fold(RunState()).losses) < number:
        assert time.monotonic() < deadline, folder.log.read_text()
        time.sleep(0.02)


def test_a_job_that_finishes_is_followed_to_its_ending(start_script: StartJob) -> None:
    job = start_script("step(1); step(2); writer.write(Finished())")
    events = everything(job.folder, job)
    assert [event.type for event in events] == ["process_started", "step_done", "step_done", "finished"]
    assert job_status(job.folder) == "ended"
    assert everything(job.folder, None) == events, "history is the same fold as live"


@pytest.mark.parametrize(
    ("last_lines", "exit_code", "signal_name", "code"),
    [
        ("sys.exit(3)", 3, None, "crashed.silently"),
        ("os.kill(os.getpid(), signal.SIGKILL)", None, "SIGKILL", "crashed.killed"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", None, "SIGSEGV", "crashed.silently"),
        ("import does_not_exist", 1, None, "crashed.not_installed"),
        (
            "print('CUDA Error: an illegal memory access was encountered at line 90 in file ops.cu'); sys.exit(1)",
            1,
            None,
            "crashed.cuda",
        ),
        (
            "print('Error out of memory at line 380 in file pythonInterface.cpp'); sys.exit(1)",
            1,
            None,
            "crashed.out_of_memory",
        ),
    ],
)
def test_a_job_that_dies_silently_gets_one_ending_in_words(
    start_script: StartJob, last_lines: str, exit_code: int | None, signal_name: str | None, code: str
) -> None:
    job = start_script("step(1)\n" + last_lines)
    events = everything(job.folder, job)
    died = events[-1]
    assert isinstance(died, Crashed)
    assert (died.exit_code, died.signal, died.problem.code) == (exit_code, signal_name, code)
    assert sum(isinstance(event, Crashed) for event in everything(job.folder, None)) == 1
    assert write_missing_ending(job.folder) is None, "a second ending is never written"


def test_a_job_found_again_without_its_process_object_is_followed_too(start_script: StartJob) -> None:
    job = start_script("step(1); wait_for_command(); step(2); writer.write(Finished())")
    wait_for_steps(job.folder, 1)
    assert job_status(job.folder) == "running"
    types: list[str] = []
    for batch in follow(job.folder, None, poll=0.02):
        types += [event.type for event in batch]
        if types[-1] == "step_done":
            save_now(job.folder)
    assert types[-2:] == ["step_done", "finished"]


def test_a_job_killed_while_nobody_watched_is_shown_as_interrupted_and_then_ended(start_script: StartJob) -> None:
    job = start_script("step(1); time.sleep(60)")
    wait_for_steps(job.folder, 1)
    os.killpg(job.pid, signal.SIGKILL)
    job.process.wait()
    assert job_status(job.folder) == "interrupted"
    last = everything(job.folder, None)[-1]
    assert isinstance(last, Crashed)
    assert last.problem.code == "crashed.interrupted"
    assert job_status(job.folder) == "ended"


def test_leaving_off_following_leaves_the_job_alone(start_script: StartJob) -> None:
    job = start_script("step(1); time.sleep(60)")
    leave = threading.Event()
    thread = threading.Thread(target=lambda: list(follow(job.folder, job, stop=leave, poll=0.02)))
    thread.start()
    wait_for_steps(job.folder, 1)
    leave.set()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert job.poll() is None
    assert job_status(job.folder) == "running"


def test_a_polite_stop_reaches_the_job(start_script: StartJob) -> None:
    job = start_script(
        """
        step(1)
        command = wait_for_command()
        writer.write(CommandReceived(id=command.id, command=command.type))
        writer.write(Stopped(step=1))
        """
    )
    wait_for_steps(job.folder, 1)
    stop(job.folder)
    assert isinstance(everything(job.folder, job)[-1], Stopped)


def test_a_job_that_ignores_everything_is_ended_by_force(start_script: StartJob) -> None:
    job = start_script("signal.signal(signal.SIGTERM, signal.SIG_IGN); step(1); time.sleep(60)")
    wait_for_steps(job.folder, 1)
    reaper = threading.Thread(target=job.process.wait)
    reaper.start()
    assert end_forcefully(job.folder, grace=0.5)
    reaper.join(timeout=5)
    assert job.poll() is not None
    assert job_status(job.folder) == "ended"


def test_a_stranger_with_the_same_pid_is_never_taken_for_the_job(start_script: StartJob) -> None:
    job = start_script("step(1); writer.write(Finished())")
    everything(job.folder, job)
    journal = job.folder.events.read_text()
    # the journal now names a living process of ours, but not the one that wrote it
    job.folder.events.write_text(journal.replace(f'"pid":{job.pid}', f'"pid":{os.getpid()}'))
    assert not processes_of(job.folder)
    assert end_forcefully(job.folder)


def test_a_silent_job_is_told_from_a_running_one(start_script: StartJob) -> None:
    job = start_script("step(1); time.sleep(60)")
    wait_for_steps(job.folder, 1)
    os.utime(job.folder.heartbeat, (time.time() - 300, time.time() - 300))
    assert job_status(job.folder) == "silent"


def test_an_empty_folder_has_no_job(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert job_status(JobFolder(tmp_path_factory.mktemp("none"))) == "none"


def test_every_explanation_says_what_to_do() -> None:
    for code, name, log in [(1, None, ""), (None, None, ""), (None, "SIGKILL", ""), (1, None, "CUDA error")]:
        found = explain_crash(code, name, log)
        assert found.what and found.why and found.fix


def test_what_is_told_after_an_ending_leaves_it_the_ending_until_the_job_begins_anew(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    with folder.writer() as writer:
        writer.write(Finished())
        writer.write(CheckpointRemoved(step=5, reason="cleared"))
    assert isinstance(ending_of(folder), Finished)
    assert job_status(folder) == "ended"
    assert write_missing_ending(folder) is None
    with folder.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0))
    assert ending_of(folder) is None
    assert job_status(folder) == "interrupted"


def test_a_finished_state_is_whole(start_script: StartJob) -> None:
    job = start_script("step(100); writer.write(Finished())")
    everything(job.folder, job)
    state = job.folder.fold(RunState())
    assert isinstance(state.ending, Finished)
    assert state.share_done == 1.0


def test_a_long_history_comes_in_pieces_and_an_ending_in_its_middle_ends_nothing(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    with folder.writer() as writer:
        for half in range(2):
            writer.write(ProcessStarted(job="train", pid=1, started=float(half)))
            for step in range(1, 1501):
                writer.write(StepDone(step=step, total_steps=9, epoch=1.0, loss=1.0, learning_rate=1e-4))
            writer.write(Paused(step=1500) if half == 0 else Finished())
    batches = list(follow(folder))
    assert len(batches) > 1
    assert [event for batch in batches for event in batch] == folder.reader().read_new()


def test_a_process_that_came_to_its_end_and_could_not_write_it_is_said_to_have_met_a_full_disk() -> None:
    """Until now it was said to have ended without saying why, with exit code 0."""
    found = explain_crash(0, None, "Answering the examples set aside.")
    assert found.code == "crashed.unwritten" and "full" in found.english()
