"""What the check of an export found."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.translatable import Sentence

NEVER_ENDS = "export.never_ends"
"""The fault of a run whose own answers don't end. An export of it answers as it was asked to, and is kept."""


class ExportFault(BaseModel):
    """Something that is known to be wrong with an export. `code` names its kind for programs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    text: Sentence


class ExportCheck(BaseModel):
    """An export, loaded as `program` loads it, beside the run's own model on the same questions.

    `same` answers are equal token by token, with the token that ends them. `kl` is the mean Kullback-Leibler divergence
    of the export's distribution of the next token from the run's, in nats, over all tokens of the run's answers;
    `top_one` is the share of these tokens where both hold the same one likeliest. None where it wasn't computed.
    `passed` says whether the limits for its format are kept and the export has no fault of its own.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    program: Literal["transformers", "peft-4bit", "peft-16bit", "llama.cpp", "llama.cpp-flash-attention"]
    questions: int
    same: int
    kl: float | None = None
    top_one: float | None = None
    faults: tuple[ExportFault, ...] = ()
    passed: bool = True
