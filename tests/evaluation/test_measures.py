"""What an answer is worth: right answers in other words aren't worth nothing, and the measure fits the answers."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from studio.core.paths import resources
from studio.evaluation.measures import (
    EXACT,
    LABELS,
    MEASURES,
    SIMILARITY,
    confusion,
    form_of,
    forms_kept,
    macro_f1,
    measure_for,
    measure_named,
    similarity,
)

GRADED = Path(__file__).with_name("graded_answers.csv")
"""Answers whose worth is known: written for this test, in English and Korean, graded 0 (wrong), 1 (partly right) and 2
(right, mostly in other words) beside the wanted one."""


def graded() -> list[tuple[str, str, int]]:
    with open(GRADED, encoding="utf-8", newline="") as file:
        return [(row["wanted"], row["given"], int(row["worth"])) for row in csv.DictReader(file)]


def test_likeness_agrees_with_answers_whose_worth_is_known() -> None:
    """Of all pairs of answers to one question, the better one is the liker one: chance would do so in half of them."""
    by_question: dict[str, list[tuple[int, float]]] = {}
    for wanted, given, worth in graded():
        by_question.setdefault(wanted, []).append((worth, similarity(wanted, given)))
    pairs = [(a, b) for answers in by_question.values() for a in answers for b in answers if a[0] > b[0]]
    agreeing = sum(better[1] > worse[1] for better, worse in pairs)
    assert len(pairs) >= 50
    assert agreeing / len(pairs) >= 0.85
    assert all(similarity(wanted, given) > 0.1 for wanted, given, worth in graded() if worth == 2)


def test_the_same_text_is_worth_all_and_thoughts_do_not_count() -> None:
    assert similarity("Ja.", "Ja.") == similarity("a", " a ") == 1.0
    assert similarity("Paris", "<think>France, so Paris.</think>\nParis") == 1.0
    assert similarity("Paris", "") == 0.0 and similarity("", "Paris") == 0.0
    assert similarity("yes", "no") < 0.05


@pytest.mark.parametrize(
    ("wanted", "measure"),
    [
        (["positive", "negative", "positive", "neutral", "negative", "positive"], LABELS),
        (["Yes.", "no", "yes", "No."], LABELS),
        (["42", "17", "3.5", "1,200", "8"], EXACT),
        (["TEAM: delivery\nMOOD: angry", "TEAM: repair\nMOOD: calm", "TEAM: billing\nMOOD: calm"], EXACT),
        (['{"city": "Bonn", "zip": 53111}', '{"city": "Ulm", "zip": 89073}'], EXACT),
        (["Your parcel is on its way.", "Please send us a picture of the damage, then we repair it."], SIMILARITY),
        (
            ["Finding: the left lung is clear, the heart of normal size\nAdvice: drink a lot and rest in bed"] * 5,
            SIMILARITY,
        ),
        (['{"reply": "We are sorry that your parcel is late; it will be there tomorrow."}'] * 5, SIMILARITY),
        (["배송이 하루 늦어질 것 같습니다.", "사진을 보내 주시면 확인하겠습니다."], SIMILARITY),
        ([], EXACT),
    ],
)
def test_the_measure_follows_from_the_wanted_answers(wanted: list[str], measure: object) -> None:
    assert measure_for(wanted) is measure


def test_the_sample_is_judged_word_for_word() -> None:
    for name in ("support-en.csv", "support-ko.csv"):
        with open(resources() / "samples" / name, encoding="utf-8", newline="") as file:
            answers = [list(row.values())[-1] for row in csv.DictReader(file)]
        assert measure_for(answers) is EXACT


def test_every_measure_has_words_and_is_found_by_its_name() -> None:
    for one in MEASURES:
        assert measure_named(one.name) is one
        assert one.title and one.term and one.why.endswith(".")
        assert one.score("yes", "yes", True) == 1.0
    assert LABELS.score("Positive", " positive. ", False) == 1.0
    assert EXACT.score("Positive", "positive", False) == 0.0


def test_the_form_of_an_answer_is_told_from_its_contents() -> None:
    assert form_of('{"b": 1, "a": [2]}') == ("json", "a", "b")
    assert form_of("Team: x\n\nMood: y") == ("lines", "team", "mood")
    assert form_of("I can help: send a picture.\nThen wait.") == ()
    assert form_of('{"b": 1') == form_of("") == ()
    pairs = [('{"a": 1}', '{"a": 2}'), ('{"a": 1}', '{"b": 2}'), ('{"a": 1}', "a: 1"), ("free", "text")]
    assert forms_kept(pairs) == (1, 3)


def test_mixed_up_labels_are_counted() -> None:
    pairs = [("spam", "spam"), ("spam", "ham"), ("ham", "Ham."), ("ham", "no idea"), ("spam", "spam")]
    assert confusion(pairs) == (("spam", "spam", 2), ("spam", "ham", 1), ("ham", "ham", 1), ("ham", "", 1))
    # spam: precision 1, recall 2/3; ham: precision 1/2, recall 1/2
    assert macro_f1(pairs) == pytest.approx((0.8 + 0.5) / 2)
    assert macro_f1([]) == 0.0
