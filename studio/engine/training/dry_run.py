"""The first batch of a run, made by the very trainer that would train on it, without the model's weights."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from studio.core.events import Ending
from studio.core.first_batch import FIRST_BATCH, FirstBatch
from studio.core.jobs import DryRun
from studio.core.run_folder import RunFolder
from studio.core.storage import write_text
from studio.core.translatable import N_
from studio.engine.device import Device
from studio.engine.job_context import JobContext
from studio.engine.objectives.objective import INFO, Batch
from studio.engine.training.plan import plan_of
from studio.engine.training.trainer import trainer_for


def dry_run(context: JobContext, job: DryRun) -> Ending | None:
    """Write `first_batch.json` into this job's folder. Raises `ProblemError` as a training would."""
    run = RunFolder(job.run)
    with context.interruptible():
        context.phase("reading", N_("Reading the examples."))
        plan, _ = plan_of(context, run)
        dataset = plan.dataset.complete()
        # Which examples come first, and how they are put side by side, doesn't depend on weights. The trainer wants a
        # model, so it gets one of a few numbers, on the processor.
        here = Device(torch.device("cpu"), "", torch.float32, None)
        trainer = trainer_for(context, RunFolder(context.folder.path), plan, _smallest_model(), here)
        taken: Batch = next(iter(trainer.get_train_dataloader()))
        batch = plan.objective.collate(taken[INFO].rows)  # each example in a row of its own, however it is computed
    rows = _rows(batch["input_ids"])
    positions = batch[INFO].positions
    sequences = len(rows) // len(positions)  # answers that are compared are two each
    numbers = [plan.dataset.example_number(position) for position in positions for _ in range(sequences)]
    first = FirstBatch(
        **dataset.counts.model_dump(),
        input_ids=rows,
        labels=_rows(batch["labels"]),
        attention_mask=_rows(batch["attention_mask"]),
        example_numbers=tuple(numbers),
        limit=plan.limit,
        held_out=len(plan.held_out.encoded),
        total_steps=plan.total_steps,
        steps_per_epoch=plan.steps_per_epoch,
        batch_size=plan.batch,
        gradient_accumulation_steps=plan.gradient_accumulation_steps,
        adaptations=dataset.adaptations,
    )
    write_text(context.folder.path / FIRST_BATCH, first.model_dump_json())
    return None


def _smallest_model() -> Any:
    config = LlamaConfig(
        vocab_size=8,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    return LlamaForCausalLM(config)


def _rows(values: torch.Tensor) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(value) for value in row) for row in values.flatten(0, -2).tolist())
