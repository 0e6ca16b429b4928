"""Talks that were written down: exports of messengers, transcripts, turns in columns, turns inside of one text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.apply_mapping import examples_from
from studio.dataset.columns.detection.detect import detect
from studio.dataset.columns.formats.written_conversations import marked_turns
from studio.dataset.columns.mapping_checks import check_mapping
from studio.dataset.examples import Example
from studio.dataset.readers.derived.columns import turn_columns
from studio.dataset.table import Table
from tests.dataset.conftest import opened

ASKED = [f"Where is parcel number {number}, and when does it come?" for number in range(1, 6)]
TOLD = [f"Parcel number {number} is on its way: it comes on day {number}." for number in range(1, 6)]


def written(path: Path, text: str) -> Table:
    path.write_text(text, encoding="utf-8")
    return opened(path)


def said(table: Table) -> list[Example]:
    found = detect(table)
    check_mapping(table, found.mapping)
    made = examples_from(table, found.mapping)
    assert not made.skipped
    return list(made.examples)


def turns_of(example: Example) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in example.messages]


BOTH = [turn for pair in zip(ASKED, TOLD, strict=True) for turn in (("user", pair[0]), ("assistant", pair[1]))]
KAKAO = (
    "고객센터 님과 카카오톡 대화\n저장한 날짜 : 2025-03-01 10:00:00\n\n"
    "--------------- 2025년 3월 1일 토요일 ---------------\n"
)
EXPORTS = {
    "kakao on a computer": KAKAO
    + "".join(
        f"[김철수] [오전 10:0{n}] {q}\n[고객센터] [오후 1:0{n}] {a}\n"
        for n, (q, a) in enumerate(zip(ASKED, TOLD, strict=True))
    ),
    "kakao on a telephone": "2025년 3월 1일 토요일\n"
    + "".join(
        f"2025. 3. 1. 오전 10:0{n}, 김철수 : {q}\n2025. 3. 1. 오전 10:1{n}, 고객센터 : {a}\n"
        for n, (q, a) in enumerate(zip(ASKED, TOLD, strict=True))
    ),
    "whatsapp": "3/1/25, 10:00 AM - Messages are end-to-end encrypted. Tap to learn more.\n"
    + "".join(
        f"3/1/25, 10:0{n} AM - Anna: {q}\n3/1/25, 11:0{n} AM - Shop Support: {a}\n"
        for n, (q, a) in enumerate(zip(ASKED, TOLD, strict=True))
    ),
    "whatsapp in brackets": "".join(
        f"[01.03.25, 10:0{n}:05] Anna: {q}\n[01.03.25, 11:0{n}:45] Shop Support: {a}\n"
        for n, (q, a) in enumerate(zip(ASKED, TOLD, strict=True))
    ),
    "names and colons": "".join(f"Customer: {q}\nMaria Lopez: {a}\n" for q, a in zip(ASKED, TOLD, strict=True)),
}


@pytest.mark.parametrize("kind", EXPORTS)
def test_what_was_written_in_a_messenger_is_a_conversation_and_is_asked_about(tmp_path: Path, kind: str) -> None:
    table = written(tmp_path / "talk.txt", EXPORTS[kind])
    assert table.format == "transcript"
    assert not detect(table).sure
    (example,) = said(table)
    assert turns_of(example) == BOTH


def test_a_new_day_in_a_messenger_begins_a_new_conversation(tmp_path: Path) -> None:
    second = EXPORTS["whatsapp"].replace("3/1/25", "3/2/25")
    examples = said(written(tmp_path / "talk.txt", EXPORTS["whatsapp"] + second))
    assert [turns_of(one) for one in examples] == [BOTH, BOTH]


def test_a_message_of_several_lines_stays_whole(tmp_path: Path) -> None:
    text = EXPORTS["whatsapp"].replace("Parcel number 2 is", "Dear Anna,\n\nthank you. Parcel number 2 is")
    (example,) = said(written(tmp_path / "talk.txt", text))
    assert example.messages[3].content == f"Dear Anna,\n\nthank you. {TOLD[1]}"


def test_blank_lines_part_the_exchanges_of_an_interview(tmp_path: Path) -> None:
    text = "\n\n".join(f"Interviewer: {q}\nMaria Lopez: {a}" for q, a in zip(ASKED, TOLD, strict=True))
    examples = said(written(tmp_path / "talk.txt", text))
    assert [turns_of(one) for one in examples] == [BOTH[n : n + 2] for n in range(0, 10, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"Name: Anna {n}\nPhone: 0{n}00\nTown: Bonn\n\n" for n in range(8)),
        "Note: bring a coat. It is cold.\n" + "We walked for hours and saw nothing at all.\n" * 20,
        "".join(f"2025-03-01 10:{n:02d}:00 INFO server: request {n} done\n" for n in range(30)),
    ],
    ids=["fields", "prose", "log"],
)
def test_other_texts_with_colons_are_no_talks(tmp_path: Path, text: str) -> None:
    assert written(tmp_path / "other.txt", text).format != "transcript"


def test_subtitles_are_read_without_their_times(tmp_path: Path) -> None:
    cues = "".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n},500\n{line}\n\n" for n, line in enumerate(TOLD, 1))
    table = written(tmp_path / "film.srt", cues)
    assert table.format == "document"
    assert [line for row in table.rows for line in str(row["text"]).split("\n")] == TOLD


LAYOUTS = [
    ("번호", "사람문장1", "시스템응답1", "사람문장2", "시스템응답2"),
    ("id", "user_1", "assistant_1", "user_2", "assistant_2"),
    ("talk", "HS01", "SS01", "HS02", "SS02"),
    ("talk", "turn1_customer", "turn1_agent", "turn2_customer", "turn2_agent"),
]


@pytest.mark.parametrize("columns", LAYOUTS)
def test_turns_in_columns_are_put_together(tmp_path: Path, columns: tuple[str, ...]) -> None:
    path = tmp_path / "talks.csv"
    lines = [f'"{n}","{ASKED[n]}","{TOLD[n]}","And {ASKED[n]}","{TOLD[n - 1] if n else ""}"' for n in range(4)]
    path.write_text("\n".join([",".join(columns), *lines]), encoding="utf-8")
    table = opened(path)
    found = detect(table)
    assert found.sure
    assert found.mapping == ColumnMapping(messages="conversation")
    assert "Not used" not in " ".join(why.english() for why in found.why)
    examples = said(table)
    assert turns_of(examples[0]) == [("user", ASKED[0]), ("assistant", TOLD[0])]
    assert turns_of(examples[1])[2:] == [("user", f"And {ASKED[1]}"), ("assistant", TOLD[0])]


@pytest.mark.parametrize(
    "columns",
    [
        ("question1", "question2", "is_duplicate"),
        ("question", "answer1", "answer2", "answer3"),
        ("user_1", "assistant_1"),
        ("user_1", "user_2", "assistant_7"),
        ("질문1", "답변1", "질문2", "답변2"),
        ("system1", "system2", "user"),
    ],
)
def test_numbered_columns_of_other_kinds_stay_as_they_are(columns: tuple[str, ...]) -> None:
    assert turn_columns(columns) is None


def test_turns_inside_of_a_text_are_told_apart_and_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    texts = [
        f"\n\nHuman: {q}\n\nAssistant: {a}\nNote: all good.\n\nHuman: Thanks" for q, a in zip(ASKED, TOLD, strict=True)
    ]
    path.write_text("\n".join(json.dumps({"chosen": text, "rejected": "\n\nHuman: x"}) for text in texts))
    table = opened(path)
    assert not detect(table).sure
    assert turns_of(said(table)[0]) == [("user", ASKED[0]), ("assistant", f"{TOLD[0]}\nNote: all good.")]


def test_standing_instructions_beside_a_marked_text_are_no_question(tmp_path: Path) -> None:
    call = '<functioncall> {"name": "track", "arguments": \'{"number": 1}\'} <|endoftext|>'
    text = f"USER: {ASKED[0]}\n\n\nASSISTANT: {call}\n\n\nFUNCTION RESPONSE: {{}}\n\n\nASSISTANT: Soon. <|endoftext|>"
    path = tmp_path / "calls.jsonl"
    records = [{"system": f"You help with parcels, {n}.", "chat": text.replace("1", str(n))} for n in range(5)]
    path.write_text("\n".join(map(json.dumps, records)))
    table = opened(path)
    found = detect(table)
    assert (found.mapping, found.sure) == (ColumnMapping(messages="chat", system="system"), False)
    messages = said(table)[1].messages
    assert [turn.role for turn in messages] == ["system", "user", "assistant", "tool", "assistant"]
    (made,) = messages[2].tool_calls
    assert (made.name, json.loads(made.arguments)) == ("track", {"number": 1})
    assert messages[-1].content == "Soon."


def test_a_talk_that_is_summed_up_stays_what_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "sums.jsonl"
    both = zip(ASKED, TOLD, strict=True)
    records = [{"dialogue": f"Customer: {q}\nAgent: {a}", "summary": f"About it: {a[:15]}"} for q, a in both]
    path.write_text("\n".join(map(json.dumps, records)))
    assert detect(opened(path)).mapping.messages is None


@pytest.mark.parametrize("text", ["", "Human: only one side", "no marks: here", "Note: a\nHint: b"])
def test_texts_without_two_sides_hold_no_turns(text: str) -> None:
    assert marked_turns(text) == []
