"""A table to look up: for every model of the catalogue and every size of card, the longest examples that fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from studio.core.recipe.method import MethodName
from studio.core.translatable import N_
from studio.core.workload import Workload
from studio.memory.available import available_of
from studio.memory.estimate import estimate
from studio.models.catalogue import CatalogueModel
from studio.models.shape import ModelShape

CARDS = (6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 80)
"""Gigabytes (of 2^30 bytes), as cards are sold."""

METHODS: tuple[MethodName, ...] = ("full", "lora", "lora-8bit", "qlora")

METHOD_WORDS: dict[MethodName, str] = {
    "full": N_("Everything learns"),
    "lora": N_("LoRA, 16-bit"),
    "lora-8bit": N_("LoRA, 8-bit"),
    "qlora": N_("QLoRA, 4-bit"),
}

SHORTEST, LONGEST, STEP = 128, 131072, 128
"""Tokens. Below the shortest nothing useful fits; where a model doesn't say how far it reaches, the longest counts."""


@dataclass(frozen=True)
class Row:
    """One model and method: tokens of the longest example that fits each of `CARDS`, None where none does."""

    model: str
    parameters: int
    licence: str
    method: MethodName
    longest: tuple[int | None, ...]


def model_by_card(models: Iterable[CatalogueModel], cards: tuple[int, ...] = CARDS) -> tuple[Row, ...]:
    """All rows, one example at a time, computed twice instead of kept, rank 16 on all linear layers."""
    return tuple(
        Row(
            model=model.name,
            parameters=model.parameters,
            licence=model.licence,
            method=method,
            longest=tuple(longest_that_fits(model.shape, method, size << 30) for size in cards),
        )
        for model in models
        for method in METHODS
    )


def longest_that_fits(shape: ModelShape, method: MethodName, total: int) -> int | None:
    """Tokens of the longest example that a card of `total` bytes takes; None when not even a short one fits."""
    return longest_of(shape, usual(method, SHORTEST), total)


def longest_of(shape: ModelShape, work: Workload, total: int) -> int | None:
    """The same for any step of one example, whatever its length is in `work`."""
    available = available_of(total).amount or 0

    def fits(length: int) -> bool:
        return estimate(shape, work.model_copy(update={"length": length})).process <= available

    most = max(SHORTEST, min(shape.max_context or LONGEST, LONGEST))
    if not fits(SHORTEST):
        return None
    if fits(most):
        return most
    low, high = SHORTEST // STEP, most // STEP
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * STEP):
            low = middle
        else:
            high = middle - 1
    return low * STEP


def usual(method: MethodName, length: int, batch: int = 1) -> Workload:
    """The step that the table is about: this program's own settings on a card, everything in its smallest form.

    Full fine-tuning, which needs weights that small steps can change, keeps them in float32 with AdamW's two states:
    16 bytes a parameter before anything is computed.
    """
    if method == "full":
        return Workload(
            method="full", storage_dtype="float32", optimizer="adamw", batch=batch, length=length, padded=batch > 1
        )
    return Workload(method=method, rank=16, batch=batch, length=length, padded=batch > 1)
