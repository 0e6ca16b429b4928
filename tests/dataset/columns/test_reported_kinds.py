"""Files of the kinds that went wrong silently in people's reports: read right, or asked about with the true reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.core.recipe.data_choice import DataChoice
from studio.dataset.columns.apply_mapping import ExampleSet, examples_from
from studio.dataset.columns.detection.column_profile import DetectedMapping
from studio.dataset.columns.detection.detect import detect
from studio.dataset.readers.read_table import read_table
from studio.dataset.table import Table
from tests.dataset.conftest import opened

ANSWERS = ["In the blue cupboard.", "Behind the mill.", "At half past six.", "Under the third stair."] * 4
ASKED = ["Where is the ladle?", "Where is the cart?", "When does it ring?", "Where is the key?"] * 4


def read(
    tmp_path: Path, rows: list[dict[str, object]], name: str = "file.jsonl"
) -> tuple[Table, DetectedMapping, ExampleSet]:
    file = tmp_path / name
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    table = opened(file)
    found = detect(table)
    return table, found, examples_from(table, found.mapping)


def said(found: DetectedMapping) -> str:
    return " ".join(sentence.english() for sentence in found.why)


@pytest.mark.parametrize("who", [("from", "value", "human", "gpt"), ("role", "content", "user", "assistant")])
def test_a_better_answer_that_is_a_single_record_is_learned_as_its_text(tmp_path: Path, who: tuple[str, ...]) -> None:
    speaker, content, user, assistant = who
    rows: list[dict[str, object]] = [
        {
            "conversations": [{speaker: user, content: f"{asked} {number}"}],
            "chosen": {speaker: assistant, content: answer},
            "rejected": {speaker: assistant, content: "Who knows."},
        }
        for number, (asked, answer) in enumerate(zip(ASKED, ANSWERS, strict=True))
    ]
    _, found, made = read(tmp_path, rows)
    assert found.sure and [one.answer for one in made.examples] == ANSWERS
    assert {one.rejected.content for one in made.examples if one.rejected is not None} == {"Who knows."}
    assert "chosen holds the better answers and rejected the worse ones" in said(found)


def test_a_completion_that_is_a_single_record_is_learned_as_its_text(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": [{"role": "user", "content": asked}], "completion": {"role": "assistant", "content": answer}}
        for asked, answer in zip(ASKED, ANSWERS, strict=True)
    ]
    _, _, made = read(tmp_path, rows)
    assert [one.answer for one in made.examples] == ANSWERS


@pytest.mark.parametrize("form", ["messages", "prompt"])
def test_answers_marked_as_bad_are_left_out_and_that_is_said(tmp_path: Path, form: str) -> None:
    rows: list[dict[str, object]] = []
    for number, (asked, answer) in enumerate(zip(ASKED, ANSWERS, strict=True)):
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        told: dict[str, object] = {"messages": turns} if form == "messages" else {"prompt": asked, "completion": answer}
        rows.append({**told, "label": number % 2 == 0})
    _, found, made = read(tmp_path, rows)
    assert found.sure and "label says which answers are good" in said(found)
    assert [one.answer for one in made.examples] == ANSWERS[::2]
    assert len(made.skipped) == len(ANSWERS) // 2
    assert "isn't a good one" in made.skipped[0].reason.english()


def test_yes_and_no_that_could_mean_anything_are_asked_about(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"question": asked, "answer": answer, "label": number % 2}
        for number, (asked, answer) in enumerate(zip(ASKED, ANSWERS, strict=True))
    ]
    _, found, _ = read(tmp_path, rows)
    assert not found.sure and "whether an answer is good" in said(found)


@pytest.mark.parametrize("mark", [{"loss": False}, {"mask": True}, {"train": False}, {"weight": 0}, {"masked": 1}])
def test_turns_that_say_that_they_are_not_learned_are_only_read(tmp_path: Path, mark: dict[str, object]) -> None:
    def turns(number: int) -> list[dict[str, object]]:
        return [
            {"role": "user", "content": f"First {number}?"},
            {"role": "assistant", "content": "bad", **mark},
            {"role": "user", "content": "And again?"},
            {"role": "assistant", "content": "good"},
        ]

    _, found, made = read(tmp_path, [{"messages": turns(number)} for number in range(12)])
    assert found.sure
    assert [[m.content for m in one.messages if m.role == "assistant" and m.in_loss] for one in made.examples] == [
        ["good"]
    ] * 12


def test_answers_of_which_only_parts_are_learned_are_told(tmp_path: Path) -> None:
    detail = [{"begin_offset": 0, "end_offset": 3, "train": True}, {"begin_offset": 4, "end_offset": 9, "train": False}]
    turns = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "yes but no", "train_detail": detail}]
    _, found, made = read(tmp_path, [{"messages": turns}] * 12)
    assert found.sure and "Of 12 answers only parts are learned" in said(found)
    assert made.examples[0].messages[-1].stretches == ("yes ", "but no", "")


def test_keys_of_turns_that_are_not_known_are_named(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b", "helpfulness": 3}]
    _, found, made = read(tmp_path, [{"messages": turns}] * 12)
    assert found.sure and "helpfulness" in said(found)
    assert "helpfulness" in made.notes[0].english()


WRITTEN = {
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n"
    "<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>",
    "llama 3": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{q}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{a}<|eot_id|>",
    "llama 2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{q} [/INST] {a} </s>",
    "mistral": "[INST] {q} [/INST]{a}</s>",
    "gemma": "<bos><start_of_turn>user\n{q}<end_of_turn>\n<start_of_turn>model\n{a}<end_of_turn>\n",
    "phi": "<|user|>\n{q}<|end|>\n<|assistant|>\n{a}<|end|>",
    "alpaca": "Below is an instruction that describes a task.\n\n### Instruction:\n{q}\n\n### Response:\n{a}",
}


@pytest.mark.parametrize("template", WRITTEN)
def test_a_text_that_a_chat_template_wrote_is_read_as_its_conversation(tmp_path: Path, template: str) -> None:
    rows: list[dict[str, object]] = [
        {"text": WRITTEN[template].replace("{q}", asked).replace("{a}", answer)}
        for asked, answer in zip(ASKED, ANSWERS, strict=True)
    ]
    _, found, made = read(tmp_path, rows)
    assert found.sure and found.mapping.format == "messages"
    assert [(one.question, one.answer) for one in made.examples] == list(zip(ASKED, ANSWERS, strict=True))
    assert not any("Below is" in message.content for one in made.examples for message in one.messages)


def test_an_alpaca_input_stands_below_its_instruction(tmp_path: Path) -> None:
    text = "### Instruction:\nTranslate.\n\n### Input:\nguten Tag {n}\n\n### Response:\ngood day {n}"
    rows: list[dict[str, object]] = [{"text": text.replace("{n}", str(number))} for number in range(12)]
    _, _, made = read(tmp_path, rows)
    assert (made.examples[3].question, made.examples[3].answer) == ("Translate.\n\nguten Tag 3", "good day 3")


def test_question_and_answer_written_into_one_cell_are_told_apart_and_asked_about(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": number, "entry": f"Question: {asked}\nPage: {number}\nAnswer: {answer}"}
        for number, (asked, answer) in enumerate(zip(ASKED, ANSWERS, strict=True))
    ]
    _, found, made = read(tmp_path, rows)
    assert not found.sure and [one.answer for one in made.examples] == ANSWERS


def test_what_was_agreed_on_counts_before_what_one_person_said_and_both_texts_are_asked(tmp_path: Path) -> None:
    kinds = ("follows", "contradicts", "neither")
    rows: list[dict[str, object]] = [
        {
            "premise": f"The ferry number {number} sails at dawn.",
            "hypothesis": ("It sails early.", "It sails late.", "It is green.")[number % 3],
            "gold_label": kinds[number % 3],
            "label2": kinds[(number + number // 20) % 3],
        }
        for number in range(60)
    ]
    _, found, made = read(tmp_path, rows)
    assert found.sure and found.mapping.label == "gold_label"
    assert "dawn" in made.examples[0].question and "It sails early." in made.examples[0].question
    assert {one.answer for one in made.examples} == set(kinds)


@pytest.mark.parametrize("name", ["选项{n}（{L}）", "Option {n} ({L})", "보기{n}(가)", "선택 {n} ({L})"])
def test_options_that_are_numbered_and_lettered_are_options(tmp_path: Path, name: str) -> None:
    names = [name.replace("{n}", str(n + 1)).replace("{L}", "ABCD"[n]).replace("가", "가나다라"[n]) for n in range(4)]
    rows: list[dict[str, object]] = [
        {
            "question": f"Which of these lids fits pot {number}?",
            **{column: f"lid {number}{place}" for place, column in enumerate(names)},
            "answer": "ABCD"[number % 4],
        }
        for number in range(16)
    ]
    _, found, made = read(tmp_path, rows)
    assert found.sure and found.mapping.options == tuple(names)
    assert made.examples[6].answer == "C. lid 62"


def test_letters_that_point_at_columns_with_names_of_their_own_are_asked_about(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"question": f"Which lid fits {n}?", "left": f"lid {n}0", "right": f"lid {n}1", "answer": "AB"[n % 2]}
        for n in range(16)
    ]
    _, found, _ = read(tmp_path, rows)
    assert not found.sure and "letters or numbers" in said(found)


def test_a_list_of_right_answers_is_the_key_and_their_number_is_not(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {
            "question": f"Which of these float in tub {number}?",
            "answers": {letter: f"{letter} thing {number}" for letter in "abcd"},
            "correct_answers": ["b"] if number % 2 else ["a", "b"],
            "correct_count": 1 if number % 2 else 2,
        }
        for number in range(16)
    ]
    _, found, made = read(tmp_path, rows)
    assert found.mapping.answer == "correct_answers"
    assert made.examples[0].answer == "A. a thing 0\nB. b thing 0"


def test_an_answer_inside_of_a_record_in_a_cell_is_found(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"instruction": asked, "instances": [{"input": "", "output": answer}], "is_classification": False}
        for asked, answer in zip(ASKED, ANSWERS, strict=True)
    ]
    table, found, made = read(tmp_path, rows)
    assert found.mapping.answer == "instances.output" and [one.answer for one in made.examples] == ANSWERS
    assert any("laid out in columns" in note.english() for note in table.notes)
    stream = read_table(DataChoice(path=str(tmp_path / "file.jsonl")))
    assert stream.columns == table.columns
    assert [text for batch in stream.batches for text in batch.column("instances.output").to_pylist()] == ANSWERS


def test_of_two_answers_inside_of_records_a_person_chooses(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {
            "prompt": [{"role": "user", "content": asked}],
            "reward_model": {"ground_truth": str(number), "style": "rule"},
            "extra_info": {"answer": answer, "index": number},
        }
        for number, (asked, answer) in enumerate(zip(ASKED, ANSWERS, strict=True))
    ]
    _, found, made = read(tmp_path, rows)
    assert not found.sure and found.mapping.question == "prompt" and len(made.examples) == len(ANSWERS)


def test_yes_and_no_are_no_answer_only_because_they_are_the_only_text_beside(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"instruction": asked, "is_open": False} for asked in ASKED]
    _, found, _ = read(tmp_path, rows)
    assert not found.sure and found.mapping.answer != "is_open"


def test_pictures_that_would_be_dropped_are_asked_about(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "<image>What is drawn?"}, {"role": "assistant", "content": "A heron."}]
    _, found, _ = read(tmp_path, [{"messages": turns, "images": [f"{n}.png"]} for n in range(12)])
    assert not found.sure and "pictures" in said(found)


def test_what_pandas_writes_for_empty_cells_is_empty(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"instruction": asked, "input": "nan" if n % 2 else f"by {n}", "output": "nan" if n == 3 else answer}
        for n, (asked, answer) in enumerate(zip(ASKED, ANSWERS, strict=True))
    ]
    _, _, made = read(tmp_path, rows)
    assert len(made.examples) == len(ANSWERS) - 1 and made.skipped[0].row == 4
    assert not any("nan" in message.content for one in made.examples for message in one.messages)


LISTS = {
    "labels behind": "\n".join(f"The depot opened gate {n} early. @{'good' if n % 2 else 'bad'}" for n in range(40)),
    "labels before": "\n".join(f"PLACE:town What lies beyond hill {n}" for n in range(40)),
    "questions": "\n\n".join(f"Where is gate {n}?\nBehind hill {n}, as everybody knows." for n in range(40)),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_text_that_is_no_prose_is_not_learned_as_prose_without_a_question(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(LISTS[kind], encoding="utf-8")
    table = opened(file)
    assert table.format != "document" or not detect(table).sure


def test_prose_is_learned_as_prose(tmp_path: Path) -> None:
    file = tmp_path / "story.txt"
    file.write_text("\n\n".join(f"The ferry left at {n}. Nobody saw it go. Why should they?" for n in range(40)))
    assert detect(opened(file)).sure


def test_rows_that_go_on_from_other_rows_have_the_turns_before(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": f"r{n}", "parent_id": f"r{n - 1}" if n % 3 else None, "instruction": asked, "output": answer}
        for n, (asked, answer) in enumerate(zip(ASKED, ANSWERS, strict=True))
    ]
    _, found, made = read(tmp_path, rows)
    assert found.mapping.history == "history"
    assert not found.sure and "If parent_id ties the rows together in another way" in said(found)
    turns = made.examples[2].messages
    assert [turn.content for turn in turns] == [text for pair in zip(ASKED, ANSWERS, strict=True) for text in pair][:6]
    assert [turn.in_loss for turn in turns if turn.role == "assistant"] == [False, False, True]
    assert len(made.examples[3].messages) == 2


def test_rows_whose_parents_are_elsewhere_are_asked_about(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": f"r{n}", "parent_id": f"r{n - 1}" if n < 3 else f"x{n}", "instruction": asked, "output": answer}
        for n, (asked, answer) in enumerate(zip(ASKED, ANSWERS, strict=True))
    ]
    _, found, _ = read(tmp_path, rows)
    assert not found.sure and "parent_id" in said(found)


def test_of_a_tree_of_replies_the_best_are_read(tmp_path: Path) -> None:
    def tree(number: int) -> dict[str, object]:
        good: dict[str, object] = {"text": ANSWERS[number], "role": "assistant", "rank": 0, "replies": []}
        bad = {"text": "Perhaps.", "role": "assistant", "rank": 1, "replies": []}
        return {"prompt": {"text": ASKED[number], "role": "prompter", "replies": [bad, good]}}

    _, found, made = read(tmp_path, [tree(number) for number in range(12)])
    assert [one.answer for one in made.examples] == ANSWERS[:12]
    assert "left out" in said(found)


def test_where_a_fifth_of_the_rows_would_be_lost_a_person_is_asked(tmp_path: Path) -> None:
    whole = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}]
    rows: list[dict[str, object]] = [{"messages": whole if number % 5 else whole[0]} for number in range(25)]
    _, found, made = read(tmp_path, rows)
    assert not found.sure and "5" in said(found) and len(made.examples) == 20


@pytest.mark.parametrize("form", ["a list of lists", "a list a line", "under names"])
def test_lists_of_turns_without_a_record_around_them_are_conversations(tmp_path: Path, form: str) -> None:
    talks = [
        [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        for asked, answer in zip(ASKED, ANSWERS, strict=True)
    ]
    told = {
        "a list of lists": json.dumps(talks),
        "a list a line": "\n".join(map(json.dumps, talks)),
        "under names": json.dumps({f"talk {number}": turns for number, turns in enumerate(talks)}),
    }
    file = tmp_path / ("talks.jsonl" if form == "a list a line" else "talks.json")
    file.write_text(told[form], encoding="utf-8")
    table = opened(file)
    found = detect(table)
    assert found.sure and found.mapping.messages == "messages"
    assert [one.answer for one in examples_from(table, found.mapping).examples] == ANSWERS


def test_a_page_of_the_datasets_server_is_read_as_its_rows(tmp_path: Path) -> None:
    held = [
        {"row_idx": n, "row": {"instruction": asked, "output": answer}, "truncated_cells": []}
        for n, (asked, answer) in enumerate(zip(ASKED, ANSWERS, strict=True))
    ]
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"features": [], "rows": held}), encoding="utf-8")
    table = opened(file)
    assert table.columns == ("instruction", "output") and detect(table).sure
