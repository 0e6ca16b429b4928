"""Layouts of records that programs and reading tests have of their own."""

from __future__ import annotations

import json
from pathlib import Path

from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.apply_mapping import examples_from
from studio.dataset.columns.detection.detect import detect
from studio.dataset.table import Table
from tests.dataset.conftest import opened

ASKED = [f"Where does train number {number} stop?" for number in range(6)]


def saved(path: Path, value: object) -> Table:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return opened(path)


def test_questions_below_passages_are_rows(tmp_path: Path) -> None:
    def asked(number: int) -> dict[str, object]:
        answers = [{"text": f"Platform {number}", "answer_start": 3}, {"text": "there", "answer_start": 0}]
        return {"id": str(number), "question": ASKED[number], "answers": answers}

    passages = [
        {"context": f"Trains, part {n}: they stop at platforms.", "qas": [asked(2 * n), asked(2 * n + 1)]}
        for n in (0, 1, 2)
    ]
    table = saved(tmp_path / "test.json", {"version": "1", "data": [{"title": "Trains", "paragraphs": passages}]})
    found = detect(table)
    assert found.sure
    assert (found.mapping.question, found.mapping.context, found.mapping.answer) == ("question", "context", "answers")
    made = examples_from(table, found.mapping).examples
    assert [example.answer for example in made] == [f"Platform {number}" for number in range(6)]
    assert made[3].question == f"{ASKED[3]}\n\nTrains, part 1: they stop at platforms."


def test_chatgpt_exports_are_conversations_in_their_last_version(tmp_path: Path) -> None:
    def node(
        key: str, parent: str | None, who: str, text: str, children: list[str], **about: object
    ) -> dict[str, object]:
        content = {"content_type": "text", "parts": [text]}
        message = {"author": {"role": who}, "content": content, "metadata": about}
        return {"id": key, "parent": parent, "children": children, "message": message}

    def talk(number: int) -> dict[str, object]:
        nodes = {
            "root": {"id": "root", "parent": None, "children": ["s"], "message": None},
            "s": node("s", "root", "system", "", ["q"], is_visually_hidden_from_conversation=True),
            "q": node("q", "s", "user", ASKED[number], ["a", "b"]),
            "a": node("a", "q", "assistant", "The first try", []),
            "b": node("b", "q", "assistant", f"At platform {number}.", []),
        }
        return {"title": f"Talk {number}", "current_node": "b", "mapping": nodes}

    table = saved(tmp_path / "conversations.json", [talk(number) for number in range(5)])
    found = detect(table)
    assert (found.mapping, found.sure) == (ColumnMapping(messages="messages"), True)
    made = examples_from(table, found.mapping).examples
    assert [(m.role, m.content) for m in made[2].messages] == [("user", ASKED[2]), ("assistant", "At platform 2.")]


def test_questions_as_names_are_questions(tmp_path: Path) -> None:
    table = saved(tmp_path / "faq.json", {question: f"At platform {n}." for n, question in enumerate(ASKED)})
    assert [dict(row) for row in table.rows][1] == {"question": ASKED[1], "answer": "At platform 1."}
    assert len(table.rows) == 6


def test_settings_are_not_taken_for_questions(tmp_path: Path) -> None:
    table = saved(tmp_path / "one.json", {"title": "A train", "place": "Bonn", "said": "It stops here."})
    assert table.columns == ("title", "place", "said")


def test_messages_that_were_encoded_twice_are_read(tmp_path: Path) -> None:
    talks = [[{"role": "user", "content": q}, {"role": "assistant", "content": "Here."}] for q in ASKED]
    lines = [json.dumps({"messages": json.dumps(json.dumps(talk))}) for talk in talks]
    (tmp_path / "talks.jsonl").write_text("\n".join(lines))
    table = opened(tmp_path / "talks.jsonl")
    found = detect(table)
    assert (found.mapping, found.sure) == (ColumnMapping(messages="messages"), True)
    assert examples_from(table, found.mapping).examples[0].question == ASKED[0]
