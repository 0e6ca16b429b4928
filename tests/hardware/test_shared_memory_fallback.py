"""A card under Windows that goes on in the computer's memory: made-up counters, and the warning within ten seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from studio.hardware.card_problems import card_problem
from studio.hardware.nvml import Code
from studio.hardware.pdh import PdhError
from studio.hardware.shared_memory_fallback import LOOK_EVERY, FallbackWatch
from studio.hardware.snapshot import Card, CardUser
from tests.hardware.conftest import Play

MIB, GIB = 2**20, 2**30
RUN = 41
ROOMY = Card(index=0, name="A", uuid="a", total=8 * GIB, used=4 * GIB, free=4 * GIB)
FULL = replace(ROOMY, used=int(7.6 * GIB), free=int(0.4 * GIB))


class MadeUp:
    """A counter that answers what it was told last, and counts how often it was asked."""

    def __init__(self) -> None:
        self.taken: dict[int, int] | None = {RUN: 150 * MIB}
        self.asked = 0
        self.closed = False

    def read(self) -> dict[int, int]:
        self.asked += 1
        if self.taken is None:
            raise PdhError(0x800007D5)
        return self.taken

    def close(self) -> None:
        self.closed = True


class Watched:
    """A gauge that reads once a second: the watch, its counter, and the clock."""

    def __init__(self) -> None:
        self.counter = MadeUp()
        self.watch = FallbackWatch(self.counter)
        self.now = 1_000.0

    def second(self, *cards: Card, run: int | None = RUN) -> tuple[Card, ...]:
        self.now += 1
        return self.watch.marked(self.now, run, {RUN, 42}, cards)

    def seconds_until(self, wanted: Callable[[tuple[Card, ...]], bool], *cards: Card) -> int:
        for passed in range(1, 30):
            if wanted(self.second(*cards)):
                return passed
        raise AssertionError("never")


def _warned(cards: tuple[Card, ...]) -> bool:
    return any(card.warning is not None for card in cards)


@pytest.mark.parametrize("calm", [3, 4, 5])
def test_a_spill_is_said_within_ten_seconds_and_with_its_amount(calm: int) -> None:
    watched = Watched()
    for _ in range(calm):
        assert not _warned(watched.second(ROOMY))
    watched.counter.taken = {RUN: 150 * MIB, 42: int(1.5 * GIB), 7: 9 * GIB}
    assert watched.seconds_until(_warned, FULL) <= 9
    warning = watched.second(FULL)[0].warning
    assert warning is not None and warning.code == "card.spilling"
    assert "1.5 GB of this run" in warning.english()
    assert warning.why and warning.fix


def test_it_is_taken_back_when_there_is_room_again() -> None:
    watched = Watched()
    watched.second(ROOMY)
    watched.counter.taken = {RUN: 2 * GIB}
    watched.seconds_until(_warned, FULL)
    watched.counter.taken = {RUN: 150 * MIB}
    assert watched.seconds_until(lambda cards: not _warned(cards), FULL) <= 2 * LOOK_EVERY


def test_a_full_card_alone_is_no_spill_and_neither_is_much_shared_memory_beside_a_roomy_card() -> None:
    watched = Watched()
    watched.second(ROOMY)
    assert not any(_warned(watched.second(FULL)) for _ in range(20))
    watched.counter.taken = {RUN: 5 * GIB}
    assert not any(_warned(watched.second(ROOMY)) for _ in range(20))


def test_what_a_run_took_while_there_was_room_is_not_counted_as_spilled() -> None:
    watched = Watched()
    watched.counter.taken = {RUN: 3 * GIB}  # large buffers that are handed over to the card
    watched.second(ROOMY)
    assert not any(_warned(watched.second(FULL)) for _ in range(10))
    watched.counter.taken = {RUN: 4 * GIB}
    watched.seconds_until(_warned, FULL)
    warning = watched.second(FULL)[0].warning
    assert warning is not None and "1.0 GB" in warning.english()


def test_one_look_alone_does_not_make_a_warning() -> None:
    watched = Watched()
    watched.second(ROOMY)
    for number in range(30):
        watched.counter.taken = {RUN: 2 * GIB if number // 3 % 2 else 150 * MIB}
        assert not _warned(watched.second(FULL))


def test_a_window_opened_upon_a_run_that_already_spills_says_so() -> None:
    watched = Watched()
    watched.counter.taken = {RUN: 700 * MIB}
    assert not any(_warned(watched.second(FULL)) for _ in range(10)), "that much may be usual"
    watched.counter.taken = {RUN: 2 * GIB}
    assert watched.seconds_until(_warned, FULL) <= 9


def test_the_counter_is_asked_every_three_seconds_and_not_at_all_without_a_run() -> None:
    watched = Watched()
    for _ in range(12):
        watched.second(FULL)
    assert watched.counter.asked == 4
    for _ in range(12):
        watched.second(FULL, run=None)
    assert watched.counter.asked == 4


def test_a_new_run_is_measured_against_its_own_beginning() -> None:
    watched = Watched()
    watched.second(ROOMY)
    watched.counter.taken = {RUN: 2 * GIB}
    watched.seconds_until(_warned, FULL)
    watched.now += 1
    assert not _warned(watched.watch.marked(watched.now, 77, {77}, (FULL,)))


def test_a_counter_that_fails_changes_nothing_that_was_said() -> None:
    watched = Watched()
    watched.second(ROOMY)
    watched.counter.taken = {RUN: 2 * GIB}
    watched.seconds_until(_warned, FULL)
    watched.counter.taken = None
    assert all(_warned(watched.second(FULL)) for _ in range(10))


def test_only_the_run_s_own_full_card_is_warned_about() -> None:
    watched = Watched()
    mine = (CardUser(RUN, "python", None, True),)
    roomy, other = replace(ROOMY, users=mine), replace(FULL, index=1, uuid="b", users=())
    watched.second(roomy, other)
    watched.counter.taken = {RUN: 2 * GIB}
    assert not any(_warned(watched.second(roomy, other)) for _ in range(10))
    full = replace(FULL, users=mine)
    watched.seconds_until(_warned, full, other)
    assert [card.warning is not None for card in watched.second(full, other)] == [True, False]


def test_cards_that_tell_no_memory_are_never_full() -> None:
    watched = Watched()
    silent = replace(ROOMY, used=None, free=None)
    lost = replace(silent, uuid="c", problem=card_problem(Code.GPU_IS_LOST))
    watched.counter.taken = {RUN: 9 * GIB}
    assert not any(_warned(watched.second(silent, lost, replace(FULL, uuid="d", shared=True))) for _ in range(10))


def test_through_the_whole_gauge_a_card_that_fills_up_under_windows_is_warned_about_in_time(play: Play) -> None:
    moments = [0.0, 2.0, 3.2, 4.5, 6.4]
    readings = play("wddm-full", "--at", *map(str, moments), "--spills-at", "2").readings
    warned = [reading.cards[0].warning is not None for reading in readings]
    assert warned == [False, False, False, False, True], "full from the second second on, said before the seventh"
    assert readings[-1].cards[0].used is not None, "the numbers stay"
