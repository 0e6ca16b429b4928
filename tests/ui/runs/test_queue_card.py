"""The queue on top of the Runs page: seen, moved, held, changed and emptied, by mouse and by keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from studio.core.recipe.recipe import Recipe, to_yaml, with_values
from studio.core.run_folder import RunFolder
from studio.dataset.examples import Example, write_frozen
from studio.runs.project import Project
from studio.runs.queue import add
from studio.runs.queue_file import AtTime, WhenFree, queue_file, read_queue
from studio.ui.main_window import MainWindow
from studio.ui.runs.page import RunsPage
from studio.ui.runs.queue_card import StartTime, when_words
from studio.ui.state.app_state import AppState
from studio.ui.train.page import TrainPage
from tests.ui.small_model import small_model

Opener = Callable[[AppState], MainWindow]


@pytest.fixture(autouse=True)
def nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the queue only waits; what starts runs is tested with the runner."""
    monkeypatch.setattr("studio.runs.queue.ensure_runner", lambda: False)


@pytest.fixture
def page(app_state: AppState, project: Project, tmp_path: Path, open_window: Opener, qtbot: QtBot) -> RunsPage:
    """Three runs wait: first, second, third."""
    model = small_model(tmp_path / "model")
    for name in ("first", "second", "third"):
        run = RunFolder(project.runs_folder / f"20260101-120000-{name}")
        run.train_data.parent.mkdir(parents=True)
        write_frozen(run.train_data, [Example(text="It is on its way.")])
        recipe = with_values(Recipe(name=name), {"model.source": "folder", "model.name": str(model)})
        run.recipe.write_text(to_yaml(recipe), encoding="utf-8")
        add([run])
    window = open_window(app_state)
    window.open_page("runs")
    shown = window.stack.currentWidget()
    assert isinstance(shown, RunsPage)
    app_state.queue.look()
    qtbot.waitUntil(lambda: names(shown) == ["first", "second", "third"])
    return shown


def names(page: RunsPage) -> list[str]:
    rows = page.queue.list
    items = [rows.topLevelItem(row) for row in range(rows.topLevelItemCount())]
    return [item.text(0) for item in items if item is not None]


def choose(page: RunsPage, row: int) -> None:
    item = page.queue.list.topLevelItem(row)
    assert item is not None
    page.queue.list.setCurrentItem(item)


def kept() -> list[str]:
    """The names of the runs in the queue's file, in their order."""
    return [entry.run.name.split("-")[2] for entry in read_queue().entries]


def test_keys_move_a_run_and_it_stays_chosen(page: RunsPage, qtbot: QtBot) -> None:
    rows = page.queue.list
    with qtbot.waitActive(page.window()):
        page.window().activateWindow()
    choose(page, 0)
    rows.setFocus()
    QTest.keyClick(rows, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert names(page) == ["second", "first", "third"], "shown at once"
    qtbot.waitUntil(lambda: kept() == ["second", "first", "third"])
    chosen = rows.chosen()
    assert chosen is not None and chosen.name == "first"
    QTest.keyClick(rows, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: kept() == ["first", "second", "third"])
    assert not page.queue.up.isEnabled(), "it is the first already"
    QTest.keyClick(rows, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: names(page) == ["second", "third"])


def test_a_run_is_dragged_to_its_place(page: RunsPage, qtbot: QtBot) -> None:
    rows = page.queue.list
    choose(page, 0)
    last = rows.topLevelItem(2)
    assert last is not None
    below = rows.visualItemRect(last).bottomLeft() + QPointF(4, 8).toPoint()
    rows.dropEvent(
        QDropEvent(
            QPointF(below),
            Qt.DropAction.MoveAction,
            QMimeData(),
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )
    qtbot.waitUntil(lambda: kept() == ["second", "third", "first"])


def test_a_run_is_held_and_let_go(page: RunsPage, qtbot: QtBot) -> None:
    choose(page, 1)
    page.queue.held_button.click()
    qtbot.waitUntil(lambda: read_queue().entries[1].held)
    qtbot.waitUntil(lambda: page.queue.held_button.text() == "Let it begin")
    page.queue.held_button.click()
    qtbot.waitUntil(lambda: not read_queue().entries[1].held)


def test_a_run_begins_tonight_or_when_the_card_is_free_or_at_a_time_of_ones_own(page: RunsPage, qtbot: QtBot) -> None:
    choose(page, 0)
    _soon, tonight, free, other = page.queue.start_time.actions()
    free.trigger()
    qtbot.waitUntil(lambda: read_queue().entries[0].when == WhenFree())
    tonight.trigger()
    qtbot.waitUntil(lambda: isinstance(read_queue().entries[0].when, AtTime))
    when = read_queue().entries[0].when
    assert isinstance(when, AtTime) and when.at.astimezone().strftime("%H:%M") == "22:00"
    other.trigger()
    overlay = page.queue.overlay
    assert isinstance(overlay, StartTime)
    overlay.time.setDateTime(overlay.time.dateTime().addDays(1))
    overlay.accept.click()
    qtbot.waitUntil(lambda: read_queue().entries[0].when != when)
    assert when_words(AtTime(at=datetime(2031, 5, 6, 22, 0))) == "2031-05-06 22:00"


def test_the_settings_of_a_run_that_waits_are_changed_in_the_draft(
    page: RunsPage, app_state: AppState, qtbot: QtBot
) -> None:
    choose(page, 1)
    page.queue.edit_button.click()
    window = page.window()
    assert isinstance(window, MainWindow)
    train = window.stack.currentWidget()
    assert isinstance(train, TrainPage)
    assert "second, which waits in the queue" in train.lead.text()
    assert train.save_button.isVisible() and not train.train_button.isVisible()
    app_state.set_value("training.epochs", 7.0)
    train.save_button.click()
    qtbot.waitUntil(lambda: window.page_name == "runs", timeout=10_000)
    assert not train.problems()
    assert "epochs: 7" in (read_queue().entries[1].run / "recipe.yaml").read_text(encoding="utf-8")
    assert app_state.edited is None


def test_a_line_that_cannot_be_read_is_named_and_dismissed(page: RunsPage, app_state: AppState, qtbot: QtBot) -> None:
    with open(queue_file(), "a", encoding="utf-8") as file:
        file.write("{a hand slipped here\n")
    app_state.queue.look()
    qtbot.waitUntil(lambda: bool(app_state.queue.view.set_aside))
    assert names(page) == ["first", "second", "third"]
    (bar,) = page.queue._notices
    bar.findChildren(QPushButton)[0].click()
    qtbot.waitUntil(lambda: not app_state.queue.view.set_aside)


def test_a_run_whose_data_is_gone_says_why_it_is_skipped(page: RunsPage, app_state: AppState, qtbot: QtBot) -> None:
    (read_queue().entries[0].run / "data" / "train.jsonl").unlink()
    app_state.queue.look()
    choose(page, 0)
    qtbot.waitUntil(lambda: "The examples of this run are gone" in page.queue.reason.text())
