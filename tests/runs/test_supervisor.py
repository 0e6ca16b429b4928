"""A training is started again where a fresh process helps, and never where it doesn't."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from studio.core.events import BatchChanged, Crashed, Event, Failed, Finished, Paused, ProcessStarted, Stopped
from studio.core.jobs import Placement, Train
from studio.core.problems import ProblemError
from studio.core.recipe.recipe import Recipe, to_yaml
from studio.core.run_folder import RunFolder
from studio.core.writer_lock import lock_is_held
from studio.runs.command import end, pause, stop
from studio.runs.follow import SUPERVISOR, follow, job_status, processes_of
from studio.runs.start import JobProcess, start_training
from tests.fakes import nvml
from tests.fakes.interpreter import stand_in_python

PREPARED = """
writer.write(Prepared(examples=8, held_out=0, tokens=80, label_tokens=40, cut=0, nothing_left=0, total_steps=100,
    steps_per_epoch=50, batch_size=4, gradient_accumulation_steps=2, trainable_parameters=1, all_parameters=2,
    optimizer="adamw", learning_rate=1e-4, epochs=2))
"""
SAVED = """
writer.write(CheckpointCommitted(step=7, folder="checkpoints/step-000007", size=1))
"""
OUT_OF_MEMORY = """
print("Error out of memory at line 380 in file /src/csrc/pythonInterface.cpp", flush=True)
os._exit(1)
"""
CUDA_ERROR = """
print("CUDA error: an illegal memory access was encountered", flush=True)
os._exit(1)
"""
FINISHED = """
writer.write(Finished())
"""
UNTIL_TOLD = """
command = wait_for_command()
writer.write(CommandReceived(id=command.id, command=command.type))
writer.write(Paused(step=7) if command.type == "pause" else Stopped(step=7))
"""

Begin = Callable[..., JobProcess]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    (folder.path / "attempts").mkdir(parents=True)
    folder.recipe.write_text(to_yaml(Recipe()), encoding="utf-8")
    return folder


@pytest.fixture
def begin(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Start the supervisor on a training whose attempts do what is given."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setattr(sys, "executable", stand_in_python(tmp_path, Path(__file__).with_name("fake_engine.py")))
    started: list[JobProcess] = []

    def start(*attempts: str, **job: float) -> JobProcess:
        for number, lines in enumerate(attempts, start=1):
            (run.path / "attempts" / f"{number}.py").write_text(textwrap.dedent(lines), encoding="utf-8")
        started.append(start_training(run, Train.model_validate(job)))
        return started[-1]

    yield start
    for process in processes_of(run):
        process.kill()
    for one in started:
        one.process.kill()
        one.process.wait()


def everything(run: RunFolder, process: JobProcess | None) -> list[Event]:
    return [event for batch in follow(run, process, poll=0.02) for event in batch]


def until(what: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def attempts(run: RunFolder) -> list[dict[str, object]]:
    """The jobs that engines were started with, in order."""
    return [json.loads(line) for line in (run.path / "attempts" / "begun").read_text().splitlines()]


def codes(run: RunFolder) -> list[str]:
    return [notice.code for notice in run.state().notices if notice.code != "computer.may_sleep"]


def test_a_training_that_ends_properly_is_started_once(run: RunFolder, begin: Begin) -> None:
    process = begin("step(1)" + FINISHED)
    assert isinstance(everything(run, process)[-1], Finished)
    assert process.process.wait(20) == 0
    assert len(attempts(run)) == 1
    assert not run.is_at_work() and job_status(run) == "ended"


def test_a_silent_end_by_out_of_memory_goes_on_with_half_as_many_at_once(run: RunFolder, begin: Begin) -> None:
    events = everything(
        run, begin(PREPARED + "step(1)" + OUT_OF_MEMORY, "step(2)" + OUT_OF_MEMORY, "step(3)" + FINISHED)
    )
    smaller = [(e.batch_size, e.gradient_accumulation_steps) for e in events if isinstance(e, BatchChanged)]
    assert smaller == [(2, 4), (1, 8)]
    assert [job["resume"] for job in attempts(run)] == [False, True, True]
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Crashed) for event in events), "nobody takes the moment between two for a crash"
    assert codes(run) == ["memory.restarted", "memory.restarted"]


def test_where_a_single_example_is_too_much_checkpointing_comes_next_and_then_the_report(
    run: RunFolder, begin: Begin
) -> None:
    lines = "step(len(folder.fold(RunState()).losses) + 1)" + OUT_OF_MEMORY
    events = everything(run, begin(PREPARED + "from studio.core.run_state import RunState\n" + lines))
    changed = [(e.batch_size, e.activation_checkpointing) for e in events if isinstance(e, BatchChanged)]
    assert changed == [(2, False), (1, False), (1, True)]
    assert isinstance(events[-1], Crashed) and events[-1].problem.code == "crashed.out_of_memory"


def test_three_restarts_without_a_new_step_are_enough(run: RunFolder, begin: Begin) -> None:
    events = everything(run, begin("step(1); sys.exit(75)", "step(2); sys.exit(75)", "step(1); sys.exit(75)"))
    assert len(attempts(run)) == 1 + 1 + 3
    assert isinstance(events[-1], Failed) and events[-1].problem.code == "training.no_progress"


def test_what_an_earlier_process_wrote_into_the_log_explains_nothing(run: RunFolder, begin: Begin) -> None:
    last = everything(run, begin(PREPARED + "step(1)" + OUT_OF_MEMORY, "step(2); os._exit(3)"))[-1]
    assert isinstance(last, Crashed) and last.problem.code == "crashed.silently"
    assert "out of memory" not in last.log_end


def test_an_error_of_the_card_is_answered_once(run: RunFolder, begin: Begin) -> None:
    events = everything(run, begin("step(1)" + CUDA_ERROR, "step(2)" + CUDA_ERROR))
    assert len(attempts(run)) == 2
    assert isinstance(events[-1], Crashed) and events[-1].problem.code == "crashed.cuda"
    assert "illegal memory access" in events[-1].log_end


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the processes that are started see the cards of a script of the NVML stand-in."""

    def play(lines: str) -> None:
        script = tmp_path / "cards.txt"
        script.write_text(lines)
        try:
            variables = nvml.environment(str(script))
        except nvml.CannotBuildError as error:
            pytest.skip(str(error))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return play


LOST = "card NVIDIA GeForce RTX 3080 (demonstration)\n  total 10GiB\n  error * GPU_IS_LOST 1 1000\n"


def test_a_card_that_is_lost_starts_nothing_again(run: RunFolder, begin: Begin, cards: Callable[[str], None]) -> None:
    cards(LOST)
    events = everything(run, begin("step(1)" + SAVED + "time.sleep(1.5)" + CUDA_ERROR))
    assert len(attempts(run)) == 1
    assert isinstance(events[-1], Failed) and events[-1].problem.code == "card.lost"
    assert "Restart the computer" in events[-1].problem.fix
    assert run.state().checkpoints, "what was saved is known"


def test_a_driver_that_was_updated_underneath_isnt_answered_with_the_processor(
    run: RunFolder, begin: Begin, cards: Callable[[str], None]
) -> None:
    cards("error nvmlInitWithFlags LIB_RM_VERSION_MISMATCH\n")
    ending = everything(run, begin(FINISHED))[-1]
    assert isinstance(ending, Failed) and ending.problem.code == "card.version_mismatch"
    assert ending.problem.fix == "Restart the computer."
    assert not (run.path / "attempts" / "begun").exists()


def test_a_trainer_that_is_killed_is_an_interruption_and_is_not_started_again(run: RunFolder, begin: Begin) -> None:
    events = everything(run, begin("step(1); os.kill(os.getpid(), signal.SIGKILL)"))
    assert isinstance(events[-1], Crashed) and events[-1].problem.code == "crashed.killed"
    assert len(attempts(run)) == 1


def test_the_trainer_lives_on_without_its_supervisor_and_is_followed_to_its_end(run: RunFolder, begin: Begin) -> None:
    process = begin("step(1)" + UNTIL_TOLD)
    until(lambda: run.state().last)
    os.kill(process.pid, signal.SIGKILL)
    process.process.wait()
    assert job_status(run) == "running"
    with pytest.raises(ProblemError):
        start_training(run, Train(resume=True))
    pause(run)
    assert isinstance(everything(run, process)[-1], Paused)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't hand on a lock")
def test_an_engine_that_is_only_starting_counts_as_at_work_when_its_supervisor_is_killed(
    run: RunFolder, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOW_START", "3")
    process = begin("step(1)" + FINISHED)
    until(lambda: (run.path / "attempts" / "begun").exists())
    os.kill(process.pid, signal.SIGKILL)
    process.process.wait()
    assert run.is_at_work() and not lock_is_held(run.lock)
    assert isinstance(everything(run, process)[-1], Finished)


@pytest.mark.parametrize(("told", "ending"), [(pause, Paused(step=7)), (stop, Stopped(step=7))])
def test_what_is_asked_between_two_attempts_is_obeyed(
    run: RunFolder, begin: Begin, told: Callable[[RunFolder], None], ending: Event
) -> None:
    lines = (
        "step(8)" + SAVED + f"from studio.runs.command import {told.__name__}; {told.__name__}(folder); sys.exit(75)"
    )
    last = everything(run, begin(lines))[-1]
    assert last.model_copy(update={"at": 0}) == ending.model_copy(update={"at": 0})
    assert len(attempts(run)) == 1


def test_a_command_from_before_doesnt_end_a_training_that_goes_on(run: RunFolder, begin: Begin) -> None:
    stop(run)
    events = everything(run, begin("time.sleep(0.2); assert not commands.take()" + FINISHED))
    assert isinstance(events[-1], Finished)


def test_a_run_grows_once_however_often_it_is_started_again(run: RunFolder, begin: Begin) -> None:
    grows = "writer.write(Extended(epochs=3, total_steps=150)); sys.exit(75)"
    everything(run, begin("sys.exit(75)", grows, "step(1)" + FINISHED, extra_epochs=1.0))
    assert [job["extra_epochs"] for job in attempts(run)] == [1.0, 1.0, 0.0]


def test_whoever_attaches_to_a_run_that_goes_on_isnt_told_its_earlier_ending(run: RunFolder, begin: Begin) -> None:
    everything(run, begin("step(1); writer.write(Paused(step=1))"))
    (run.path / "attempts" / "1.py").write_text("step(2)" + UNTIL_TOLD)
    begin("step(2)" + UNTIL_TOLD, resume=True)
    until(run.is_at_work)
    steps: list[int] = []
    for batch in follow(run, None, poll=0.02):
        steps += [event.step for event in batch if event.type == "step_done"]
        if steps == [1, 2]:
            pause(run)
            steps.append(0)
    assert steps == [1, 2, 0]


def test_of_two_supervisors_one_watches_and_the_other_leaves(run: RunFolder, begin: Begin) -> None:
    process = begin("step(1)" + UNTIL_TOLD)
    until(lambda: run.state().last)
    again = subprocess.run([sys.executable, "-m", "studio.runs.supervisor", str(run.path)], check=False)
    assert again.returncode == 2
    assert process.poll() is None
    pause(run)
    assert isinstance(everything(run, process)[-1], Paused)
    assert len(attempts(run)) == 1


def test_of_several_that_start_at_once_one_trains(run: RunFolder, begin: Begin) -> None:
    begin("step(1)" + UNTIL_TOLD)
    others = [subprocess.Popen([sys.executable, "-m", "studio.runs.supervisor", str(run.path)]) for _ in range(3)]
    until(lambda: run.state().last and sum(one.poll() is not None for one in others) >= 2)
    pause(run)
    until(lambda: not run.is_at_work())
    for one in others:
        one.wait(20)
    assert len(attempts(run)) == 1
    assert run.state().losses.steps.tolist() == [1]


@pytest.mark.parametrize("whom", ["engine", "supervisor", "both"])
def test_stop_ends_what_is_halted_within_fifteen_seconds(run: RunFolder, begin: Begin, whom: str) -> None:
    process = begin("step(1); time.sleep(600)")
    until(lambda: run.state().last)
    for one in processes_of(run):
        if whom == "both" or (one.pid == process.pid) == (whom == "supervisor"):
            one.suspend()
    began = time.monotonic()
    assert end(run, patience=0.5)
    assert time.monotonic() - began < 15
    assert not run.is_at_work()
    assert isinstance(run.state().ending, Stopped), "as it was told to, though it never heard that"
    process.process.wait(10)
    assert not processes_of(run)


def test_the_supervisor_told_to_leave_takes_the_engine_along(run: RunFolder, begin: Begin) -> None:
    stops = "signal.signal(signal.SIGTERM, lambda *_: (writer.write(Stopped(step=1)), sys.exit(0)))"
    process = begin(stops + "; step(1); time.sleep(600)")
    until(lambda: run.state().last)
    process.process.terminate()
    assert isinstance(everything(run, process)[-1], Stopped)
    assert len(attempts(run)) == 1


def test_the_supervisor_stays_small(run: RunFolder, begin: Begin) -> None:
    process = begin("step(1)" + UNTIL_TOLD)
    until(lambda: run.state().last)
    started = [e for e in run.reader().read_new() if isinstance(e, ProcessStarted)]
    assert [e.job for e in started] == [SUPERVISOR, "train"]
    held = psutil.Process(process.pid).memory_info().rss
    assert held < 100 * 2**20, f"{held / 2**20:.0f} MiB"
    pause(run)
    everything(run, process)


@pytest.mark.parametrize("allowed", [True, False])
def test_the_computer_is_kept_awake_or_that_is_said(
    run: RunFolder, begin: Begin, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    monkeypatch.setenv("WAKEPY_FAKE_SUCCESS" if allowed else "WAKEPY_FORCE_FAILURE", "1")
    everything(run, begin(FINISHED))
    told = [notice.code for notice in run.state().notices]
    assert told == ([] if allowed else ["computer.may_sleep"])
    everything(run, start_training(run, Train(resume=True)))
    assert [notice.code for notice in run.state().notices] == told, "once is enough"


def test_a_training_gets_the_card_that_was_chosen_for_it(run: RunFolder, begin: Begin, tmp_path: Path) -> None:
    file = run.path / "attempts" / "1.py"
    file.write_text("print('card', os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True)" + FINISHED)
    everything(run, start_training(run, Train(where=Placement.on_cards(["GPU-1"]))))
    assert "card GPU-1" in run.log.read_text()
