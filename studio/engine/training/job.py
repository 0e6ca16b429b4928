"""Training: from a frozen run folder to save points, with everything that happens told as events."""

from __future__ import annotations

import contextlib
import math
import time

import transformers

from studio.core.events import BASE, THIS_RUN, Ending, Evaluated, Prepared, Stopped
from studio.core.jobs import Train
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.engine.device import Device
from studio.engine.job_context import JobContext, StopRequested, is_out_of_memory
from studio.engine.methods.base_model import Network, count_parameters
from studio.engine.methods.method import TrainingMethod
from studio.engine.methods.registry import method_of
from studio.engine.objectives.supervised import held_out_loss
from studio.engine.training.callback import TrainingCallback
from studio.engine.training.checkpoint import CheckpointWriter
from studio.engine.training.memory_probe import try_longest
from studio.engine.training.plan import Plan, plan_of
from studio.engine.training.trainer import trainer_for

QUICK = 8.0
"""Seconds that scoring the held-out examples may take after somebody asked to stop."""


def train(context: JobContext, job: Train) -> Ending | None:
    """Train the run in the job's own folder. Raises `ProblemError`; a stop keeps what was learned when it says so."""
    run = RunFolder(context.folder.path)
    with context.interruptible():
        context.phase("reading", N_("Reading the examples."))
        plan, device = plan_of(context, run)
        context.phase("loading", N_("Loading the base model."), long=True)
        transformers.set_seed(plan.recipe.training.seed)
        method = method_of(plan.recipe.method)
        model = method.make_trainable(method.load_base(plan.base, device))
    return TrainingJob(context, run, plan, method, model, device).go()


class TrainingJob:
    """The part of the job that has a model."""

    def __init__(
        self,
        context: JobContext,
        run: RunFolder,
        plan: Plan,
        method: TrainingMethod,
        model: Network,
        device: Device,
    ) -> None:
        self.context = context
        self.plan = plan
        self.model = model
        self.device = device
        self.scores = bool(plan.held_out.encoded)
        self.scoring_seconds = 0.0
        base_name = plan.recipe.model.public_name or str(plan.base)
        self.checkpoints = CheckpointWriter(context, run, method, plan.base, base_name)
        self.callback = TrainingCallback(context, device, self.save, plan.save_steps)
        self.trainer = trainer_for(context, run, plan, model, device, self.callback)

    def go(self) -> Ending | None:
        self._tell_plan()
        self.callback.begin = self._begin
        with contextlib.suppress(StopRequested):  # in the middle of a step, which has changed nothing yet
            self.trainer.train()
        done = self.callback.done
        if self.context.stopping and done < self.plan.total_steps:
            if self.context.keep and done > self.checkpoints.last_step:
                self.save(done)
            return Stopped(step=done if self.context.keep else self.checkpoints.last_step)
        if done > self.checkpoints.last_step:
            self.save(done)
        return None

    def _begin(self) -> None:
        """What comes before the first step: whether it fits at all, and how good the model is now."""
        with self.context.interruptible():
            try_longest(self.context, self.trainer, self.plan, self.device)
            self.score(0)
        self.context.phase("training", N_("Learning from the examples."))

    def score(self, step: int) -> float | None:
        """The loss over the held-out examples, told as an event; None when there are none or it can't be done."""
        if not self.scores:
            return None
        began = time.monotonic()
        text = N_("Looking at the examples set aside.")
        if not self.context.stopping:
            self.context.phase("evaluating", text)
        try:
            loss = held_out_loss(self.model, self.plan.held_out.encoded, self.plan.batch, self.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.scores = False
            self.context.notice(
                "evaluation.no_memory",
                N_("There isn't enough memory to look at the examples set aside. Training goes on without."),
            )
            return None
        self.scoring_seconds = time.monotonic() - began
        if not math.isfinite(loss):
            return None
        count = len(self.plan.held_out.encoded)
        model = BASE if step == 0 else THIS_RUN
        self.context.write(Evaluated(step=step, loss=loss, examples=count, model=model))
        return loss

    def save(self, step: int) -> None:
        """Score and save what was learned until `step`."""
        in_haste = self.context.stopping and self.scoring_seconds > QUICK
        loss = None if in_haste else self.score(step)
        self._phase("saving", N_("Saving what was learned so far."))
        self.checkpoints.save(self.trainer, loss)
        if step < self.plan.total_steps:
            self._phase("training", N_("Learning from the examples."))

    def _phase(self, phase: str, text: str) -> None:
        if not self.context.stopping:
            self.context.phase(phase, text)

    def _tell_plan(self) -> None:
        plan, training = self.plan, self.plan.recipe.training
        trainable, total = count_parameters(self.model)
        self.context.write(
            Prepared(
                **plan.dataset.counts.model_dump(),
                held_out=len(plan.held_out.encoded),
                total_steps=plan.total_steps,
                steps_per_epoch=float(plan.steps_per_epoch),
                batch_size=plan.batch,
                gradient_accumulation_steps=plan.gradient_accumulation_steps,
                trainable_parameters=trainable,
                all_parameters=total,
                optimizer=plan.optimizer.value,
                learning_rate=training.learning_rate or 0.0,
                epochs=training.epochs or 0.0,
            )
        )
