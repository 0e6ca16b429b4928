"""The gauge when the hardware or its driver doesn't play along: words instead of numbers, never 0 for unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import psutil
import pytest

from studio.core.problems import Problem
from studio.hardware.card_problems import card_problem
from tests.hardware.conftest import Play

GIB = 2**30
CARD = "card A (demonstration)\n total 8GiB\n memory 1GiB\n temperature 50\n"
ERRORS = [
    ("NOT_SUPPORTED", "card.not_supported"),
    ("NO_PERMISSION", "card.no_permission"),
    ("DRIVER_NOT_LOADED", "card.driver_not_loaded"),
    ("GPU_IS_LOST", "card.lost"),
    ("RESET_REQUIRED", "card.reset_required"),
    ("LIB_RM_VERSION_MISMATCH", "card.version_mismatch"),
    ("FUNCTION_NOT_FOUND", "card.old_driver"),
    ("UNKNOWN", "card.unknown"),
    ("TIMEOUT", "card.unknown"),
]


def _is_in_words(problem: Problem | None) -> None:
    assert problem is not None
    text = problem.english()
    assert problem.what and problem.why and problem.fix
    assert "nvml" not in text.lower() and "_" not in text and "{" not in text


def test_without_the_library_there_is_no_card_and_no_problem(play: Play) -> None:
    played = play(None)
    reading = played.readings[0]
    assert reading.cards == ()
    assert reading.problem is None
    assert reading.note is not None
    assert reading.note.english() == "No NVIDIA card found; showing system memory."
    assert reading.system.total == psutil.virtual_memory().total
    assert not played.card_present


def test_a_driver_without_cards_is_the_same_as_no_driver(play: Play) -> None:
    played = play("driver 1\n")
    assert played.readings[0].cards == ()
    assert played.readings[0].problem is None and played.readings[0].note is not None
    assert not played.card_present


@pytest.mark.parametrize(("error", "code"), ERRORS)
def test_an_error_at_the_start_is_put_into_words(play: Play, error: str, code: str) -> None:
    played = play(f"error nvmlInitWithFlags {error}\n{CARD}")
    reading = played.readings[0]
    assert reading.cards == ()
    assert reading.problem is not None and reading.problem.code == code
    _is_in_words(reading.problem)
    assert reading.note is None
    assert reading.system.total > 0
    assert not played.card_present


@pytest.mark.parametrize(
    ("error", "code"), [pair for pair in ERRORS if pair[0] not in ("NOT_SUPPORTED", "FUNCTION_NOT_FOUND")]
)
def test_an_error_of_one_card_leaves_the_other_alone(play: Play, error: str, code: str) -> None:
    reading = play(f"{CARD} error nvmlDeviceGetMemoryInfo_v2 {error}\n{CARD.replace(' A ', ' B ')}").readings[0]
    sick, well = reading.cards
    assert sick.problem is not None and sick.problem.code == code
    _is_in_words(sick.problem)
    assert (sick.total, sick.used, sick.free, sick.this_run, sick.others) == (None,) * 5
    assert (sick.temperature, sick.utilisation, sick.power, sick.users) == (None,) * 4
    assert sick.name == "A (demonstration)"
    assert well.used == 1 * GIB and well.problem is None
    assert reading.problem is None


@pytest.mark.parametrize("error", ["NOT_SUPPORTED", "NO_PERMISSION", "UNKNOWN", "TIMEOUT", "FUNCTION_NOT_FOUND"])
@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("nvmlDeviceGetTemperature", "temperature"),
        ("nvmlDeviceGetUtilizationRates", "utilisation"),
        ("nvmlDeviceGetPowerUsage", "power"),
        ("nvmlDeviceGetCurrentClocksEventReasons", "slowed"),
        ("nvmlDeviceGetComputeRunningProcesses_v3", "users"),
    ],
)
def test_one_value_that_fails_is_not_available_and_the_rest_is_shown(
    play: Play, function: str, field: str, error: str
) -> None:
    faults = f" error {function} {error}\n error {function.replace('Event', 'Throttle')} {error}\n"
    script = f"{CARD} utilisation 7\n power 30\n slowed hot\n process self 1GiB\n{faults}"
    card = play(script).readings[0].cards[0]
    assert getattr(card, field) is None
    others = {"temperature": 50, "utilisation": 7, "power": 30.0}
    others.pop(field, None)
    assert {name: getattr(card, name) for name in others} == others
    assert card.used == 2 * GIB and card.problem is None
    assert (card.this_run is None) == (field == "users")


@pytest.mark.parametrize(
    "script",
    ["gb10", "gb10-zeros", "gb10-wrong"],  # memory not told, told as 0, and told as something else
)
def test_a_card_without_memory_of_its_own_shows_the_computer_s(play: Play, script: str) -> None:
    card = play(script).readings[0].cards[0]
    assert card.shared and card.problem is None
    assert card.total == psutil.virtual_memory().total
    assert card.used is not None and card.free is not None
    assert card.used + card.free == card.total
    assert card.this_run == 64 * 2**20
    assert card.note is not None and "shares the computer's memory" in card.note.english()


def test_windows_does_not_tell_what_a_program_holds_and_that_is_not_0(play: Play) -> None:
    card = play("wddm").readings[0].cards[0]
    assert (card.this_run, card.others) == (None, None)
    assert card.used is not None and card.used >= 1 * GIB
    assert card.users is not None and [user.memory for user in card.users] == [None, None]
    assert [user.this_run for user in card.users] == [True, False]
    assert card.note is not None and "each program" in card.note.english()


def test_a_list_that_is_closed_to_this_account_is_unknown_and_said(play: Play) -> None:
    card = play("no-permission", "--everyone").readings[0].cards[0]
    assert card.used == 3 * GIB and card.users is None and card.this_run is None
    assert card.note is not None and "isn't allowed" in card.note.english()


def test_each_part_of_a_divided_card_is_a_card_without_a_load(play: Play) -> None:
    first, second = play("mig").readings[0].cards
    assert [(card.part, card.total, card.used, card.this_run) for card in (first, second)] == [
        (0, 40 * GIB, 1 * GIB, 0),
        (1, 20 * GIB, 5 * GIB, 5 * GIB),
    ]
    assert first.utilisation is None and first.temperature == 44 and first.power == 210
    assert first.key != second.key
    assert first.note is not None and "part" in first.note.english()


def test_a_lost_card_is_said_and_comes_back(play: Play) -> None:
    before, lost, back = play("lost-card", "--at", "0", "1.5", "3.6", "--try-again-after", "0.5").readings
    assert [card.used for card in before.cards] == [1 * GIB, 2 * GIB]
    assert lost.cards[0].used == 1 * GIB
    assert lost.cards[1].used is None and lost.cards[1].problem is not None
    assert lost.cards[1].problem.code == "card.lost"
    assert lost.cards[1].name == "NVIDIA GeForce RTX 3080 (demonstration)"
    assert [card.used for card in back.cards] == [1 * GIB, 2 * GIB]
    assert [card.key for card in back.cards] == [card.key for card in before.cards]


def test_a_card_that_stays_lost_keeps_its_name_through_every_attempt(play: Play) -> None:
    readings = play("lost-card", "--at", "0", "1.3", "1.7", "2.1", "2.5", "--try-again-after", "0.1").readings
    for reading in readings[1:]:
        assert reading.cards[1].name == "NVIDIA GeForce RTX 3080 (demonstration)"
        assert reading.cards[1].problem is not None and reading.cards[1].used is None
        assert reading.cards[0].used == 1 * GIB


def test_a_card_that_was_unplugged_is_not_mistaken_for_the_one_that_took_its_number(play: Play) -> None:
    before, first_look, unplugged, back = play(
        "unplugged", "--at", "0", "1.3", "2.0", "3.6", "--try-again-after", "0.5"
    ).readings
    names = {card.key: card.name for card in before.cards}
    assert len(names) == 2
    for reading in (first_look, unplugged):
        assert {card.key: card.name for card in reading.cards} == names
        assert {card.name.split()[3]: card.used for card in reading.cards} == {"3080": None, "3060": 1 * GIB}
    assert {card.name.split()[3]: card.used for card in back.cards} == {"3080": 2 * GIB, "3060": 1 * GIB}


def test_a_driver_that_starts_later_is_found(play: Play) -> None:
    before, after = play("driver-not-loaded", "--at", "0", "2.4", "--try-again-after", "0.5").readings
    assert before.problem is not None and before.cards == ()
    assert after.problem is None and after.cards[0].used == 1 * GIB


def test_a_failed_driver_is_not_tried_with_every_read(play: Play, calls: Callable[[], Counter[str]]) -> None:
    play(f"error nvmlInitWithFlags DRIVER_NOT_LOADED\n{CARD}", "--ticks", "61")
    assert calls()["nvmlInitWithFlags"] == 3 + 1  # at 0, 30 and 60 s, and cuda_card_present once


def test_only_a_restart_mends_a_driver_that_was_updated_so_it_is_tried_once(
    play: Play, calls: Callable[[], Counter[str]]
) -> None:
    readings = play("mismatch", "--ticks", "100").readings
    assert all(reading.problem is not None for reading in readings)
    problem = readings[-1].problem
    assert problem is not None
    assert problem.what == "The NVIDIA driver was updated while the computer was on."
    assert problem.fix == "Restart the computer."
    assert calls()["nvmlInitWithFlags"] == 1 + 1


def test_an_error_without_words_of_its_own_keeps_its_number() -> None:
    assert "error 21" in card_problem(21).english()
