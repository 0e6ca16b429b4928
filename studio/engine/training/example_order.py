"""The order of the examples: it depends on the seed and the epoch alone, the batches on the order alone.

Without torch: the process that tokenizes ahead of the training goes by the same order.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

MEGABATCH = 8
"""Batches among which examples are sorted by length: enough to pad little, few enough to keep the order random."""


class ExampleOrder:
    """Every example once a pass, shuffled, with similar lengths side by side so that little is padding.

    Which batches there are, and which comes when, is known by the number of examples; which examples a batch has, when
    the lengths of its megabatch are, `MEGABATCH` batches of them, and they aren't asked for earlier. The first batch
    with one of the `longest` examples, which are all that have the greatest length, comes first in the first pass, so
    that a run that needs too much memory says so at once.
    """

    def __init__(self, count: int, batch: int, seed: int, epoch: int, longest: Sequence[int]) -> None:
        self._batch = batch
        order = list(range(count))
        chance = random.Random(f"{seed}-{epoch}")
        chance.shuffle(order)
        span = batch * MEGABATCH
        self._parts = [order[start : start + span] for start in range(0, count, span)]
        batches = [(number, start) for number, part in enumerate(self._parts) for start in range(0, len(part), batch)]
        last = [batches.pop()] if count % batch else []  # a short batch only works as the last one
        chance.shuffle(batches)
        if epoch == 0 and batches:
            first = set(longest)
            among = Counter(number for number, part in enumerate(self._parts) for one in part if one in first)
            fitting = [at for at, (number, start) in enumerate(batches) if start < among[number]]
            if fitting:
                batches.insert(0, batches.pop(fitting[0]))
        self._batches = batches + last

    def megabatches(self) -> Iterator[Sequence[int]]:
        """The examples among which each batch is found, in the order of the batches; each time once."""
        seen: set[int] = set()
        for number, _ in self._batches:
            if number not in seen:
                seen.add(number)
                yield self._parts[number]

    def positions(self, lengths: Sequence[int]) -> Iterator[int]:
        """All examples in their order."""
        by_length: dict[int, list[int]] = {}
        for number, start in self._batches:
            if number not in by_length:
                by_length[number] = sorted(self._parts[number], key=lambda one: lengths[one], reverse=True)
            yield from by_length[number][start : start + self._batch]
