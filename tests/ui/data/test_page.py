"""The Data page with real files: opened, read in another way, fixed, undone, replaced, refused."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from studio.core.problems import Problem, Remedy, problem
from studio.core.recipe.recipe import with_values
from studio.core.translatable import sentence
from studio.dataset.samples import sample
from studio.runs.project import create_project
from studio.ui.data.page import DataPage
from studio.ui.state import background
from studio.ui.state.app_state import AppState
from studio.ui.state.dataset_state import reasons_against_training
from studio.ui.state.workflow_steps import workflow_steps
from studio.worker.protocol import Progress
from tests.ui.finished_run import make_model_folder, opened, stand_in_interpreter

LONG = 30_000
"""Milliseconds that reading may take on a busy machine."""


@pytest.fixture
def app_state(home: Path, qtbot: QtBot) -> Iterator[AppState]:
    with opened(create_project("Support")) as made:
        yield made


@pytest.fixture
def page(app_state: AppState, qtbot: QtBot) -> DataPage:
    return shown(app_state, qtbot)


def shown(app_state: AppState, qtbot: QtBot) -> DataPage:
    made = DataPage(app_state)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    return made


def read(qtbot: QtBot, page: DataPage, path: Path) -> None:
    page.open_path(str(path))
    app_state = page._app_state
    qtbot.waitUntil(lambda: not app_state.data.reading and not app_state.data.examining, timeout=LONG)


def columns(page: DataPage) -> list[str]:
    """What is chosen in the dropdowns for columns."""
    return [box.currentText() for (role, _), box in page.source.mapping.dropdowns.items() if role != "format"]


def replies(path: Path, count: int = 40, doubled: int = 0) -> Path:
    lines = [
        f'"Where is parcel number {n * 37}, please?","It left our house on day {n} of the month."' for n in range(count)
    ]
    path.write_text("\n".join(["question,answer", *lines, *lines[:doubled]]) + "\n", encoding="utf-8")
    return path


def test_what_reads_a_file_is_started_when_one_is_dragged_in(page: DataPage, tmp_path: Path, qtbot: QtBot) -> None:
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(replies(tmp_path / "support.csv")))])
    drag = (Qt.DropAction.CopyAction, files, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QCoreApplication.sendEvent(page.drop, QDragEnterEvent(QPoint(40, 40), *drag))
    workers = page._app_state.data._workers
    qtbot.waitUntil(lambda: "long" in workers and workers["long"].pid is not None, timeout=LONG)
    started = workers["long"].pid
    assert page.drop.isVisible(), "nothing was dropped yet"
    QCoreApplication.sendEvent(page.drop, QDropEvent(QPointF(40, 40), *drag))
    qtbot.waitUntil(lambda: page._app_state.data.examples is not None, timeout=LONG)
    assert workers["long"].pid == started


def test_an_empty_page_offers_every_way_in(page: DataPage) -> None:
    assert page.drop.isVisible()
    assert not page.loaded.isVisible()
    assert page.primary is not None
    assert not page.primary.isVisible()


def test_the_sample_opens_with_guessed_columns_and_an_exact_count_and_leads_on_to_training(
    page: DataPage, qtbot: QtBot
) -> None:
    page.drop.buttons["sample"].click()
    qtbot.waitUntil(lambda: page.loaded.isVisible() and page._app_state.data.report is not None, timeout=LONG)
    with open(sample("en"), encoding="utf-8", newline="") as file:
        rows = len(list(csv.DictReader(file)))
    assert page.source.name.text() == "support-en.csv"
    assert columns(page) == ["message", "reply"]
    assert not page.source.mapping.unsure.isVisible()
    assert page.table.model.rowCount() == page.table.model.total == rows
    assert f"{rows} rows" in page.source.facts.text()
    assert page.next.isEnabled()
    assert "16 of them are set aside" in page.check.usable.text()
    with qtbot.waitSignal(page.step_requested) as asked:
        page.next.click()
    assert asked.args == ["train"]


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
    qtbot.waitUntil(lambda: page.loaded.isVisible(), timeout=LONG)
    assert page.source.name.text() == "support-ko.csv"


def test_cells_copied_in_a_spreadsheet_are_pasted_with_a_key(page: DataPage, qtbot: QtBot) -> None:
    rows = "".join(f"Where is parcel {n}?\tIt is on its way: {n}.\n" for n in range(40))
    QGuiApplication.clipboard().setText("question\tanswer\n" + rows)
    page.drop.buttons["file"].setFocus()
    QTest.keyClick(page, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: page.table.model.total == 40 and not page.table.model.listing.raw, timeout=LONG)
    assert columns(page) == ["question", "answer"]
    QGuiApplication.clipboard().setText("a slip of the hand, which should not replace what is there")
    path = page._app_state.recipe.data.path
    QTest.keyClick(page, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    QCoreApplication.processEvents()
    assert page._app_state.recipe.data.path == path


def test_a_bad_file_is_explained_and_the_drop_area_stays(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    broken = tmp_path / "broken.xlsx"
    broken.write_bytes(b"PK\x03\x04 this is no workbook")
    read(qtbot, page, broken)
    assert page.drop.isVisible()
    (shown,) = page.problems()
    assert "broken.xlsx" in shown.english()
    assert shown.fix


def test_a_bad_file_leaves_the_data_that_was_there(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    read(qtbot, page, sample("en"))
    before = page.table.model.total
    nothing = tmp_path / "nothing.csv"
    nothing.write_bytes(b"")
    page.open_path(str(nothing))
    qtbot.waitUntil(lambda: bool(page.problems()) and not page._app_state.data.reading, timeout=LONG)
    qtbot.waitUntil(lambda: page._app_state.data.examples is not None, timeout=LONG)
    assert page.source.name.text() == "support-en.csv"
    assert page.table.model.total == before
    assert page._app_state.recipe.data.path == str(sample("en"))
    assert "nothing.csv" in page.problems()[0].english()
    qtbot.waitUntil(page.next.isEnabled, timeout=LONG)
    page.source.mapping.dropdowns["format", 0].choose("text")
    assert not page.problems()  # something else was done, so it doesn't matter any more


def test_where_columns_are_unclear_the_file_is_shown_as_it_is_and_the_columns_are_asked_for(
    page: DataPage, qtbot: QtBot, tmp_path: Path
) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("a,b\n" + "".join(f"{n},{n * 7 % 13}\n" for n in range(40)), encoding="utf-8")
    read(qtbot, page, file)
    mapping = page.source.mapping
    assert page.table.model.listing.raw and page.table.model.total == 40
    assert not page.next.isEnabled()
    assert page._app_state.data.problem is not None
    assert not page.problems()  # below the dropdowns stands what is missing
    assert "Choose the column with the questions" in mapping.example.text()
    question = mapping.dropdowns["question", 0]
    assert question.hasFocus()
    QTest.keyClick(question, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: page._app_state.recipe.data.mapping.question == "a", timeout=LONG)
    qtbot.waitUntil(lambda: not page._app_state.data.reading, timeout=LONG)
    assert question.isVisible() and question.hasFocus()
    mapping.dropdowns["answer", 0].choose("b")
    qtbot.waitUntil(lambda: page._app_state.data.report is not None and page.table.model.total == 40, timeout=LONG)
    assert question.hasFocus() and mapping.example.text().endswith("Question: 0  →  Answer: 0")


def test_columns_that_are_chosen_are_used_and_kept_in_the_recipe(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    read(qtbot, page, replies(tmp_path / "replies.csv"))
    page.source.mapping.dropdowns["question", 0].choose("answer")  # the other way round
    qtbot.waitUntil(lambda: page.table.model.index(0, 1).data().startswith("It left our house"), timeout=LONG)
    mapping = page._app_state.recipe.data.mapping
    assert (mapping.question, mapping.answer) == ("answer", "question")


def test_an_unsure_guess_shows_two_readings_and_a_press_settles_it(
    page: DataPage, qtbot: QtBot, tmp_path: Path
) -> None:
    file = tmp_path / "replies.csv"
    lines = "".join(f"It left our house on day {n} of the month.,The parcel {n} is on its way.\n" for n in range(40))
    file.write_text("one,two\n" + lines, encoding="utf-8")
    read(qtbot, page, file)
    unsure = page.source.mapping.unsure
    assert unsure.isVisible() and len(unsure.answers) == 2
    page.focus_first()
    assert unsure.answers[0].hasFocus() and not page.source.mapping.example.isVisible()
    assert page.lead.text() == "Say whether the columns were understood rightly."
    guessed = page._app_state.recipe.data.mapping
    unsure.answers[1].click()
    mapping = page._app_state.recipe.data.mapping
    assert (mapping.question, mapping.answer) == (guessed.answer, guessed.question)
    qtbot.waitUntil(lambda: page._app_state.data.report is not None and not page._app_state.data.reading, timeout=LONG)
    assert not unsure.isVisible()


def test_another_separator_reads_the_file_again(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    lines = "".join(f"How does number {n} work?;Like so, {n}.\n" for n in range(40))
    file.write_text("question;answer\n" + lines, encoding="utf-8")
    read(qtbot, page, file)
    assert "semicolons" in page.source.facts.text()
    page.source.how.click()
    delimiter = page.source.options.delimiter
    assert delimiter.isVisible()
    delimiter.choose(",")
    qtbot.waitUntil(lambda: "commas" in page.source.facts.text(), timeout=LONG)
    assert page._app_state.recipe.data.delimiter == ","
    assert delimiter.isVisible()  # it may not be the right one either
    read(qtbot, page, sample("en"))
    assert not delimiter.isVisible() and page.source.how.text() == "Change how it is read"


def test_a_file_that_becomes_another_is_noticed_and_read_again_when_asked(
    page: DataPage, qtbot: QtBot, tmp_path: Path
) -> None:
    file = replies(tmp_path / "replies.csv")
    read(qtbot, page, file)
    qtbot.waitUntil(lambda: background.wait_for_all() and page._watched._stamp is not None, timeout=LONG)
    page.hide()
    page.show()
    background.wait_for_all()
    QCoreApplication.processEvents()
    assert not page.changed.isVisible()
    replies(file, count=50)
    page.hide()
    page.show()
    qtbot.waitUntil(page.changed.isVisible, timeout=LONG)
    assert page.table.model.total == 40
    page.changed.findChildren(QPushButton)[0].click()
    qtbot.waitUntil(lambda: page.table.model.total == 50, timeout=LONG)
    assert not page.changed.isVisible()


def test_doubles_are_found_left_out_and_brought_back(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    read(qtbot, page, replies(tmp_path / "replies.csv", doubled=9))
    assert page.table.model.total == 49
    row = next(row for row in page.check.rows if "keep_one" in row.finding.fixes)
    page.tabs.show_check()
    row.show_button.click()
    assert row.only_these is not None
    row.only_these.click()
    assert 0 < page.table.model.rowCount() < 49 and page.table.chip.isVisible()
    row.fixes["keep_one"].click()
    qtbot.waitUntil(lambda: page.table.model.total == 40 and not page._app_state.data.examining, timeout=LONG)
    changes = page.check.changes
    assert changes.isVisible() and changes.words.text() == "Keep one of each: 9 left out"
    assert "keep_one" not in {do for row in page.check.rows for do in row.finding.fixes}
    changes.show_button.click()
    assert changes.area.isVisible() and "left out" in changes.details.text()
    page.setFocus()
    QTest.keyClick(page, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: page.table.model.total == 49 and not page._app_state.data.examining, timeout=LONG)
    assert changes.redo.isVisible() and not changes.undo.isVisible()
    changes.redo.setFocus()
    QTest.keyClick(changes.redo, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: page.table.model.total == 40 and not page._app_state.data.examining, timeout=LONG)
    assert [fix.do for fix in page._app_state.recipe.data.fixes] == ["keep_one"]
    assert changes.undo.hasFocus()  # the keyboard doesn't go with the button that was pressed


def test_what_stops_training_stops_it_at_the_page_in_the_sidebar_and_at_the_start(
    page: DataPage, qtbot: QtBot, tmp_path: Path
) -> None:
    read(qtbot, page, replies(tmp_path / "few.csv", count=4))
    app_state = page._app_state
    assert page.loaded.isVisible() and not page.next.isEnabled()
    stop = next(row for row in page.check.rows if row.finding.severity == "stop")
    assert page.footer_note.text() == stop.words.text()
    data, train, *_ = workflow_steps(app_state)
    assert (data.mark, train.mark) == ("attention", "todo")
    heard: list[Problem] = []
    app_state.problem_raised.connect(heard.append)
    app_state.start_training()
    assert [problem.code for problem in heard] == [stop.finding.code]
    assert not app_state.is_training() and app_state.project.runs() == []


def test_while_the_examples_are_checked_the_tab_tells_how_far_and_training_waits(
    page: DataPage, qtbot: QtBot, tmp_path: Path
) -> None:
    read(qtbot, page, replies(tmp_path / "replies.csv"))
    data, recipe, tabs = page._app_state.data, page._app_state.recipe, page.tabs
    assert reasons_against_training(data, recipe) == ()
    data.report, data.examining = None, True
    data.progress = Progress(done=10, total=40, text=sentence("Checking."))
    page.loaded.paint()
    assert tabs.tabText(1) == "Data check (25 %)"
    assert [reason.code for reason in reasons_against_training(data, recipe)] == ["run.still_checking"]
    page._app_state.data.cancel()  # as a person may choose
    assert tabs.tabText(1) == "Data check"
    assert reasons_against_training(data, recipe) == ()


def test_the_preview_says_where_tokens_come_from_when_there_is_no_model(page: DataPage, qtbot: QtBot) -> None:
    read(qtbot, page, sample("en"))
    page.tabs.show_reading()
    qtbot.waitUntil(lambda: not page._app_state.model.looking, timeout=LONG)
    qtbot.waitUntil(lambda: "Train page" in page.pane.facts.text(), timeout=LONG)
    assert page.table.model.listing.cells(0)[1] in page.pane.text.toPlainText()
    with qtbot.waitSignal(page.step_requested) as asked:
        page.pane.fetch.click()
    assert asked.args == ["train"]


@pytest.fixture
def with_model(home: Path, tmp_path: Path, qtbot: QtBot) -> Iterator[DataPage]:
    """A page on forty replies with a model that reads single characters."""
    project = create_project("With a model")
    values = {
        "model.source": "folder",
        "model.name": str(make_model_folder(tmp_path / "base")),
        "data.path": str(replies(tmp_path / "replies.csv")),
        "training.max_length": 512,
    }
    project.save_recipe(with_values(project.load_recipe(), values))
    with opened(project) as app_state:
        page = shown(app_state, qtbot)
        qtbot.waitUntil(lambda: app_state.data.lengths is not None and app_state.data.report is not None, timeout=LONG)
        page.tabs.show_reading()
        yield page


def test_what_the_model_reads_follows_the_row_and_the_limit_and_too_short_a_limit_is_refused(
    with_model: DataPage, qtbot: QtBot
) -> None:
    page = with_model
    page.table.view.selectRow(7)
    qtbot.waitUntil(lambda: "parcel number 259" in page.pane.text.toPlainText(), timeout=LONG)
    qtbot.waitUntil(lambda: "underlined" in page.pane.facts.text(), timeout=LONG)
    assert page.table.model.columns[-1] == "tokens"
    assert page.lengths.words.text() == "All 40 fit whole into 512 tokens."
    page.lengths.limit_chosen.emit(70)
    qtbot.waitUntil(lambda: "cut here, at 70 tokens" in page.pane.text.toPlainText(), timeout=LONG)
    assert page.lengths.words.text() == "40 of 40 would be cut."
    page.lengths.lengthen.click()
    qtbot.waitUntil(lambda: "cut here" not in page.pane.text.toPlainText(), timeout=LONG)
    assert page._app_state.recipe.training.max_length > 70

    assert page.next.isEnabled()
    page.lengths.limit_chosen.emit(16)
    assert not page.next.isEnabled() and "nothing of the answers is left" in page.footer_note.text()
    page.lengths.truncation_chosen.emit("leave_out")
    assert not page.next.isEnabled() and "would be left out" in page.footer_note.text()
    qtbot.waitUntil(lambda: "This example is left out" in page.pane.facts.text(), timeout=LONG)
    assert "parcel number" in page.pane.text.toPlainText()
    page.lengths.lengthen.click()
    assert page.next.isEnabled() and not page.footer_note.text()


def test_new_words_are_shown_and_counted_as_one_token_each(with_model: DataPage, qtbot: QtBot) -> None:
    page, app_state = with_model, with_model._app_state
    page.table.view.selectRow(7)
    qtbot.waitUntil(lambda: "underlined" in page.pane.facts.text(), timeout=LONG)
    facts, lengths = page.pane.facts.text(), app_state.data.lengths
    assert lengths is not None
    app_state.set_value("method.added_tokens", "parcel number, is late")
    qtbot.waitUntil(lambda: page.pane.facts.text() not in ("", facts), timeout=LONG)
    qtbot.waitUntil(lambda: app_state.data.lengths not in (None, lengths), timeout=LONG)
    fewer = app_state.data.lengths
    assert fewer is not None and sum(fewer.total) < sum(lengths.total)
    assert "parcel number 259" in page.pane.text.toPlainText()


def test_answers_about_an_older_row_or_for_a_page_that_is_gone_are_dropped(
    with_model: DataPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = with_model
    asked: list[tuple[int, object, object]] = []
    monkeypatch.setattr(page._app_state, "read_example", lambda *given: asked.append(given))
    page.table.view.selectRow(3)
    page.table.view.selectRow(5)
    shown_before = page.pane.text.toPlainText()
    position, done, _ = asked[0]
    assert position == 3 and callable(done)
    done(object())  # would fail if it were painted
    assert page.pane.text.toPlainText() == shown_before
    anew = DataPage(page._app_state)  # in another language or theme
    _, done, failed = asked[-1]
    assert callable(done) and callable(failed)
    shiboken6.delete(anew)
    done(object())
    failed(object())


def test_reading_shows_a_count_and_can_be_stopped(
    page: DataPage, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "large.csv"
    with open(file, "w", encoding="utf-8") as out:
        out.write("question,answer\n")
        for n in range(120_000):
            out.write(f"Where is parcel number {n}?,It is on its way since day {n % 31}.\n")
    page.open_path(str(file))
    qtbot.waitUntil(page.reading.isVisible, timeout=LONG)
    assert "large.csv" in page.reading.words.text() or page.reading.words.text()
    page.reading.cancel.click()
    qtbot.waitUntil(lambda: not page._app_state.data.reading, timeout=LONG)
    assert not page.reading.isVisible()
    if page._app_state.data.table is not None:  # the first rows had come
        assert page.partial.isVisible()
    else:
        assert page.drop.isVisible()
    assert not page.problems()


def test_a_reader_that_dies_is_told_and_the_file_can_be_read_again(
    page: DataPage, qtbot: QtBot, tmp_path: Path
) -> None:
    read(qtbot, page, replies(tmp_path / "replies.csv"))
    app_state = page._app_state
    app_state.data.examples, app_state.data.report = None, None
    app_state.data.problem = problem(
        "data.reader_died", "The reader ended.", "Nothing else is harmed.", "Choose another.", remedy=Remedy.choose_file
    ).problem
    app_state.data_changed.emit()
    assert page.problems() and page.partial.isVisible() and not page.next.isEnabled()
    assert page.lead.text() == "Something has to be put right before training."
    page.partial.findChildren(QPushButton)[0].click()
    qtbot.waitUntil(lambda: page.next.isEnabled() and app_state.data.report is not None, timeout=LONG)
    assert not page.problems() and not page.partial.isVisible()


def test_first_rows_are_shown_while_the_rest_is_read(page: DataPage, qtbot: QtBot, tmp_path: Path) -> None:
    """Painted from what the app's state tells while a large file is on its way."""
    read(qtbot, page, replies(tmp_path / "replies.csv"))
    app_state = page._app_state
    assert app_state.data.table is not None
    app_state.data.table = replace(app_state.data.table, path=tmp_path / "large.csv")
    app_state.data.examples, app_state.data.report, app_state.data.opened = None, None, None
    app_state.data.reading, app_state.data.progress = (
        True,
        Progress(done=200, total=1_200_000, text=sentence("Reading the rows.")),
    )
    app_state.data_changed.emit()
    qtbot.waitUntil(page.reading.isVisible)
    assert page.reading.words.text() == "Reading the rows.  200 of 1,200,000"
    assert page.loaded.isVisible() and page.table.model.listing.raw
    assert page.source.facts.text() == "the first 40 rows" and not page.source.mapping.isVisible()
    assert not page.next.isEnabled()
    app_state.data.cancel()


def test_a_data_set_is_fetched_from_the_hub_and_opened(
    page: DataPage, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    page.drop.buttons["hub"].click()
    assert not page.hub.fetch.isEnabled()
    page.hub.name.setText("https://huggingface.co/datasets/someone/questions")
    page.hub.fetch.click()
    qtbot.waitUntil(lambda: page.table.model.total == 40 and not page.table.model.listing.raw, timeout=LONG)
    assert page._app_state.recipe.data.path == "someone/questions"


def test_a_download_can_be_cancelled(
    page: DataPage, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    monkeypatch.setenv("STAND_IN_PAUSE", "2")
    page.drop.buttons["hub"].click()
    page.hub.name.setText("someone/questions")
    page.hub.fetch.click()
    assert page.hub.progress.isVisible()
    page.hub.progress.stop.click()
    qtbot.waitUntil(lambda: not page.hub.job.is_running(), timeout=LONG)
    assert page.hub.asking.isVisible()
    assert page.drop.isVisible()
    assert not page.problems()
