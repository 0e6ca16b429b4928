"""Teaching: from a frozen run folder to an add-on, with everything that happens told as events."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import torch
import transformers
from transformers import AutoTokenizer
from trl import SFTConfig

from studio.core.automatic import Facts, resolved
from studio.core.events import Ending, Evaluated, Prepared, Stopped
from studio.core.model_choice import Source
from studio.core.problems import Remedy, problem
from studio.core.recipe import Optimizer, Recipe, load
from studio.core.run import JobFolder, RunFolder
from studio.core.words import N_
from studio.data.base_model import ModelFacts, locate, model_facts
from studio.data.encode import Encoder
from studio.data.examples import read_frozen
from studio.engine import device as devices
from studio.engine.checkpoint import SavePoints
from studio.engine.device import Device
from studio.engine.lessons import Lessons, SimilarLengths, as_rows, encode_all
from studio.engine.model import add_adapter, count_parameters, load_base
from studio.engine.report import Report, StopRequested, is_out_of_memory
from studio.engine.teacher import Conduct, Teacher, held_out_loss

if TYPE_CHECKING:
    from peft import PeftModel

STARTER_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The starter model's own name, under which other programs find it."""

QUICK = 8.0
"""Seconds that scoring the held-out examples may take after somebody asked to stop."""


@dataclass(frozen=True)
class Plan:
    """The recipe with everything decided, and what follows from it. Steps are optimizer steps."""

    recipe: Recipe
    base: Path
    lessons: Lessons
    held_out: Lessons
    optimizer: str
    batch: int
    accumulation: int
    steps_per_pass: int
    total_steps: int
    save_every: int


def train(report: Report, folder: JobFolder) -> Ending | None:
    """Teach the run in `folder`. Raises `ProblemError`; a stop keeps what was learned when it says so."""
    run = RunFolder(folder.path)
    with report.interruptible():
        report.phase("reading", N_("Reading the examples."))
        recipe = load(run.recipe)
        base = locate(recipe.model)
        facts = model_facts(base)
        lessons, held_out = _encode(recipe, base, facts, run)
        device = devices.choose(recipe.method.compute_dtype)
        report.write(device.as_event())
        plan = _plan(report, recipe, base, facts, lessons, held_out, device)
        report.phase("loading", N_("Loading the base model."), long=True)
        transformers.set_seed(recipe.training.seed)
        model = add_adapter(load_base(base, recipe.method, device), recipe.method)
    return _Teaching(report, run, plan, model, device).go()


def _encode(recipe: Recipe, base: Path, facts: ModelFacts, run: RunFolder) -> tuple[Lessons, Lessons]:
    limit = min(recipe.training.max_length, facts.context_length or recipe.training.max_length)
    encoder = Encoder.from_folder(base, limit, recipe.training.learn_from)
    lessons = encode_all(encoder, read_frozen(run.train_data))
    held_out = encode_all(encoder, read_frozen(run.held_out_data) if run.held_out_data.is_file() else [])
    if not lessons.encoded:
        raise problem(
            "data.nothing_to_learn",
            N_("None of the {count} examples has anything left to learn from."),
            N_("Each is cut off before its answer begins, or has no answer."),
            N_('Allow longer examples with "Longest example kept whole", or choose other columns.'),
            remedy=Remedy.see_settings,
            count=lessons.nothing_left,
        )
    return lessons, held_out


def _plan(
    report: Report,
    recipe: Recipe,
    base: Path,
    facts: ModelFacts,
    lessons: Lessons,
    held_out: Lessons,
    device: Device,
) -> Plan:
    known = Facts(
        examples=len(lessons.encoded) + len(held_out.encoded),
        parameters=facts.parameters,
        cuda=device.is_cuda,
        windows=sys.platform == "win32",
    )
    recipe = resolved(recipe, known)
    training = recipe.training
    assert training.passes and training.batch_size and training.accumulation and training.optimizer
    batch = min(training.batch_size, len(lessons.encoded))
    batches = math.ceil(len(lessons.encoded) / batch)
    steps = math.ceil(batches / training.accumulation)
    total = max(1, math.ceil(training.passes * steps))
    return Plan(
        recipe=recipe,
        base=base,
        lessons=lessons,
        held_out=held_out,
        optimizer=optimizer_for(report, training.optimizer, device),
        batch=batch,
        accumulation=training.accumulation,
        steps_per_pass=steps,
        total_steps=total,
        save_every=training.save_every or math.ceil(total / (10 if total >= 200 else 4)),
    )


def optimizer_for(report: Report, wanted: Optimizer, device: Device) -> str:
    """The name by which transformers knows the optimizer that works here; says so where it isn't the wanted one."""
    if not device.is_cuda:
        report.notice(
            "optimizer.no_paging",
            N_(
                "Paging optimizer memory out of the way needs an NVIDIA card. This run computes on the processor and "
                "uses plain AdamW, which learns the same."
            ),
        )
        return "adamw_torch_fused"
    if wanted is Optimizer.adamw:
        return "adamw_torch_fused"
    if sys.platform == "win32" or devices.under_wsl():
        # Managed memory can't be oversubscribed there, so paging brings nothing.
        if wanted is not Optimizer.adamw_8bit:
            report.notice(
                "optimizer.no_paging",
                N_("Paging optimizer memory doesn't work under Windows. This run uses 8-bit AdamW without it."),
            )
        return "adamw_8bit"
    return wanted.value


def base_name(recipe: Recipe, base: Path) -> str:
    """What the add-on says it belongs to: a name on the Hub where there is one, else the folder."""
    if recipe.model.source is Source.starter:
        return STARTER_NAME
    return recipe.model.name.strip() if recipe.model.source is Source.hub else str(base)


class _Teaching:
    """The part of the job that has a model."""

    def __init__(self, report: Report, run: RunFolder, plan: Plan, model: PeftModel, device: Device) -> None:
        self.report = report
        self.plan = plan
        self.model = model
        self.device = device
        self.scores = bool(plan.held_out.encoded)
        self.scoring_seconds = 0.0
        self.save_points = SavePoints(report, run, plan.base, base_name(plan.recipe, plan.base))
        self.conduct = Conduct(report, device, self.save, plan.save_every)
        self.trainer = self._trainer(run)
        self.conduct.step = self.trainer.step

    def go(self) -> Ending | None:
        self._tell_plan()
        try:
            with self.report.interruptible():
                self.score(0)
            self.report.phase("training", N_("Learning from the examples."))
            self.trainer.train()
        except StopRequested:
            pass  # in the middle of a step, which has changed nothing yet
        done = self.conduct.done
        if self.report.stopping and done < self.plan.total_steps:
            if self.report.keep and done > self.save_points.last_step:
                self.save(done)
            return Stopped(step=done if self.report.keep else self.save_points.last_step)
        if done > self.save_points.last_step:
            self.save(done)
        return None

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
        side = "before" if step == 0 else "after"
        count = len(self.plan.held_out.encoded)
        self.report.write(Evaluated.model_validate({"step": step, "loss": loss, "examples": count, "side": side}))
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
            "schedule": self.trainer.lr_scheduler.state_dict(),
            "epoch": self.trainer.state.epoch,
        }

    def _trainer(self, run: RunFolder) -> Teacher:
        plan, training, device = self.plan, self.plan.recipe.training, self.device
        arguments = SFTConfig(
            output_dir=str(run.path / "trainer"),  # never written to: saving is done here
            per_device_train_batch_size=plan.batch,
            gradient_accumulation_steps=plan.accumulation,
            max_steps=plan.total_steps,
            learning_rate=training.learning_rate,
            lr_scheduler_type=training.schedule,
            warmup_steps=math.ceil(training.warmup * plan.total_steps) if training.warmup else 0,
            weight_decay=training.weight_decay,
            max_grad_norm=training.max_grad_norm,
            optim=plan.optimizer,
            activation_checkpointing=bool(training.activation_checkpointing),
            gradient_checkpointing=bool(training.activation_checkpointing),
            bf16=device.dtype is torch.bfloat16,
            fp16=device.dtype is torch.float16 and device.is_cuda,
            use_cpu=not device.is_cuda,
            seed=training.seed,
            data_seed=training.seed,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            logging_nan_inf_filter=False,
            logging_strategy="no",
            save_strategy="no",
            eval_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        encoded = plan.lessons.encoded
        trainer = Teacher(
            report=self.report,
            device=device,
            order=lambda: SimilarLengths(plan.lessons.lengths, plan.batch, training.seed),
            model=self.model,
            args=arguments,
            train_dataset=datasets.Dataset.from_list(as_rows(encoded)),
            processing_class=AutoTokenizer.from_pretrained(plan.base, local_files_only=True, trust_remote_code=False),
            callbacks=[self.conduct],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        return trainer

    def _tell_plan(self) -> None:
        plan, training = self.plan, self.plan.recipe.training
        trainable, total = count_parameters(self.model)
        self.report.write(
            Prepared(
                examples=len(plan.lessons.encoded),
                held_out=len(plan.held_out.encoded),
                tokens=plan.lessons.tokens,
                learned_tokens=plan.lessons.learned_tokens,
                cut=plan.lessons.cut,
                nothing_left=plan.lessons.nothing_left,
                total_steps=plan.total_steps,
                steps_per_pass=float(plan.steps_per_pass),
                batch_size=plan.batch,
                accumulation=plan.accumulation,
                trainable_parameters=trainable,
                all_parameters=total,
                optimizer="adamw" if plan.optimizer == "adamw_torch_fused" else plan.optimizer,
                learning_rate=training.learning_rate or 0.0,
                passes=training.passes or 0.0,
            )
        )
