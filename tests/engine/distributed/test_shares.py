"""The examples of a step are divided among processes: each once, evenly, and in as many batches everywhere."""

from __future__ import annotations

import itertools

import pytest

from studio.engine.distributed.shares import Division, StepShares
from studio.engine.training.sampler import LengthGroupedSampler

LENGTHS = [7 + 13 * n % 50 for n in range(23)]


def shares(batch: int, accumulation: int, world_size: int) -> list[StepShares]:
    order = LengthGroupedSampler(LENGTHS, batch, seed=3)
    division = Division(batch * accumulation, batch, world_size)
    return [StepShares(order, LENGTHS, division, rank) for rank in range(world_size)]


@pytest.mark.parametrize(
    ("batch", "accumulation", "world_size"), list(itertools.product([1, 2, 3, 8], [1, 2, 3], [2, 3, 4]))
)
def test_every_step_has_the_examples_that_it_has_in_one_process(batch: int, accumulation: int, world_size: int) -> None:
    every = shares(batch, accumulation, world_size)
    order = list(LengthGroupedSampler(LENGTHS, batch, seed=3))
    size = batch * accumulation
    steps = [order[start : start + size] for start in range(0, len(order), size)]
    for step in steps:
        dealt = every[0].dealt(step)
        assert sorted(itertools.chain(*dealt)) == sorted(step)
        counts = [len(hand) for hand in dealt]
        assert max(counts) - min(counts) <= 1
    batches = [list(share) for share in every]
    assert len({len(one) for one in batches}) == 1
    assert len(batches[0]) == len(every[0])
    per_step = Division(size, batch, world_size).gradient_accumulation_steps
    assert -(-len(batches[0]) // per_step) == len(steps)
    for number, step in enumerate(steps):
        mine = [one for share in batches for one in share[number * per_step : (number + 1) * per_step]]
        assert sorted(itertools.chain(*mine)) == sorted(step)
    assert max(len(one) for share in batches for one in share) <= batch


def test_nobody_has_all_the_long_ones() -> None:
    hands = shares(8, 2, 2)[0].dealt(range(16))
    tokens = [sum(LENGTHS[position] for position in hand) for hand in hands]
    assert max(tokens) < 1.15 * min(tokens)


def test_a_card_computes_as_many_at_once_as_the_recipe_says_where_a_step_has_enough() -> None:
    assert (Division(16, 8, 2).at_once, Division(16, 8, 2).gradient_accumulation_steps) == (8, 1)
    assert (Division(8, 8, 2).at_once, Division(8, 8, 2).gradient_accumulation_steps) == (4, 1)
    assert (Division(24, 8, 2).at_once, Division(24, 8, 2).gradient_accumulation_steps) == (8, 2)
    assert (Division(4, 1, 2).at_once, Division(4, 1, 2).gradient_accumulation_steps) == (1, 2)
