"""Training: from a frozen run folder to save points, with everything that happens told as events."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import replace

import transformers

from studio.core.events import BASE, THIS_RUN, Ending, Evaluated, Paused, Prepared, StepDone, Stopped
from studio.core.jobs import Train
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.defaults import default_save_steps
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.engine.device import Device
from studio.engine.distributed.ranks import Ranks, join
from studio.engine.job_context import JobContext, StopRequested, is_out_of_memory
from studio.engine.methods.base_model import Network, count_parameters
from studio.engine.methods.method import TrainingMethod, without_adapter
from studio.engine.methods.registry import method_of
from studio.engine.objectives.supervised import autocast
from studio.engine.random_states import restore_random_states
from studio.engine.training.batch_layout import attention_of
from studio.engine.training.callback import NON_FINITE_STEPS, TrainingCallback
from studio.engine.training.checkpoint import CheckpointWriter, require_fits
from studio.engine.training.loss_spike import LossSpike
from studio.engine.training.memory_probe import probed_by_step, try_longest
from studio.engine.training.plan import Plan, plan_of, tell_unused_words
from studio.engine.training.recovery import go_back, save_patiently
from studio.engine.training.resume import (
    ResumePoint,
    initial_weights,
    require_same_optimizer,
    resume_point,
    saved_steps,
)
from studio.engine.training.samples import SampleAnswers
from studio.engine.training.trainer import trainer_for

QUICK = 8.0
"""Seconds that scoring the held-out examples may take after somebody asked to stop."""


def train(context: JobContext, job: Train) -> Ending | None:
    """Train the run in the job's own folder. Raises `ProblemError`; a stop keeps what was learned when it says so."""
    ranks = join()
    context.is_cut_off = lambda: ranks.is_one_lost
    try:
        return _train(context, job, ranks)
    finally:
        ranks.release()


def _train(context: JobContext, job: Train, ranks: Ranks) -> Ending | None:
    run = RunFolder(context.folder.path)
    context.pausing = True  # a signal without a command comes from a computer that is shut down
    step = max(saved_steps(run), default=0) if job.resume else 0
    try:
        context.phase("reading", N_("Reading the examples."))
        point = ResumePoint()
        if job.resume:
            point = ranks.from_main(resume_point(context, run) if ranks.is_main else None)
            if point.folder is not None:  # on other computers it lies elsewhere
                point = replace(point, folder=run.checkpoints / point.folder.name)
        step = point.step
        with context.interruptible():
            plan, device = plan_of(context, run, point.earlier, ranks)
        require_same_optimizer(point, plan.optimizer.value)
        point.tell(context, run)
        if job.extra_epochs:
            plan = plan.extended(job.extra_epochs)
            context.write(plan.extensions[-1], durable=True)
        if point.step >= plan.total_steps:
            return None  # the process ended between the last save point and its ending
        with context.interruptible():
            context.phase("loading", N_("Loading the base model."), long=True)
            transformers.set_seed(plan.recipe.training.seed)
            method = method_of(plan.recipe.method)
            model = method.make_trainable(method.load_base(plan.base, device))
        if point.folder is not None:
            require_fits(point.folder, model)
        if plan.recipe.model.parent and (point.folder is None or plan.objective.needs_beginning(run)):
            method.load_weights(model, initial_weights(run))  # those of the save point come later
    except StopRequested:
        return stopped(context, step)
    return TrainingJob(context, run, plan, method, model, device, point, ranks).go()


def is_tried_first(device: Device) -> bool:
    """Whether the longest examples are tried before the first step: on a card that takes a moment. On a processor it
    would take as long as that step, which has the longest examples itself, so it is the trial."""
    return device.is_cuda


def stopped(context: JobContext, step: int) -> Ending:
    """The ending that was asked for; what was learned until `step` is saved."""
    return Paused(step=step) if context.pausing else Stopped(step=step)


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
        point: ResumePoint,
        ranks: Ranks,
    ) -> None:
        self.context = context
        self.ranks = ranks
        self.run = run
        self.plan = plan
        self.model = model
        self.device = device
        self.point = point
        self.scores = bool(plan.held_out.encoded)
        self.scoring_seconds = 0.0
        base_name = plan.recipe.model.public_name or str(plan.base)
        minutes = plan.recipe.training.save_minutes
        self.checkpoints = CheckpointWriter(context, run, method, plan.base, base_name, minutes)
        if ranks.is_main:
            saved = {step: point.earlier.loss_at(step) for step in saved_steps(run) if step <= point.step}
            self.checkpoints.adopt(saved)
        self.callback = TrainingCallback(context, device, self.save, plan.save_steps)
        self.callback.is_due = lambda step: ranks.is_main and (self._looks_at(step) or self.checkpoints.is_due)
        self.callback.after_step = self._watch
        self.tries_first = is_tried_first(device)
        self.first_step: StepDone | None = None
        self.method = method
        if ranks.several:  # each draws its own, and the same ones when a step is computed again
            self.callback.before_step = lambda step: ranks.seed_step(plan.recipe.training.seed, step)
        self.callback.done = point.step
        self.trainer = trainer_for(context, run, plan, model, device, self.callback, method, ranks)
        self.trainer.pieces.adopt(point.earlier.state.batch)
        self.callback.go_back = self._go_back
        self.samples = SampleAnswers(context, run, plan, model, device)
        self.unsaved: Problem | None = None
        self.counted = plan.dataset.completed() is not None
        self.spike = LossSpike()
        earlier = point.earlier
        known = earlier.state.held_out_losses
        self.looks = [(step, loss) for step, loss in known if step <= point.step and self._looks_at(step)]
        self.extended_after = point.step if plan.extensions != earlier.extensions else earlier.extended_after

    def go(self) -> Ending | None:
        self._tell_plan()
        self.callback.begin = self._begin
        try:
            self._prepare_objective()
            with self.trainer.pieces.recovering():
                self.trainer.train(resume_from_checkpoint=str(self.point.folder) if self.point.folder else None)
        except StopRequested:  # in the middle of a step, which has changed no weight yet, but drawn random numbers
            if self.trainer.step.random_states is not None:
                restore_random_states(self.trainer.step.random_states)
            self.callback.tell()
        if not self.ranks.is_main:
            return None
        done = self.callback.done
        stopping = self.context.stopping and done < self.plan.total_steps
        if done > self.checkpoints.last_step and (self.context.keep or not stopping):
            self.save(done)
        if stopping:
            return stopped(self.context, self.checkpoints.last_step)
        if self.unsaved is not None and done > self.checkpoints.last_step:
            raise ProblemError(self.unsaved)
        return None

    def _go_back(self, step: int) -> None:
        self.ranks.wait_for_the_end()
        go_back(self.context, step, self.checkpoints.last_step, NON_FINITE_STEPS)

    def _begin(self) -> None:
        """What comes before the first step: whether it fits at all, and how good the model is now. A run that goes on
        knows both, and the trial would empty the optimizer that was loaded."""
        with self.context.interruptible():
            if self.point.folder is None:
                if self.tries_first:
                    self._try_longest()
                if self.ranks.is_main:
                    if not self._keeps_beginning() and not self.looks:
                        self.look_at(0)
                    self.callback.after_first = self._after_first
        self.ranks.copy_from_main([p for p in self.model.parameters() if p.requires_grad])
        self.context.phase("training", N_("Learning from the examples."))
        self.checkpoints.start_clock()

    def _keeps_beginning(self) -> bool:
        """Whether the model as it begins can still be looked at later: it is the base, which what is trained can be
        taken away from."""
        return self.method.shares_base and self.method.changes_nothing(self.model)

    def _after_first(self) -> None:
        """Tell what the first step took where it was the trial, and look at the model as it began unless that is done:
        so nobody waits for the look to see that the training goes on."""
        if not self.tries_first and self.first_step is not None:
            probed = probed_by_step(self.plan, self.trainer.layout, self.device, self.first_step)
            self.samples.time.run_seconds = probed.run_seconds
            self.context.write(probed)
        if not self.looks and not self.context.stopping:
            with without_adapter(self.model):
                self.look_at(0)
            self._phase("training", N_("Learning from the examples."))

    def _prepare_objective(self) -> None:
        """Let the objective look at the model as it begins, with less at once where memory runs out. What rank 0 finds
        the others read."""
        if not self.ranks.is_main:
            self.ranks.wait()
        ready = False
        while not ready:
            try:
                with self.context.interruptible():
                    self.plan.objective.prepare(
                        self.context,
                        self.run,
                        self.model,
                        self.plan.dataset,
                        self.plan.held_out,
                        self.device,
                        self.trainer.pieces.at_once,
                    )
                ready = True
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            if not ready:
                self.trainer.pieces.shrink()
        if self.ranks.is_main:
            self.ranks.wait()

    def _try_longest(self) -> None:
        """Compute less at once until the longest examples fit. Raises `ProblemError` where one alone doesn't."""
        fits = False
        while not fits:
            try:
                probed = try_longest(self.context, self.trainer, self.plan, self.device)
                self.samples.time.run_seconds = probed.run_seconds
                fits = True
            except ProblemError as error:
                if error.problem.code != "memory.trial_failed":
                    raise
            if not fits:
                self.trainer.pieces.shrink()

    def _looks_at(self, step: int) -> bool:
        """Whether the examples set aside are looked at after `step`."""
        return step % self.plan.save_steps == 0 or step == self.plan.total_steps

    def score(self, step: int) -> float | None:
        """The loss over the held-out examples, told as an event; None when there are none or it can't be done."""
        if not self.scores:
            return None
        began = time.monotonic()
        text = N_("Looking at the examples set aside.")
        if not self.context.stopping:
            self.context.phase("evaluating", text)
        try:
            stopping = self.context.stopping
            with contextlib.nullcontext() if stopping else self.context.interruptible():
                found = self.plan.objective.score(
                    self.model, self.plan.held_out, self.trainer.pieces.at_once, self.device
                )
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.scores = False
            self.context.notice(
                "evaluation.no_memory",
                N_("There isn't enough memory to look at the examples set aside. Training goes on without."),
            )
            return None
        except StopRequested:  # what was learned is saved without it
            return None
        self.scoring_seconds = time.monotonic() - began
        if not math.isfinite(found.loss):
            return None
        count = len(self.plan.held_out.encoded)
        model = THIS_RUN if step or self.plan.recipe.model.parent else BASE
        self.context.write(
            Evaluated(step=step, loss=found.loss, examples=count, model=model, preference=found.preference)
        )
        return found.loss

    def _ask_samples(self, step: int) -> None:
        """Let the model answer a few questions, if there is memory for it and nobody waits for an end."""
        if self.context.stopping:
            return
        try:
            with self.context.interruptible(), autocast(self.device):
                self.samples.ask(step)
        except StopRequested:
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.samples.give_up()
            self.context.notice(
                "samples.no_memory",
                N_("There isn't enough memory to answer questions meanwhile. Training goes on without."),
            )

    def look_at(self, step: int) -> float | None:
        """Score after `step`, and end the training where its patience is over."""
        loss = self.score(step)
        self._ask_samples(step)
        if loss is None:
            return None
        self.looks.append((step, loss))
        patience, best = self.plan.recipe.training.patience, min(self.looks, key=lambda look: (look[1], look[0]))[0]
        in_vain = sum(at > max(best, self.extended_after) for at, _ in self.looks)
        if patience and in_vain >= patience and step < self.plan.total_steps:
            self.callback.enough = True
            self.context.notice(
                "training.enough",
                N_(
                    "The error on the examples set aside wasn't lower than at step {best} for {count} looks in a row, "
                    "so the training ends early, at step {step} of {total}. The best version is kept."
                ),
                best=best,
                count=in_vain,
                step=step,
                total=self.plan.total_steps,
            )
        return loss

    def save(self, step: int) -> None:
        """Save what was learned until `step`, which is scored before unless it is saved because of the time alone."""
        looks = self._looks_at(step)
        in_haste = self.context.stopping and self.scoring_seconds > QUICK
        by_time = not looks and not self.context.stopping and self.checkpoints.is_due
        loss = None if in_haste or by_time else self.look_at(step) if looks else self.score(step)
        if looks and self.checkpoints.is_costly_now and not self._must_be_saved(step, loss):
            return
        self._phase("saving", N_("Saving what was learned so far."))
        self.unsaved = save_patiently(
            self.context, lambda: self.checkpoints.save(self.trainer, loss), self.checkpoints.needs(self.trainer)
        )
        if step < self.plan.total_steps:
            self._phase("training", N_("Learning from the examples."))

    def _must_be_saved(self, step: int, loss: float | None) -> bool:
        """Whether there has to be a save point after `step` although saving takes long here: a person wants it, it is
        the best so far, or the training ends."""
        by_hand = self.plan.save_steps != default_save_steps(self.plan.course_ends[0])
        best = loss is not None and loss < self.checkpoints.best_loss
        return by_hand or best or self.context.stopping or self.callback.enough or step >= self.plan.total_steps

    def _watch(self, done: StepDone) -> None:
        self.first_step = self.first_step or done
        self._tell_counts()
        if self.spike.take(done.loss):
            self.checkpoints.pin(self.checkpoints.last_step)
            self.context.notice(
                "loss.spike",
                N_(
                    "The error jumped to {loss} at step {step}. Often that passes. The save point from before is kept, "
                    "and the best one is used in any case."
                ),
                loss=round(done.loss, 3),
                step=done.step,
            )

    def _phase(self, phase: str, text: str) -> None:
        if not self.context.stopping:
            self.context.phase(phase, text)

    def _tell_counts(self) -> None:
        """Tell what became of all examples as soon as the last of them is tokenized, beside the training."""
        complete = None if self.counted else self.plan.dataset.completed()
        if complete is None:
            return
        self.counted = True
        for adaptation in complete.adaptations:
            if adaptation not in self.plan.dataset.adaptations:
                self.context.notice("template.adapted", adaptation.text, **adaptation.values)
        tell_unused_words(self.context, self.plan.recipe, self.plan.base, complete)
        self.plan = replace(self.plan, dataset=complete)
        self._tell_plan()

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
                epochs=plan.epochs,
                layout=self.trainer.layout.value,
                attention=attention_of(self.model, self.trainer.layout),
                tf32=bool(self.trainer.args.tf32),
            )
        )
