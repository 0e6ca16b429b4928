"""The blind test: nobody can tell whose answer is whose, and ten choices give an honest verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.run_folder import RunFolder
from studio.evaluation.blind import Choice, Preferred, add_choice, blind_verdict, pairs, read_choices
from studio.evaluation.verdict import Outcome
from tests.evaluation.test_verdict import exam_of

ANSWERS = [("w", f"base {n}", f"trained {n}") for n in range(40)] + [("w", "same  words", "same words")]


def test_only_different_answers_are_asked_about_and_sides_and_order_are_drawn() -> None:
    predictions = exam_of(ANSWERS).predictions
    found = pairs(predictions, [], seed=1)
    assert {one.index for one in found} == set(range(40)) and len(found) == 40
    assert [one.index for one in found] != list(range(40))
    on_the_left = sum(one.trained_first for one in found)
    assert 8 <= on_the_left <= 32
    for one in found:
        trained = one.first if one.trained_first else one.second
        assert trained == f"trained {one.index}"
    assert found == pairs(predictions, [], seed=1) != pairs(predictions, [], seed=2)
    chosen = [Choice(index=one.index, preferred="run") for one in found[:39]]
    assert len(pairs(predictions, chosen, seed=3)) == 1


@pytest.mark.parametrize(
    ("run", "base", "neither", "outcome"),
    [
        (9, 1, 0, "better"),
        (1, 9, 0, "worse"),
        (6, 4, 0, "no_clear_difference"),
        (5, 0, 5, "no_clear_difference"),
        (0, 0, 10, "no_clear_difference"),
    ],
)
def test_ten_choices_give_a_verdict(run: int, base: int, neither: int, outcome: Outcome) -> None:
    counts: dict[Preferred, int] = {"run": run, "base": base, "neither": neither}
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    choices = [Choice(index=index, preferred=kind) for index, kind in enumerate(kinds)]
    assert blind_verdict(choices[:9]) is None
    found = blind_verdict(choices)
    assert found is not None and found.outcome == outcome and "{" not in found.text.english()


def test_choices_are_kept_and_a_torn_line_loses_only_itself(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert read_choices(run) == []
    made = [Choice(index=3, preferred="run"), Choice(index=1, preferred="neither")]
    for one in made:
        add_choice(run, one)
    with open(run.blind_choices, "a", encoding="utf-8") as file:
        file.write('{"index": 4, "pref')
    assert read_choices(run) == made
