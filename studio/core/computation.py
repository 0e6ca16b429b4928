"""How a training computes its batches, as it was chosen for this machine and model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Computation(BaseModel):
    """`layout` says how examples lie in a batch: one after the other in a row, or one a row, with or without a mask of
    what is padded. `attention` is `varlen` or what transformers calls it. `tf32`: whether products of 32-bit numbers
    have fewer digits, as cards compute them faster. Empty in journals from before it was told."""

    model_config = ConfigDict(frozen=True)

    layout: Literal["", "packed", "unmasked", "padded"] = ""
    attention: str = ""
    tf32: bool = False
