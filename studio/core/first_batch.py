"""The first batch of a training, as the trainer makes it: what a dry run leaves behind."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict

from studio.core.preparation import DatasetCounts
from studio.core.translatable import Sentence

FIRST_BATCH = "first_batch.json"
"""Its name in the folder of the job."""


class FirstBatch(DatasetCounts):
    """`input_ids`, `labels` and `attention_mask` are [examples in the batch, longest of them], padded at the right with
    id 0, label -100 and mask 0. A label of -100 isn't learned.

    `example_numbers` says which of the frozen examples each row is, counted from 1 in the order of
    `data/train.jsonl`; one that was split may stand there more than once, one whose answers are compared has two rows,
    and 0 is one of the base model's own answers. The counts are those of the whole run, as when it is prepared;
    `adaptations` say what this model's chat template made necessary.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_ids: tuple[tuple[int, ...], ...]
    labels: tuple[tuple[int, ...], ...]
    attention_mask: tuple[tuple[int, ...], ...]
    example_numbers: tuple[int, ...]
    limit: int
    held_out: int
    total_steps: int
    steps_per_epoch: int
    batch_size: int
    gradient_accumulation_steps: int
    adaptations: tuple[Sentence, ...] = ()


def read_first_batch(folder: Path) -> FirstBatch:
    """Raises OSError and pydantic's ValidationError."""
    return FirstBatch.model_validate_json((folder / FIRST_BATCH).read_bytes())
