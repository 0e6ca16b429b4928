"""Which column asks and which answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from studio.core.recipe.data_choice import DataChoice, Roles
from studio.dataset.columns.detection.mapping import check_roles, guess_roles, has_roles
from studio.dataset.readers.open import open_table
from studio.dataset.samples import sample
from studio.dataset.table import Table
from tests.dataset.conftest import problem_of


def table_of(rows: Sequence[Mapping[str, object]]) -> Table:
    return Table(Path("some.csv"), "csv", tuple(rows[0]), rows)


def named(*names: str) -> Table:
    return table_of([{name: f"some words {n} of {name}" for name in names} for n in range(5)])


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("question", "answer"), Roles(question="question", answer="answer")),
        (("Answer", "Question"), Roles(question="Question", answer="Answer")),
        (("Q", "A", "label"), Roles(question="Q", answer="A")),
        (("id", "prompt", "completion"), Roles(question="prompt", answer="completion")),
        (("instruction", "input", "output"), Roles(question="instruction", context="input", answer="output")),
        (("input", "output"), Roles(question="input", answer="output")),
        (("system", "user", "assistant"), Roles(system="system", question="user", answer="assistant")),
        (("message", "reply"), Roles(question="message", answer="reply")),
        (("date", "Customer question", "Our answer"), Roles(question="Customer question", answer="Our answer")),
        (("질문", "답변"), Roles(question="질문", answer="답변")),
        (("번호", "문제", "정답"), Roles(question="문제", answer="정답")),
        (("지시문", "입력", "출력"), Roles(question="지시문", context="입력", answer="출력")),
        (("고객 문의", "상담사 답변"), Roles(question="고객 문의", answer="상담사 답변")),
        (("문의", "회신"), Roles(question="문의", answer="회신")),
        (("text",), Roles(text="text")),
        (("본문",), Roles(text="본문")),
        (("words",), Roles()),
    ],
)
def test_columns_are_known_by_their_names(names: tuple[str, ...], roles: Roles) -> None:
    assert guess_roles(named(*names)) == roles


def test_conversations_are_known_by_their_contents() -> None:
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert guess_roles(table_of([{"id": "1", "log": talk}] * 3)) == Roles(messages="log")
    assert guess_roles(table_of([{"conversations": '[{"from": "human", "value": "a"}]', "system": "x"}])) == Roles(
        messages="conversations", system="system"
    )


def test_without_names_the_column_that_asks_is_the_question() -> None:
    rows = [
        {"one": f"It is number {n}.", "two": f"Which number is it, {n}?", "date": f"2026-01-{n:02}"} for n in range(9)
    ]
    assert guess_roles(table_of(rows)) == Roles(question="two", answer="one")


def test_without_names_or_questions_the_shorter_column_comes_first() -> None:
    rows = [{"two": f"a long and winding explanation of the thing {n} " * 5, "one": f"the thing {n}"} for n in range(9)]
    assert guess_roles(table_of(rows)) == Roles(question="one", answer="two")


def test_the_samples_are_understood() -> None:
    for language in ("en", "ko"):
        table = open_table(DataChoice(path=str(sample(language))))
        roles = guess_roles(table)
        assert (roles.question, roles.answer) == table.columns
        check_roles(table, roles)


PAIRS = [{"a": "one", "b": "two"}, {"a": "three", "b": "four"}]


@pytest.mark.parametrize(
    ("rows", "roles", "code"),
    [
        ([{"a": "one"}, {"a": "two"}], Roles(), "data.one_column"),
        (PAIRS, Roles(), "data.no_roles"),
        (PAIRS, Roles(system="a"), "data.no_roles"),
        (PAIRS, Roles(question="a"), "data.no_answer_column"),
        (PAIRS, Roles(answer="a"), "data.no_question_column"),
        (PAIRS, Roles(question="a", answer="a"), "data.same_column"),
        (PAIRS, Roles(question="a", answer="c"), "data.unknown_column"),
        (PAIRS, Roles(question="a", answer="b", text="a"), "data.roles_conflict"),
        ([{"a": "one", "b": ""}, {"a": "two", "b": None}], Roles(question="a", answer="b"), "data.no_answers"),
        ([PAIRS[0]] * 5, Roles(question="a", answer="b"), "data.all_equal"),
        ([{"a": "one"}] * 5, Roles(text="a"), "data.all_equal"),
    ],
)
def test_roles_that_teach_nothing_are_refused(rows: list[dict[str, object]], roles: Roles, code: str) -> None:
    assert problem_of(lambda: check_roles(table_of(rows), roles)).code == code


def test_roles_that_teach_something_pass() -> None:
    check_roles(table_of(PAIRS), Roles(question="a", answer="b"))
    check_roles(table_of(PAIRS), Roles(text="b"))
    check_roles(table_of(PAIRS[:1]), Roles(question="a", answer="b"))
    assert not has_roles(Roles())
    assert has_roles(Roles(text="b"))
