"""What a training tells of itself before its first step: how many examples and tokens it learns from, and how it
computes its batches."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class DatasetCounts(BaseModel):
    """Examples as they are trained on, counted after tokenizing. `tokens` are all that are read, `label_tokens` those
    that are learned.

    `cut` examples lose their end to the length limit; `nothing_left` have no answer token left and are skipped;
    `left_out` are too long and skipped whole; `divided` were split into several. `examples` counts what is trained
    on after that, the other four examples as they were given. `rehearsal` counts the base model's own answers that are
    trained on beside them; their tokens are among `tokens` and `label_tokens`.
    """

    examples: int
    tokens: int
    label_tokens: int
    cut: int
    nothing_left: int
    left_out: int = 0
    divided: int = 0
    rehearsal: int = 0

    def plus(self, other: DatasetCounts) -> DatasetCounts:
        """Of both together."""
        return DatasetCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in DatasetCounts.model_fields}
        )


class Computation(BaseModel):
    """`layout` says how examples lie in a batch: one after the other in a row, or one a row, with or without a mask of
    what is padded. `attention` is `varlen` or what transformers calls it. `tf32`: whether products of 32-bit numbers
    have fewer digits, as cards compute them faster. Empty in journals from before it was told."""

    model_config = ConfigDict(frozen=True)

    layout: Literal["", "packed", "unmasked", "padded"] = ""
    attention: str = ""
    tf32: bool = False
