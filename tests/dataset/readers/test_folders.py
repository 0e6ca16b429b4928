"""A folder of files as one table, and the folders that can't be."""

from __future__ import annotations

import bz2
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from studio.dataset.readers import folders
from studio.dataset.table import cell_text
from tests.dataset.conftest import opened, problem_of, write_xlsx
from tests.dataset.readers.document_files import write_docx

WORDS = "The parcel leaves our house on the day of the order. "


def said(path: Path) -> str:
    return " ".join(note.english() for note in opened(path).notes)


def test_documents_become_one_table_of_passages_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(WORDS * 60)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.md").write_text(f"# Title\n\n{WORDS}")
    write_docx(tmp_path / "c.docx", [("Heading 1", "Other"), ("", WORDS)])
    table = opened(tmp_path)
    assert (table.format, table.columns) == ("document", ("document", "heading", "text"))
    assert list(dict.fromkeys(row["document"] for row in table.rows)) == ["a.txt", "c.docx", "more/b.md"]
    assert "3 documents" in said(tmp_path)


def test_tables_with_the_same_columns_become_one_with_the_name_of_each_file(tmp_path: Path) -> None:
    (tmp_path / "january.csv").write_text("question,answer\na,b\nc,d\n")
    write_xlsx(tmp_path / "february.xlsx", {"S": [("question", "answer"), ("e", "f")]})
    (tmp_path / "README.md").write_text("About these files")
    table = opened(tmp_path)
    assert table.columns == ("question", "answer", "file")
    assert [tuple(row.values()) for row in table.rows] == [
        ("e", "f", "february.xlsx"),
        ("a", "b", "january.csv"),
        ("c", "d", "january.csv"),
    ]


def test_what_is_left_out_of_a_mixed_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\na,b\n")
    (tmp_path / "guide.txt").write_text(WORDS * 9)
    (tmp_path / "torn.xlsx").write_bytes(b"PK\x03\x04 and then nothing")
    assert len(opened(tmp_path).rows) == 1
    assert "guide.txt" in said(tmp_path)
    assert "torn.xlsx" in said(tmp_path)


def test_unrelated_tables_have_to_be_chosen_from(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\na,b\n")
    (tmp_path / "b.csv").write_text("name,price\na,1\n")
    found = problem_of(lambda: opened(tmp_path))
    assert (found.code, found.values["count"]) == ("data.several_files", 2)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are none there")
def test_links_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.txt").write_text("SECRET. " * 20)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.txt").write_text(WORDS)
    (inside / "b.txt").write_text(WORDS * 2)
    (inside / "key.txt").symlink_to(tmp_path / "secret" / "key.txt")
    (inside / "all").symlink_to(tmp_path / "secret")
    (inside / "round").symlink_to(inside)
    (inside / "one.txt").symlink_to(inside / "other.txt")
    (inside / "other.txt").symlink_to(inside / "one.txt")
    assert {row["document"] for row in opened(inside).rows} == {"a.txt", "b.txt"}
    assert not any("SECRET" in cell_text(row["text"]) for row in opened(inside).rows)


def test_a_folder_of_very_many_things_is_refused_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_MOST_ENTRIES", 300)
    monkeypatch.setattr(folders, "_MOST_FILES", 100)
    for number in range(310):
        (tmp_path / f"{number}.png").touch()
    assert problem_of(lambda: opened(tmp_path)).code == "data.too_many_files"
    for number in range(200):
        (tmp_path / f"{number}.png").rename(tmp_path / f"{number}.txt")
    assert problem_of(lambda: opened(tmp_path)).code == "data.too_many_files"


def test_a_folder_in_which_nothing_can_be_read_says_why(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    assert problem_of(lambda: opened(tmp_path)).code == "data.not_a_table"


def test_what_programs_leave_beside_open_files_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\na,b\n")
    (tmp_path / "~$a.xlsx").write_bytes(b"lock")
    (tmp_path / ".hidden.csv").write_text("x,y\n1,2\n")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "b.csv").write_text("x,y\n1,2\n")
    assert opened(tmp_path).columns == ("question", "answer")


def test_what_is_packed_is_unpacked_beside_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("../outside.csv", "question,answer\na,b\n")
    assert opened(tmp_path / "some.zip").columns == ("question", "answer")
    assert sorted(path.name for path in tmp_path.parent.rglob("outside.csv")) == []
    with zipfile.ZipFile(tmp_path / "some.zip", "a") as archive:
        archive.writestr("second.csv", "question,answer\na,b\n")
        archive.writestr("__MACOSX/._second.csv", "x")
        archive.writestr("README.md", "Two tables.")
    both = opened(tmp_path / "some.zip")
    assert len(both.rows) == 2 and "2 files" in both.notes[0].english()
    assert sorted(path.name for path in tmp_path.parent.rglob("outside.csv")) == []
    with zipfile.ZipFile(tmp_path / "around.zip", "w") as archive:
        archive.write(tmp_path / "some.zip", "some.zip")
    found = problem_of(lambda: opened(tmp_path / "around.zip"))
    assert found.code == "data.not_a_table"
    assert "Unpack" in found.fix


@pytest.mark.parametrize("open_packed", [bz2.open, lzma.open])
def test_a_packed_table_is_unpacked(tmp_path: Path, open_packed: Callable[..., BinaryIO]) -> None:
    with open_packed(tmp_path / "table.csv.packed", "wb") as file:
        file.write(b"question,answer\nWhere?,Here.\nWho?,Ada.\n")
    assert opened(tmp_path / "table.csv.packed").columns == ("question", "answer")


def test_texts_in_folders_called_as_labels_are_asked_about(tmp_path: Path) -> None:
    for number in range(8):
        place = tmp_path / ("good" if number % 2 else "bad")
        place.mkdir(exist_ok=True)
        (place / f"{number}.txt").write_text(f"The oar of shed {number} was as they said.")
    table = opened(tmp_path)
    assert table.columns == ("text", "label") and table.doubts == ("kind",)
    assert {row["label"] for row in table.rows} == {"good", "bad"}


def test_many_documents_of_a_line_each_are_asked_about(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text(f"By weir {number}.")
    assert opened(tmp_path).doubts == ("kind",)


def test_a_test_beside_what_is_to_be_learned_is_named(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("question,answer\nWhere?,Here.\nWho?,Ada.\n")
    assert "left out: test.csv" in opened(tmp_path).notes[-1].english()
