"""Every way of choosing columns from which nothing could be learned is refused in words."""

from __future__ import annotations

import pytest

from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.mapping_checks import check_mapping
from tests.dataset.columns.test_mapping import table_of
from tests.dataset.conftest import problem_of

CHOICES: list[dict[str, object]] = [
    {
        "q": f"which {n}",
        "A": f"a{n}",
        "B": f"b{n}",
        "C": f"c{n}",
        "key": "ABC"[n % 3],
        "all": "one",
        "kind": "ab"[n % 2],
    }
    for n in range(6)
]
TALKS: list[dict[str, object]] = [
    {"id": n // 2, "who": ("user", "bot")[n % 2], "what": f"words {n}", "same": "user", "none": ""} for n in range(8)
]


@pytest.mark.parametrize(
    ("roles", "code"),
    [
        (ColumnMapping(question="q", options=("A", "B", "C")), "data.options_without_answer"),
        (ColumnMapping(options=("A", "B", "C"), answer="key"), "data.no_question_column"),
        (ColumnMapping(question="q", options=("A", "B", "C"), answer="B"), "data.answer_is_option"),
        (ColumnMapping(question="q", options=("A", "A"), answer="key"), "data.option_twice"),
        (ColumnMapping(question="q", options=("all",), answer="key"), "data.one_option"),
        (ColumnMapping(question="q", options=("A", "B", "C"), answer="all"), "data.answers_match_no_option"),
        (ColumnMapping(question="q", options=("A", "B", "X"), answer="key"), "data.unknown_column"),
        (ColumnMapping(question="q", answer="key", label="kind"), "data.label_and_answer"),
        (ColumnMapping(label="kind"), "data.label_without_text"),
        (ColumnMapping(question="kind", label="kind"), "data.same_column"),
        (ColumnMapping(question="q", label="all"), "data.one_label"),
        (ColumnMapping(question="q", answer="q"), "data.same_column"),
        (ColumnMapping(question_template="{q} and {key}", answer="key"), "data.same_column"),
        (ColumnMapping(question_template="{q} and {ky}", answer="A"), "data.unknown_column"),
        (ColumnMapping(question_template="{q} and {key", answer="A"), "data.template_braces"),
        (ColumnMapping(question_template="{q}} {A}", answer="B"), "data.template_braces"),
        (ColumnMapping(question_template="always {{q}}", answer="A"), "data.template_without_columns"),
        (ColumnMapping(messages="q"), "data.no_conversations"),
        (ColumnMapping(messages="q", answer="A"), "data.roles_conflict"),
        (ColumnMapping(text="q", context="A"), "data.roles_conflict"),
        (ColumnMapping(messages="q", thinking="A"), "data.roles_conflict"),
        (ColumnMapping(text="q", system="A"), "data.system_without_question"),
        (ColumnMapping(text="q", tools="A"), "data.tools_without_conversation"),
        (ColumnMapping(tools="A"), "data.no_roles"),
    ],
)
def test_mistakes_with_columns_are_said_plainly(roles: ColumnMapping, code: str) -> None:
    assert problem_of(lambda: check_mapping(table_of(CHOICES), roles)).code == code


@pytest.mark.parametrize(
    ("roles", "code"),
    [
        (ColumnMapping(speaker="who", content="what"), "data.no_conversation_id"),
        (ColumnMapping(conversation="id", content="what"), "data.no_speaker"),
        (ColumnMapping(conversation="id", speaker="who"), "data.nothing_said"),
        (ColumnMapping(conversation="id", speaker="id", content="what"), "data.turns_same_column"),
        (ColumnMapping(conversation="id", speaker="same", content="what"), "data.one_side"),
        (ColumnMapping(conversation="id", speaker="none", content="what"), "data.no_answers"),
        (ColumnMapping(conversation="id", speaker="who", content="none"), "data.no_answers"),
        (
            ColumnMapping(conversation="id", speaker="who", content="what", assistant_speaker="nobody"),
            "data.unknown_speaker",
        ),
        (ColumnMapping(conversation="id", speaker="who", content="what", question="same"), "data.roles_conflict"),
    ],
)
def test_mistakes_with_turns_are_said_plainly(roles: ColumnMapping, code: str) -> None:
    assert problem_of(lambda: check_mapping(table_of(TALKS), roles)).code == code


@pytest.mark.parametrize(
    "roles",
    [
        ColumnMapping(question="q", options=("A", "B", "C"), answer="key"),
        ColumnMapping(question="q", label="kind"),
        ColumnMapping(question="q", context="A", answer="B"),
        ColumnMapping(question_template="{q}: {A}", answer="B"),
        ColumnMapping(question_template="{q}: {A}", label="kind"),
    ],
)
def test_usable_columns_pass(roles: ColumnMapping) -> None:
    check_mapping(table_of(CHOICES), roles)


def test_usable_turns_pass_whoever_answers() -> None:
    check_mapping(table_of(TALKS), ColumnMapping(conversation="id", speaker="who", content="what"))
    check_mapping(
        table_of(TALKS), ColumnMapping(conversation="id", speaker="who", content="what", assistant_speaker="user")
    )


def test_too_many_labels_are_answers() -> None:
    rows: list[dict[str, object]] = [{"q": f"q{n}", "l": f"label {n}"} for n in range(300)]
    assert (
        problem_of(lambda: check_mapping(table_of(rows), ColumnMapping(question="q", label="l"))).code
        == "data.too_many_labels"
    )


def test_the_nearest_name_is_offered_for_one_that_is_not_there() -> None:
    rows: list[dict[str, object]] = [{"Frage": "a", "Antwort": "b"}, {"Frage": "c", "Antwort": "d"}]
    found = problem_of(lambda: check_mapping(table_of(rows), ColumnMapping(question="frgae", answer="Antwort")))
    assert "Did you mean Frage?" in found.english()
    found = problem_of(
        lambda: check_mapping(table_of(rows), ColumnMapping(question_template="{antwrot}", answer="Frage"))
    )
    assert "Did you mean Antwort?" in found.english()
