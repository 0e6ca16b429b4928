"""The Data page with real files: opened, read in another way, replaced, refused."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from pytestqt.qtbot import QtBot

from studio.data.samples import sample
from studio.runs.project import create_project
from studio.ui.pages.data import DataPage
from studio.ui.session import Session
from tests.ui.taught import opened, stand_in_interpreter


@pytest.fixture
def session(home: Path, qtbot: QtBot) -> Iterator[Session]:
    with opened(create_project("Support")) as made:
        yield made


@pytest.fixture
def page(session: Session, qtbot: QtBot) -> DataPage:
    made = DataPage(session)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    return made


def read(qtbot: QtBot, page: DataPage, path: Path) -> None:
    page.open_path(str(path))
    qtbot.waitUntil(lambda: not page._session.reading_data, timeout=10_000)


def test_an_empty_page_offers_every_way_in(page: DataPage) -> None:
    assert page.drop.isVisible()
    assert not page.loaded.isVisible()
    assert page.primary is not None
    assert not page.primary.isVisible()
    offered = [page.drop.choose_file, page.drop.choose_folder, page.drop.hub, page.drop.sample]
    assert all(button.isVisible() and button.isEnabled() and button.text() for button in offered)


def test_the_sample_opens_with_guessed_roles_and_an_exact_count(page: DataPage, qtbot: QtBot) -> None:
    page.drop.sample.click()
    qtbot.waitUntil(lambda: page.loaded.isVisible(), timeout=10_000)
    with open(sample("en"), encoding="utf-8", newline="") as file:
        rows = len(list(csv.DictReader(file)))
    assert page.source.name.text() == "support-en.csv"
    assert page.source.roles.columns["question"].currentText() == "message"
    assert page.source.roles.columns["answer"].currentText() == "reply"
    assert page.table.model.rowCount() == page.table.model.total == rows
    assert f"{rows} rows" in page.source.facts.text()
    assert page.next.isEnabled()
    qtbot.waitUntil(lambda: "16 of them are set aside" in page.findings.usable.text(), timeout=10_000)


def test_a_dropped_file_is_opened(page: DataPage, qtbot: QtBot) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(sample("ko")))])
    event = QDropEvent(
        QPointF(9, 9),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    page.drop.dropEvent(event)
    qtbot.waitUntil(lambda: page.loaded.isVisible(), timeout=10_000)
    assert page.source.name.text() == "support-ko.csv"


def test_next_leads_to_teach(page: DataPage, qtbot: QtBot) -> None:
    read(qtbot, page, sample("en"))
    with qtbot.waitSignal(page.step_requested) as asked:
        page.next.click()
    assert asked.args == ["teach"]


def test_a_bad_file_is_explained_and_the_drop_area_stays(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    broken = tmp_path / "broken.xlsx"
    broken.write_bytes(b"PK\x03\x04 this is no workbook")
    read(qtbot, page, broken)
    assert page.drop.isVisible()
    (problem,) = page.problems()
    assert "broken.xlsx" in problem.english()
    assert problem.fix


def test_a_bad_file_leaves_the_data_that_was_there(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    read(qtbot, page, sample("en"))
    before = page.table.model.total
    nothing = tmp_path / "nothing.csv"
    nothing.write_bytes(b"")
    page.open_path(str(nothing))
    qtbot.waitUntil(lambda: bool(page.problems()) and not page._session.reading_data, timeout=10_000)
    qtbot.waitUntil(lambda: page._session.table is not None, timeout=10_000)
    assert page.source.name.text() == "support-en.csv"
    assert page.table.model.total == before
    assert page._session.recipe.data.path == str(sample("en"))
    assert "nothing.csv" in page.problems()[0].english()
    assert page.next.isEnabled()


def test_what_was_wrong_with_a_file_is_gone_once_something_else_is_done(
    page: DataPage, qtbot: QtBot, tmp_path: Path
) -> None:
    read(qtbot, page, sample("en"))
    nothing = tmp_path / "nothing.csv"
    nothing.write_bytes(b"")
    page.open_path(str(nothing))
    qtbot.waitUntil(lambda: page._session.table is not None and bool(page.problems()), timeout=10_000)
    form = page.source.roles.form
    form.setCurrentIndex(form.findData("text"))
    qtbot.waitUntil(lambda: page.table.model.total > 0 and bool(page.table.model.example(0).text), timeout=10_000)
    assert not page.problems()


def test_roles_can_be_changed_and_say_what_is_wrong(page: DataPage, qtbot: QtBot) -> None:
    read(qtbot, page, sample("en"))
    boxes = page.source.roles.columns
    boxes["answer"].setCurrentText("message")
    qtbot.waitUntil(lambda: bool(page.problems()) and not page._session.reading_data, timeout=10_000)
    assert page.problems()[0].code == "data.same_column"
    assert not page.next.isEnabled()
    boxes["question"].setCurrentText("reply")
    qtbot.waitUntil(lambda: not page.problems() and page.next.isEnabled(), timeout=10_000)
    example = page.table.model.example(0)
    assert example.question.startswith("TEAM:")


def test_plain_text_is_one_choice_away(page: DataPage, qtbot: QtBot) -> None:
    read(qtbot, page, sample("en"))
    form = page.source.roles.form
    form.setCurrentIndex(form.findData("text"))
    qtbot.waitUntil(lambda: page.table.model.total > 0 and bool(page.table.model.example(0).text), timeout=10_000)
    assert page._session.recipe.data.roles.text == "reply"


def test_another_separator_reads_the_file_again(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    lines = "".join(f"How, {n}?;Like so, {n}.;more, text\n" for n in range(40))
    file.write_text("question;answer, or so;note\n" + lines, encoding="utf-8")
    read(qtbot, page, file)
    assert "semicolons" in page.source.facts.text()
    page.source.how.click()
    assert page.source.options.isVisible()
    page.source.delimiter.setCurrentIndex(page.source.delimiter.findData(","))
    qtbot.waitUntil(lambda: "commas" in page.source.facts.text(), timeout=10_000)
    assert page._session.recipe.data.delimiter == ","


def test_rows_left_out_are_counted_with_their_reasons(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    lines = "".join(f'"Question {n}?",{"" if n in (3, 7) else f"Answer {n}."}\n' for n in range(40))
    file.write_text("question,answer\n" + lines, encoding="utf-8")
    read(qtbot, page, file)
    assert page.findings.left_out_words.text() == "2 rows are left out."
    assert not page.findings.reasons.isVisible()
    page.findings.show_rows.click()
    assert page.findings.reasons.isVisible()
    assert page.findings.reasons.text() == "Rows 4, 8: The answer is empty."


def test_the_preview_says_where_word_pieces_come_from_when_there_is_no_model(page: DataPage, qtbot: QtBot) -> None:
    read(qtbot, page, sample("en"))
    qtbot.waitUntil(lambda: not page._session.model.looking, timeout=10_000)
    qtbot.waitUntil(lambda: "Teach page" in page.pane.facts.text(), timeout=5_000)
    assert page.table.model.example(0).answer in page.pane.text.toPlainText()
    with qtbot.waitSignal(page.step_requested) as asked:
        page.pane.fetch.click()
    assert asked.args == ["teach"]


def test_a_data_set_is_fetched_from_the_hub_and_opened(
    page: DataPage, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    page.drop.hub.click()
    assert not page.hub.fetch.isEnabled()
    page.hub.name.setText("https://huggingface.co/datasets/someone/questions")
    page.hub.fetch.click()
    qtbot.waitUntil(lambda: page.loaded.isVisible(), timeout=15_000)
    assert page._session.recipe.data.path == "someone/questions"
    assert page.table.model.total == 40


def test_a_download_can_be_cancelled(
    page: DataPage, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    monkeypatch.setenv("STAND_IN_PAUSE", "2")
    page.drop.hub.click()
    page.hub.name.setText("someone/questions")
    page.hub.fetch.click()
    assert page.hub.progress.isVisible()
    page.hub.progress.stop.click()
    qtbot.waitUntil(lambda: not page.hub.job.is_running(), timeout=15_000)
    assert page.hub.asking.isVisible()
    assert page.drop.isVisible()
    assert not page.problems()
