"""The report in the window: examples are ticked, the page is written as HTML and printed by Qt."""

from __future__ import annotations

from pathlib import Path

import pypdf
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from studio.core.events import Exported
from studio.core.export_check import ExportCheck
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.translatable import Sentence
from studio.export.report import MOST_EXAMPLES, AnsweredExample, report_html, report_of
from studio.runs.project import Project
from studio.ui.design.theme import load_fonts
from studio.ui.export.report_dialog import ReportDialog
from studio.ui.export.report_pdf import SMALLEST, write_pdf
from tests.export.test_model_card import QUESTION, add_exam
from tests.ui.conftest import LONG
from tests.ui.finished_run import fine_tuned_run


@pytest.fixture
def run(project: Project, tmp_path: Path) -> RunFolder:
    data = tmp_path / "data.csv"
    data.write_text("question,answer\n" + "".join(f"Where is {n}?,Here: {n}.\n" for n in range(40)), encoding="utf-8")
    recipe = project.load_recipe().model_copy(update={"name": "Support"})
    made = fine_tuned_run(
        project, recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": str(data)})})
    )
    add_exam(made, 12, 16)
    return made


@pytest.fixture
def dialog(run: RunFolder, qtbot: QtBot) -> ReportDialog:
    window = QWidget()
    window.resize(900, 760)
    qtbot.addWidget(window)
    window.show()
    made = ReportDialog(window, run)
    qtbot.waitUntil(lambda: made.report is not None, timeout=LONG)
    return made


def test_three_examples_are_suggested_and_no_more_than_fit_can_be_ticked(dialog: ReportDialog) -> None:
    assert len(dialog.ticked()) == 3 and "examples of the data" in dialog.note.text()
    for place in range(dialog.examples.count()):
        dialog.examples.item(place).setCheckState(Qt.CheckState.Checked)
    assert len(dialog.ticked()) == MOST_EXAMPLES and "No more than" in dialog.note.text()
    for place in range(dialog.examples.count()):
        dialog.examples.item(place).setCheckState(Qt.CheckState.Unchecked)
    assert "No examples" in dialog.note.text()


def test_the_page_is_saved_with_the_ticked_examples_only(dialog: ReportDialog, tmp_path: Path) -> None:
    dialog.save(tmp_path / "with.html")
    assert QUESTION in (tmp_path / "with.html").read_text(encoding="utf-8")
    for place in dialog.ticked():
        dialog.examples.item(place).setCheckState(Qt.CheckState.Unchecked)
    dialog.save(tmp_path / "without.html")
    assert QUESTION not in (tmp_path / "without.html").read_text(encoding="utf-8")
    assert dialog.saved.isVisible() and dialog.place.text() == str(tmp_path / "without.html")


def test_it_is_printed_as_one_page(dialog: ReportDialog, tmp_path: Path) -> None:
    dialog.save(tmp_path / "report.pdf")
    pages = pypdf.PdfReader(tmp_path / "report.pdf").pages
    assert len(pages) == 1 and "Support" in pages[0].extract_text()
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_place_that_cannot_be_written_is_told(dialog: ReportDialog, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for name in ("report.html", "report.pdf"):
        dialog.save(tmp_path / "file" / name)
        assert dialog._problem is not None and dialog._problem.problem.code == "storage.cannot_write"
    assert not dialog.saved.isVisible()


@pytest.mark.parametrize("letters", ["a man a plan ", "가나다라 마바사 ", "W" * 100, "longword/"])
def test_the_longest_report_there_is_fits_onto_one_page(run: RunFolder, tmp_path: Path, letters: str) -> None:
    load_fonts()
    text = (letters * 400)[:4000]
    lines = "\n".join([letters[:30]] * 60)
    examples = [AnsweredExample(text, lines, text, lines, 0.0, 1.0)] * 9
    check = ExportCheck(program="llama.cpp", questions=20, same=3, passed=False)
    exports = [Exported(to="merged", folder="/x", size=1, checks=(check,))] * 30
    recipe = load(run.recipe)
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"system_prompt": text})})
    html = report_html(report_of(run, recipe, exports, examples), Sentence.english)
    assert write_pdf(html, tmp_path / "long.pdf") > SMALLEST
    assert len(pypdf.PdfReader(tmp_path / "long.pdf").pages) == 1
