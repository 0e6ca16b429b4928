"""The blind test: nobody can tell whose answer is whose, and ten choices give an honest verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.events import BASE, THIS_RUN, OwnQuestionAnswered
from studio.core.run_folder import RunFolder
from studio.evaluation.blind import Choice, Preferred, add_choice, blind_verdict, choice_of, pairs, read_choices
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


def test_a_persons_own_questions_come_among_the_first_ten_and_are_chosen_once(tmp_path: Path) -> None:
    own = [
        OwnQuestionAnswered(model=model, question=f"mine {n}", answer=f"{model.kind} {n}")
        for n in range(3)
        for model in (BASE, THIS_RUN)
    ]
    predictions = exam_of(ANSWERS).predictions
    found = pairs(predictions, [], 1, own)
    assert {pair.question for pair in found[:10] if pair.index is None} == {"mine 0", "mine 1", "mine 2"}
    assert len({(pair.index, pair.question) for pair in found}) == len(found) == 43
    run = RunFolder(tmp_path)
    mine = next(pair for pair in found if pair.index is None)
    add_choice(run, choice_of(mine, "run"))
    left = pairs(predictions, read_choices(run), 2, own)
    assert len(left) == 42 and mine.question not in [pair.question for pair in left]


def test_a_blind_test_that_shows_no_difference_tells_its_interval() -> None:
    six, four = (Choice(index=0, preferred="run"), Choice(index=1, preferred="base"))
    found = blind_verdict([six] * 6 + [four] * 4)
    assert found is not None and "31 to 83 %" in found.text.english()
