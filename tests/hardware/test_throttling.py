"""Why a card isn't faster now, from the driver's bits to words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from studio.hardware.throttling import (
    DISPLAY,
    HARDWARE,
    HOT,
    OTHER_CARD,
    POWER_LIMIT,
    POWER_SUPPLY,
    SET_LOWER,
    slowdowns,
)
from tests.hardware.conftest import Play


def test_each_bit_of_the_driver_has_its_reason_and_an_idle_card_has_none() -> None:
    expected = {
        0x0: (),
        0x1: (),
        0x2: (SET_LOWER,),
        0x4: (POWER_LIMIT,),
        0x8: (HARDWARE,),
        0x10: (OTHER_CARD,),
        0x20: (HOT,),
        0x40: (HOT,),
        0x80: (POWER_SUPPLY,),
        0x100: (DISPLAY,),
        0x4000: (),
    }
    assert {bits: slowdowns(bits) for bits in expected} == expected


def test_heat_is_said_once_and_before_what_does_no_harm() -> None:
    assert slowdowns(0x4 | 0x8 | 0x20 | 0x40) == (HOT, POWER_LIMIT)
    assert slowdowns(0x8 | 0x4) == (HARDWARE, POWER_LIMIT)
    assert all(reason.short for reason in slowdowns(0x1FF) if reason.grave)


def test_a_card_says_over_time_what_limits_it(play: Play) -> None:
    readings = play("hot-card", "--at", "0", "1.3", "2.3").readings
    names = [[reason.name for reason in reading.cards[0].slowed or ()] for reading in readings]
    assert names == [[], ["power_limit"], ["hot", "power_limit"]]


def test_a_card_that_does_not_tell_is_unknown_and_not_asked_again(
    play: Play, calls: Callable[[], Counter[str]]
) -> None:
    readings = play("v1-only", "--ticks", "3").readings
    assert all(reading.cards[0].slowed is None for reading in readings)
    assert calls()["nvmlDeviceGetCurrentClocksEventReasons"] == 1


def test_an_older_driver_that_calls_it_otherwise_is_asked_by_that_name(play: Play) -> None:
    script = (
        "missing nvmlDeviceGetCurrentClocksEventReasons\n"
        "card A (demonstration)\n total 8GiB\n memory 1GiB\n slowed power-supply\n"
    )
    card = play(script).readings[0].cards[0]
    assert [reason.name for reason in card.slowed or ()] == ["power_supply"]
