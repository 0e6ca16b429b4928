"""Training in a real child process: what it tells, what it keeps, and how it ends."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable

import pytest
from safetensors.torch import load_file

from studio.core.command_queue import new_id, send
from studio.core.commands import SaveNow, Stop
from studio.core.events import (
    BASE,
    THIS_RUN,
    CheckpointCommitted,
    CommandReceived,
    DeviceChosen,
    Evaluated,
    Failed,
    Finished,
    NoticeLogged,
    Paused,
    Prepared,
    ProcessStarted,
    StepDone,
    Stopped,
)
from studio.core.jobs import Train
from studio.core.recipe.recipe import load, to_yaml, with_values
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import is_intact, read_manifest
from tests.engine.conftest import Child, do_here

Make = Callable[..., RunFolder]
Start = Callable[..., Child]


def test_a_run_tells_everything_and_leaves_a_whole_add_on(make_run: Make, start: Start) -> None:
    run = make_run(**{"training.save_steps": 2})
    child = start(run, Train())
    assert child.wait() == 0, run.log.read_text()
    events = child.events()
    assert isinstance(events[0], ProcessStarted)
    assert events[0].pid == child.process.pid
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(e, DeviceChosen) for e in events) == 1
    prepared = next(e for e in events if isinstance(e, Prepared))
    assert (prepared.examples, prepared.held_out, prepared.total_steps, prepared.steps_per_epoch) == (8, 2, 4, 2.0)
    steps = [e for e in events if isinstance(e, StepDone)]
    assert [e.step for e in steps] == [1, 2, 3, 4]
    assert all(math.isfinite(e.loss) and e.tokens > 0 and e.seconds > 0 for e in steps)
    assert sum(e.tokens for e in steps) == 2 * prepared.tokens
    assert steps[0].learning_rate > 0
    assert [(e.step, e.model) for e in events if isinstance(e, Evaluated)] == [
        (0, BASE),
        (2, THIS_RUN),
        (4, THIS_RUN),
    ]
    saved = [e for e in events if isinstance(e, CheckpointCommitted)]
    assert [e.folder for e in saved] == ["checkpoints/step-000002", "checkpoints/step-000004"]
    assert saved[-1].loss is not None
    adapter = choose_checkpoint(run)
    assert is_intact(adapter, fully=True)
    manifest = read_manifest(adapter)
    assert manifest is not None
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= {
        file.name for file in manifest.files
    }
    weights = load_file(adapter / "adapter_model.safetensors")
    assert {str(t.dtype) for t in weights.values()} == {"torch.float32"}
    assert any(t.abs().max() > 0 for name, t in weights.items() if "lora_B" in name)
    codes = {e.code for e in events if isinstance(e, NoticeLogged)}
    assert not codes
    assert prepared.optimizer == load(run.recipe).training.optimizer


def test_a_chosen_optimizer_that_this_machine_lacks_is_replaced_and_told(make_run: Make) -> None:
    run = make_run(**{"training.epochs": 1.0, "training.optimizer": "paged_adamw_8bit"})
    assert do_here(run, Train()) == 0
    state = run.state()
    assert state.prepared is not None and state.device is not None
    told = {one.code for one in state.notices} & {"optimizer.no_card"}
    if state.device.device == "cpu":
        assert told and state.prepared.optimizer == "adamw"
    else:
        assert not told and state.prepared.optimizer == "paged_adamw_8bit"


def test_a_recipe_that_leaves_something_open_is_refused(make_run: Make) -> None:
    run = make_run()
    run.recipe.write_text(to_yaml(with_values(load(run.recipe), {"training.epochs": None, "method.alpha": None})))
    assert do_here(run, Train()) == 2
    ending = run.state().ending
    assert isinstance(ending, Failed) and ending.problem.code == "run.not_resolved"
    assert ending.problem.values["keys"] == "method.alpha, training.epochs"


def test_a_model_that_reads_less_than_the_recipe_allows_is_told(make_run: Make) -> None:
    run = make_run(**{"training.max_length": 4096, "training.epochs": 1.0})
    assert do_here(run, Train()) == 0
    assert {one.code: one.text.values for one in run.state().notices} == {"length.limited": {"limit": 512}}


def test_stop_keeps_what_was_learned_until_then(make_run: Make, start: Start) -> None:
    run = make_run(**{"training.epochs": 50.0, "training.save_steps": 1000})
    child = start(run, Train())
    child.wait_for(StepDone, count=2)
    send(run, SaveNow(id=new_id()))
    child.wait_for(CheckpointCommitted)
    command = Stop(id=new_id())
    send(run, command)
    send(run, command)
    assert child.wait(30) == 0
    events = child.events()
    ending = events[-1]
    assert isinstance(ending, Stopped)
    assert 2 < ending.step < 100
    assert sum(isinstance(e, CommandReceived) and e.id == command.id for e in events) == 1
    assert run.state().checkpoints[-1].step == ending.step
    assert (run.checkpoints / f"step-{ending.step:06d}" / "adapter_model.safetensors").is_file()


def test_a_signal_stops_as_politely_as_a_command(make_run: Make, start: Start) -> None:
    run = make_run(**{"training.epochs": 50.0})
    child = start(run, Train())
    child.wait_for(StepDone)
    os.kill(child.process.pid, signal.SIGTERM)
    assert child.wait(30) == 0
    ending = child.events()[-1]
    assert isinstance(ending, Paused) and ending.step > 0  # a computer that is shut down
    assert is_intact(run.path / run.state().checkpoints[-1].folder, fully=True)


def test_stop_without_keeping_saves_nothing_more(make_run: Make, start: Start) -> None:
    run = make_run(**{"training.epochs": 50.0, "training.save_steps": 1000})
    child = start(run, Train())
    child.wait_for(StepDone)
    send(run, Stop(id=new_id(), keep=False))
    assert child.wait(30) == 0
    assert child.events()[-1] == run.state().ending
    assert isinstance(run.state().ending, Stopped)
    assert not list(run.checkpoints.iterdir())


def test_a_kill_leaves_no_torn_save_point_to_choose(make_run: Make, start: Start) -> None:
    run = make_run(**{"training.epochs": 50.0, "training.save_steps": 1})
    child = start(run, Train())
    child.wait_for(CheckpointCommitted, count=3)
    os.kill(child.process.pid, signal.SIGKILL)
    child.wait(10)
    for folder in run.checkpoints.glob("step-*"):
        assert is_intact(folder, fully=True)
    best = choose_checkpoint(run)
    weights = best / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert choose_checkpoint(run) != best


def test_only_the_best_and_the_newest_two_save_points_stay(make_run: Make) -> None:
    run = make_run(**{"training.epochs": 4.0, "training.save_steps": 1})
    assert do_here(run, Train()) == 0
    state = run.state()
    assert sum(isinstance(e, CheckpointCommitted) for e in run.reader().read_new()) == 8
    assert state.best_checkpoint is not None
    kept = {folder.name for folder in run.checkpoints.iterdir()}
    assert kept == {"step-000007", "step-000008", state.best_checkpoint.folder.removeprefix("checkpoints/")}


def test_examples_cut_before_their_answers_are_refused_in_words(make_run: Make) -> None:
    run = make_run(**{"training.max_length": 16})
    assert do_here(run, Train()) == 2
    ending = run.state().ending
    assert isinstance(ending, Failed)
    assert ending.problem.code == "data.nothing_to_learn"
    assert "8" in ending.problem.english()


def test_a_missing_model_is_a_problem_not_a_crash(make_run: Make) -> None:
    run = make_run(**{"model.name": "/nowhere/at/all"})
    assert do_here(run, Train()) == 2
    ending = run.state().ending
    assert isinstance(ending, Failed)
    assert not ending.problem.code.startswith("engine.")


@pytest.mark.trains
def test_the_starter_model_learns_from_a_handful_of_examples(
    make_run: Make, start: Start, home_with_starter: object
) -> None:
    run = make_run(
        learned=8,
        held_out=2,
        **{"model.source": "starter", "model.name": "", "training.epochs": 2.0, "training.learning_rate": 5e-4},
    )
    child = start(run, Train())
    assert child.wait(200) == 0, run.log.read_text()
    losses = [e.loss for e in child.events() if isinstance(e, Evaluated)]
    assert losses[-1] < losses[0]
