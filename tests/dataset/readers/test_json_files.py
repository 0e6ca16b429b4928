"""json and jsonl in the shapes that people have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.dataset.table import cell_text
from tests.dataset.conftest import opened, problem_of

RECORDS = [{"instruction": f"ask {n}", "output": f"say {n}", "tags": ["a", {"b": n}]} for n in range(5)]
ROWS = [{name: cell_text(cell) for name, cell in record.items()} for record in RECORDS]


def test_a_list_of_records_over_many_lines(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text(json.dumps(RECORDS, indent=2))
    table = opened(tmp_path / "some.json")
    assert (table.format, table.columns, len(table.rows)) == ("json", ("instruction", "output", "tags"), 5)
    assert table.rows[3] == ROWS[3]


@pytest.mark.parametrize("name", ["some.jsonl", "some.json", "some.txt"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_one_record_a_line_whatever_the_file_is_called(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_text("\n\n".join(json.dumps(r) for r in RECORDS), encoding=encoding)
    table = opened(tmp_path / name)
    assert (table.format, len(table.rows)) == ("jsonl", 5)
    assert list(table.rows) == ROWS
    assert table.rows[-1] == ROWS[-1]
    assert table.rows[1:3] == ROWS[1:3]


def test_records_with_different_keys_share_all_columns(tmp_path: Path) -> None:
    (tmp_path / "some.jsonl").write_text('{"a": 1}\n{"b": "x"}\n')
    table = opened(tmp_path / "some.jsonl")
    assert table.columns == ("a", "b")
    assert table.rows[1] == {"a": None, "b": "x"}


def test_records_under_a_name_are_found(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text(json.dumps({"version": 1, "data": RECORDS}))
    table = opened(tmp_path / "some.json")
    assert len(table.rows) == 5
    assert "data" in table.notes[0].english()


def test_columns_of_equal_length_become_rows(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text(json.dumps({"question": ["a", "b"], "answer": ["c", "d"]}))
    assert list(opened(tmp_path / "some.json").rows) == [
        {"question": "a", "answer": "c"},
        {"question": "b", "answer": "d"},
    ]


PAIRS = [{"question": "a", "answer": "b"}, {"question": "c", "answer": "d"}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({str(n): pair for n, pair in enumerate(PAIRS)}),
        json.dumps({"data": {"items": PAIRS}}),
        "\n".join(json.dumps(pair, indent=2) for pair in PAIRS),
        "".join(map(json.dumps, PAIRS)),
        json.dumps([["question", "answer"], ["a", "b"], ["c", "d"]]),
    ],
)
def test_records_are_found_however_they_are_wrapped(tmp_path: Path, text: str) -> None:
    (tmp_path / "some.json").write_text(text)
    assert list(opened(tmp_path / "some.json").rows) == PAIRS


def test_a_list_of_texts_is_a_column_of_text(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text('["one", "two"]')
    assert list(opened(tmp_path / "some.json").rows) == [{"text": "one"}, {"text": "two"}]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    lines = [json.dumps(r) for r in RECORDS]
    lines[3] = lines[3][:-4]
    (tmp_path / "some.jsonl").write_text("\n".join(lines))
    found = problem_of(lambda: opened(tmp_path / "some.jsonl"))
    assert (found.code, found.values["line"]) == ("data.broken_json", 4)


def test_a_last_line_that_was_cut_off_is_left_out_and_said(tmp_path: Path) -> None:
    lines = [json.dumps(r) for r in RECORDS]
    (tmp_path / "some.jsonl").write_text("\n".join(lines)[:-9])
    table = opened(tmp_path / "some.jsonl")
    assert list(table.rows) == ROWS[:4]
    assert "cut off" in table.notes[0].english()
    (tmp_path / "some.jsonl").write_text("\n".join(lines)[:-9] + "\n")
    assert problem_of(lambda: opened(tmp_path / "some.jsonl")).code == "data.broken_json"


def test_half_of_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "some.jsonl").write_text('{"a": "x\\ud83d y", "b": ["\\ude00"]}\n{"a": "\\ud83d\\ude00", "b": []}\n')
    assert list(opened(tmp_path / "some.jsonl").rows) == [
        {"a": "x\ufffd y", "b": '["\ufffd"]'},
        {"a": "\U0001f600", "b": "[]"},
    ]


def test_a_broken_list_names_its_line(tmp_path: Path) -> None:
    text = json.dumps(RECORDS, indent=0).replace('"output": "say 1"', '"output": say 1')
    (tmp_path / "some.json").write_text(text)
    found = problem_of(lambda: opened(tmp_path / "some.json"))
    assert found.code == "data.broken_json"
    assert "say 1" in text.splitlines()[int(found.values["line"]) - 1]


def test_entries_that_are_no_records_are_named(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text('[{"a": 1}, "b"]')
    found = problem_of(lambda: opened(tmp_path / "some.json"))
    assert (found.code, found.values["number"]) == ("data.no_records", 2)


@pytest.mark.parametrize("name", ["deep.json", "deep.jsonl"])
def test_nesting_without_end_is_refused_before_it_is_parsed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}\n" + '{"a": 1}\n' * 2)
    found = problem_of(lambda: opened(tmp_path / name))
    assert found.code == "data.too_deep"
    (tmp_path / name).write_text("[" * 200_000 + "]" * 200_000)
    assert problem_of(lambda: opened(tmp_path / name)).code == "data.too_deep"


def test_brackets_inside_of_texts_are_not_nesting(tmp_path: Path) -> None:
    (tmp_path / "some.jsonl").write_text(json.dumps({"question": "[" * 500 + '\\"{' * 500, "answer": "x"}) + "\n" * 2)
    assert len(opened(tmp_path / "some.jsonl").rows) == 1


def test_a_file_that_grows_too_much_when_parsed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "many.json").write_text("[" + "[]," * 16_000_000 + "[]]")
    assert problem_of(lambda: opened(tmp_path / "many.json")).code == "data.unpacks_too_large"
