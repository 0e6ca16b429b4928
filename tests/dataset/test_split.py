"""Setting aside: groups stay together, the share is kept, and a seed says everything."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.dataset.examples import Example
from studio.dataset.split import held_out_positions
from tests.dataset.conftest import split
from tests.dataset.quality.clean_sets import clean, pair

GROUPS = st.lists(st.integers(0, 30), max_size=120)


@given(GROUPS, st.floats(0, 0.5), st.integers(0, 2**31))
def test_a_group_is_never_torn_apart_and_never_more_than_the_share_is_held_out(
    groups: list[int], share: float, seed: int
) -> None:
    held = held_out_positions(groups, share, seed)
    assert held == sorted(set(held)) and all(0 <= position < len(groups) for position in held)
    inside = {groups[position] for position in held}
    assert not inside & {groups[position] for position in set(range(len(groups))) - set(held)}
    assert len(held) <= share * len(groups)
    assert held == held_out_positions(groups, share, seed)


@given(st.integers(20, 400), st.floats(0.05, 0.5), st.integers(0, 100))
def test_without_groups_exactly_the_share_is_held_out(count: int, share: float, seed: int) -> None:
    assert len(held_out_positions(range(count), share, seed)) == int(count * share)


@pytest.mark.parametrize("huge", [100, 300, 850])
def test_nearly_the_share_is_held_out_although_one_group_is_huge(huge: int) -> None:
    groups = [0] * huge + list(range(1, 1001 - huge))
    for seed in range(20):
        assert 98 <= len(held_out_positions(groups, 0.1, seed)) <= 100


def test_another_seed_holds_out_others() -> None:
    drawn = {tuple(held_out_positions(range(200), 0.1, seed)) for seed in range(10)}
    assert len(drawn) == 10
    often = Counter(position for positions in drawn for position in positions)
    assert max(often.values()) < 8


def test_near_duplicates_stay_on_one_side() -> None:
    examples = clean("english", 120, 1)
    nearly = [pair(example.question + "!", example.answer + " Bye.") for example in examples[:60]]
    for seed in range(8):
        learned, held = split([*examples, *nearly], 0.3, seed)
        assert len(learned) + len(held) == 180 and 48 <= len(held) <= 54
        asked = {example.question for example in learned}
        assert not [e for e in held if e.question + "!" in asked or e.question.rstrip("!") in asked]


def test_both_sides_keep_the_order_of_the_file() -> None:
    examples = clean("korean", 100, 1)
    learned, held = split(examples, 0.2, 3)
    assert learned == [e for e in examples if e not in held] and held == [e for e in examples if e not in learned]
    assert len(held) == 20 and split(examples, 0.2, 3) == (learned, held)


@pytest.mark.parametrize("share", [0.0, 0.001])
def test_nothing_is_held_out_when_nothing_is_wanted(share: float) -> None:
    examples = clean("english", 20, 1)
    assert split(examples, share, 1) == (examples, [])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_something_stays_to_learn_from(count: int) -> None:
    examples = clean("english", count, 1)
    learned, _ = split(examples, 0.5, 1)
    assert len(learned) == (count + 1) // 2


def test_plain_texts_that_are_the_same_stay_together() -> None:
    texts = [Example(text=f"Passage {n % 50} about something else than passage {n % 50 + 500}.") for n in range(100)]
    learned, held = split(texts, 0.2, 1)
    assert held and not {e.text for e in held} & {e.text for e in learned}
