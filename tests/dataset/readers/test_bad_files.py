"""Every file that can't be read gets a sentence of its own, whatever it is called."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from studio.dataset.readers import limits
from tests.dataset.conftest import opened, problem_of, write_compound

CASES: dict[str, tuple[bytes, str]] = {
    "nothing.csv": (b"", "data.empty"),
    "blank.csv": (b"\n \n\t\n", "data.empty"),
    "blank.json": (b"  \n", "data.empty"),
    "none.json": (b"[]", "data.empty"),
    "mark.csv": (b"\xef\xbb\xbf", "data.empty"),
    "names.csv": (b"question,answer\n", "data.header_only"),
    "names.json": (b"[{}, {}]", "data.header_only"),
    "report.csv": (b"%PDF-1.7\n1 0 obj", "data.broken_document"),
    "photo.xlsx": (b"\x89PNG\r\n\x1a\n" + bytes(64), "data.not_a_table"),
    "photo.jsonl": (b"\xff\xd8\xff\xe0" + bytes(64), "data.not_a_table"),
    "packed.csv": (b"\x1f\x8b\x08" + os.urandom(200), "data.damaged"),
    "weights.json": (b"\x80\x04\x95" + bytes(range(256)), "data.not_a_table"),
    "noise.csv": (bytes(range(256)) * 20, "data.not_a_table"),
    "base.parquet": (b"SQLite format 3\0" + bytes(100), "data.damaged"),
    "page.csv": (b"<!DOCTYPE html><html><body>Please log in</body></html>", "data.not_a_table"),
    "letter.txt": (b"{\\rtf1\\ansi hello}", "data.not_a_table"),
    "export.xls": (b"<table><tr><td>question</td></tr></table>", "data.not_a_table"),
    "number.json": (b"{}", "data.empty"),
    "word.json": (b"hello", "data.broken_json"),
    "half.json": (b'[{"question": "a", "ans', "data.broken_json"),
    "half.utf16.csv": (b"\xff\xfea\0,\0\xd8", "data.wrong_encoding"),
    "half.xlsx": (b"PK\x03\x04 and then nothing", "data.broken_workbook"),
    "none.xlsx": (b"PK\x05\x06" + bytes(18), "data.broken_workbook"),
    "old.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "data.broken_workbook"),
    "half.parquet": (b"PAR1 and then nothing", "data.damaged"),
    "wide.csv": (b",".join(b"c%d" % n for n in range(3_000)) + b"\n" + b"1," * 2_999 + b"1\n", "data.too_many_columns"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_gets_its_own_sentence(tmp_path: Path, name: str) -> None:
    content, code = CASES[name]
    (tmp_path / name).write_bytes(content)
    found = problem_of(lambda: opened(tmp_path / name))
    assert found.code == code, found.english()
    assert name in found.english()


def test_documents_and_archives_are_called_what_they_are(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("ppt/slides.xml", "x")
        archive.writestr("another.csv", "x")
    assert "presentation" in problem_of(lambda: opened(tmp_path / "some.zip")).english()
    with tarfile.open(tmp_path / "some.tar.gz", "w:gz") as tape:
        tape.add(tmp_path / "some.zip", "a.zip")
    assert "archive of several files" in problem_of(lambda: opened(tmp_path / "some.tar.gz")).english()


def test_old_documents_are_called_what_they_are(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.odt", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", "<x/>")
    assert "LibreOffice" in problem_of(lambda: opened(tmp_path / "some.odt")).english()
    old = write_compound(tmp_path / "some.hwp", "FileHeader", b"HWP Document File")
    assert "hwpx" in problem_of(lambda: opened(old)).english()
    assert "docx" in problem_of(lambda: opened(write_compound(tmp_path / "a.doc", "WordDocument", b"x"))).english()


def test_missing_files_and_nothing_chosen(tmp_path: Path) -> None:
    assert problem_of(lambda: opened(tmp_path / "gone.csv")).code == "data.missing"
    assert problem_of(lambda: opened("~nobody-is-called-so/a.csv")).code == "data.missing"
    assert problem_of(lambda: opened("  ")).code == "data.none"
    assert problem_of(lambda: opened("some\0name.csv")).code == "data.unreadable"
    assert problem_of(lambda: opened("x" * 5_000)).code == "data.unreadable"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are kept otherwise there")
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("question,answer\na,b\n")
    file.chmod(0)
    was_root = os.geteuid() == 0
    if was_root:  # who may read everything: become somebody who may not
        for folder in (tmp_path, *tmp_path.parents[:3]):
            if folder != Path("/tmp"):
                folder.chmod(0o755)
        os.seteuid(65534)
    try:
        found = problem_of(lambda: opened(file))
    finally:
        if was_root:
            os.seteuid(0)
    assert found.code == "data.no_permission"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none there")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    assert problem_of(lambda: opened(tmp_path / "pipe.csv")).code == "data.not_a_file"


@pytest.mark.parametrize(("name", "head"), [("a.csv", b"question,answer\n"), ("a.json", b"[{"), ("a.parquet", b"PAR1")])
def test_huge_files_are_refused_before_they_are_read(tmp_path: Path, name: str, head: bytes) -> None:
    with open(tmp_path / name, "wb") as file:
        file.write(head)
        file.write(b"a" * 70_000)
        file.truncate(limits.COLUMNAR_BYTES + 1)  # takes no room on the disk
    found = problem_of(lambda: opened(tmp_path / name))
    assert found.code == "data.too_large"
    assert "MB" in found.english()


def test_more_rows_than_any_run_could_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROWS", 1_000)
    (tmp_path / "a.csv").write_text("question,answer\n" + "a,b\n" * 1_001)
    assert problem_of(lambda: opened(tmp_path / "a.csv")).code == "data.too_many_rows"
    (tmp_path / "a.jsonl").write_text('{"question": "a"}\n' * 1_001)
    assert problem_of(lambda: opened(tmp_path / "a.jsonl")).code == "data.too_many_rows"


def test_a_cell_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\n" + "a" * (limits.CELL_CHARACTERS + 10) + ",b\n")
    assert problem_of(lambda: opened(tmp_path / "a.csv")).code == "data.cell_too_large"
