"""The order of the examples: it depends on the seed and the epoch alone, the batches on the order alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

MEGABATCH = 8
"""Batches among which examples are sorted by length: enough to pad little, few enough to keep the order random."""


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
