"""The proven answer: the longest batch of a run computed twice, forward, backward and optimizer, before the run
proper. It tells the real peak of memory and the real pace, and leaves everything exactly as it was."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy
import psutil
import torch
import transformers

from studio.core.events import Ending, MemoryProbed, StepDone
from studio.core.jobs import MemoryProbe
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.method import FrozenBaseSettings
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.engine.device import Device
from studio.engine.job_context import JobContext, is_out_of_memory
from studio.engine.methods.registry import method_of
from studio.engine.objectives.objective import INFO, Batch, Row
from studio.engine.objectives.supervised import moved
from studio.engine.training.batch_layout import BatchLayout
from studio.engine.training.callback import TrainingCallback
from studio.engine.training.plan import Plan, plan_of
from studio.engine.training.sampler import LengthGroupedSampler
from studio.engine.training.trainer import StudioTrainer, trainer_for

PATIENCE = 15.0
"""Seconds. On a processor, a first step slower than this isn't followed by a second."""


class _Enough(BaseException):
    """The trial is over and no training is to follow. Not an Exception: no library may swallow it."""


@dataclass(frozen=True)
class Round:
    """Seconds of the longest batch: its forward and backward pass, and the optimizer."""

    learning: float
    optimizing: float


def memory_probe(context: JobContext, job: MemoryProbe) -> Ending | None:
    """Do the job: one `MemoryProbed` event for the run in `job.run`, which stays as it is. Raises `ProblemError`."""
    run = RunFolder(job.run)
    with context.interruptible():
        context.phase("reading", N_("Reading the examples."))
        plan, device = plan_of(context, run)
        context.phase("loading", N_("Loading the base model."), long=True)
        transformers.set_seed(plan.recipe.training.seed)
        method = method_of(plan.recipe.method)
        model = method.make_trainable(method.load_base(plan.base, device))
    callback = TrainingCallback(context, device, lambda _: None, plan.save_steps)
    trainer = trainer_for(context, RunFolder(context.folder.path), plan, model, device, callback)

    def only_try() -> None:
        try_longest(context, trainer, plan, device)
        raise _Enough

    callback.begin = only_try
    with contextlib.suppress(_Enough), context.interruptible():
        trainer.train()
    return None


def try_longest(context: JobContext, trainer: StudioTrainer, plan: Plan, device: Device) -> MemoryProbed:
    """Two steps of the longest batch with the trainer's own model and optimizer, told as an event.

    Call it when the trainer has prepared both and has taken no step yet. Afterwards weights, optimizer, random numbers
    and counts are what they were. Raises `ProblemError` with code memory.trial_failed when memory runs out.
    """
    context.phase("preparing", N_("Trying the longest examples first, to see that they fit."), long=True)
    inputs = next(trainer.pieces.of(moved(trainer.collate(longest_rows(plan)), device.torch_device)))
    failed = False
    with _unchanged(trainer):
        if device.is_cuda:
            torch.cuda.reset_peak_memory_stats()
        try:
            rounds = [one_round(trainer, inputs)]
            if device.is_cuda or sum((rounds[0].learning, rounds[0].optimizing)) < PATIENCE:
                rounds.append(one_round(trainer, inputs))
            done = _measured(plan, device, trainer, inputs, rounds[-1])
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failed = True  # dealt with outside: the exception holds tensors
    if failed:
        gc.collect()
        if device.is_cuda:
            torch.cuda.empty_cache()
        raise out_of_memory(plan, inputs)
    context.write(done)
    return done


def probed_by_step(plan: Plan, layout: BatchLayout, device: Device, step: StepDone) -> MemoryProbed:
    """What the first step of a run tells, which begins with its longest examples, as a trial of them does."""
    lengths = plan.dataset.lengths
    sampler = LengthGroupedSampler(lengths, plan.batch, plan.recipe.training.seed, plan.dataset.all_longest)
    order = islice(sampler, plan.batch * plan.gradient_accumulation_steps)
    batches = [[lengths[place] for place in batch] for batch in _batches(list(order), plan.batch)]
    sizes = [sum(batch) if layout is BatchLayout.packed else max(batch) * len(batch) for batch in batches]
    sequences = plan.recipe.objective.sequences
    passes = plan.total_steps / max(1, plan.steps_per_epoch)
    return MemoryProbed(
        device="cuda" if device.is_cuda else "cpu",
        peak=peak_resident(),
        reserved=None,
        process=None,
        step_seconds=step.seconds,
        run_seconds=step.seconds * max(1.0, computed_tokens(plan, layout) / (sequences * sum(sizes)) * passes),
        tokens=sequences * sizes[0],
    )


def longest_rows(plan: Plan) -> list[Row]:
    """As many of the longest examples as are computed at once: no batch of any pass needs more."""
    rows = plan.objective.rows(plan.dataset)
    return [rows[place] for place in plan.dataset.longest(plan.batch)]


def out_of_memory(plan: Plan, inputs: Batch) -> ProblemError:
    """What to say when the longest batch doesn't fit."""
    rows, length = len(inputs[INFO].rows), inputs.get("longest", inputs["input_ids"].shape[-1])
    settings, method = plan.recipe.training, plan.recipe.method
    helps = N_("Choose a smaller base model, or end other programs that use the card, then start again.")
    if plan.batch > 1:
        helps = N_(
            'Choose fewer "Examples at once" and more "Batches per step": slower, with the same result. Or choose a '
            'shorter "Longest example kept whole", or a smaller base model.'
        )
    elif not settings.activation_checkpointing:
        helps = N_('Turn on "Compute twice to save memory": a third slower, with the same result.')
    elif method.storage.bits > 4:
        helps = N_('Turn on the "Memory saver": 4-bit weights need a quarter of the memory.')
    elif isinstance(method, FrozenBaseSettings) and not method.streams_layers:
        helps = N_(
            'Turn on "Base model in the computer\'s memory": it may take longer, with the same result. Or choose a '
            "smaller base model."
        )
    elif length > 256:
        helps = N_('Choose a shorter "Longest example kept whole", or a smaller base model.')
    return problem(
        "memory.trial_failed",
        N_("The longest examples of this run don't fit into memory."),
        N_("{rows} at once with up to {length} tokens each were tried before the run; nothing was changed or lost."),
        helps,
        remedy=Remedy.see_settings,
        rows=rows,
        length=length,
    )


def computed_tokens(plan: Plan, layout: BatchLayout) -> int:
    """Tokens that one pass computes, padding included; estimated where not all are tokenized yet."""
    if layout is BatchLayout.packed:
        return sum(plan.dataset.sizes)
    training = plan.recipe.training
    lengths = plan.dataset.sizes
    order = list(LengthGroupedSampler(lengths, plan.batch, training.seed))
    sequences = plan.recipe.objective.sequences
    return sum(sequences * len(one) * max(lengths[i] for i in one) for one in _batches(order, plan.batch))


def _batches(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (order[i : i + size] for i in range(0, len(order), size))


def _measured(plan: Plan, device: Device, trainer: StudioTrainer, inputs: Batch, last: Round) -> MemoryProbed:
    rows, tokens, processes = len(inputs[INFO].rows), inputs["input_ids"].numel(), trainer.ranks.world_size
    passes = plan.total_steps / max(1, plan.steps_per_epoch)
    learning = last.learning * computed_tokens(plan, trainer.layout) / tokens * passes
    peak, reserved = peak_resident(), None
    if device.is_cuda:
        peak, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    return MemoryProbed(
        device="cuda" if device.is_cuda else "cpu",
        peak=peak,
        reserved=reserved,
        process=on_card() if device.is_cuda else None,
        step_seconds=last.learning * -(-plan.batch // rows) * plan.gradient_accumulation_steps / processes
        + last.optimizing,
        run_seconds=learning / processes + last.optimizing * plan.total_steps,
        tokens=tokens,
    )


def one_round(trainer: StudioTrainer, inputs: Batch) -> Round:
    model, optimizer = trainer.model_wrapped, trainer.optimizer
    began = time.monotonic()
    count = trainer.objective.count([inputs])
    # Where several batches make a step, all but the first find gradients there: two show what that takes.
    batches = 2 if trainer.args.device.type == "cuda" and trainer.args.gradient_accumulation_steps > 1 else 1
    for _ in range(batches):
        # past the teacher's own step, which counts what is learned
        super(StudioTrainer, trainer).training_step(model, dict(inputs), num_items_in_batch=count)
    if trainer.args.max_grad_norm:
        trainer._clip_grad_norm(model)
    _wait(trainer)
    learned = time.monotonic()
    learning = (learned - began) / batches
    optimizer.step()
    model.zero_grad(set_to_none=True)
    _wait(trainer)
    return Round(learning, time.monotonic() - learned)


def _wait(trainer: StudioTrainer) -> None:
    if trainer.args.device.type == "cuda":
        torch.cuda.synchronize()


@contextlib.contextmanager
def _unchanged(trainer: StudioTrainer) -> Iterator[None]:
    """Afterwards, whatever a step changes is what it was before: bit for bit."""
    model = trainer.model
    learning = [p for p in model.parameters() if p.requires_grad]
    weights = [p.detach().to("cpu", copy=True) for p in learning]  # not on the card, where they would count
    chances = (random.getstate(), numpy.random.get_state())
    scaler = getattr(trainer.accelerator, "scaler", None)
    scaling = dict(vars(scaler)) if scaler is not None else {}
    tokens = trainer._total_train_tokens
    training = bool(model.training)
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            yield
    finally:
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for parameter, weight in zip(learning, weights, strict=True):
                parameter.copy_(weight)
        _forget(trainer.optimizer)
        if scaler is not None:
            vars(scaler).clear()
            vars(scaler).update(scaling)
            scaler._per_optimizer_states.clear()
        random.setstate(chances[0])
        numpy.random.set_state(chances[1])
        trainer._metrics["train"].clear()
        trainer._total_train_tokens = tokens
        trainer.step.gradient_norm = None
        trainer.step.forget_losses()
        model.train(training)


def _forget(optimizer: Any) -> None:
    """The optimizer's memory as it is before any step."""
    inner = getattr(optimizer, "optimizer", optimizer)
    if not hasattr(inner, "page_mng"):
        inner.state.clear()
        return
    # bitsandbytes never gives paged memory back, so what it has is emptied and used again
    for state in inner.state.values():
        for name, value in state.items():
            if name == "step":
                state[name] = 0
            elif torch.is_tensor(value) and not name.startswith("qmap"):
                value.zero_()


def peak_resident() -> int:
    """The most memory that this process has held so far in the computer, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


def on_card() -> int | None:
    """What the driver says that this process holds on the card, in bytes; None where it doesn't tell."""
    with contextlib.suppress(Exception):  # any of the driver's many refusals means the same here
        import pynvml

        pynvml.nvmlInit()
        card = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
        for process in pynvml.nvmlDeviceGetComputeRunningProcesses(card):
            if process.pid == os.getpid() and process.usedGpuMemory:
                return int(process.usedGpuMemory)
    return None
