"""Between two steps of a training: no step without usable numbers is taken, every one is told, save points are written
when they are due or asked for, and a stop is obeyed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from studio.core.commands import SaveNow
from studio.core.events import StepDone
from studio.core.example_scores import PreferenceScores
from studio.core.problems import Remedy, problem
from studio.core.translatable import N_
from studio.engine.device import Device, memory_limit, memory_now
from studio.engine.distributed.ranks import Ranks
from studio.engine.job_context import JobContext
from studio.engine.objectives.preference import preference_scores
from studio.engine.random_states import random_states
from studio.engine.training.memory_growth import MemoryGrowth

NON_FINITE_STEPS = 3
"""So many steps in a row without a finite loss and gradient end the run."""


@dataclass
class StepSums:
    """What is known of the step that is being computed. Sums since the last step; `gradient_norm` None where nothing
    was clipped; `examples` are positions in the training data; `began` on the monotonic clock, in seconds."""

    loss: float = 0.0
    tokens: int = 0
    gradient_norm: float | None = None
    learning_rate: float = 0.0
    examples: list[int] = field(default_factory=list)
    began: float = 0.0
    batches: list[dict[str, torch.Tensor]] = field(default_factory=list)
    """The micro-batches that were computed for it, to compute them again when memory runs out in a later one."""
    random_states: dict[str, Any] | None = None
    """After the last whole step: a stop may come in the middle of the next one, which has drawn others by then."""

    measured: torch.Tensor | None = None
    pairs: int = 0
    """Of so many pairs, or marked answers, the sums of what `PreferenceScores` tells."""

    def measure(self, sums: torch.Tensor, pairs: int) -> None:
        """Add what was measured of more pairs. Nothing waits for the card."""
        self.measured = sums if self.measured is None else self.measured + sums
        self.pairs += pairs

    @property
    def preference(self) -> PreferenceScores | None:
        if self.measured is None or not self.pairs:
            return None
        return preference_scores(self.measured.tolist(), self.pairs)

    def join(self, ranks: Ranks) -> None:
        """Add what the other processes know of this step, of which each has computed a part."""
        measured = self.measured.tolist() if self.measured is not None else []
        parts = ranks.from_all((self.loss, self.tokens, self.examples, self.pairs, measured))
        self.loss = sum(loss for loss, *_ in parts)
        self.tokens = sum(tokens for _, tokens, *_ in parts)
        self.examples = [position for _, _, examples, *_ in parts for position in examples]
        self.pairs = sum(pairs for *_, pairs, _ in parts)
        told = [torch.tensor(measured) for *_, measured in parts if measured]
        self.measured = torch.stack(told).sum(0) if told else None

    def forget_losses(self) -> None:
        """What was summed up is computed again."""
        self.loss, self.measured, self.pairs = 0.0, None, 0

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.loss) and (self.gradient_norm is None or math.isfinite(self.gradient_norm))


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
        self._skipped = False
        self._save_now = False
        self._growth = MemoryGrowth()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        if self.begin is not None:
            self.begin()
        self.step.began = time.monotonic()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.before_step is not None:
            self.before_step(state.global_step + 1)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.step.learning_rate = float(kwargs["optimizer"].param_groups[0]["lr"])
        self._skipped = not self.step.is_finite
        if not self._skipped:
            self._non_finite = 0
            return
        # Without gradients the optimizer leaves every weight and its own memory of them as they are.
        kwargs["model"].zero_grad(set_to_none=True)
        self._non_finite += 1
        self._context.notice(
            "step.skipped",
            N_("Step {step} gave no usable numbers and was left out: it changed nothing."),
            step=state.global_step + 1,
        )
        if self._non_finite >= NON_FINITE_STEPS:
            if self.go_back is not None:
                self.go_back(state.global_step + 1)
            raise problem(
                "training.not_finite",
                N_("Training stopped: {count} steps in a row gave no usable numbers."),
                N_("The learning strength is too high for this model and data, or the model itself is damaged."),
                N_("Choose a gentler learning strength and start again. What was saved before is good and is kept."),
                remedy=Remedy.see_settings,
                count=self._non_finite,
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        self.step.random_states = random_states()
        self.done = state.global_step
        if not self._skipped:
            self._tell(state, now)
        self.step.forget_losses()
        self.step.tokens, self.step.gradient_norm, self.step.began = 0, None, now
        self.step.examples.clear()
        self.step.batches.clear()
        if self.after_first is not None:
            after_first, self.after_first = self.after_first, None
            after_first()
            self.step.began = time.monotonic()  # looking is not learning
        self._save_now |= any(isinstance(command, SaveNow) for command in self._context.commands())
        due = state.global_step < state.max_steps and self.is_due(state.global_step)
        # Among steps without usable numbers there is nothing worth going back to.
        if (due or self._save_now) and not self._skipped:
            self._save_now = False
            self._save(state.global_step)
            self.step.began = time.monotonic()  # saving is not learning
        if self._context.stopping or self.enough:
            control.should_training_stop = True

    def _tell(self, state: TrainerState, now: float) -> None:
        used, peak = memory_now(self._device)
        done = StepDone(
            step=state.global_step,
            total_steps=state.max_steps,
            epoch=float(state.epoch or 0.0),
            loss=self.step.loss,
            learning_rate=self.step.learning_rate,
            gradient_norm=self.step.gradient_norm,
            tokens=self.step.tokens,
            seconds=now - self.step.began,
            memory=used,
            peak_memory=peak,
            examples=tuple(self.step.examples),
            preference=self.step.preference,
        )
        self._context.write(done)
        if self.after_step is not None:
            self.after_step(done)
        grown = self._growth.take(done, memory_limit(self._device))
        if grown is not None:
            self._context.write(grown)
