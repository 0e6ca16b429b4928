"""Four words, and what they rest on."""

from __future__ import annotations

from typing import Any

import pytest

from studio.core.problems import Problem
from studio.hardware.snapshot import Card, Snapshot
from studio.hardware.system import SystemMemory
from studio.memory.available import AvailableMemory, available_now, available_of
from studio.memory.calibration import TrackRecord
from studio.memory.estimate import Estimate, estimate
from studio.memory.fit import VERDICTS, disk_needed, fit
from studio.memory.model_by_card import CARDS, longest_that_fits, usual
from studio.models.catalogue import named

GIB = 1 << 30
SYSTEM = SystemMemory(total=16 * GIB, used=6 * GIB, available=10 * GIB)


def an_estimate() -> Estimate:
    model = named("Qwen/Qwen3-8B")
    assert model is not None
    return estimate(model.shape, usual("qlora", 2048))


def with_room(amount: int | None) -> AvailableMemory:
    return AvailableMemory(amount, None, "a card", "cuda")


def reading(**card: Any) -> Snapshot:
    return Snapshot(cards=(Card(index=0, name="RTX 4070", uuid="x", **card),), system=SYSTEM)


def test_the_words_follow_from_what_there_is() -> None:
    found = an_estimate()
    middle = (found.process_least + found.process) // 2
    for room, verdict in (
        (found.process, "fits"),
        (found.process - 1, "tight"),
        (middle, "tight"),
        (found.process_least - 1, "no"),
        (0, "no"),
        (None, "unknown"),
    ):
        answer = fit(found, with_room(room))
        assert answer.verdict == verdict
        assert answer.word == VERDICTS[answer.verdict]
        assert answer.needed == found.process and answer.least == found.process_least
        assert answer.why and all("{" not in sentence.english() for sentence in answer.why)


def test_too_little_is_said_in_numbers() -> None:
    found = an_estimate()
    text = fit(found, with_room(4 * GIB)).why[0].english()
    assert f"{found.process / GIB:.1f} GB" in text and "4.0 GB can be used" in text and "too little" in text


def test_measured_runs_move_the_answer_and_narrow_it() -> None:
    found = an_estimate()
    context = found.of("context")
    less = fit(found, with_room(found.process), TrackRecord(runs=5, factor=0.9, error=0.08))
    assert less.needed == pytest.approx((found.process - context) * 0.9 + context, abs=2)
    assert less.error_so_far == 0.08
    assert less.needed is not None and less.most is not None and less.least is not None
    assert less.most - less.least < found.process_most - found.process_least
    assert any("off by 8 %" in sentence.english() for sentence in less.why)


def test_one_measured_run_does_not_make_the_answer_sure() -> None:
    found = an_estimate()
    answer = fit(found, with_room(GIB), TrackRecord(runs=1, factor=1.0, error=0.0))
    assert (answer.least, answer.most) == (found.process_least, found.process_most)


def test_what_was_proven_has_no_range() -> None:
    answer = fit(an_estimate(), with_room(GIB), source="proven")
    assert answer.least == answer.most == answer.needed


def test_a_full_disk_is_a_no() -> None:
    found = an_estimate()
    answer = fit(found, with_room(80 * GIB), disk=disk_needed(found), disk_free=1000)
    assert answer.verdict == "no"
    assert any("disk" in sentence.english() for sentence in answer.why)


def test_save_points_hold_the_add_on_and_the_optimizer() -> None:
    found = an_estimate()
    assert disk_needed(found, data=77) == 4 * (4 * found.trainable + found.of("optimizer") + found.paged) + 77


def test_time_is_unknown_until_it_was_measured() -> None:
    assert fit(an_estimate(), with_room(GIB)).seconds is None
    assert fit(an_estimate(), with_room(GIB), seconds=60.0).seconds == 60.0


def test_usable_is_what_is_free_less_a_margin() -> None:
    found = available_now(reading(total=12 * GIB, used=2 * GIB, free=10 * GIB))
    assert (found.amount, found.card, found.device) == (10 * GIB - (256 << 20), "RTX 4070", "cuda")
    large = available_now(reading(total=80 * GIB, used=0, free=80 * GIB))
    assert large.amount == 80 * GIB - int(80 * GIB * 0.02)


def test_what_the_run_holds_itself_counts_as_free() -> None:
    card = reading(total=12 * GIB, used=9 * GIB, free=3 * GIB)
    assert available_now(card, held=6 * GIB).amount == 9 * GIB - (256 << 20)


def test_under_windows_the_engines_own_limit_counts() -> None:
    found = available_now(reading(total=12 * GIB, used=2 * GIB, free=10 * GIB), windows=True)
    assert found.amount == int(10 * GIB * 0.97)


def test_a_card_that_shares_the_computers_memory_leaves_some_of_it() -> None:
    found = available_now(reading(total=128 * GIB, used=8 * GIB, free=120 * GIB, shared=True))
    assert found.amount == int(120 * GIB * 0.9)


def test_without_a_card_the_computers_memory_counts() -> None:
    found = available_now(Snapshot(cards=(), system=SYSTEM))
    assert (found.amount, found.device) == (int(10 * GIB * 0.9), "cpu")


@pytest.mark.parametrize(
    "read",
    [
        Snapshot(cards=(), system=SYSTEM, problem=Problem(code="card.gone", what="The driver doesn't answer.")),
        reading(problem=Problem(code="card.gone", what="The card is gone.")),
        reading(total=12 * GIB),
    ],
)
def test_a_card_that_does_not_tell_is_never_taken_for_full_or_empty(read: Snapshot) -> None:
    found = available_now(read)
    assert found.amount is None and found.why
    assert fit(an_estimate(), found).verdict == "unknown"


def test_a_small_card_has_no_negative_room() -> None:
    assert available_of(1000).amount == 0


def test_larger_cards_take_longer_examples() -> None:
    model = named("meta-llama/Llama-3.1-8B-Instruct")
    assert model is not None
    for method in ("full", "lora", "lora-8bit", "qlora"):
        longest = [longest_that_fits(model.shape, method, size * GIB) or 0 for size in CARDS]
        assert longest == sorted(longest)
    assert longest_that_fits(model.shape, "qlora", 6 * GIB) is None
    assert (longest_that_fits(model.shape, "qlora", 12 * GIB) or 0) > 2048
    assert longest_that_fits(model.shape, "full", 80 * GIB) is None


def test_the_longest_length_fits_and_one_step_more_does_not() -> None:
    model = named("meta-llama/Llama-3.1-8B-Instruct")
    assert model is not None
    longest = longest_that_fits(model.shape, "qlora", 12 * GIB)
    assert longest is not None
    room = available_of(12 * GIB).amount or 0
    assert estimate(model.shape, usual("qlora", longest)).process <= room
    assert estimate(model.shape, usual("qlora", longest + 128)).process > room
