"""What a run is going to do, and the trainer that does it: the same for a training and for a dry run."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import torch
import transformers
from transformers import AutoTokenizer
from trl import SFTConfig

from studio.core.problems import Remedy, problem
from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.recipe import Recipe, load
from studio.core.recipe.training import Optimizer
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.engine import device as devices
from studio.engine.device import Device
from studio.engine.job_context import JobContext
from studio.engine.objectives.supervised import TokenizedDataset, as_rows, max_tokens, tokenize_held_out, tokenize_train
from studio.engine.training.sampler import LengthGroupedSampler
from studio.engine.training.trainer import StudioTrainer, TrainingCallback
from studio.models.base_model import ModelFacts, locate, model_facts

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True)
class Plan:
    """The recipe with everything decided, and what follows from it.

    Steps are optimizer steps; `limit` is the longest example in tokens.
    """

    recipe: Recipe
    base: Path
    limit: int
    dataset: TokenizedDataset
    held_out: TokenizedDataset
    optimizer: str
    batch: int
    gradient_accumulation_steps: int
    steps_per_epoch: int
    total_steps: int
    save_steps: int


def plan_of(report: JobContext, run: RunFolder) -> tuple[Plan, Device]:
    """Read the run's recipe and examples and decide everything. Raises `ProblemError`."""
    recipe = load(run.recipe)
    base = locate(recipe.model)
    facts = model_facts(base)
    limit = max_tokens(recipe, base)
    lessons, held_out = tokenize_train(run, recipe, base), tokenize_held_out(run, recipe, base)
    _require_examples(lessons, limit)
    device = devices.choose(recipe.method.compute_dtype)
    report.write(device.as_event())
    for said in lessons.adaptations:
        report.notice("template.adapted", said.text, **said.values)
    return _plan(report, recipe, base, facts, limit, lessons, held_out, device), device


def _require_examples(lessons: TokenizedDataset, limit: int) -> None:
    if lessons.encoded:
        return
    if lessons.left_out > lessons.nothing_left:
        raise problem(
            "data.all_left_out",
            N_("All {count} examples are longer than {limit} tokens and left out."),
            N_("Nothing remains to learn from."),
            N_('Allow longer examples with "Longest example kept whole", or let them be cut or split.'),
            remedy=Remedy.see_settings,
            count=lessons.left_out,
            limit=limit,
        )
    raise problem(
        "data.nothing_to_learn",
        N_("None of the {count} examples has anything left to learn from."),
        N_("Each is cut off before its answer begins, or has no answer."),
        N_('Allow longer examples with "Longest example kept whole", or choose other columns.'),
        remedy=Remedy.see_settings,
        count=lessons.nothing_left + lessons.left_out,
    )


def _plan(
    report: JobContext,
    recipe: Recipe,
    base: Path,
    facts: ModelFacts,
    limit: int,
    lessons: TokenizedDataset,
    held_out: TokenizedDataset,
    device: Device,
) -> Plan:
    known = DefaultsContext(
        examples=len(lessons.encoded) + len(held_out.encoded),
        parameters=facts.parameters,
        cuda=device.is_cuda,
        windows=sys.platform == "win32",
    )
    recipe = resolve_defaults(recipe, known)
    training = recipe.training
    assert training.epochs and training.batch_size and training.gradient_accumulation_steps and training.optimizer
    batch = min(training.batch_size, len(lessons.encoded))
    batches = math.ceil(len(lessons.encoded) / batch)
    steps = math.ceil(batches / training.gradient_accumulation_steps)
    total = max(1, math.ceil(training.epochs * steps))
    return Plan(
        recipe=recipe,
        base=base,
        limit=limit,
        dataset=lessons,
        held_out=held_out,
        optimizer=optimizer_for(report, training.optimizer, device),
        batch=batch,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        steps_per_epoch=steps,
        total_steps=total,
        save_steps=training.save_steps or math.ceil(total / (10 if total >= 200 else 4)),
    )


def optimizer_for(report: JobContext, wanted: Optimizer, device: Device) -> str:
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


def trainer_for(
    report: JobContext,
    run: RunFolder,
    plan: Plan,
    model: PeftModel | Any,
    device: Device,
    conduct: TrainingCallback | None = None,
) -> StudioTrainer:
    """The trainer of a run, with its examples in their order. `conduct` listens between two steps."""
    training = plan.recipe.training
    arguments = SFTConfig(
        output_dir=str(run.path / "trainer"),  # never written to: saving is done here
        per_device_train_batch_size=plan.batch,
        gradient_accumulation_steps=plan.gradient_accumulation_steps,
        max_steps=plan.total_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.lr_scheduler,
        warmup_steps=math.ceil(training.warmup_ratio * plan.total_steps) if training.warmup_ratio else 0,
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
    encoded = plan.dataset.encoded
    trainer = StudioTrainer(
        report=report,
        device=device,
        order=lambda: LengthGroupedSampler(plan.dataset.lengths, plan.batch, training.seed),
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(as_rows(encoded)),
        processing_class=AutoTokenizer.from_pretrained(plan.base, local_files_only=True, trust_remote_code=False),
        callbacks=[conduct] if conduct else [],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer
