"""Between two steps of a training: no step without usable numbers is taken, every one is told, save points are written
when they are due or asked for, and a stop is obeyed.

A card computes what it was told to while the processor prepares what comes next, and whoever reads a number from it
waits until all of that is done. So what a step comes to stays on the card, and is read for several steps at once.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from studio.core.commands import SaveNow
from studio.core.events import StepDone
from studio.core.problems import Remedy, problem
from studio.core.translatable import N_
from studio.engine.device import Device, memory_limit, memory_now
from studio.engine.distributed.ranks import Ranks
from studio.engine.job_context import JobContext
from studio.engine.objectives.objective import Batch
from studio.engine.objectives.preference import preference_scores
from studio.engine.random_states import random_states
from studio.engine.training.memory_growth import MemoryGrowth

NON_FINITE_STEPS = 3
"""So many steps in a row without a finite loss and gradient end the run."""

TELL_SECONDS = 1.0
"""After so long, the steps since are read from the card and told."""

MOST_UNTOLD = 64
"""And after so many steps."""


def tell_seconds(device: Device) -> float:
    """After how long steps are told: on a processor each is, at once, since nobody waits for it."""
    return TELL_SECONDS if device.is_cuda else 0.0


Moment: TypeAlias = "float | torch.cuda.Event"
"""Seconds of the monotonic clock; on a card what tells, once it is reached, when that was."""


def moment(device: Device) -> Moment:
    """Now; on a card when it will have done what it was told so far."""
    if not device.is_cuda:
        return time.monotonic()
    event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def seconds_between(begin: Moment, end: Moment) -> float:
    """Both must have been reached."""
    if isinstance(begin, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        return float(begin.elapsed_time(end)) / 1000
    assert isinstance(begin, float) and isinstance(end, float), "both are of one device"
    return end - begin


@dataclass
class StepSums:
    """What is known of the step that is being computed. Sums since the last step, on the device that computes them;
    `gradient_norm` None where nothing was clipped; `examples` are positions in the training data."""

    loss: torch.Tensor | None = None
    tokens: int = 0
    gradient_norm: torch.Tensor | None = None
    learning_rate: float = 0.0
    examples: list[int] = field(default_factory=list)
    began: Moment = 0.0
    batches: list[Batch] = field(default_factory=list)
    """The micro-batches that were computed for it, to compute them again when memory runs out in a later one."""
    random_states: dict[str, Any] | None = None
    """After the last whole step: a stop may come in the middle of the next one, which has drawn others by then."""

    measured: torch.Tensor | None = None
    pairs: int = 0
    """Of so many pairs, or marked answers, the sums of what `PreferenceScores` tells."""

    def add(self, loss: torch.Tensor) -> None:
        self.loss = loss if self.loss is None else self.loss + loss

    def measure(self, sums: torch.Tensor, pairs: int) -> None:
        """Add what was measured of more pairs."""
        self.measured = sums if self.measured is None else self.measured + sums
        self.pairs += pairs

    def join(self, ranks: Ranks) -> None:
        """Add what the other processes know of this step, of which each has computed a part. Nothing waits for a card:
        what lies there is summed there."""
        assert self.loss is not None
        own = 0 if self.measured is None else len(self.measured)
        parts = ranks.from_all((self.tokens, self.examples, self.pairs, own))
        self.tokens = sum(tokens for tokens, *_ in parts)
        self.examples = [position for _, examples, *_ in parts for position in examples]
        self.pairs = sum(pairs for *_, pairs, _ in parts)
        self.loss = ranks.sum(self.loss.clone())
        length = max(measured for *_, measured in parts)
        if length:
            measured = self.loss.new_zeros(length) if self.measured is None else self.measured.float()
            self.measured = ranks.sum(measured.clone())

    def forget_losses(self) -> None:
        """What was summed up is computed again."""
        self.loss, self.measured, self.pairs = None, None, 0

    def begin(self, now: Moment) -> None:
        """The next step begins."""
        self.forget_losses()
        self.tokens, self.gradient_norm, self.began = 0, None, now
        self.examples.clear()
        self.batches.clear()

    @property
    def numbers(self) -> torch.Tensor:
        """The loss, the norm of the gradient (0 where there is none) and what was measured, in float32."""
        assert self.loss is not None
        norm = torch.zeros_like(self.loss) if self.gradient_norm is None else self.gradient_norm
        both = torch.stack([self.loss.float(), norm.to(self.loss.device).float()])
        return both if self.measured is None else torch.cat([both, self.measured.float()])


@dataclass(frozen=True)
class UntoldStep:
    """A step that was computed, or is going to be: `numbers` as in `StepSums`. `memory` in bytes, now and at most."""

    numbers: torch.Tensor
    has_norm: bool
    step: int
    total_steps: int
    epoch: float
    learning_rate: float
    tokens: int
    examples: tuple[int, ...]
    pairs: int
    began: Moment
    ended: Moment
    memory: tuple[int | None, int | None]

    def done(self, loss: float, norm: float, *measured: float) -> StepDone:
        """With its numbers read."""
        used, peak = self.memory
        return StepDone(
            step=self.step,
            total_steps=self.total_steps,
            epoch=self.epoch,
            loss=loss,
            learning_rate=self.learning_rate,
            gradient_norm=norm if self.has_norm else None,
            tokens=self.tokens,
            seconds=seconds_between(self.began, self.ended),
            memory=used,
            peak_memory=peak,
            examples=self.examples,
            preference=preference_scores(measured, self.pairs) if measured and self.pairs else None,
        )


class TrainingCallback(TrainerCallback):
    """`save` writes a save point after the step that it is given; `save_steps` is how many steps lie between two."""

    def __init__(self, context: JobContext, device: Device, save: Callable[[int], None], save_steps: int) -> None:
        self.step = StepSums()
        self.done = 0
        self.begin: Callable[[], None] | None = None
        """Called once, when model and optimizer are ready and no step is taken yet."""
        self.is_due: Callable[[int], bool] = lambda step: step % save_steps == 0
        """Whether a save point is due after a step."""
        self.before_step: Callable[[int], None] | None = None
        """Called with the step that begins, counted from 1."""
        self.after_step: Callable[[StepDone], None] | None = None
        self.after_first: Callable[[], None] | None = None
        """Called once, after the first step of this process."""
        self.go_back: Callable[[int], None] | None = None
        """Called with the step when no usable numbers came for too long; returns where that is no way out."""
        self.enough = False
        """Set when the training is to end before its last step."""
        self._context = context
        self._device = device
        self._save = save
        self._non_finite = 0
        self._untold: list[UntoldStep] = []
        self._told = 0.0
        self._save_now = False
        self._growth = MemoryGrowth()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        if self.begin is not None:
            self.begin()
        self.step.began = moment(self._device)
        self._told = time.monotonic()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.before_step is not None:
            self.before_step(state.global_step + 1)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        optimizer = _inner(kwargs["optimizer"])
        self.step.learning_rate = float(optimizer.param_groups[0]["lr"])
        usable = torch.isfinite(self.step.numbers[:2]).all()
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            # PyTorch's fused optimizers leave every weight and their own memory of them as they are where this is 1.
            optimizer.found_inf = 1.0 - usable.float()
        elif not bool(usable):  # others have to be told beforehand, which waits for the card once a step
            kwargs["model"].zero_grad(set_to_none=True)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        vars(_inner(kwargs["optimizer"])).pop("found_inf", None)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = moment(self._device)
        self.step.random_states = random_states()
        self.done = state.global_step
        self._untold.append(self._computed(state, now))
        self.step.begin(now)
        if self.after_first is not None:
            self.tell()
            after_first, self.after_first = self.after_first, None
            after_first()
            self.step.began = moment(self._device)  # looking is not learning
        self._save_now |= any(isinstance(command, SaveNow) for command in self._context.commands())
        last = state.global_step >= state.max_steps
        saves = self._save_now or (not last and self.is_due(state.global_step))
        waited = time.monotonic() - self._told >= tell_seconds(self._device) or len(self._untold) >= MOST_UNTOLD
        if saves or last or waited or self._context.stopping:
            self.tell()
        # Among steps without usable numbers there is nothing worth going back to.
        if saves and not self._non_finite:
            self._save_now = False
            self._save(state.global_step)
            self.step.began = moment(self._device)  # saving is not learning
        if self._context.stopping or self.enough:
            self.tell()
            control.should_training_stop = True

    def _computed(self, state: TrainerState, now: Moment) -> UntoldStep:
        sums = self.step
        return UntoldStep(
            numbers=sums.numbers,
            has_norm=sums.gradient_norm is not None,
            step=state.global_step,
            total_steps=state.max_steps,
            epoch=float(state.epoch or 0.0),
            learning_rate=sums.learning_rate,
            tokens=sums.tokens,
            examples=tuple(sums.examples),
            pairs=sums.pairs,
            began=sums.began,
            ended=now,
            memory=memory_now(self._device),
        )

    def tell(self) -> None:
        """Read what the steps since the last call came to, all at once, and write it down. Raises `ProblemError` where
        too many in a row gave no usable numbers."""
        untold, self._untold = self._untold, []
        if not untold:
            return
        numbers = iter(torch.cat([one.numbers for one in untold]).tolist())  # waits for the card
        self._told = time.monotonic()
        limit = memory_limit(self._device)
        for one in untold:
            loss, norm, *measured = itertools.islice(numbers, len(one.numbers))
            if math.isfinite(loss) and math.isfinite(norm):
                self._non_finite = 0
                self._tell(one.done(loss, norm, *measured), limit)
            else:
                self._tell_left_out(one.step)

    def _tell(self, done: StepDone, limit: int | None) -> None:
        self._context.write(done)
        if self.after_step is not None:
            self.after_step(done)
        grown = self._growth.take(done, limit)
        if grown is not None:
            self._context.write(grown)

    def _tell_left_out(self, step: int) -> None:
        self._non_finite += 1
        self._context.notice(
            "step.skipped",
            N_("Step {step} gave no usable numbers and was left out: it changed nothing."),
            step=step,
        )
        if self._non_finite >= NON_FINITE_STEPS:
            if self.go_back is not None:
                self.go_back(step)
            raise problem(
                "training.not_finite",
                N_("Training stopped: {count} steps in a row gave no usable numbers."),
                N_("The learning strength is too high for this model and data, or the model itself is damaged."),
                N_("Choose a gentler learning strength and start again. What was saved before is good and is kept."),
                remedy=Remedy.see_settings,
                count=self._non_finite,
            )


def _inner(optimizer: Any) -> Any:
    """The optimizer itself, out of accelerate's."""
    return getattr(optimizer, "optimizer", optimizer)
