"""What is known of the examples of a run without reading them: how many there are, and what they were."""

from __future__ import annotations

import hashlib
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.run_folder import RunFolder


class DataFingerprint(BaseModel):
    """Of the frozen examples of a run: `examples` to train on and `held_out` for checking, None where that isn't known,
    with the SHA-256 of the file of each, "" where that isn't. `rehearsal` answers of the base model come to those to
    train on; they are none of the examples."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    train_sha256: str = ""
    held_out_sha256: str = ""
    examples: int | None = None
    held_out: int | None = None
    rehearsal: int = 0
    rehearsal_sha256: str = ""

    @classmethod
    def read(cls, run: RunFolder) -> Self:
        """An empty one where the run has none, or none that can be read."""
        try:
            return cls.model_validate_json(run.fingerprint.read_bytes())
        except (OSError, ValidationError):
            return cls()

    @property
    def count(self) -> int | None:
        """All examples, those set aside too; None where that isn't known."""
        return None if self.examples is None or self.held_out is None else self.examples + self.held_out

    @property
    def whole(self) -> str:
        """SHA-256 over all examples, those set aside too; "" where that of the others isn't known."""
        both = f"{self.train_sha256} {self.held_out_sha256}"
        return hashlib.sha256(both.encode()).hexdigest() if self.train_sha256 else ""


def needs_questions(run: RunFolder) -> bool:
    """Whether `run` came without examples to test it with, and none were chosen since."""
    return run.origin.is_file() and not DataFingerprint.read(run).held_out
