"""Which column asks and which answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.detection.detect import detect
from studio.dataset.columns.mapping_checks import check_mapping
from studio.dataset.samples import sample
from studio.dataset.table import Table
from tests.dataset.conftest import opened, problem_of


def table_of(rows: Sequence[Mapping[str, object]]) -> Table:
    return Table(path=Path("some.csv"), format="csv", columns=tuple(rows[0]), rows=rows)


def named(*names: str) -> Table:
    return table_of([{name: f"some words {n} of {name}" for name in names} for n in range(5)])


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("question", "answer"), ColumnMapping(question="question", answer="answer")),
        (("Answer", "Question"), ColumnMapping(question="Question", answer="Answer")),
        (("Q", "A", "label"), ColumnMapping(question="Q", answer="A")),
        (("id", "prompt", "completion"), ColumnMapping(question="prompt", answer="completion")),
        (("instruction", "input", "output"), ColumnMapping(question="instruction", context="input", answer="output")),
        (("input", "output"), ColumnMapping(question="input", answer="output")),
        (("system", "user", "assistant"), ColumnMapping(system="system", question="user", answer="assistant")),
        (("message", "reply"), ColumnMapping(question="message", answer="reply")),
        (("date", "Customer question", "Our answer"), ColumnMapping(question="Customer question", answer="Our answer")),
        (("질문", "답변"), ColumnMapping(question="질문", answer="답변")),
        (("번호", "문제", "정답"), ColumnMapping(question="문제", answer="정답")),
        (("지시문", "입력", "출력"), ColumnMapping(question="지시문", context="입력", answer="출력")),
        (("고객 문의", "상담사 답변"), ColumnMapping(question="고객 문의", answer="상담사 답변")),
        (("문의", "회신"), ColumnMapping(question="문의", answer="회신")),
        (("text",), ColumnMapping(text="text")),
        (("본문",), ColumnMapping(text="본문")),
        (("words",), ColumnMapping()),
    ],
)
def test_columns_are_known_by_their_names(names: tuple[str, ...], roles: ColumnMapping) -> None:
    assert detect(named(*names)).mapping == roles


def test_conversations_are_known_by_their_contents() -> None:
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert detect(table_of([{"id": "1", "log": talk}] * 3)).mapping == ColumnMapping(messages="log")
    assert detect(
        table_of([{"conversations": '[{"from": "human", "value": "a"}]', "system": "x"}])
    ).mapping == ColumnMapping(messages="conversations", system="system")


def test_without_names_the_column_that_asks_is_the_question() -> None:
    rows = [
        {"one": f"It is number {n}.", "two": f"Which number is it, {n}?", "date": f"2026-01-{n:02}"} for n in range(9)
    ]
    assert detect(table_of(rows)).mapping == ColumnMapping(question="two", answer="one")


def test_without_names_or_questions_a_person_is_asked() -> None:
    rows = [{"two": f"a long and winding explanation of the thing {n} " * 5, "one": f"the thing {n}"} for n in range(9)]
    found = detect(table_of(rows))
    assert not found.sure and found.mapping.format == "pair"


def test_the_samples_are_understood() -> None:
    for language in ("en", "ko"):
        table = opened(sample(language))
        roles = detect(table).mapping
        assert (roles.question, roles.answer) == table.columns
        check_mapping(table, roles)


PAIRS = [{"a": "one", "b": "two"}, {"a": "three", "b": "four"}]


@pytest.mark.parametrize(
    ("rows", "roles", "code"),
    [
        ([{"a": "one"}, {"a": "two"}], ColumnMapping(), "data.one_column"),
        (PAIRS, ColumnMapping(), "data.no_roles"),
        (PAIRS, ColumnMapping(system="a"), "data.no_roles"),
        (PAIRS, ColumnMapping(question="a"), "data.no_answer_column"),
        (PAIRS, ColumnMapping(answer="a"), "data.no_question_column"),
        (PAIRS, ColumnMapping(question="a", answer="a"), "data.same_column"),
        (PAIRS, ColumnMapping(question="a", answer="c"), "data.unknown_column"),
        (PAIRS, ColumnMapping(question="a", answer="b", text="a"), "data.roles_conflict"),
        ([{"a": "one", "b": ""}, {"a": "two", "b": None}], ColumnMapping(question="a", answer="b"), "data.no_answers"),
        ([PAIRS[0]] * 5, ColumnMapping(question="a", answer="b"), "data.all_equal"),
        ([{"a": "one"}] * 5, ColumnMapping(text="a"), "data.all_equal"),
    ],
)
def test_roles_that_teach_nothing_are_refused(rows: list[dict[str, object]], roles: ColumnMapping, code: str) -> None:
    assert problem_of(lambda: check_mapping(table_of(rows), roles)).code == code


def test_roles_that_teach_something_pass() -> None:
    check_mapping(table_of(PAIRS), ColumnMapping(question="a", answer="b"))
    check_mapping(table_of(PAIRS), ColumnMapping(text="b"))
    check_mapping(table_of(PAIRS[:1]), ColumnMapping(question="a", answer="b"))
    assert ColumnMapping().format is None
    assert ColumnMapping(text="b").format is not None
