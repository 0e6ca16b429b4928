"""Waiting for the runs of a comparison: those whose minutes are over are stopped, what is left is begun again."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from studio.core.command_queue import CommandQueue
from studio.core.commands import Command, Stop
from studio.core.events import ProcessStarted, StepDone, Stopped
from studio.core.problems import ProblemError
from studio.core.storage import write_text
from studio.runs import queue
from studio.runs.compare_methods import measuring
from studio.runs.compare_methods.comparison import ComparisonFolder
from studio.runs.compare_methods.measuring import Measuring, begin, end
from studio.runs.compare_methods.results import ComparisonResults
from studio.runs.project import create_project
from studio.runs.queue_file import read_queue
from studio.runs.start import JobProcess
from tests.runs.compare_methods.made_results import made_comparison
from tests.runs.conftest import ENDED, MakeRun


def test_a_run_whose_minutes_are_over_is_stopped_and_keeps_what_it_learned(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made_comparison(create_project("Support"), {"qlora": 36, "prompt": 10})
    timed = folder.read().model_copy(update={"minutes": 1.0})
    write_text(folder.path / "comparison.json", timed.model_dump_json())
    monkeypatch.setattr(measuring, "LOOK_EVERY", 0.02)
    run = folder.runs()[0]
    waiting = threading.Thread(target=Measuring(folder).wait)
    with run.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0))
        waiting.start()
        for step, seconds in ((1, 30.0), (2, 31.0)):
            writer.write(StepDone(step=step, total_steps=9, epoch=1, loss=1.0, learning_rate=1e-4, seconds=seconds))
        (command,) = _taken(CommandQueue(run))
        assert isinstance(command, Stop) and command.keep
        writer.write(Stopped(step=2))
    waiting.join(60)
    assert not waiting.is_alive()


def _taken(commands: CommandQueue) -> list[Command]:
    until = time.monotonic() + 60
    while not (taken := commands.take()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return taken


@pytest.fixture
def waiting(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> ComparisonFolder:
    """A comparison of two runs that weren't begun; nobody begins them."""
    runs = [make_run(name) for name in ("one", "two")]
    project = ComparisonFolder(runs[0].path.parent.parent / "comparisons" / "c0ffee")
    made = made_comparison(create_project("Other"), {"qlora": 1}).read()
    methods = tuple(made.methods[0].model_copy(update={"run": run.path.name}) for run in runs)
    write_text(project.path / "comparison.json", made.model_copy(update={"methods": methods}).model_dump_json())
    monkeypatch.setattr(queue, "ensure_runner", lambda: True)
    monkeypatch.setattr(measuring, "spawn", lambda _, job: JobProcess(job, ENDED))
    return project


def test_what_waits_is_taken_out_when_it_is_ended_and_comes_back_when_it_goes_on(waiting: ComparisonFolder) -> None:
    begin(waiting)
    assert [entry.run.name for entry in read_queue().entries] == ["one", "two"]
    begin(waiting)
    assert len(read_queue().entries) == 2, "nothing is put there twice"
    end(waiting)
    assert not read_queue().entries
    assert Measuring(waiting).stopped
    begin(waiting)
    assert [entry.group for entry in read_queue().entries] == ["c0ffee", "c0ffee"]
    assert not Measuring(waiting).stopped
    assert [row.status for row in ComparisonResults(waiting).rows] == ["waiting", "waiting"]


def test_a_run_that_cannot_be_started_keeps_no_other_from_it(waiting: ComparisonFolder) -> None:
    waiting.runs()[0].train_data.unlink()
    begin(waiting)
    assert [entry.run.name for entry in read_queue().entries] == ["two"]
    queue.remove(waiting.runs()[1].path)
    waiting.runs()[1].train_data.unlink()
    with pytest.raises(ProblemError):
        begin(waiting)
