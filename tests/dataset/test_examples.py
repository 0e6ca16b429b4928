"""Rows become examples, and examples survive being written down."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.conversation import Message
from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.apply_mapping import examples_from
from studio.dataset.examples import Example, read_frozen, write_frozen
from tests.dataset.columns.test_mapping import table_of
from tests.dataset.conftest import split

PAIR = ColumnMapping(question="q", answer="a", context="c", system="s")


def said(example: Example) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in example.messages]


def test_a_row_becomes_a_conversation_in_the_right_order() -> None:
    table = table_of([{"q": " ask ", "c": "about", "s": "be kind", "a": 4.0}])
    (example,) = examples_from(table, PAIR, "You are a shop.").examples
    assert said(example) == [
        ("system", "You are a shop.\n\nbe kind"),
        ("user", "ask\n\nabout"),
        ("assistant", "4"),
    ]
    assert (example.question, example.answer) == ("ask\n\nabout", "4")
    assert [m.role for m in example.prompt] == ["system", "user"]


def test_rows_without_question_or_answer_are_skipped_and_say_why() -> None:
    table = table_of([{"q": "", "a": "x"}, {"q": "x", "a": "  "}, {"q": "x", "a": 0}, {"q": None, "a": None}])
    found = examples_from(table, ColumnMapping(question="q", answer="a"), "")
    assert [(s.row, s.reason.english()) for s in found.skipped] == [
        (1, "The question is empty."),
        (2, "The answer is empty."),
        (4, "The question is empty."),
    ]
    assert [e.answer for e in found.examples] == ["0"]
    assert found.rows == (3,)


def test_openai_and_sharegpt_conversations_mean_the_same() -> None:
    openai = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "value": "b"}]},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "never answered"},
    ]
    sharegpt = [{"from": "system", "value": "s"}, {"from": "human", "value": "ab"}, {"from": "gpt", "value": "c"}]
    found = examples_from(table_of([{"m": openai}, {"m": sharegpt}]), ColumnMapping(messages="m"), "")
    assert found.examples[0] == found.examples[1]
    assert said(found.examples[0]) == [("system", "s"), ("user", "ab"), ("assistant", "c")]


def test_tool_calls_are_the_assistants_and_their_results_the_tools() -> None:
    talk = [
        {"from": "human", "value": "weather?"},
        {"from": "function_call", "value": '{"name": "look"}'},
        {"from": "observation", "value": "rain"},
        {"from": "gpt", "value": "It rains."},
    ]
    (example,) = examples_from(table_of([{"m": talk}]), ColumnMapping(messages="m"), "").examples
    assert [m.role for m in example.messages] == ["user", "assistant", "tool", "assistant"]
    assert example.question == "weather?"
    assert len(example.prompt) == 3


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        ([], "no turns"),
        ("not json", "no turns"),
        ([{"role": "user", "content": "a"}], "Nobody answers"),
        ([{"role": "assistant", "content": "a"}], "Nobody asks"),
        ([{"role": "narrator", "content": "a"}], "unknown"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, {"role": "assistant", "content": "a"}], "picture"),
        ([{"content": "a"}, {"content": "b"}], "no role"),
    ],
)
def test_conversations_that_cannot_be_learned_say_why(talk: object, words: str) -> None:
    found = examples_from(table_of([{"m": talk}]), ColumnMapping(messages="m"), "")
    assert not found.examples
    assert words in found.skipped[0].reason.english()


def test_plain_text_is_kept_as_it_is() -> None:
    (example,) = examples_from(table_of([{"t": "once upon"}]), ColumnMapping(text="t"), "ignored").examples
    assert (example.text, example.messages, example.answer, example.question) == ("once upon", (), "once upon", "")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_frozen_examples_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    file = tmp_path_factory.mktemp("frozen") / "train.jsonl"
    examples = [Example(text=text) for text in texts]
    examples += [
        Example(messages=(Message(role="user", content=text), Message(role="assistant", content=text[::-1])))
        for text in texts
    ]
    write_frozen(file, examples)
    assert read_frozen(file) == examples
    assert file.read_bytes().count(b"\n") == len(examples)


def asking(*questions: str) -> list[Example]:
    return [
        Example(messages=(Message(role="user", content=q), Message(role="assistant", content=str(n))))
        for n, q in enumerate(questions)
    ]


@settings(max_examples=100, deadline=None)
@given(
    questions=st.lists(st.sampled_from(["a", "A ", "b", "c c", "c  C", "d", "e", "f", "g"]), min_size=1, max_size=40),
    share=st.floats(0, 0.5),
    seed=st.integers(0, 2**31 - 1),
)
def test_a_split_loses_nothing_and_keeps_equal_questions_together(
    questions: list[str], share: float, seed: int
) -> None:
    examples = asking(*questions)
    learned, held_out = split(examples, share, seed)
    assert sorted(e.answer for e in learned + held_out) == sorted(e.answer for e in examples)
    assert learned
    assert len(held_out) <= share * len(examples)
    folded = [{" ".join(e.question.casefold().split()) for e in side} for side in (learned, held_out)]
    assert not folded[0] & folded[1]
    assert split(examples, share, seed) == (learned, held_out)


def test_a_split_of_distinct_questions_is_exact_and_depends_on_the_seed() -> None:
    examples = asking(*(f"question {n}" for n in range(165)))
    learned, held_out = split(examples, 0.1, 17)
    assert (len(learned), len(held_out)) == (149, 16)
    assert held_out == sorted(held_out, key=lambda e: int(e.answer))
    assert split(examples, 0.1, 18)[1] != held_out
