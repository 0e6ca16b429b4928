"""TRL's trainer with what a person was promised: every step told, every stop obeyed, no poisoned step taken."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTTrainer

from studio.core.events import SaveNow, StepDone
from studio.core.problems import Remedy, problem
from studio.core.translatable import N_
from studio.engine.device import Device, memory_limit, memory_now
from studio.engine.job_context import JobContext
from studio.engine.objectives.supervised import collate, logits_fit, supervised_loss
from studio.engine.training.memory_growth import MemoryGrowth

POISONED_STEPS = 3
"""So many steps in a row without a finite loss and gradient end the run."""


@dataclass
class Step:
    """What is known of the step that is being computed. Sums since the last step; seconds are monotonic."""

    loss: float = 0.0
    tokens: int = 0
    gradient_norm: float = math.nan
    learning_rate: float = 0.0
    began: float = 0.0


class StudioTrainer(SFTTrainer):  # type: ignore[misc]
    """Learns from rows that already hold `input_ids` and `labels`, so it learns exactly what the preview showed."""

    def __init__(
        self, *, report: JobContext, device: Device, order: Callable[[], Sampler[int]] | None = None, **arguments: Any
    ) -> None:
        model = arguments["model"]
        learning = {name: p.data for name, p in model.named_parameters() if p.requires_grad}
        super().__init__(data_collator=collate, **arguments)
        for name, parameter in model.named_parameters():
            if name in learning:  # TRL has rounded them to bfloat16
                parameter.data = learning[name]
        self.loss_is_scaled_for_ga = True
        self.step = Step()
        self._report = report
        self._device = device
        self._order = order

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self._order() if self._order else super()._get_train_sampler(train_dataset)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        # The library's own schedules begin and end with steps of strength zero, which learn nothing.
        total, warm, shape = num_training_steps, int(self.args.warmup_steps), str(self.args.lr_scheduler_type.value)
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda step: lr_multiplier(step, total, warm, shape)
        )
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def training_step(self, model: Any, inputs: dict[str, torch.Tensor], num_items_in_batch: Any = None) -> Any:
        self.step.tokens += int(inputs["attention_mask"].sum())
        # Forward and backward change no weight, so a stop may come at any line of them.
        with self._report.interruptible():
            loss = super().training_step(model, inputs, num_items_in_batch)
        self.step.loss += float(loss)
        return loss

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        # On a card TRL's own head computes in tiles and is fast; on a processor it scores every position.
        if (
            return_outputs
            or self.aux_loss_enabled
            or self._device.is_cuda
            or not logits_fit(self.model, inputs["labels"])
        ):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        scored = supervised_loss(model, inputs, head_of=self.model)
        return scored.total / max(1, int(num_items_in_batch if num_items_in_batch is not None else scored.count))

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)
        self.step.gradient_norm = float(norm)
        return norm


def lr_multiplier(step: int, total: int, warm: int, shape: str) -> float:
    """The share of the learning rate in `step`, counted from 0: rises over `warm` steps, then falls to nearly
    nothing ("cosine", "linear") or stays ("constant"). Never zero, so that every step learns."""
    if step < warm:
        return (step + 1) / (warm + 1)
    if shape == "constant":
        return 1.0
    done = (step - warm) / max(1, total - warm)
    return 1.0 - done if shape == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


class TrainingCallback(TrainerCallback):
    """Between two steps: guard, tell, save, listen."""

    def __init__(self, report: JobContext, device: Device, save: Callable[[int], None], save_every: int) -> None:
        self.step = Step()
        self.done = 0
        self.begin: Callable[[], None] | None = None
        """Called once, when model and optimizer are ready and no step is taken yet."""
        self._report = report
        self._device = device
        self._save = save
        self._save_every = save_every
        self._poisoned = 0
        self._skipped = False
        self._save_now = False
        self._growth = MemoryGrowth()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        if self.begin is not None:
            self.begin()
        self.step.began = time.monotonic()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.step.learning_rate = float(kwargs["optimizer"].param_groups[0]["lr"])
        self._skipped = not (math.isfinite(self.step.loss) and math.isfinite(self.step.gradient_norm))
        if not self._skipped:
            self._poisoned = 0
            return
        # Without gradients the optimizer leaves every weight and its own memory of them as they are.
        kwargs["model"].zero_grad(set_to_none=True)
        self._poisoned += 1
        self._report.notice(
            "step.skipped",
            N_("Step {step} gave no usable numbers and was left out: it changed nothing."),
            step=state.global_step + 1,
        )
        if self._poisoned >= POISONED_STEPS:
            raise problem(
                "training.not_finite",
                N_("Training stopped: {count} steps in a row gave no usable numbers."),
                N_("The learning strength is too high for this model and data, or the model itself is damaged."),
                N_("Choose a gentler learning strength and start again. What was saved before is good and is kept."),
                remedy=Remedy.see_settings,
                count=self._poisoned,
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        self.done = state.global_step
        if not self._skipped:
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
            )
            self._report.write(done)
            grown = self._growth.take(done, memory_limit(self._device))
            if grown is not None:
                self._report.write(grown)
        self._clear(now)
        self._save_now |= any(isinstance(command, SaveNow) for command in self._report.commands())
        due = state.global_step % self._save_every == 0 and state.global_step < state.max_steps
        if due or self._save_now:
            self._save_now = False
            self._save(state.global_step)
            self.step.began = time.monotonic()  # saving is not learning
        if self._report.stopping:
            control.should_training_stop = True

    def _clear(self, now: float) -> None:
        self.step.loss, self.step.tokens, self.step.gradient_norm, self.step.began = 0.0, 0, math.nan, now
