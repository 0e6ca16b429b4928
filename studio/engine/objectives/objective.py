"""What a training asks of its objective. Its settings are an entry in `studio/core/recipe/objective.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.example_scores import ExampleScore, PreferenceScores
from studio.core.recipe.objective import ObjectiveSettings
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.engine.device import Device
from studio.engine.job_context import JobContext
from studio.engine.methods.base_model import Network
from studio.engine.objectives.supervised import (
    SummedLoss,
    TokenizedDataset,
    TrainingRows,
    collate,
    held_out_loss,
    moved,
    pack,
    row_log_probabilities,
    supervised_loss,
    tokenize_frozen,
)

Batch = dict[str, Any]
"""Tensors by name, most with one entry an example along their first dimension; the `Labels`; and `INFO`."""

Row = dict[str, Any]
"""What a batch is made of: the tokens of an example, and where it stands among those that are trained on."""

POSITION = "position"
"""In rows: where an example stands among those that are trained on, counted from 0."""

INFO = "info"
"""In batches: their `BatchInfo`."""


@dataclass(frozen=True)
class BatchInfo:
    """What is known of a batch without asking the card that it lies on: the `rows` that it was made of, how many
    `tokens` they have without padding, and how many labels, or examples, the `count` is that the loss is summed over.
    """

    rows: tuple[Row, ...]
    tokens: int
    count: int

    @property
    def positions(self) -> tuple[int, ...]:
        """Where its examples stand among those that are trained on."""
        return tuple(int(row[POSITION]) for row in self.rows if POSITION in row)


def part_of(batch: Batch, start: int, end: int, collate: Callable[[Sequence[Row]], Batch]) -> Batch:
    """The examples from `start` up to `end` of a batch that `collate` made, padded no further than they need, and what
    was added to the batch since for each example. The batch itself where that is all of it."""
    if start == 0 and end >= len(batch[INFO].rows):
        return dict(batch)
    part = collate(batch[INFO].rows[start:end])
    added = {name: value[start:end] for name, value in batch.items() if name not in part}
    return {**moved(part, batch["input_ids"].device), **added}


@dataclass(frozen=True)
class HeldOutScore:
    """`loss` is the mean that `TrainingObjective.loss` gives, over all that it counts."""

    loss: float
    preference: PreferenceScores | None = None


class TrainingObjective(ABC):
    """What is learned from examples, from their tokens to the loss."""

    def __init__(self, settings: ObjectiveSettings) -> None:
        self._settings = settings

    @property
    def settings(self) -> ObjectiveSettings:
        return self._settings

    @abstractmethod
    def tokenize_frozen(
        self,
        file: Path,
        recipe: Recipe,
        base: Path,
        tokenizer: Path | None = None,
        told: Callable[[int, int], None] = lambda done, of: None,
    ) -> TokenizedDataset:
        """See `supervised.tokenize_frozen`."""

    @abstractmethod
    def rows(self, dataset: TokenizedDataset) -> Sequence[Row]: ...

    @abstractmethod
    def collate(self, rows: Sequence[Row]) -> Batch: ...

    def pack(self, rows: Sequence[Row]) -> Batch:
        """A batch of one row, in which the examples stand one after the other; only where `packs`."""
        raise NotImplementedError

    @property
    def packs(self) -> bool:
        """Whether examples may stand in one row."""
        return False

    def count(self, batches: Sequence[Batch]) -> int:
        """What the loss of a step is the mean over."""
        return sum(batch[INFO].count for batch in batches)

    def complete(self, model: Network, batch: Batch, at_once: int, head_of: Network, *, tiled: bool) -> None:
        """Add to a batch what its loss takes and only all of it together tells, computing `at_once` examples at a
        time."""
        return

    @abstractmethod
    def loss(self, model: Network, inputs: Batch, head_of: Network | None = None, *, tiled: bool = False) -> SummedLoss:
        """Summed over what `count` counts. `head_of` is the model that owns the head where `model` is a wrapper;
        `tiled` says that TRL's own head may be asked, which never holds all scores at once."""

    def needs_beginning(self, run: RunFolder) -> bool:
        """Whether `prepare` has to see the model as it began, also where the training goes on."""
        return False

    def prepare(
        self,
        context: JobContext,
        run: RunFolder,
        model: Network,
        dataset: TokenizedDataset,
        held_out: TokenizedDataset,
        device: Device,
        at_once: int,
    ) -> None:
        """Find out what has to be known of the model before it learns anything. May run out of memory, and be called
        again with less `at_once`."""
        return

    @abstractmethod
    def score(self, model: Network, held_out: TokenizedDataset, at_once: int, device: Device) -> HeldOutScore:
        """Over `held_out`, with the model as it is, which is left so."""

    @abstractmethod
    def example_scores(
        self, model: Network, held_out: TokenizedDataset, at_once: int, device: Device
    ) -> tuple[ExampleScore, ...]:
        """How likely `model` holds each example; empty where answers say more than that."""


class SupervisedObjective(TrainingObjective):
    """Answers, and plain text, token by token."""

    def tokenize_frozen(
        self,
        file: Path,
        recipe: Recipe,
        base: Path,
        tokenizer: Path | None = None,
        told: Callable[[int, int], None] = lambda done, of: None,
    ) -> TokenizedDataset:
        return tokenize_frozen(file, recipe, base, tokenizer, told)

    def rows(self, dataset: TokenizedDataset) -> Sequence[Row]:
        return TrainingRows(dataset.encoded)

    def collate(self, rows: Sequence[Row]) -> Batch:
        return self._told(collate(rows), rows)

    def pack(self, rows: Sequence[Row]) -> Batch:
        return self._told(pack(rows), rows)

    @property
    def packs(self) -> bool:
        return True

    def _told(self, batch: Batch, rows: Sequence[Row]) -> Batch:
        tokens = sum(len(row["input_ids"]) for row in rows)
        return {**batch, INFO: BatchInfo(tuple(rows), tokens, len(batch["scored"]))}

    def loss(self, model: Network, inputs: Batch, head_of: Network | None = None, *, tiled: bool = False) -> SummedLoss:
        return supervised_loss(model, inputs, head_of, tiled=tiled)

    def score(self, model: Network, held_out: TokenizedDataset, at_once: int, device: Device) -> HeldOutScore:
        return HeldOutScore(held_out_loss(model, held_out.encoded, at_once, device))

    def example_scores(
        self, model: Network, held_out: TokenizedDataset, at_once: int, device: Device
    ) -> tuple[ExampleScore, ...]:
        if not all(one.plain for one in held_out.encoded):
            return ()
        found = row_log_probabilities(model, held_out.encoded, at_once, device)
        sums: dict[int, tuple[float, int]] = {}
        for number, encoded, one in zip(held_out.examples, held_out.encoded, found.tolist(), strict=True):
            total, tokens = sums.get(number, (0.0, 0))
            sums[number] = (total + one, tokens + encoded.label_tokens)
        return tuple(ExampleScore(first=total, tokens=tokens) for total, tokens in sums.values())
