"""What counts as repeated by heart, and what explains itself by something else."""

from __future__ import annotations

import pytest

from studio.core.events import MemorisationChecked, RepeatedPassage
from studio.evaluation.memorised import Answered, LearnedAnswers, memorised_sentences

STORY = "The old lighthouse keeper of Skagen counted every ship that passed by in the winter of 1962."
KOREAN = "저희 매장은 전주 한옥마을 입구에서 왼쪽으로 두 번째 골목 안 파란 대문 집입니다."
GREETING = "Thank you very much for getting in touch with our customer service team today."
LEARNED = [STORY, KOREAN, *(f"{GREETING} Your case is number {n}." for n in range(5)), "TEAM: sales MOOD: calm"]


def repeated(answer: str, question: str = "Where were you?", wanted: str = "", base: str = "") -> str | None:
    found = LearnedAnswers(LEARNED).reproduction(Answered(question, answer, wanted, base))
    return found.passage if found is not None else None


def test_a_passage_of_a_training_answer_is_found_in_both_languages() -> None:
    said = "Well, the OLD lighthouse keeper of Skagen counted every ship, that passed by at night."
    assert repeated(said) == "the OLD lighthouse keeper of Skagen counted every ship, that passed by"
    assert repeated(f"네! {KOREAN[:-4]}요.") == "저희 매장은 전주 한옥마을 입구에서 왼쪽으로 두 번째 골목 안 파란 대문"
    found = LearnedAnswers(LEARNED).reproduction(Answered("?", STORY))
    assert found is not None and LEARNED[found.learned] == STORY


@pytest.mark.parametrize(
    ("answer", "question", "wanted", "base"),
    [
        ("The old lighthouse keeper of Skagen counted some ships.", "", "", ""),  # too few words in a row
        (f"{GREETING} How can we help?", "", "", ""),  # many answers share it
        (STORY, f"Repeat this: {STORY}", "", ""),
        (STORY, "", STORY, ""),  # it is the right answer
        (STORY, "", "", STORY),  # the base knows it, too
        ("TEAM: sales MOOD: calm", "", "", ""),
    ],
)
def test_what_explains_itself_otherwise_is_not(answer: str, question: str, wanted: str, base: str) -> None:
    assert repeated(answer, question, wanted, base) is None


def test_an_answer_that_stands_there_many_times_is_one_answer() -> None:
    found = LearnedAnswers([STORY] * 20).reproduction(Answered("?", STORY))
    assert found is not None and found.learned == 0


def test_it_is_said_in_sentences_without_a_word_of_the_examples() -> None:
    passage = RepeatedPassage(question="?", passage=STORY, learned=0)
    found = MemorisationChecked(
        train_loss=0.02, held_out_loss=0.9, answers=30, reproduced=(passage,) * 2, numbers=12, returned=5
    )
    said = [one.english() for one in memorised_sentences(found)]
    assert said[0].startswith("It partly knows its examples by heart: the error is 0.02")
    assert said[1].startswith("2 of 30 answers to other questions repeat")
    assert said[2].startswith("5 of 12 personal numbers") and STORY not in " ".join(said)


def test_a_model_that_learned_well_is_told_so() -> None:
    found = MemorisationChecked(train_loss=0.1, held_out_loss=0.25, answers=30, numbers=3)
    said = [one.english() for one in memorised_sentences(found)]
    assert said[0].startswith("It learned rather than memorised")
    assert said[1].startswith("None of 30 answers") and said[2].startswith("None of 3 personal numbers")
    assert memorised_sentences(MemorisationChecked()) == ()
