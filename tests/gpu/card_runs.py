"""What one short run on the card takes, beside what was said about it. See `tests/gpu/measure.py` for the parts.

A run is the program's own: its trainer, its loss, its optimizer, with random weights and made-up examples.
"""

from __future__ import annotations

import contextlib
import gc
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from studio.core.events import MemoryProbed
from studio.core.preparation import DatasetCounts
from studio.core.problems import ProblemError
from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.method import Method
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.workload import Workload
from studio.engine.device import Device
from studio.engine.job_context import JobContext, is_out_of_memory
from studio.engine.objectives.registry import objective_of
from studio.engine.objectives.supervised import TokenizedDataset
from studio.engine.training.callback import TrainingCallback
from studio.engine.training.memory_probe import on_card, try_longest
from studio.engine.training.plan import Plan, optimizer_for
from studio.engine.training.trainer import trainer_for
from studio.tokenization.encoded import Encoded
from tests.engine.conftest import save_tiny_model

GIB = 1 << 30


@dataclass(frozen=True)
class Wanted:
    """One run: a name of `SHAPES`, qlora or lora, tokens of its longest example, examples at once, batches a step.

    `even` examples are all of that length, others at least `least` of it.
    """

    shape: str
    kind: str
    length: int
    batch: int = 1
    steps: int = 3
    accumulation: int = 1
    rank: int = 16
    even: bool = False
    least: float = 0.75

    @property
    def name(self) -> str:
        spread = "even" if self.even else f"from{self.least}"
        return f"{self.shape}-{self.kind}-{self.accumulation}x{self.batch}x{self.length}-{spread}-r{self.rank}"


def recipe_of(wanted: Wanted) -> Recipe:
    values = {
        "method.kind": wanted.kind,
        "training.max_length": wanted.length,
        "training.batch_size": wanted.batch,
        "training.gradient_accumulation_steps": wanted.accumulation,
        "method.rank": wanted.rank,
        "training.epochs": 1.0,
    }
    return with_values(Recipe(), values)


def examples_of(wanted: Wanted, words: int) -> list[Encoded]:
    """Examples whose longest has `length` tokens; the second half of each is learned."""
    chance = random.Random(wanted.name)
    made = []
    for number in range(wanted.batch * wanted.accumulation * wanted.steps):
        whole = number == 0 or wanted.even
        length = wanted.length if whole else chance.randint(int(wanted.length * wanted.least), wanted.length)
        ids = tuple(chance.randrange(10, words) for _ in range(length))
        asked = length // 2
        labels = (-100,) * asked + ids[asked:]
        made.append(Encoded(ids=ids, labels=labels, text="", truncated_tokens=0, label_tokens=length - asked))
    return made


def plan_for(wanted: Wanted, words: int, base: Path, context: JobContext, device: Device) -> Plan:
    encoded = examples_of(wanted, words)
    known = DefaultsContext(examples=len(encoded), parameters=10**9, cuda=device.is_cuda)
    recipe = resolve_defaults(recipe_of(wanted), known)
    assert recipe.training.optimizer is not None
    counts = DatasetCounts(
        examples=len(encoded),
        tokens=sum(len(e.ids) for e in encoded),
        label_tokens=sum(e.label_tokens for e in encoded),
        cut=0,
        nothing_left=0,
    )
    return Plan(
        recipe=recipe,
        base=base,
        limit=wanted.length,
        dataset=TokenizedDataset(tuple(encoded), counts),
        held_out=TokenizedDataset((), DatasetCounts(examples=0, tokens=0, label_tokens=0, cut=0, nothing_left=0)),
        optimizer=optimizer_for(context, recipe.training.optimizer, device),
        objective=objective_of(recipe.objective),
    )


def work_of(wanted: Wanted, plan: Plan, dtype: str, card: tuple[int, int]) -> Workload:
    """The longest batch of the plan as a step to trace."""
    longest = sorted(plan.dataset.encoded, key=lambda e: len(e.ids), reverse=True)[: plan.batch]
    return Workload.model_validate(
        {
            "method": wanted.kind,
            "rank": plan.recipe.method.memory().rank,
            "compute_dtype": dtype,
            "storage_dtype": dtype,
            "optimizer": plan.optimizer.value,
            "batch": len(longest),
            "length": max(len(e.ids) for e in longest),
            "learned": sum(e.label_tokens for e in longest),
            "padded": len({len(e.ids) for e in longest}) > 1,
            "accumulates": plan.gradient_accumulation_steps > 1,
            "checkpointing": bool(plan.recipe.training.activation_checkpointing),
            "loss": "tiled",
            "card": card,
        }
    )


class _Enough(BaseException):
    """The trial is over and no run is to follow."""


def run_once(
    model: Any,
    wanted: Wanted,
    words: int,
    folder: Path,
    device: Device,
    *,
    only_try: bool = False,
    offload: bool = False,
) -> dict[str, object]:
    """A trial and the run after it, both measured. Bytes and seconds. Raises out of memory as torch does, from the
    run; from the trial as `ProblemError`. `only_try` leaves the run out. `offload` keeps what is checkpointed in the
    computer's memory, which the program itself doesn't do."""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "tokenizer"
    if not base.exists():
        save_tiny_model(base)
    context = JobContext(JobFolder(folder / wanted.name), "train")
    try:
        plan = plan_for(wanted, words, base, context, device)
        callback = TrainingCallback(context, device, lambda _: None, plan.save_steps)
        trainer = trainer_for(context, RunFolder(folder / wanted.name), plan, model, device, callback)
        if offload:
            trainer.args.activation_checkpointing_kwargs = {"offload": True}
        tried: list[MemoryProbed] = []
        began = [0.0]

        def begin() -> None:
            tried.append(try_longest(context, trainer, plan, device))
            if only_try:
                raise _Enough
            if device.is_cuda:
                torch.cuda.reset_peak_memory_stats()
            began[0] = time.perf_counter()

        callback.begin = begin
        with contextlib.suppress(_Enough):
            trainer.train()
        if trainer.pieces.at_once < plan.batch:
            raise MemoryError("it ran out, and went on with less at once")
        if device.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began[0]
        measured: dict[str, object] = {
            **asdict(wanted),
            "proven": tried[0].peak,
            "proven_reserved": tried[0].reserved,
            "proven_process": tried[0].process,
            "proven_step_seconds": tried[0].step_seconds,
        }
        if only_try:
            return measured
        measured |= {
            "proven_run_seconds": tried[0].run_seconds,
            "run_seconds": seconds,
            "tokens_per_second": plan.dataset.counts.tokens / seconds,
            "work": work_of(wanted, plan, str(device.dtype).removeprefix("torch."), capability()).model_dump(),
        }
        if device.is_cuda:
            measured |= {
                "peak_allocated": torch.cuda.max_memory_allocated(),
                "peak_reserved": torch.cuda.max_memory_reserved(),
                "process": on_card(),
            }
        return measured
    finally:
        context._writer.close()
        as_made(model)


def as_made(model: Any) -> None:
    """Take off what trainers put around a model, so that the next one finds it as it was made."""
    for layer in (model, model.get_base_model()):
        # a model that accelerate takes for prepared gets no mixed precision from the next trainer
        for name in ("forward", "_original_forward", "_is_accelerate_prepared"):
            layer.__dict__.pop(name, None)
    model.zero_grad(set_to_none=True)
    in_full_precision(model)  # a trainer that ran out of memory on its way has rounded some of them
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def fits(model: Any, wanted: Wanted, words: int, folder: Path, device: Device, **how: bool) -> bool:
    """Whether the run goes through. `how` as in `run_once`."""
    failed = False
    try:
        run_once(model, wanted, words, folder, device, **how)
    except ProblemError as error:
        if error.problem.code != "memory.trial_failed":
            raise
        failed = True
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        failed = True
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return not failed


def in_full_precision(model: torch.nn.Module) -> None:
    """Parameters that are trained, in float32, as the program makes them."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def capability() -> tuple[int, int]:
    """Of the card here; of an A100 where there is none."""
    return torch.cuda.get_device_capability(0) if torch.cuda.is_available() else (8, 0)


def method_of(kind: str, rank: int = 16) -> Method:
    return with_values(Recipe(), {"method.kind": kind, "method.rank": rank}).method


def errors(measured: Sequence[float], said: Sequence[float]) -> dict[str, float]:
    """Mean and worst absolute error of what was said, in percent, and the mean with its sign."""
    off = [100 * (s / m - 1) for m, s in zip(measured, said, strict=True)]
    if not off:
        return {}
    return {
        "count": len(off),
        "mean": sum(abs(o) for o in off) / len(off),
        "worst": max(abs(o) for o in off),
        "signed": sum(off) / len(off),
    }
