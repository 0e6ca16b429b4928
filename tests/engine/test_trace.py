"""The traced answer: held against real steps, and asked about what it can't know."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.core.jobs import TracedWork
from studio.core.run import RunFolder
from studio.data.encode import NOT_LEARNED
from studio.engine.live_memory import LiveMemory
from studio.engine.model import add_adapter, load_base
from studio.engine.plan import plan_of, trainer_for
from studio.engine.report import Report
from studio.engine.teacher import Conduct
from studio.engine.trace import traced
from studio.engine.trial import longest_batch, one_round

LLAMA = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
}


def config_file(folder: Path, **changes: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({**LLAMA, **changes}))
    return file


def work(**changes: Any) -> TracedWork:
    return TracedWork.model_validate({"method": "qlora", "rank": 8, "batch": 2, "length": 64, **changes})


class _Seen(BaseException):
    """Ends a training that has shown what it should."""


def real_peak(report: Report, run: RunFolder) -> tuple[int, TracedWork]:
    """The peak of live tensors in the second step of the run's longest batch, and the same step as work to trace."""
    plan, device = plan_of(report, run)
    model = add_adapter(load_base(plan.base, plan.recipe.method, device), plan.recipe.method)
    conduct = Conduct(report, device, lambda _: None, plan.save_every)
    trainer = trainer_for(report, run, plan, model, device, conduct)
    conduct.step = trainer.step
    inputs = longest_batch(plan)
    peaks: list[int] = []

    def count() -> None:
        one_round(trainer, inputs)  # afterwards the optimizer has its state
        memory = LiveMemory()
        memory.count_all(model.parameters(), "weights")
        memory.count_all(model.buffers(), "weights")
        for module in model.modules():
            state = getattr(getattr(module, "weight", None), "quant_state", None)
            for part in (state, getattr(state, "state2", None)):
                held = [getattr(part, name, None) for name in ("absmax", "code", "offset")]
                memory.count_all([t for t in held if isinstance(t, torch.Tensor)], "weights")
        for values in trainer.optimizer.state.values():
            memory.count_all([v for v in values.values() if torch.is_tensor(v)], "optimizer")
        memory.count_all(inputs.values(), "inputs")
        with memory:
            one_round(trainer, inputs)
        peaks.append(memory.peak)
        raise _Seen

    conduct.begin = count
    with contextlib.suppress(_Seen):
        trainer.train()
    method, training = plan.recipe.method, plan.recipe.training
    rows, length = inputs["input_ids"].shape
    return peaks[0], TracedWork(
        method=method.kind,
        rank=method.rank,
        double_quantization=method.double_quantization,
        compute_dtype=method.compute_dtype or "float32",
        optimizer="adamw",
        batch=rows,
        length=length,
        learned=int((inputs["labels"][:, 1:] != NOT_LEARNED).sum()),
        padded=bool((inputs["attention_mask"] == 0).any()),
        checkpointing=bool(training.activation_checkpointing),
        loss="learned_positions",
        device="cpu",
    )


@pytest.mark.trains
@pytest.mark.parametrize(
    ("kind", "dtype", "saving"), [("lora", "float32", False), ("qlora", "float32", True), ("qlora", "bfloat16", False)]
)
def test_the_traced_peak_is_the_real_one_within_a_hundredth(
    make_run: Callable[..., RunFolder],
    home_with_starter: Path,
    report: Report,
    kind: str,
    dtype: str,
    saving: bool,
) -> None:
    run = make_run(
        **{
            "model.source": "starter",
            "model.name": "",
            "method.kind": kind,
            "method.compute_dtype": dtype,
            "method.rank": 16,
            "training.activation_checkpointing": saving,
        }
    )
    real, same = real_peak(report, run)
    found = traced(home_with_starter / "models" / "SmolLM2-135M-Instruct", same)
    assert found.peak == pytest.approx(real, rel=0.01)
    assert sum(found.parts.values()) == found.peak
