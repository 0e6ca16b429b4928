"""Tokens a second of the program's trainer and of plain TRL, in turns, on one model with the same rows and settings.

Three take part: "studio" is the program's trainer; "trl" is `SFTTrainer` as it comes, whose adapters are bfloat16 on a
4-bit base; "trl_float32" is the same with adapters in float32, as the program has them. Nothing else differs but what
the program adds (every step told, guarded and listened to) and in which order examples come.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from studio.core.recipe.training import Optimizer
from studio.core.run_folder import JobFolder, RunFolder
from studio.engine.device import Device
from studio.engine.job_context import JobContext
from studio.engine.objectives.supervised import as_rows
from studio.engine.training.callback import TrainingCallback
from studio.engine.training.plan import Plan
from studio.engine.training.trainer import trainer_for
from tests.engine.conftest import save_tiny_model
from tests.gpu.card_runs import Wanted, as_made, in_full_precision, plan_for
from tests.gpu.random_models import SHAPES

WARM = 2
"""Steps at the beginning of a lap that don't count."""

LAPS = ("studio", "trl", "trl_float32", "studio", "trl")

PROFILED = 1
"""Steps looked into by the profiler; the one before it tells where the process waits for the card."""

WAITING = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")

RACES = (
    Wanted("8B", "qlora", 2048, batch=2, steps=7, even=True),
    Wanted("1.2B", "qlora", 1024, batch=8, steps=8, least=0.06),
    Wanted("1.2B", "qlora", 2048, batch=2, steps=9, even=True),
    Wanted("8B", "lora", 2048, batch=2, steps=7, even=True),
    Wanted("0.5B", "qlora", 512, batch=8, steps=10, even=True),
    Wanted("3B", "qlora", 2048, batch=2, steps=8, even=True),
    Wanted("1.2B", "lora", 2048, batch=2, steps=9, even=True),
    Wanted("0.5B", "qlora", 512, batch=2, steps=9, even=True, accumulation=4),
)
LOOKED_INTO = ("8B", "1.2B")
"""Shapes whose QLoRA step is looked into."""

"""The most telling first, as time may run out."""


class Clock(TrainerCallback):
    """Seconds from the step `warm` to the end, and what the profiler saw in the steps after it."""

    def __init__(self, device: Device, warm: int, profiled: bool = False) -> None:
        self.seconds = 0.0
        self.seen: dict[str, Any] = {}
        self._device = device
        self._warm = warm
        self._began = 0.0
        self._profiler = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) if profiled else None

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self._warm:
            self._began = self._now()
        if self._profiler is None:
            return
        if state.global_step == self._warm:
            self._listening = warnings.catch_warnings(record=True)
            self._heard = self._listening.__enter__()
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
        elif state.global_step == self._warm + 1:
            torch.cuda.set_sync_debug_mode("default")
            self._listening.__exit__(None, None, None)
            self._profiler.start()
        elif state.global_step == self._warm + 1 + PROFILED:
            self._now()
            self._profiler.stop()
            lines = Counter(f"{'/'.join(w.filename.split('/')[-3:])}:{w.lineno}" for w in self._heard or ())
            self.seen = {**seen_by(self._profiler), "waits_at": dict(lines.most_common(15))}
            control.should_training_stop = True

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.seconds = self._now() - self._began

    def _now(self) -> float:
        if self._device.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def seen_by(profiler: Any) -> dict[str, Any]:
    """Seconds a step: the card's kernels, and this process waiting for them, with the number of times it did."""
    events = profiler.key_averages()
    longest = sorted(events, key=lambda event: event.self_device_time_total, reverse=True)
    waits = [event for event in events if event.key in WAITING]
    return {
        "card_busy": sum(event.self_device_time_total for event in events) / 1e6 / PROFILED,
        "waited": sum(event.self_cpu_time_total for event in waits) / 1e6 / PROFILED,
        "waits": sum(event.count for event in waits) / PROFILED,
        "kernels": [[e.key[:90], e.self_device_time_total / 1e6, e.count] for e in longest[:20]],
    }


def race(model: Any, wanted: Wanted, folder: Path, device: Device, *, profiled: bool = False) -> dict[str, Any]:
    """Every lap's tokens a second without padding, and what it takes of the card."""
    words = SHAPES[wanted.shape]["vocab_size"]
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "tokenizer"
    if not base.exists():
        save_tiny_model(base)
    context = JobContext(JobFolder(folder / f"race-{wanted.name}"), "train")
    warm = WARM if wanted.even else 0
    laps: dict[str, list[float]] = {}
    seen: dict[str, dict[str, Any]] = {}
    try:
        plan = plan_for(wanted, words, base, context, device)
        examples = plan.dataset.encoded[warm * wanted.batch * wanted.accumulation :]
        tokens = sum(len(example.ids) for example in examples)
        names = [(name, False) for name in (LAPS if wanted.even else ("studio", *LAPS))]
        names += [(name, True) for name in ("studio", "trl")] if profiled else []
        for place, (name, looked_into) in enumerate(names):
            clock = Clock(device, warm or int(looked_into), looked_into)
            go(name, model, plan, context, folder, device, clock)
            if looked_into:
                seen[name] = clock.seen
            elif wanted.even or place:  # where every step counts, a lap that doesn't warms up
                laps.setdefault(name, []).append(tokens / clock.seconds)
    finally:
        context._writer.close()
    return {
        "run": wanted.name,
        "kind": wanted.kind,
        "shape": wanted.shape,
        "tokens": tokens,
        "laps": laps,
        "seen": seen,
    }


def go(name: str, model: Any, plan: Plan, context: JobContext, folder: Path, device: Device, clock: Clock) -> None:
    """One lap, from a model as it was made to a model as it was made."""
    in_full_precision(model)
    trainer: Any
    if name == "studio":
        callback = TrainingCallback(context, device, lambda _: None, plan.save_steps)
        trainer = trainer_for(context, RunFolder(folder / "race"), plan, model, device, callback)
        callback.step = trainer.step
    else:
        trainer = plain(model, plan, folder, device)
        if name == "trl_float32":
            in_full_precision(model)
    trainer.add_callback(clock)
    try:
        trainer.train()
    finally:
        del trainer
        as_made(model)


def plain(model: Any, plan: Plan, folder: Path, device: Device) -> Any:
    """`SFTTrainer` with the settings of the plan and whatever else is its default."""
    training = plan.recipe.training
    return SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder / "plain"),
            per_device_train_batch_size=plan.batch,
            gradient_accumulation_steps=plan.gradient_accumulation_steps,
            max_steps=plan.total_steps,
            learning_rate=training.learning_rate,
            lr_scheduler_type=training.lr_scheduler,
            weight_decay=training.weight_decay,
            max_grad_norm=training.max_grad_norm,
            optim="adamw_torch_fused" if plan.optimizer is Optimizer.adamw else plan.optimizer.value,
            activation_checkpointing=bool(training.activation_checkpointing),
            bf16=device.dtype is torch.bfloat16,
            use_cpu=not device.is_cuda,
            seed=training.seed,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list(as_rows(plan.dataset.encoded)),
        processing_class=AutoTokenizer.from_pretrained(plan.base),
    )


def flops_a_token(wanted: Wanted, learned: float = 0.5) -> float:
    """What the model's mathematics needs for one token of training: forward and the way back to the activations of
    frozen layers, attention over half of the square, the head for learned tokens only. What checkpointing computes
    again isn't in it, nor are the adapters."""
    is_ = SHAPES[wanted.shape]
    hidden, inner, layers = is_["hidden_size"], is_["intermediate_size"], is_["num_hidden_layers"]
    kept = is_["num_key_value_heads"] / is_["num_attention_heads"]
    weights = layers * (hidden * hidden * (2 + 2 * kept) + 3 * hidden * inner) + learned * hidden * is_["vocab_size"]
    attention = (
        layers * hidden * wanted.length
    )  # twice 2 x length x hidden over half of the square, and twice that back
    return float(4 * weights + 6 * attention)


def matrix_rate(side: int = 8192, times: int = 20) -> float:
    """Operations a second of plain bfloat16 products on this card: what can really be had of it."""
    one, other = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 * times / _seconds(lambda: torch.mm(one, other), times)


def _seconds(work: Callable[[], object], times: int) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return time.perf_counter() - began
