"""Tables and examples in the store are what went in, lie on the disk, and are looked through without being loaded."""

from __future__ import annotations

import os
import time
from array import array
from pathlib import Path

import pytest

from studio.core.recipe.data_choice import ColumnMapping, DataChoice, Fix
from studio.dataset.columns.apply_mapping import iterate_examples
from studio.dataset.examples import Example, Skipped
from studio.dataset.samples import sample
from studio.dataset.store import (
    KEPT_TABLES,
    LISTED,
    StoredExamples,
    examples_folder,
    open_table_at,
    table_folder,
    write_groups,
    write_table,
)
from tests.dataset.columns.test_mapping import table_of
from tests.dataset.conftest import built_from, opened, streamed


def test_a_table_comes_back_as_text_cell_by_cell(tmp_path: Path) -> None:
    rows = [
        {"q": "Größe?", "n": 3, "f": 2.5, "b": True, "none": None, "turns": [{"role": "user", "content": "안녕"}]},
        {"q": "two\nlines", "n": 4.0, "f": "x", "b": False, "none": "", "turns": []},
    ]
    write_table(streamed(table_of(rows)), tmp_path / "t", lambda done, total: None)
    back = open_table_at(tmp_path / "t")
    assert back.columns == ("q", "n", "f", "b", "none", "turns")
    assert list(back.rows) == [
        {
            "q": "Größe?",
            "n": "3",
            "f": "2.5",
            "b": "true",
            "none": None,
            "turns": '[{"role": "user", "content": "안녕"}]',
        },
        {"q": "two\nlines", "n": "4", "f": "x", "b": "false", "none": None, "turns": "[]"},
    ]


def test_how_a_file_was_read_is_kept_with_it(tmp_path: Path) -> None:
    table = opened(sample("ko"))
    write_table(streamed(table), tmp_path / "t", lambda done, total: None)
    back = open_table_at(tmp_path / "t")
    for name in ("path", "format", "columns", "encoding", "delimiter", "sheet", "sheets", "notes", "doubts"):
        assert getattr(back, name) == getattr(table, name)
    assert list(back.rows) == [{name: cell or None for name, cell in row.items()} for row in table.rows]


def test_examples_are_found_sorted_and_counted_on_disk(tmp_path: Path) -> None:
    answers = ["Pears", "apples", 'A "quoted"\nline', "Äpfel"]
    made = built_from(table_of([{"question": f"Fruit {n}?", "answer": a} for n, a in enumerate(answers)]), tmp_path)
    assert (len(made), made[-1].answer, [e.answer for e in made[1:3]]) == (4, "Äpfel", answers[1:3])
    assert list(made.rows) == [1, 2, 3, 4]
    assert made.listed(2) == ("Fruit 2?", 'A "quoted"\nline')
    assert list(made.containing(["FRUIT", "pear"])) == [0]
    assert list(made.containing(['"quoted"\nline'])) == [2]
    assert list(made.containing(["äpf"])) == [3]
    assert list(made.containing(["nowhere"])) == []
    assert list(made.sorted_by("answer")) == [2, 1, 0, 3]
    assert list(made.with_rows([4, 2, 99])) == [1, 3]
    with pytest.raises(IndexError):
        made[4]


def test_the_quick_way_for_plain_pairs_keeps_what_the_thorough_one_does(tmp_path: Path) -> None:
    cells = [
        ("How?", "So."),
        ("  spaced\t", '\u2028line \x07bell "quoted" \\ back/slash\r\n'),
        ("생각?", "<think>음…</think>\n\n네"),
        ("half \ud83d of a letter", "😀"),
        ("", "nobody asked"),
        ("no answer", " "),
        ("x" * 700, "y" * 700),
    ]
    table = table_of([{"question": q, "answer": a} for q, a in cells])
    choice = DataChoice(mapping=ColumnMapping(question="question", answer="answer"), system_prompt='Be "kind".')
    quick = built_from(table, tmp_path / "quick", choice)
    thorough = list(iterate_examples(table, choice.mapping, choice.system_prompt))
    assert list(quick.numbered()) == [(row, one) for row, one in thorough if isinstance(one, Example)]
    assert list(quick.about.skipped) == [one for _, one in thorough if isinstance(one, Skipped)]
    assert [quick.listed(i) for i in range(len(quick))] == [
        (one.question[:LISTED], one.answer[:LISTED]) for _, one in thorough if isinstance(one, Example)
    ]


def test_groups_belong_to_their_examples(tmp_path: Path) -> None:
    made = built_from(table_of([{"question": f"q {n}", "answer": f"a {n}"} for n in range(5)]), tmp_path)
    assert made.groups() is None
    write_groups(made.folder, array("i", [0, 1, 1, 2, 3]))
    assert made.groups() == array("i", [0, 1, 1, 2, 3])
    write_groups(made.folder, array("i", [0, 1]))
    assert made.groups() is None, "groups of other examples are no groups of these"


def test_a_place_in_the_store_depends_on_the_file_and_on_how_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    file = tmp_path / "a.csv"
    file.write_text("question,answer\nhow,so\n")
    choice = DataChoice(path=str(file))
    place = table_folder(choice)
    assert table_folder(choice) == place
    assert table_folder(choice.model_copy(update={"sheet": "two"})) != place
    repaired = choice.model_copy(update={"fixes": (Fix(do="drop_duplicates"),)})
    assert table_folder(repaired) == place
    assert examples_folder(place, repaired) != examples_folder(place, choice)
    os.utime(file, (1, 1))
    assert table_folder(choice) != place
    with pytest.raises(OSError):
        table_folder(DataChoice(path=str(tmp_path / "gone.csv")))


def test_only_the_tables_used_last_are_kept(tmp_path: Path) -> None:
    table = table_of([{"question": "q", "answer": "a"}, {"question": "r", "answer": "b"}])
    half_written = tmp_path / "tables" / ".new-old-1234"
    half_written.mkdir(parents=True)
    os.utime(half_written, (1, 1))
    for number in range(KEPT_TABLES + 3):
        folder = tmp_path / "tables" / f"t{number}"
        write_table(streamed(table), folder, lambda done, total: None)
        past = time.time() - 10_000 + number
        os.utime(folder, (past, past))
    left = {entry.name for entry in (tmp_path / "tables").iterdir()}
    assert left == {f"t{number}" for number in range(3, KEPT_TABLES + 3)}


def test_a_damaged_store_is_an_error_and_not_half_a_table(tmp_path: Path) -> None:
    made = built_from(table_of([{"question": f"q {n}", "answer": "a"} for n in range(50)]), tmp_path)
    file = made.folder / "examples.arrow"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"."):
        StoredExamples(made.folder)
