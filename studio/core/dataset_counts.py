"""How many examples and tokens are trained on."""

from __future__ import annotations

from pydantic import BaseModel


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
