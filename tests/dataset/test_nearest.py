"""The nearest examples are those that share the rare words of a question."""

from __future__ import annotations

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.dataset.nearest import NearestExamples


def example(question: str) -> Example:
    return Example(messages=(Message(role="user", content=question), Message(role="assistant", content="ok")))


QUESTIONS = [
    "Where is my parcel with the blue lamp?",
    "Where is my invoice for May?",
    "Where is the toilet?",
    "How do I return a lamp?",
    "배송이 언제 도착하나요?",
    "환불은 언제 되나요?",
]


def test_rare_words_count_more_than_common_ones_and_the_nearest_stands_last() -> None:
    index = NearestExamples([example(question) for question in QUESTIONS])
    found = [one.question for one in index.nearest("Where is the invoice?", 2)]
    assert found[-1] == QUESTIONS[1] and len(found) == 2
    assert {one.question for one in index.nearest("LAMP broken", 2)} == {QUESTIONS[0], QUESTIONS[3]}


def test_korean_is_compared_though_its_words_take_endings() -> None:
    index = NearestExamples([example(question) for question in QUESTIONS])
    assert index.nearest("배송은 도착했나요?", 1)[0].question == QUESTIONS[4]


def test_nothing_in_common_and_nothing_to_search_are_no_errors() -> None:
    assert NearestExamples([]).nearest("Where?", 3) == []
    assert NearestExamples([example("")]).nearest("Where?", 3) == []
    assert NearestExamples([example("Hello")]).nearest("zzz", 3) == []


def test_the_same_question_finds_the_same_examples() -> None:
    index = NearestExamples([example(question) for question in QUESTIONS * 3])
    assert index.nearest("Where is it?", 5) == index.nearest("Where is it?", 5)
