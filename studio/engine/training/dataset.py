"""What is learned, in which order, and how several examples are put side by side. Nothing here is random twice:
the order depends on the seed and the pass alone, the batches on the order alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

from studio.core.translatable import Sentence
from studio.dataset.examples import Example
from studio.tokenization.encoding import NOT_LEARNED, Encoded, Encoder
from studio.tokenization.truncation import Truncation, truncate

MEGABATCH = 8
"""Batches among which examples are sorted by length: enough to pad little, few enough to keep the order random."""


@dataclass(frozen=True)
class TokenizedDataset:
    """Encoded examples with something to learn.

    `examples` says which example each of them is made of, counted from 0: one that was split makes several. Counted in
    examples: `cut` lost their end, `nothing_left` lost all there was to learn, `left_out` were too long and are left
    out whole, `divided` became several. `adaptations` say what the model's chat template made necessary.
    """

    encoded: tuple[Encoded, ...]
    cut: int
    nothing_left: int
    left_out: int = 0
    divided: int = 0
    examples: tuple[int, ...] = ()
    adaptations: tuple[Sentence, ...] = ()

    @property
    def tokens(self) -> int:
        return sum(len(e.ids) for e in self.encoded)

    @property
    def learned_tokens(self) -> int:
        return sum(e.label_tokens for e in self.encoded)

    @property
    def lengths(self) -> list[int]:
        return [len(e.ids) for e in self.encoded]


def encode_all(encoder: Encoder, examples: Sequence[Example], truncation: Truncation = "cut") -> TokenizedDataset:
    """Raises `ProblemError` when the model's template refuses an example."""
    encoded: list[Encoded] = []
    numbers: list[int] = []
    cut = nothing_left = left_out = divided = 0
    for number, example in enumerate(examples):
        parts = truncate(encoder, example, truncation)
        useful = [part for part in parts if part.label_tokens > 0]
        cut += any(part.truncated_tokens for part in useful)
        left_out += not parts
        nothing_left += bool(parts) and not useful
        divided += len(useful) > 1
        encoded += useful
        numbers += [number] * len(useful)
    return TokenizedDataset(tuple(encoded), cut, nothing_left, left_out, divided, tuple(numbers), encoder.adaptations)


def collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and `labels`, each [rows, longest], padded at the right.

    The padding's id doesn't matter: it is masked everywhere and never learned.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), NOT_LEARNED, dtype=torch.long)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[number, :length] = torch.tensor(row["input_ids"])
        mask[number, :length] = 1
        labels[number, :length] = torch.tensor(row["labels"])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def as_rows(encoded: Sequence[Encoded]) -> list[dict[str, list[int]]]:
    return [{"input_ids": list(e.ids), "labels": list(e.labels)} for e in encoded]


class LengthGroupedSampler(Sampler[int]):
    """Every example once a pass, shuffled, with similar lengths side by side so that little is padding.

    `seed` and the pass (`set_epoch`) decide the order. The longest batch of the first pass comes first, so that a
    run that needs too much memory says so at once.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths = list(lengths)
        self._batch = batch
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        order = list(range(len(self._lengths)))
        chance = random.Random(f"{self._seed}-{self._epoch}")
        chance.shuffle(order)
        span = self._batch * MEGABATCH
        batches: list[list[int]] = []
        for start in range(0, len(order), span):
            part = sorted(order[start : start + span], key=lambda i: self._lengths[i], reverse=True)
            batches += [part[i : i + self._batch] for i in range(0, len(part), self._batch)]
        last = [batches.pop()] if batches and len(batches[-1]) < self._batch else []
        chance.shuffle(batches)
        if self._epoch == 0 and batches:
            longest = max(range(len(batches)), key=lambda b: max(self._lengths[i] for i in batches[b]))
            batches.insert(0, batches.pop(longest))
        for batch in batches + last:  # a short batch only works as the last one
            yield from batch
