"""A run that goes on from a save point becomes the run that was never interrupted."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from studio.core.events import CheckpointCommitted, NoticeLogged
from studio.core.jobs import Train
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.engine.job_context import JobContext
from studio.engine.methods.method import TrainingMethod
from studio.engine.methods.registry import method_of
from studio.engine.training import checkpoint
from studio.engine.training.callback import TrainingCallback
from studio.engine.training.checkpoint import CheckpointWriter, steps_to_keep
from studio.engine.training.job import TrainingJob
from studio.engine.training.loss_spike import LossSpike
from studio.engine.training.plan import plan_of
from studio.engine.training.trainer import StudioTrainer, trainer_for
from studio.models.base_model import base_of_run
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]

SETTINGS = {
    "method.compute_dtype": "float32",
    "training.batch_size": 2,
    "training.gradient_accumulation_steps": 2,  # 11 examples: 6 batches and 3 steps an epoch, the last batch short
    "training.epochs": 3.0,
    "training.learning_rate": 1e-2,
    "training.save_steps": 2,
}


def trainer_of(context: JobContext, run: RunFolder, saves: bool = False) -> StudioTrainer:
    """A fresh trainer of the run, which writes save points where it `saves`."""
    plan, device = plan_of(context, run)
    torch.manual_seed(plan.recipe.training.seed)
    method: TrainingMethod = method_of(plan.recipe.method)
    model = method.make_trainable(method.load_base(plan.base, device))
    writer = CheckpointWriter(context, run, method, plan.base, "base")
    callback = TrainingCallback(context, device, lambda _: writer.save(trainer, None), 2 if saves else 1000)
    trainer = trainer_for(context, run, plan, model, device, callback)
    return trainer


def weights_of(trainer: StudioTrainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


@pytest.fixture
def no_thinning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckpointWriter, "_thin_out", lambda self: None)


@pytest.mark.parametrize(("kind", "dropout"), [("lora", 0.2), ("qlora", 0.0)])
def test_going_on_from_a_save_point_gives_the_same_weights_bit_for_bit(
    make_run: Make, context: JobContext, no_thinning: None, kind: str, dropout: float
) -> None:
    run = make_run(learned=11, **SETTINGS, **{"method.kind": kind, "method.dropout": dropout})
    whole = trainer_of(context, run, saves=True)
    whole.train()
    wanted = weights_of(whole)
    steps = {int(p.name[5:]): p for p in run.checkpoints.glob("step-*")}
    assert sorted(steps) == [2, 4, 6, 8]  # within epochs and, with 6, between two
    for step in (2, 6) if kind == "lora" else (4,):
        torch.manual_seed(step)  # whatever went before in that process
        again = trainer_of(context, run)
        again.train(resume_from_checkpoint=str(steps[step]))
        assert again.state.global_step == whole.state.global_step == 9
        found = weights_of(again)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted), step


class Clock:
    """A monotonic clock that tests move; a save point takes `saving` seconds."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.saving = 0.0

    def monotonic(self) -> float:
        return self.now

    def write_slowly(self, trainer: StudioTrainer, folder: Path) -> None:
        self.now += self.saving


def test_save_points_come_by_the_clock_and_cost_at_most_their_part_of_the_time(
    make_run: Make, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(learned=8)
    trainer = trainer_of(context, run)
    trainer.train()
    clock = Clock()
    monkeypatch.setattr(checkpoint, "time", clock)
    recipe = load(run.recipe)
    writer = CheckpointWriter(context, run, method_of(recipe.method), base_of_run(run, recipe.model), "base", 5.0)
    monkeypatch.setattr(checkpoint, "_write_training_state", clock.write_slowly)
    clock.now += 299
    assert not writer.is_due
    clock.now += 1
    assert writer.is_due
    writer.save(trainer, None)
    assert not writer.is_due and not writer.is_costly_now
    clock.saving = took = 30.0
    began = clock.now
    writer.save(trainer, None)
    assert writer.is_costly_now
    clock.now += 27 * took
    assert not writer.is_due and writer.is_costly_now  # although 5 minutes are over
    clock.now += took
    assert writer.is_due and not writer.is_costly_now
    assert took / (clock.now - began) < 0.035


def test_the_newest_two_and_the_best_stay() -> None:
    assert steps_to_keep({}) == set()
    assert steps_to_keep({5: None}) == {5}
    assert steps_to_keep({1: 0.5, 2: 0.4, 3: 0.6, 4: 0.7}) == {2, 3, 4}
    assert steps_to_keep({1: 0.5, 2: None, 3: None, 4: 0.5}) == {3, 4}  # of equal ones the newer
    assert steps_to_keep({1: None, 2: None, 3: None}) == {2, 3}


def test_what_is_saved_because_of_the_time_alone_is_not_scored(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckpointWriter, "is_due", property(lambda self: self.last_step == 2))
    run = make_run(learned=11, **{**SETTINGS, "training.save_steps": 2, "training.epochs": 2.0})
    assert do_here(run, Train()) == 0
    saved = [e for e in run.reader().read_new() if isinstance(e, CheckpointCommitted)]
    assert [(e.step, e.loss is None) for e in saved] == [(2, False), (3, True), (4, False), (6, False)]


def test_a_jump_of_the_loss_is_told_and_the_save_point_before_it_stays(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingJob, "score", lambda self, step: 10.0 - step)  # the newest is always the best
    counted = iter(range(1, 100))
    monkeypatch.setattr(LossSpike, "take", lambda self, loss: next(counted) == 4)
    run = make_run(learned=11, **{**SETTINGS, "training.save_steps": 1})
    assert do_here(run, Train()) == 0
    told = [e for e in run.reader().read_new() if isinstance(e, NoticeLogged) and e.code == "loss.spike"]
    assert [e.text.values["step"] for e in told] == [4]
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["step-000003", "step-000008", "step-000009"]


def test_a_loss_far_above_the_usual_is_a_spike_and_a_slow_rise_or_noise_is_not() -> None:
    chance = random.Random(5)
    noisy = [2.0 + chance.uniform(-0.3, 0.3) for _ in range(200)]
    watch = LossSpike()
    assert not any(watch.take(loss) for loss in noisy)
    assert not any(LossSpike().take(loss) for loss in [9.0, 0.1, 9.0])  # nothing is usual yet
    rising = LossSpike()
    assert not any(rising.take(1.0 + step / 50) for step in range(200))
    assert [watch.take(loss) for loss in [*noisy[:5], 7.0, 8.0, 9.0]] == [False] * 5 + [True, False, False]
