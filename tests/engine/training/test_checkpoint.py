"""A run that goes on from a save point becomes the run that was never interrupted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from studio.core.run_folder import RunFolder
from studio.engine.job_context import JobContext
from studio.engine.methods.method import TrainingMethod
from studio.engine.methods.registry import method_of
from studio.engine.training.callback import TrainingCallback
from studio.engine.training.checkpoint import CheckpointWriter
from studio.engine.training.plan import plan_of
from studio.engine.training.trainer import StudioTrainer, trainer_for

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
