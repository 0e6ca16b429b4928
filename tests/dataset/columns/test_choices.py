"""Multiple choice: options in columns or in one cell, and answers that are letters, numbers or texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.apply_mapping import examples_from
from studio.dataset.columns.detection.detect import detect
from studio.dataset.columns.formats.choices import find_key, mark_of, options_of, right_options, series, split_mark
from tests.dataset.columns.test_formats import learned_surely, write_csv, write_lines
from tests.dataset.columns.test_mapping import table_of
from tests.dataset.conftest import opened

CITIES = ("Lyon", "Paris", "Nice", "Lille")


def asked_with(keys: Sequence[object], names: Sequence[str] = "ABCD") -> list[dict[str, object]]:
    """A question a row whose right option is the second, the first, ... as `keys` say in their own way."""
    return [
        {"question": f"Which city is number {n}?", **dict(zip(names, CITIES, strict=False)), "answer": key}
        for n, key in enumerate(keys)
    ]


def test_options_in_columns_with_a_letter(tmp_path: Path) -> None:
    rows = [[f"Question {n}, which is it?", *CITIES, "ABCD"[n % 4]] for n in range(8)]
    table = opened(write_csv(tmp_path / "a.csv", ["문제", *"ABCD", "정답"], rows))
    roles, examples = learned_surely(table)
    assert roles == ColumnMapping(question="문제", options=("A", "B", "C", "D"), answer="정답")
    assert detect(table).why[0].english() == "Columns A to D hold the options, and 정답 says which is right."
    assert examples[1].question == "Question 1, which is it?\n\nA. Lyon\nB. Paris\nC. Nice\nD. Lille"
    assert [e.answer for e in examples[:4]] == ["A. Lyon", "B. Paris", "C. Nice", "D. Lille"]


@pytest.mark.parametrize(
    ("keys", "names", "right"),
    [
        (["b", "(D)", "A.", "C)"], "ABCD", [1, 3, 0, 2]),
        (["2", "4", "1", "3"], "ABCD", [1, 3, 0, 2]),
        ([1, 3, 0, 2], "ABCD", [1, 3, 0, 2]),
        ([2.0, 4.0, 1.0, 3.0], "ABCD", [1, 3, 0, 2]),
        (["②", "④", "①", "③"], "ABCD", [1, 3, 0, 2]),
        (["2번", "4번", "1번", "3번"], "ABCD", [1, 3, 0, 2]),
        (["Paris", "Lille", " lyon ", "NICE"], "ABCD", [1, 3, 0, 2]),
        (["B. Paris", "D) Lille", "(A) Lyon", "C. Nice"], "ABCD", [1, 3, 0, 2]),
        (["보기2", "보기4", "보기1", "보기3"], ("보기1", "보기2", "보기3", "보기4"), [1, 3, 0, 2]),
        (["2", "3", "2", "1"], ("option1", "option2", "option3", "option4"), [1, 2, 1, 0]),
        (["1", "2", "1", "0"], ("option1", "option2", "option3", "option4"), [1, 2, 1, 0]),
        (
            ["option_b", "option_c", "option_b", "option_a"],
            ("option_a", "option_b", "option_c", "option_d"),
            [1, 2, 1, 0],
        ),
        (["나", "다", "나", "가"], ("가", "나", "다", "라"), [1, 2, 1, 0]),
        (["2", "3", "2", "1"], ("①", "②", "③", "④"), [1, 2, 1, 0]),
    ],
)
def test_an_answer_may_name_its_option_in_many_ways(keys: list[object], names: Sequence[str], right: list[int]) -> None:
    table = table_of(asked_with(keys, names))
    found = detect(table)
    assert found.sure, [why.english() for why in found.why]
    assert found.mapping == ColumnMapping(question="question", options=tuple(names), answer="answer")
    answers = [e.answer for e in examples_from(table, found.mapping).examples]
    assert answers == [f"{'ABCD'[place]}. {CITIES[place]}" for place in right]


def test_numbers_that_could_count_from_either_end_are_asked_about() -> None:
    table = table_of(asked_with([1, 2, 3, 2]))
    found = detect(table)
    assert not found.sure
    assert found.mapping.first_option == 1
    assert any("count from 0 or from 1" in why.english() for why in found.why)
    assert examples_from(table, found.mapping).examples[0].answer == "A. Lyon"
    from_nought = found.mapping.model_copy(update={"first_option": 0})
    assert examples_from(table, from_nought).examples[0].answer == "B. Paris"


def test_numbers_that_are_places_as_well_as_options_are_asked_about() -> None:
    rows = [{"question": f"How many, case {n}?", "A": 1, "B": 3, "C": 2, "D": 4, "answer": n % 4 + 1} for n in range(8)]
    found = detect(table_of(rows))
    assert not found.sure
    assert any("place as well as" in why.english() for why in found.why)


def test_numbers_out_of_reach_are_texts_of_options() -> None:
    rows = [{"question": f"2 x {n}?", "A": 2 * n, "B": 3 * n, "C": n + 90, "answer": 2 * n} for n in range(10, 20)]
    table = table_of(rows)
    roles, examples = learned_surely(table)
    assert roles.format == "options"
    assert examples[0].answer == "A. 20"


@pytest.mark.parametrize(
    "cell",
    [
        list(CITIES),
        json.dumps(CITIES),
        "['Lyon', 'Paris', 'Nice', 'Lille']",
        {"text": list(CITIES), "label": ["A", "B", "C", "D"]},
        json.dumps({"label": ["1", "2", "3", "4"], "text": CITIES}),
        dict(zip("ABCD", CITIES, strict=True)),
        [{"label": letter, "text": city} for letter, city in zip("ABCD", CITIES, strict=True)],
        "A. Lyon\nB. Paris\nC. Nice\nD. Lille",
        "A) Lyon B) Paris C) Nice D) Lille",
        "① Lyon ② Paris ③ Nice ④ Lille",
        "1. Lyon, 2. Paris, 3. Nice, 4. Lille",
        "Lyon | Paris | Nice | Lille",
        "Lyon;Paris;Nice;Lille",
        ["(A) Lyon", "(B) Paris", "(C) Nice", "(D) Lille"],
    ],
)
def test_one_cell_may_hold_all_options(cell: object) -> None:
    assert [option.text for option in options_of({"c": cell}, ("c",))] == list(CITIES)


@pytest.mark.parametrize(
    "cell", ["just a text", "['a' 'b']", "A. only one", "", None, 7, [["a"], ["b"]], "[" * 100_000]
)
def test_other_cells_hold_no_options(cell: object) -> None:
    assert len(options_of({"c": cell}, ("c",))) < 2


def test_hugging_faces_records_are_recognised(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"M{n}",
            "question": f"Which city is number {n}?",
            "choices": {"text": list(CITIES), "label": ["1", "2", "3", "4"] if n % 3 == 0 else ["A", "B", "C", "D"]},
            "answerKey": "2" if n % 3 == 0 else "B",
        }
        for n in range(9)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "arc.parquet")
    roles, examples = learned_surely(opened(tmp_path / "arc.parquet"))
    assert roles == ColumnMapping(question="question", options=("choices",), answer="answerKey")
    assert {e.answer for e in examples} == {"B. Paris"}


def test_a_list_with_numbers_from_nought_is_recognised(tmp_path: Path) -> None:
    rows = [{"question": f"Which is {n}?", "choices": list(CITIES), "answer": n % 4} for n in range(8)]
    roles, examples = learned_surely(opened(write_lines(tmp_path / "mmlu.jsonl", rows)))
    assert roles == ColumnMapping(question="question", options=("choices",), answer="answer")
    assert examples[1].answer == "B. Paris"


def test_a_passage_stands_below_its_question(tmp_path: Path) -> None:
    rows = [
        {
            "article": f"A long story about city {n}. " * 5,
            "question": f"Which {n}?",
            "options": list(CITIES),
            "answer": "ABCD"[n % 4],
        }
        for n in range(8)
    ]
    roles, examples = learned_surely(opened(write_lines(tmp_path / "race.jsonl", rows)))
    assert roles.context == "article"
    assert examples[0].question.startswith("Which 0?\n\nA long story")


def test_options_without_an_answer_are_asked_about() -> None:
    rows = [{key: cell for key, cell in row.items() if key != "answer"} for row in asked_with(["A"] * 4)]
    found = detect(table_of(rows))
    assert not found.sure
    assert found.mapping == ColumnMapping(question="question", options=("A", "B", "C", "D"))


def test_rows_whose_answer_is_no_option_are_left_out_and_say_so() -> None:
    rows = asked_with(["A", "B", "E", "", "C", "D"])
    rows[4]["C"] = ""
    found = examples_from(table_of(rows), ColumnMapping(question="question", options=tuple("ABCD"), answer="answer"))
    assert [(s.row, s.reason.english()) for s in found.skipped] == [
        (3, "The answer E isn't one of the options."),
        (4, "The answer is empty."),
        (5, "The answer C isn't one of the options."),
    ]
    rows = asked_with(["D"])
    rows[0]["B"] = ""
    (example,) = examples_from(
        table_of(rows), ColumnMapping(question="question", options=tuple("ABCD"), answer="answer")
    ).examples
    assert example.question.endswith("A. Lyon\nC. Nice\nD. Lille")
    assert example.answer == "D. Lille"


def test_columns_are_one_series_only_without_gaps_and_from_the_start() -> None:
    assert series(["id", "C", "A", "B", "answer"]) == ("A", "B", "C")
    assert series(["보기 2", "보기 1", "보기3"]) == ("보기 1", "보기 2", "보기3")
    assert series(["Option A", "option B"]) == ("Option A", "option B")
    assert series(["opa", "opb", "opc", "opd"]) == ("opa", "opb", "opc", "opd")
    assert series(["Q", "A", "label"]) == ()
    assert series(["B", "C", "D"]) == ()
    assert series(["1", "2", "4"]) == ()


@settings(max_examples=80, deadline=None)
@given(
    options=st.lists(
        st.text("abc xyz가나", min_size=1).map(lambda t: f"o{t}o"),
        min_size=2,
        max_size=6,
        unique_by=lambda t: " ".join(t.split()),
    ),
    place=st.integers(0, 5),
    kind=st.sampled_from(["letter", "text", "one", "nought"]),
)
def test_whatever_names_an_option_finds_it_again(options: list[str], place: int, kind: str) -> None:
    place %= len(options)
    everywhere = range(len(options))
    keys: dict[str, list[object]] = {
        "letter": [chr(65 + i) for i in everywhere],
        "text": list(options),
        "one": [i + 1 for i in everywhere],
        "nought": list(everywhere),
    }
    columns = tuple(f"option {chr(97 + i)}" for i in everywhere)
    rows = [{**dict(zip(columns, options, strict=True)), "key": told} for told in keys[kind]]
    key = find_key(rows, columns, "key")
    assert key.is_told
    assert right_options(options_of(rows[place], columns), columns, rows[place]["key"], key) == (place,)


@pytest.mark.parametrize("text", ["A-level exams", "I. think", "e.g. this", "2024. was good", "a cat", "가방"])
def test_beginnings_of_texts_are_no_marks_of_a_whole_answer(text: str) -> None:
    assert mark_of(text) is None
    assert split_mark("plain words")[0] is None


def test_several_right_options_are_all_learned(tmp_path: Path) -> None:
    answers = ["A,C", "B", "B; D", "ABD", "①③", "red and blue"]
    lines = [f'Which of these fit in case {n}?,red,green,blue,{n}0,"{told}"' for n, told in enumerate(answers)]
    (tmp_path / "exam.csv").write_text("question,A,B,C,D,answer\n" + "\n".join(lines) + "\n", encoding="utf-8")
    table = opened(tmp_path / "exam.csv")
    found = detect(table)
    assert found.sure
    assert found.mapping.options == ("A", "B", "C", "D")
    told = [example.answer for example in examples_from(table, found.mapping).examples]
    assert told == [
        "A. red\nC. blue",
        "B. green",
        "B. green\nD. 20",
        "A. red\nB. green\nD. 30",
        "A. red\nC. blue",
        "A. red\nC. blue",
    ]


def test_an_index_of_the_right_option_counts_from_zero_where_a_zero_stands(tmp_path: Path) -> None:
    lines = [f"Which one is it in case {n}?,red,green,blue,{n % 3}" for n in range(9)]
    (tmp_path / "exam.csv").write_text("question,opt0,opt1,opt2,correct_idx\n" + "\n".join(lines) + "\n")
    table = opened(tmp_path / "exam.csv")
    found = detect(table)
    assert found.sure
    told = [example.answer for example in examples_from(table, found.mapping).examples]
    assert told[:3] == ["A. red", "B. green", "C. blue"]
