"""`studio report`: a page about a run, in the form that its name asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pypdf
import pytest

from studio.cli import main
from studio.core.run_folder import RunFolder
from studio.runs.project import create_project
from tests.export.test_model_card import QUESTION, add_exam
from tests.runs.made_runs import make_run


@pytest.fixture
def run() -> RunFolder:
    made = make_run(create_project("Letters"), "20260101-letters", losses=(3.0, 1.0))
    add_exam(made, 24, 30)
    return made


def test_a_page_is_written_and_examples_only_when_they_are_asked_for(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "last", "--out", str(tmp_path / "a.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Better: " in page and QUESTION not in page
    assert main(["report", "last", "--out", str(tmp_path / "b.html"), "--examples", "2", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["examples"] == 2 and "examples of the data" in told.err
    assert (tmp_path / "b.html").read_text(encoding="utf-8").count(QUESTION) == 2


def test_a_pdf_is_printed_where_there_is_no_screen(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert main(["report", "last", "--out", str(tmp_path / "a.pdf")]) == 0
    pages = pypdf.PdfReader(tmp_path / "a.pdf").pages
    assert len(pages) == 1 and "Better" in pages[0].extract_text()


@pytest.mark.parametrize(("name", "words"), [("a.docx", "ends with .html or .pdf"), ("mine.html", "never overwritten")])
def test_other_forms_and_files_that_are_there_are_refused(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    (tmp_path / "mine.html").write_text("mine", encoding="utf-8")
    assert main(["report", "last", "--out", str(tmp_path / name)]) == 2
    assert words in capsys.readouterr().err
    assert (tmp_path / "mine.html").read_text(encoding="utf-8") == "mine"
