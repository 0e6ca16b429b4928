"""The allocator's rules, each on its own, and what they add up to."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from studio.engine.memory.allocator import Allocator, replayed

MIB = 1 << 20


def test_small_requests_share_a_piece_of_two_megabytes() -> None:
    allocator = Allocator(expandable=False)
    for number in range(4):
        allocator.take(number, 500_000)
    assert allocator.allocated == 4 * 500_224  # each rounded to 512
    assert allocator.reserved == 2 * MIB
    allocator.take(4, 500_000)
    assert allocator.reserved == 4 * MIB


def test_a_remainder_of_up_to_a_megabyte_is_handed_out_with_its_block() -> None:
    allocator = Allocator(expandable=False)
    allocator.take(0, 11 * MIB + 1)
    assert allocator.reserved == 12 * MIB
    assert allocator.allocated == 12 * MIB  # just under a megabyte is lost with it


def test_a_larger_remainder_is_kept_for_others() -> None:
    allocator = Allocator(expandable=False)
    allocator.take(0, 5 * MIB)
    assert (allocator.allocated, allocator.reserved) == (5 * MIB, 20 * MIB)
    allocator.take(1, 13 * MIB)
    assert (allocator.allocated, allocator.reserved) == (18 * MIB, 20 * MIB)


def test_what_is_given_back_is_joined_with_its_neighbours_and_used_again() -> None:
    allocator = Allocator(expandable=False)
    for number in range(4):
        allocator.take(number, 5 * MIB)
    assert allocator.reserved == 20 * MIB
    allocator.give_back(1)
    allocator.give_back(2)
    allocator.take(4, 10 * MIB)
    assert (allocator.allocated, allocator.reserved) == (20 * MIB, 20 * MIB)


def test_pieces_that_dont_fit_together_stay_with_the_process() -> None:
    fixed, growing = Allocator(expandable=False), Allocator(expandable=True)
    for allocator in (fixed, growing):
        for number, size in enumerate((30, 40, 50)):
            allocator.take(number, size * MIB)
            allocator.give_back(number)
    assert fixed.reserved == 120 * MIB  # each was too small for the next
    assert growing.reserved == 60 * MIB  # one that grew, by pages of 20
    assert fixed.allocated == growing.allocated == 0


def test_peaks_count_from_the_restart() -> None:
    log = [(0, 100 * MIB), (0, -1), (1, 30 * MIB), (2, 10 * MIB), (2, -1), (3, 0), (3, -1)]
    allocator = replayed(log, since=3, expandable=True)
    assert allocator.peak_allocated == 40 * MIB
    assert allocator.peak_reserved == 100 * MIB


@pytest.mark.parametrize("expandable", [False, True])
def test_nothing_overlaps_and_nothing_is_lost(expandable: bool) -> None:
    chance = random.Random(5)
    allocator, living = Allocator(expandable), dict[int, int]()
    for number in range(3000):
        if living and chance.random() < 0.5:
            gone = chance.choice(sorted(living))
            allocator.give_back(gone)
            del living[gone]
        else:
            size = int(2 ** chance.uniform(1, 26))
            allocator.take(number, size)
            living[number] = size
        asked = sum(-(-max(1, size) // 512) * 512 for size in living.values())
        assert asked <= allocator.allocated <= allocator.reserved
        assert allocator.allocated <= asked + (0 if expandable else len(living) * MIB)
    for small in (True, False):
        blocks = sorted((b.start, b.start + b.size) for b in allocator.held.values() if b.small is small)
        blocks += [(b.start, b.start + b.size) for _, _, b in allocator._free[small]]
        blocks.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(blocks))
    for number in list(living):
        allocator.give_back(number)
    assert allocator.allocated == 0
