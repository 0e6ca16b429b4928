"""An add-on from another program comes in over the Runs page: chosen or dropped, with its base and its questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from studio.core.recipe.recipe import load
from studio.dataset.fingerprint import needs_questions
from studio.runs.open_adapter import open_adapter
from studio.runs.project import Project
from studio.ui.main_window import MainWindow
from studio.ui.runs.page import RunsPage
from studio.ui.state.app_state import AppState
from studio.ui.test.page import TestPage
from tests.runs.foreign_folders import make_base, make_folder
from tests.ui.test_main_window import words_on

Opener = Callable[[AppState], MainWindow]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "models" / "tiny-chat")


@pytest.fixture
def page(app_state: AppState, open_window: Opener, qtbot: QtBot) -> RunsPage:
    window = open_window(app_state)
    window.open_page("runs")
    shown = window.stack.currentWidget()
    assert isinstance(shown, RunsPage)
    qtbot.waitUntil(lambda: shown.stack.currentIndex() == 1)
    return shown


def drop(page: RunsPage, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    plain = Qt.KeyboardModifier.NoModifier
    page.dropEvent(QDropEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, plain))


def test_everything_that_can_be_done_with_a_run_is_in_a_menu(page: RunsPage) -> None:
    offered = {action.text() for menu in (page.more, page.imports) for action in menu.actions()}
    assert {page.repeat_action.text(), page.journal_action.text(), page.open_bundle_action.text()} <= offered
    assert page.import_button.isVisible(), "also where there is no run yet"


def test_a_chosen_folder_becomes_a_run_that_can_be_opened(
    page: RunsPage, app_state: AppState, base: Path, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "lora_model", str(base))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    page.open_adapter_action.trigger()
    qtbot.waitUntil(lambda: page.adapters.confirmation is not None)
    asked = page.adapters.confirmation
    assert asked is not None
    assert "made with peft, and opened from the folder lora_model" in words_on(asked)
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)
    asked.buttons[1].click()  # it was trained on a base in 4 bits
    qtbot.waitUntil(lambda: page.adapters.confirmation is not asked)
    asked = page.adapters.confirmation
    assert asked is not None and len(asked.buttons) == 1, "now it is known"
    (run,) = app_state.project.runs()
    assert load(run.recipe).method.kind == "qlora", "the one in 16 bits is gone"
    asked.buttons[0].click()
    qtbot.waitUntil(lambda: app_state.run == run)
    qtbot.waitUntil(lambda: bool(app_state.state.checkpoints))
    assert app_state.resumption is None or app_state.resumption.problem is not None


def test_a_dropped_folder_whose_base_is_missing_asks_for_it(
    page: RunsPage, base: Path, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "lora_model", "unsloth/Other-Chat-bnb-4bit")
    drop(page, folder)
    qtbot.waitUntil(lambda: page.adapters.confirmation is not None)
    asked = page.adapters.confirmation
    assert asked is not None
    words = words_on(asked)
    assert "belongs to the base model unsloth/Other-Chat, which isn't on this computer" in words
    assert [one.text() for one in asked.buttons] == ["Fetch unsloth/Other-Chat", "Choose its folder"]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(base))
    asked.buttons[1].click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)
    assert page.adapters.confirmation is not None
    assert "is taken for it, whose layers fit" in words_on(page.adapters.confirmation)
    page.adapters.confirmation.cancel_button.click()


def test_a_base_that_is_fetched_from_the_hub_is_used_as_soon_as_it_is_here(
    page: RunsPage, tmp_path: Path, qtbot: QtBot, trainer: None
) -> None:
    drop(page, make_folder(tmp_path / "lora_model", "unsloth/Other-Chat-bnb-4bit"))
    qtbot.waitUntil(lambda: page.adapters.confirmation is not None)
    asked = page.adapters.confirmation
    assert asked is not None
    asked.buttons[0].click()
    fetching = page.adapters.fetching
    assert fetching is not None and fetching.isVisible()
    qtbot.waitUntil(lambda: page.adapters.confirmation is not asked, timeout=30_000)
    assert page.adapters.confirmation is not None
    assert "It was trained on its base model in 4 bits" in words_on(page.adapters.confirmation)
    page.adapters.confirmation.cancel_button.click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)


def test_what_isnt_an_add_on_is_said_on_the_page(page: RunsPage, base: Path, qtbot: QtBot) -> None:
    drop(page, base)
    qtbot.waitUntil(lambda: "holds a whole model, not an add-on" in words_on(page))


def test_the_test_page_asks_for_questions_and_takes_those_of_the_data_page(
    app_state: AppState, project: Project, base: Path, tmp_path: Path, open_window: Opener, qtbot: QtBot
) -> None:
    run = open_adapter(make_folder(tmp_path / "out", str(base)), project).run
    app_state.attach(run)
    window = open_window(app_state)
    window.open_page("test")
    shown = window.stack.currentWidget()
    assert isinstance(shown, TestPage)
    qtbot.waitUntil(lambda: "trained in another program" in words_on(shown))
    assert not shown.start.isVisible()
    file = tmp_path / "questions.jsonl"
    lines = [json.dumps({"question": f"What is {n}?", "answer": f"It is {n}."}) for n in range(12)]
    file.write_text("\n".join(lines))
    app_state.set_values({"data.path": str(file)})
    qtbot.waitUntil(lambda: app_state.data.examples is not None and shown.start.isVisible(), timeout=30_000)
    assert "12 examples on the Data page" in words_on(shown)
    shown.start.click()
    qtbot.waitUntil(lambda: not needs_questions(run), timeout=30_000)
    qtbot.waitUntil(shown.job.is_running)
    shown.job.kill()
    qtbot.waitUntil(lambda: not shown.job.is_running())
