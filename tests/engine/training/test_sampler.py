"""The order of the examples depends on the seed and the epoch alone, and pads little."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from studio.dataset.lazy_sequence import LazySequence
from studio.engine.training.example_order import MEGABATCH, ExampleOrder
from studio.engine.training.sampler import LengthGroupedSampler


def test_each_pass_learns_everything_once_in_an_order_that_depends_on_seed_and_pass_alone() -> None:
    lengths = [n % 17 + 1 for n in range(101)]
    order = LengthGroupedSampler(lengths, 4, seed=3)
    first = list(order)
    assert sorted(first) == list(range(101)) and list(LengthGroupedSampler(lengths, 4, seed=3)) == first
    assert list(LengthGroupedSampler(lengths, 4, seed=4)) != first
    order.set_epoch(1)
    second = list(order)
    assert sorted(second) == list(range(101)) and second != first
    assert max(lengths[i] for i in first[:4]) == max(lengths)  # what needs most memory comes first


def test_every_example_comes_once_a_pass_in_an_order_that_repeats() -> None:
    lengths = [(7 * n) % 50 + 1 for n in range(45)]
    passes = []
    for epoch in (0, 1):
        sampler = LengthGroupedSampler(lengths, 4, seed=3)
        sampler.set_epoch(epoch)
        passes.append(list(sampler))
        assert sorted(passes[-1]) == list(range(45))
        assert list(sampler) == passes[-1]
    assert passes[0] != passes[1]
    batches = [passes[0][i : i + 4] for i in range(0, 45, 4)]
    padded = sum(len(b) * max(lengths[i] for i in b) for b in batches)
    assert padded < 1.25 * sum(lengths)
    assert max(lengths[i] for i in batches[0]) == max(lengths)


class Lengths(LazySequence[int]):
    """Lengths that know which of them were looked at."""

    def __init__(self, lengths: list[int]) -> None:
        self._lengths = lengths
        self.looked_at: set[int] = set()

    def __len__(self) -> int:
        return len(self._lengths)

    def _at(self, positions: range) -> list[int]:
        self.looked_at |= set(positions)
        return [self._lengths[position] for position in positions]


def known_before(lengths: list[int], batch: int, seed: int, epoch: int) -> list[int]:
    """The order as it is when all lengths are known before."""
    order = list(range(len(lengths)))
    chance = random.Random(f"{seed}-{epoch}")
    chance.shuffle(order)
    span = batch * MEGABATCH
    batches: list[list[int]] = []
    for start in range(0, len(order), span):
        part = sorted(order[start : start + span], key=lambda i: lengths[i], reverse=True)
        batches += [part[i : i + batch] for i in range(0, len(part), batch)]
    last = [batches.pop()] if batches and len(batches[-1]) < batch else []
    chance.shuffle(batches)
    if epoch == 0 and batches:
        longest = max(range(len(batches)), key=lambda b: max(lengths[i] for i in batches[b]))
        batches.insert(0, batches.pop(longest))
    return [position for one in batches + last for position in one]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 96, 97, 640, 643])
def test_the_order_is_the_same_as_when_all_lengths_are_known_before(count: int) -> None:
    chance = random.Random(count)
    lengths = [min(40, chance.randrange(1, 60)) for _ in range(count)]  # several are cut at the same limit
    for seed in range(4):
        for epoch in range(2):
            sampler = LengthGroupedSampler(lengths, 4, seed)
            sampler.set_epoch(epoch)
            assert list(sampler) == known_before(lengths, 4, seed, epoch)


def test_lengths_are_looked_at_when_the_order_comes_to_them_and_its_megabatches_are_told_before() -> None:
    lengths = Lengths([n % 13 + 1 for n in range(400)])
    order = ExampleOrder(400, 2, 7, 0, longest=[12])
    for _ in islice(order.positions(lengths), 6):
        pass
    assert len(lengths.looked_at) <= 3 * 2 * MEGABATCH
    first = next(order.megabatches())
    assert 12 in first and set(first) <= lengths.looked_at
    assert sorted(place for part in order.megabatches() for place in part) == list(range(400))
