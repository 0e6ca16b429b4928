"""Conversations as text and as data, and what a person said of answers as data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from studio.chat.store import TurnRecord
from studio.chat.transcript import as_examples, as_markdown, keep_feedback
from studio.core.conversation import Message
from studio.core.recipe.data_choice import DataChoice
from studio.dataset.columns.apply_mapping import examples_from
from studio.dataset.columns.detection.detect import detect
from studio.dataset.corrections import Feedback
from studio.dataset.examples import Example
from studio.dataset.readers.read_table import read_table
from tests.dataset.conftest import stored

TURNS = [
    TurnRecord(id="1", place=0, model="base", question="Hello?", answer="Hi."),
    TurnRecord(id="2", place=0, model="run", question="Hello?", answer="TEAM: none", rating=-1),
    TurnRecord(id="3", place=1, model="run", question="And now?", answer="TEAM: x", correction="TEAM: delivery"),
    TurnRecord(id="4", place=2, model="run", question="Still there?"),
]


def opened(file: Path) -> list[Example]:
    """As the Data page reads it."""
    table = stored(read_table(DataChoice(path=str(file))))
    return list(examples_from(table, detect(table).mapping, "").examples)


def test_a_conversation_reads_as_markdown() -> None:
    names = {"question": "You", "base": "Base model", "run": "Trained model"}
    assert as_markdown("Greetings", TURNS[:3], names) == (
        "# Greetings\n\n## You\n\nHello?\n\n### Base model\n\nHi.\n\n### Trained model\n\nTEAM: none\n\n"
        "## You\n\nAnd now?\n\n### Trained model\n\nTEAM: delivery\n"
    )


def test_a_conversation_becomes_examples_that_the_data_page_opens(tmp_path: Path) -> None:
    file = tmp_path / "talk.jsonl"
    file.write_text(as_examples(TURNS), encoding="utf-8")
    base, run = opened(file)
    assert [message.content for message in base.messages] == ["Hello?", "Hi."]
    assert [message.content for message in run.messages] == ["Hello?", "TEAM: none", "And now?", "TEAM: delivery"]
    assert [message.in_loss for message in run.messages if message.role == "assistant"] == [False, True]


def test_a_corrected_answer_is_learned_and_what_came_before_it_only_read(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    assert keep_feedback(file, TURNS[1:3]) == Feedback(corrected=1)
    (example,) = opened(file)
    assert example.messages[-1] == Message(role="assistant", content="TEAM: delivery")
    assert not example.messages[1].in_loss
    (line,) = file.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["rejected"] == TURNS[2].answer
    assert example.rejected == Message(role="assistant", content=TURNS[2].answer), "the answer that was corrected"


def test_correcting_again_replaces_and_taking_back_removes(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    keep_feedback(file, TURNS[1:3])
    other = TurnRecord(id="9", place=0, model="run", question="Q?", answer="A", correction="B")
    assert keep_feedback(file, [other]) == Feedback(corrected=2)
    assert keep_feedback(file, TURNS[2:3]) == Feedback(corrected=2)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["9", "3"]
    assert keep_feedback(file, [replace(other, correction="")]) == Feedback(corrected=1)
    assert opened(file)[0].answer == "TEAM: delivery"


def test_answers_called_good_and_wrong_are_kept_and_a_correction_goes_first(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    good = TurnRecord(id="g", place=0, model="run", question="Q?", answer="A", rating=1)
    assert keep_feedback(file, [good]) == Feedback(good=1)
    assert keep_feedback(file, [TURNS[1]]) == Feedback(good=1, wrong=1)
    assert keep_feedback(file, [replace(TURNS[1], correction="TEAM: all")]) == Feedback(good=1, corrected=1)
    assert keep_feedback(file, [replace(good, rating=-1)]) == Feedback(wrong=1, corrected=1)
    assert keep_feedback(file, [replace(good, rating=0)]) == Feedback(corrected=1)
    unanswered = TurnRecord(id="n", place=0, model="run", question="Q?", rating=-1)
    assert keep_feedback(file, [unanswered]) == Feedback(corrected=1), "there is no answer that could be wrong"


def test_opened_as_data_the_marks_are_found_and_those_called_wrong_left_out(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    for number, rating in enumerate((1, -1, 1, 1, -1, 1)):
        keep_feedback(
            file, [TurnRecord(f"t{number}", 0, "run", f"Question {number}?", f"Answer {number}.", rating=rating)]
        )
    assert [one.answer for one in opened(file)] == ["Answer 0.", "Answer 2.", "Answer 3.", "Answer 5."]
