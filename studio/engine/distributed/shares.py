"""Which examples of a step each process computes.

A step has the very examples that it has in one process. They are dealt by length, so that each process has as many of
them, give or take one, and about as many tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol


class Order(Protocol):
    """The order of the examples in one pass after another, as one process goes through them."""

    def __iter__(self) -> Iterator[int]: ...

    def __len__(self) -> int: ...

    def set_epoch(self, epoch: int) -> None: ...


@dataclass(frozen=True)
class Division:
    """How a step of `examples` is divided among `world_size` processes, of which each computes at most `batch` at once.
    What a recipe says of a step, batch and gradient accumulation, stays true for all of them together."""

    examples: int
    batch: int
    world_size: int

    @property
    def at_once(self) -> int:
        """Examples that a process computes at once, at most."""
        return min(self.batch, math.ceil(self.examples / self.world_size))

    def batches(self, examples: int) -> int:
        """How many batches each process computes of a step with so many examples: the same for all of them."""
        return math.ceil(math.ceil(examples / self.world_size) / self.at_once)

    @property
    def gradient_accumulation_steps(self) -> int:
        return self.batches(self.examples)


class StepShares:
    """Batches of positions for one process, a batch sampler. One is empty where a step has nothing left for it."""

    def __init__(self, order: Order, lengths: Sequence[int], division: Division, rank: int) -> None:
        self.sampler = order
        """By this name the libraries find whom to tell which pass it is."""
        self._lengths = lengths
        self._division = division
        self._rank = rank

    @property
    def batch_size(self) -> int:
        return self._division.at_once

    drop_last = False

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self._division.examples)
        return whole * self._division.gradient_accumulation_steps + (self._division.batches(rest) if rest else 0)

    def __iter__(self) -> Iterator[list[int]]:
        order = iter(self.sampler)
        while step := list(islice(order, self._division.examples)):
            yield from in_batches(self.dealt(step)[self._rank], self._division.batches(len(step)))

    def dealt(self, step: Sequence[int]) -> list[list[int]]:
        """The examples of a step for each rank, longest first: back and forth, so that nobody has all the long ones."""
        ordered = sorted(step, key=lambda position: self._lengths[position], reverse=True)
        hands: list[list[int]] = [[] for _ in range(self._division.world_size)]
        for start in range(0, len(ordered), len(hands)):
            round_ = ordered[start : start + len(hands)]
            turned = start // len(hands) % 2 == 1
            for place, position in enumerate(round_):
                hands[-1 - place if turned else place].append(position)
        return hands


def in_batches(positions: Sequence[int], count: int) -> Iterator[list[int]]:
    """`positions` in `count` parts of as many, give or take one; the last ones are empty where there are fewer."""
    least, more = divmod(len(positions), count)
    start = 0
    for number in range(count):
        end = start + least + (number < more)
        yield list(positions[start:end])
        start = end
