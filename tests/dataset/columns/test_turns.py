"""Conversations whose turns stand in rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.apply_mapping import examples_from, iterate_examples
from studio.dataset.columns.detection.detect import detect
from studio.dataset.columns.formats import turns
from studio.dataset.examples import Skipped
from tests.dataset.columns.test_formats import learned_surely, said, write_csv
from tests.dataset.columns.test_mapping import table_of
from tests.dataset.conftest import opened

TURNS = ColumnMapping(conversation="id", speaker="who", content="what")


def rows_of(*told: tuple[str, str, str]) -> list[dict[str, object]]:
    return [{"id": identity, "who": who, "what": what} for identity, who, what in told]


def test_rows_of_one_id_become_one_conversation(tmp_path: Path) -> None:
    header = ["대화ID", "시각", "발화자", "발화"]
    rows = [
        [f"C{n // 4}", f"09:{n:02}", ("고객", "상담사")[n % 2], f"{n}번째로 한 말입니다, 들어 주세요"]
        for n in range(16)
    ]
    table = opened(write_csv(tmp_path / "a.csv", header, rows))
    roles, examples = learned_surely(table)
    assert roles == ColumnMapping(conversation="대화ID", speaker="발화자", content="발화")
    assert [len(e.messages) for e in examples] == [4] * 4
    assert said(examples[1])[0] == ("user", "4번째로 한 말입니다, 들어 주세요")
    assert examples_from(table, roles).rows == (1, 5, 9, 13)


def test_interleaved_conversations_are_told_apart() -> None:
    told = rows_of(
        ("a", "customer", "one"),
        ("b", "customer", "two"),
        ("a", "agent", "three"),
        ("c", "customer", "x"),
        ("b", "agent", "four"),
    )
    told += rows_of(("c", "agent", "y"), ("a", "customer", "five"), ("a", "agent", "six"))
    found = dict(iterate_examples(table_of(told), TURNS, "Be kind."))
    assert list(found) == [2, 4, 1]
    first = found[1]
    assert not isinstance(first, Skipped)
    assert said(first) == [
        ("system", "Be kind."),
        ("user", "one"),
        ("assistant", "three"),
        ("user", "five"),
        ("assistant", "six"),
    ]


def test_turns_of_one_speaker_are_joined_and_empty_ones_left_out() -> None:
    told = rows_of(("1", "user", "a"), ("1", "user", "b"), ("1", "bot", ""), ("1", "bot", "c"), ("1", "bot", "d"))
    (example,) = examples_from(table_of(told), TURNS).examples
    assert said(example) == [("user", "a\nb"), ("assistant", "c\nd")]


def test_an_id_in_merged_cells_holds_for_the_rows_below() -> None:
    told = rows_of(("1", "고객", "a"), ("", "상담사", "b"), ("2", "고객", "c"), ("", "상담사", "d"))
    found = examples_from(table_of(told), TURNS)
    assert [said(e) for e in found.examples] == [
        [("user", "a"), ("assistant", "b")],
        [("user", "c"), ("assistant", "d")],
    ]


def test_a_row_that_merely_lacks_its_id_is_left_out() -> None:
    told = rows_of(("1", "user", "a"), ("1", "bot", "b"), ("", "user", "lost"), ("2", "user", "c"), ("2", "bot", "d"))
    found = examples_from(table_of(told), TURNS)
    assert len(found.examples) == 2
    assert [(s.row, s.reason.english()) for s in found.skipped] == [(3, "The row has no conversation id.")]


@pytest.mark.parametrize(
    ("speakers", "answering"),
    [
        (("고객", "상담사"), "상담사"),
        (("Agent 2", "Customer"), "Agent 2"),
        (("김민수", "상담원"), "상담원"),
        (("client", "Dr. Weber"), "Dr. Weber"),
        (("Q", "A"), "A"),
        (("患者", "医生"), "医生"),
        (("USER", "ASSISTANT"), "ASSISTANT"),
    ],
)
def test_names_tell_who_answers(speakers: tuple[str, str], answering: str) -> None:
    told = rows_of(*((f"{n // 2}", speakers[n % 2], f"words number {n} that were said") for n in range(12)))
    table = table_of(told)
    cast = turns.speaker_roles(turns.order_of(table.rows, TURNS))
    assert cast.is_told
    assert [name for name, part in cast.parts.items() if part == "assistant"] == [answering]


def test_names_that_do_not_tell_who_answers_are_asked_about() -> None:
    rows = [
        {"dialog_id": n // 2, "speaker": "AB"[n % 2], "utterance": f"words number {n} that were said"}
        for n in range(12)
    ]
    table = table_of(rows)
    found = detect(table)
    assert not found.sure
    assert found.mapping.assistant_speaker == "B"
    assert said(examples_from(table, found.mapping).examples[0])[1][0] == "assistant"
    other = found.mapping.model_copy(update={"assistant_speaker": "A"})
    examples = examples_from(table_of([*rows, {"dialog_id": 5, "speaker": "A", "utterance": "so"}]), other).examples
    assert said(examples[-1])[-1] == ("assistant", "so")


def test_rows_in_another_order_than_their_numbers_are_asked_about() -> None:
    rows = [
        {"session_id": n // 4, "turn": 4 - n % 4, "role": ("user", "assistant")[n % 2], "content": f"words {n} here"}
        for n in range(16)
    ]
    found = detect(table_of(rows))
    assert not found.sure
    assert any("order of turn" in why.english() for why in found.why)


def test_speakers_without_an_id_are_asked_about() -> None:
    rows = [{"role": ("user", "assistant")[n % 2], "content": f"words number {n}"} for n in range(12)]
    found = detect(table_of(rows))
    assert (found.sure, found.mapping) == (False, ColumnMapping(speaker="role", content="content"))


def test_an_unknown_third_speaker_leaves_only_their_conversations_out() -> None:
    told = rows_of(("1", "user", "a"), ("1", "bot", "b"), ("2", "user", "c"), ("2", "narrator", "x"), ("2", "bot", "d"))
    found = examples_from(table_of(told), TURNS)
    assert len(found.examples) == 1
    assert "narrator speaks in it" in found.skipped[0].reason.english()


def test_what_does_not_fit_in_memory_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told = rows_of(*((f"{n % 3}", ("user", "bot")[n // 3 % 2], f"words {n}") for n in range(60)))
    whole = examples_from(table_of(told), TURNS)
    monkeypatch.setattr(turns, "_HELD", 300)
    assert examples_from(table_of(told), TURNS) == whole
    assert [len(e.messages) for e in whole.examples] == [20, 20, 20]


@settings(max_examples=60, deadline=None)
@given(
    talks=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    shuffle=st.randoms(use_true_random=False),
    interleaved=st.booleans(),
)
def test_no_turn_is_lost_however_the_rows_lie(talks: list[int], shuffle: object, interleaved: bool) -> None:
    waiting = {
        f"talk {t}": [(("user", "bot")[n % 2], f"said {t} {n}") for n in range(2 * count)]
        for t, count in enumerate(talks)
    }
    expected = {identity: list(told) for identity, told in waiting.items()}
    rows: list[dict[str, object]] = []
    while waiting:
        identity = shuffle.choice(sorted(waiting)) if interleaved else next(iter(waiting))  # type: ignore[attr-defined]
        who, what = waiting[identity].pop(0)
        rows.append({"id": identity, "who": who, "what": what})
        if not waiting[identity]:
            del waiting[identity]
    found = examples_from(table_of(rows), TURNS)
    assert not found.skipped
    assert len(found.examples) == len(talks)
    for number, example in zip(found.rows, found.examples, strict=True):
        wanted = expected[str(rows[number - 1]["id"])]
        assert [m.content for m in example.messages] == [what for _, what in wanted]
