"""A step without usable numbers changes nothing, and three in a row end the run in words."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import AutoTokenizer, Trainer, TrainerCallback
from trl import SFTConfig

from studio.core.events import NoticeLogged, StepDone
from studio.core.problems import ProblemError
from studio.core.recipe.method import QLora
from studio.core.recipe.objective import Supervised
from studio.engine.device import Device
from studio.engine.job_context import JobContext
from studio.engine.methods.registry import method_of
from studio.engine.objectives.registry import objective_of
from studio.engine.objectives.supervised import as_rows, tokenize_examples
from studio.engine.training.callback import TrainingCallback
from studio.engine.training.trainer import StudioTrainer
from studio.tokenization.encoding import Encoder
from tests.engine.conftest import examples, trainable

DEVICE = Device(torch.device("cpu"), "test", torch.bfloat16, None)


class LosesNumbers(StudioTrainer):
    """Loses its numbers in the steps named."""

    at: frozenset[int] = frozenset()

    def compute_loss(self, *arguments: Any, **named: Any) -> Any:
        loss = super().compute_loss(*arguments, **named)
        return loss * math.nan if self.state.global_step + 1 in self.at else loss


class Weights(TrainerCallback):
    """Copies of all that learns and of what the optimizer remembers of it, after every step."""

    def __init__(self) -> None:
        self.after: list[list[torch.Tensor]] = []

    def on_step_end(self, *_: Any, **kwargs: Any) -> None:
        learning = [p.detach().clone() for p in kwargs["model"].parameters() if p.requires_grad]
        states = kwargs["optimizer"].state_dict()["state"].values()
        self.after.append(learning + [value.clone() for state in states for value in state.values()])


def run_without_numbers(model: Path, context: JobContext, tmp_path: Path, at: set[int]) -> tuple[LosesNumbers, Weights]:
    encoded = tokenize_examples(Encoder.from_folder(model, 128, "answers"), examples(12)).encoded
    callback, weights = TrainingCallback(context, DEVICE, lambda step: None, 1000), Weights()
    settings: dict[str, Any] = {"logging_strategy": "no", "save_strategy": "no", "report_to": "none", "use_cpu": True}
    trainer = LosesNumbers(
        context=context,
        device=DEVICE,
        method=method_of(QLora(rank=4)),
        objective=objective_of(Supervised()),
        model=trainable(model, QLora(rank=4), DEVICE),
        args=SFTConfig(
            output_dir=str(tmp_path / "trainer"),
            max_steps=6,
            per_device_train_batch_size=2,
            learning_rate=1e-2,
            weight_decay=0.1,
            bf16=True,
            logging_nan_inf_filter=False,
            gradient_checkpointing=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            disable_tqdm=True,
            **settings,
        ),
        train_dataset=datasets.Dataset.from_list(as_rows(encoded)),
        processing_class=AutoTokenizer.from_pretrained(model),
        callbacks=[callback, weights],
    )
    callback.step = trainer.step
    trainer.at = frozenset(at)
    return trainer, weights


def test_a_non_finite_step_changes_no_weight_and_the_run_goes_on(
    tiny_model: Path, context: JobContext, tmp_path: Path
) -> None:
    trainer, weights = run_without_numbers(tiny_model, context, tmp_path, {2, 4})
    assert all(p.dtype is torch.float32 for p in trainer.model.parameters() if p.requires_grad)
    trainer.train()
    first, second, third, fourth, fifth, _ = weights.after
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(second, third, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(third, fourth, strict=True))
    assert all(bool(torch.isfinite(t).all()) for t in fifth)
    events = context.folder.reader().read_new()
    assert [e.step for e in events if isinstance(e, StepDone)] == [1, 3, 5, 6]
    assert [e.text.values["step"] for e in events if isinstance(e, NoticeLogged)] == [2, 4]


def test_a_step_of_the_library_that_was_renamed_is_told(
    tiny_model: Path, context: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Trainer, "_clip_grad_norm")
    run_without_numbers(tiny_model, context, tmp_path, set())
    notices = [e for e in context.folder.reader().read_new() if isinstance(e, NoticeLogged)]
    assert [(e.code, e.text.values["names"]) for e in notices] == [("library.changed", "_clip_grad_norm")]


def test_three_non_finite_steps_in_a_row_end_the_run_in_words(
    tiny_model: Path, context: JobContext, tmp_path: Path
) -> None:
    trainer, weights = run_without_numbers(tiny_model, context, tmp_path, {3, 4, 5, 6})
    with pytest.raises(ProblemError) as raised:
        trainer.train()
    assert raised.value.problem.code == "training.not_finite"
    assert len(weights.after) == 4
    for after in weights.after[2:]:
        assert all(torch.equal(a, b) for a, b in zip(weights.after[1], after, strict=True))
