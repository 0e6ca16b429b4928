"""Teaching: from a frozen run folder to an add-on, with everything that happens told as events."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers

from studio.core.events import BASE, THIS_RUN, Ending, Evaluated, Prepared, Stopped
from studio.core.paths import STARTER_HUB_NAME
from studio.core.recipe.model_choice import Source
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.translatable import N_
from studio.engine.device import Device
from studio.engine.job_context import JobContext, StopRequested, is_out_of_memory
from studio.engine.memory.probe import try_longest
from studio.engine.methods.base_model import count_parameters
from studio.engine.methods.registry import method_of
from studio.engine.objectives.supervised import held_out_loss
from studio.engine.training.checkpoint import CheckpointWriter
from studio.engine.training.plan import Plan, plan_of, trainer_for
from studio.engine.training.trainer import TrainingCallback

if TYPE_CHECKING:
    from peft import PeftModel

QUICK = 8.0
"""Seconds that scoring the held-out examples may take after somebody asked to stop."""


def train(report: JobContext, folder: JobFolder) -> Ending | None:
    """Teach the run in `folder`. Raises `ProblemError`; a stop keeps what was learned when it says so."""
    run = RunFolder(folder.path)
    with report.interruptible():
        report.phase("reading", N_("Reading the examples."))
        plan, device = plan_of(report, run)
        report.phase("loading", N_("Loading the base model."), long=True)
        transformers.set_seed(plan.recipe.training.seed)
        method = method_of(plan.recipe.method)
        model = method.make_trainable(method.load_base(plan.base, device))
    return TrainingJob(report, run, plan, model, device).go()


def base_name(recipe: Recipe, base: Path) -> str:
    """What the add-on says it belongs to: a name on the Hub where there is one, else the folder."""
    if recipe.model.source is Source.starter:
        return STARTER_HUB_NAME
    return recipe.model.name.strip() if recipe.model.source is Source.hub else str(base)


class TrainingJob:
    """The part of the job that has a model."""

    def __init__(self, report: JobContext, run: RunFolder, plan: Plan, model: PeftModel, device: Device) -> None:
        self.report = report
        self.plan = plan
        self.model = model
        self.device = device
        self.scores = bool(plan.held_out.encoded)
        self.scoring_seconds = 0.0
        self.save_points = CheckpointWriter(report, run, plan.base, base_name(plan.recipe, plan.base))
        self.conduct = TrainingCallback(report, device, self.save, plan.save_steps)
        self.trainer = trainer_for(report, run, plan, model, device, self.conduct)
        self.conduct.step = self.trainer.step

    def go(self) -> Ending | None:
        self._tell_plan()
        self.conduct.begin = self._begin
        with contextlib.suppress(StopRequested):  # in the middle of a step, which has changed nothing yet
            self.trainer.train()
        done = self.conduct.done
        if self.report.stopping and done < self.plan.total_steps:
            if self.report.keep and done > self.save_points.last_step:
                self.save(done)
            return Stopped(step=done if self.report.keep else self.save_points.last_step)
        if done > self.save_points.last_step:
            self.save(done)
        return None

    def _begin(self) -> None:
        """What comes before the first step: whether it fits at all, and how good the model is now."""
        with self.report.interruptible():
            try_longest(self.report, self.trainer, self.plan, self.device)
            self.score(0)
        self.report.phase("training", N_("Learning from the examples."))

    def score(self, step: int) -> float | None:
        """The loss over the held-out examples, told as an event; None when there are none or it can't be done."""
        if not self.scores:
            return None
        began = time.monotonic()
        text = N_("Looking at the examples set aside.")
        if not self.report.stopping:
            self.report.phase("evaluating", text)
        try:
            loss = held_out_loss(self.model, self.plan.held_out.encoded, self.plan.batch, self.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.scores = False
            self.report.notice(
                "evaluation.no_memory",
                N_("There isn't enough memory to look at the examples set aside. Training goes on without."),
            )
            return None
        self.scoring_seconds = time.monotonic() - began
        if not math.isfinite(loss):
            return None
        count = len(self.plan.held_out.encoded)
        model = BASE if step == 0 else THIS_RUN
        self.report.write(Evaluated(step=step, loss=loss, examples=count, model=model))
        return loss

    def save(self, step: int) -> None:
        """Score and save what was learned until `step`."""
        in_haste = self.report.stopping and self.scoring_seconds > QUICK
        loss = None if in_haste else self.score(step)
        self._phase("saving", N_("Saving what was learned so far."))
        self.save_points.save(step, self.model, self._state(), loss)
        if step < self.plan.total_steps:
            self._phase("training", N_("Learning from the examples."))

    def _phase(self, phase: str, text: str) -> None:
        if not self.report.stopping:
            self.report.phase(phase, text)

    def _state(self) -> dict[str, Any]:
        return {
            "optimizer": self.trainer.optimizer.state_dict(),
            "scheduler": self.trainer.lr_scheduler.state_dict(),
            "epoch": self.trainer.state.epoch,
        }

    def _tell_plan(self) -> None:
        plan, training = self.plan, self.plan.recipe.training
        trainable, total = count_parameters(self.model)
        self.report.write(
            Prepared(
                examples=len(plan.dataset.encoded),
                held_out=len(plan.held_out.encoded),
                tokens=plan.dataset.tokens,
                label_tokens=plan.dataset.label_tokens,
                cut=plan.dataset.cut,
                nothing_left=plan.dataset.nothing_left,
                left_out=plan.dataset.left_out,
                divided=plan.dataset.divided,
                total_steps=plan.total_steps,
                steps_per_epoch=float(plan.steps_per_epoch),
                batch_size=plan.batch,
                gradient_accumulation_steps=plan.gradient_accumulation_steps,
                trainable_parameters=trainable,
                all_parameters=total,
                optimizer="adamw" if plan.optimizer == "adamw_torch_fused" else plan.optimizer,
                learning_rate=training.learning_rate or 0.0,
                epochs=training.epochs or 0.0,
            )
        )
