"""A run goes on wherever its folder is moved to; names that are held for a moment are waited for; nobody but the job's
own process is ever signalled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from studio.core import storage
from studio.core.events import Finished, ProcessStarted
from studio.core.jobs import Train
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.core.writer_lock import WriterLock
from studio.runs.command import end_forcefully
from studio.runs.follow import processes_of
from tests.engine.conftest import do_here
from tests.engine.conftest import make_run as make_run
from tests.engine.conftest import tiny_model as tiny_model

NAMES = ("한국어 폴더", "한국어", "two  spaces & 'quotes' #%", "-x" + "y" * 150, "\U0001f600")
"""Korean as Windows and Linux write it, and as macOS does; what a shell stumbles over; long; beyond 16 bits."""


def test_a_run_goes_on_wherever_it_is_moved_to(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(**{"training.epochs": 1.0})
    assert do_here(run, Train()) == 0
    for name in NAMES:
        step = run.state().checkpoints[-1].step
        run = RunFolder(run.path.rename(run.path.with_name(name)))
        assert choose_checkpoint(run).is_relative_to(run.path)
        assert do_here(run, Train(resume=True, extra_epochs=0.5)) == 0
        state = run.state()
        assert isinstance(state.ending, Finished)
        assert state.checkpoints[-1].step > step


@pytest.mark.parametrize(("held", "works"), [(0, True), (1, True), (39, True), (40, False), (100, False)])
def test_a_name_that_another_program_holds_is_waited_for_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, works: bool
) -> None:
    tries = 0
    replace = Path.replace

    def replace_when_free(self: Path, target: Path) -> Path:
        nonlocal tries
        tries += 1
        if tries <= held:
            error = PermissionError(13, "The process cannot access the file")
            error.winerror = (5, 32, 33)[tries % 3]  # type: ignore[attr-defined, unused-ignore]
            raise error
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_when_free)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    place = tmp_path / "draft.yaml"
    place.write_text("before")
    if works:
        storage.write_text(place, "after")
    else:
        with pytest.raises(PermissionError):
            storage.write_text(place, "after")
    assert place.read_text() == ("after" if works else "before")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["draft.yaml"]


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="zombies and boots as Linux knows them")
@pytest.mark.parametrize("record", ["another time", "another boot", "gone", "zombie"])
def test_a_stale_record_of_a_process_leads_to_no_stranger(
    tmp_path: Path, stranger: subprocess.Popen[bytes], record: str
) -> None:
    folder = JobFolder(tmp_path / "job")
    began = psutil.Process(stranger.pid).create_time()
    pid, started = stranger.pid, {"another time": began + 5, "another boot": began - 86_400}.get(record, began)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    if record == "gone":
        dead.wait()
        pid = dead.pid
    elif record == "zombie":
        started = psutil.Process(dead.pid).create_time()
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        pid = dead.pid
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    with folder.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=pid, started=started))
    held = WriterLock(folder.lock)
    assert held.acquire()  # even where the lock is taken: it may be by a process that nobody knows
    assert not processes_of(folder)
    end_forcefully(folder, grace=0.1)
    held.release()
    assert end_forcefully(folder, grace=0.1)
    assert stranger.poll() is None
    dead.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows doesn't tell which files a process has open")
def test_a_clock_that_was_put_right_meanwhile_hides_no_process(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    lines = (
        "import sys, time; from pathlib import Path; from studio.core.writer_lock import WriterLock; input(); "
        "lock = WriterLock(Path(sys.argv[1])); print(lock.acquire(), flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", lines, str(folder.lock)]
    job = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert job.stdin is not None
    assert job.stdout is not None
    with folder.writer() as writer:
        before = psutil.Process(job.pid).create_time() - 3600
        writer.write(ProcessStarted(job="train", pid=job.pid, started=before))
    job.stdin.write("\n")
    job.stdin.flush()
    assert job.stdout.readline() == "True\n"
    assert [process.pid for process in processes_of(folder)] == [job.pid]
    assert end_forcefully(folder, grace=5)
    job.communicate()
    assert not psutil.pid_exists(job.pid)


def test_the_right_process_is_ended(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    folder = JobFolder(tmp_path / "job")
    started = psutil.Process(stranger.pid).create_time()
    with folder.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=stranger.pid, started=started))
    held = WriterLock(folder.lock)
    assert held.acquire()
    end_forcefully(folder, grace=0.5)
    held.release()
    stranger.wait(10)
    assert not psutil.pid_exists(stranger.pid)
