"""A Chat page over a finished run, whose child process says back what it was sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import JobFolder
from studio.dataset.samples import sample
from studio.runs.project import Project, create_project
from studio.ui.chat.page import ChatPage
from studio.ui.state.app_state import AppState
from tests.ui.finished_run import fine_tuned_run, opened, stand_in_interpreter


@pytest.fixture
def project(home: Path) -> Project:
    made = create_project("Support")
    values = {"data.path": str(sample("en")), "data.system_prompt": "You sort messages."}
    made.save_recipe(with_values(Recipe(), values))
    return made


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))


@pytest.fixture
def app_state(project: Project, qtbot: QtBot) -> Iterator[AppState]:
    fine_tuned_run(project, project.load_recipe())
    with opened(project) as made:
        qtbot.waitUntil(lambda: bool(made.state.checkpoints) and not made.is_training(), timeout=10_000)
        yield made


def shown(app_state: AppState, qtbot: QtBot) -> ChatPage:
    page = ChatPage(app_state)
    qtbot.addWidget(page)
    page.resize(1000, 700)
    page.show()
    return page


def say(page: ChatPage, qtbot: QtBot, text: str) -> None:
    page.composer.setPlainText(text)
    QTest.keyClick(page.composer, Qt.Key.Key_Return)


def answered(page: ChatPage) -> bool:
    return not page.conversation.is_answering()


def folder_of(page: ChatPage) -> JobFolder:
    assert page.conversation.job.folder is not None
    return page.conversation.job.folder
