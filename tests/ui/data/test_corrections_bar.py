"""What was corrected in the chat is offered on the Data page, learned with one press, and taken out again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.chat.store import TurnRecord
from studio.chat.transcript import keep_feedback
from studio.dataset.corrections import CORRECTIONS
from studio.runs.project import Project, create_project
from studio.ui.data.corrections_bar import CorrectionsBar
from studio.ui.data.page import DataPage
from studio.ui.state.app_state import AppState
from tests.ui.data.test_page import LONG, read, replies, shown
from tests.ui.finished_run import opened


@pytest.fixture
def project(home: Path) -> Project:
    return create_project("Support")


@pytest.fixture
def app_state(project: Project, qtbot: QtBot) -> Iterator[AppState]:
    with opened(project) as made:
        yield made


def correct(project: Project, *ids: str) -> None:
    for id in ids:
        turn = TurnRecord(id, 0, "run", f"Where is {id}?", "No idea.", correction=f"{id} is on its way.")
        keep_feedback(project.folder / CORRECTIONS, [turn])


def pressed(qtbot: QtBot, bar: CorrectionsBar, which: str) -> None:
    button = getattr(bar, which)
    button.setFocus()
    QTest.keyClick(button, Qt.Key.Key_Space)
    data = bar._app_state.data
    qtbot.waitUntil(lambda: data.examples is not None and not data.reading and not data.examining, timeout=LONG)


def test_corrected_answers_are_learned_beside_the_file_and_taken_out_again(
    app_state: AppState, project: Project, qtbot: QtBot, tmp_path: Path
) -> None:
    correct(project, "a1", "b2")
    page = shown(app_state, qtbot)
    read(qtbot, page, replies(tmp_path / "support.csv"))
    bar = page.loaded.corrections
    qtbot.waitUntil(bar.isVisible, timeout=LONG)
    assert bar.words.text().startswith("From the chat: 2 corrected, 0 called good, 0 called wrong.")
    assert not bar.leave.isVisible()
    pressed(qtbot, bar, "learn")
    qtbot.waitUntil(lambda: app_state.data.examples is not None and len(app_state.data.examples) == 42, timeout=LONG)
    qtbot.waitUntil(bar.leave.isVisible, timeout=LONG)
    assert bar.words.text() == "Answers from the chat that are learned beside this file: 2."
    assert not bar.learn.isVisible()
    assert app_state.data.examples is not None and app_state.data.examples[41].answer == "b2 is on its way."
    correct(project, "c3")
    bar.look()
    qtbot.waitUntil(bar.learn.isVisible, timeout=LONG)
    assert bar.words.text().endswith("There are 3 now.")
    pressed(qtbot, bar, "learn")
    qtbot.waitUntil(lambda: app_state.data.examples is not None and len(app_state.data.examples) == 43, timeout=LONG)
    pressed(qtbot, bar, "leave")
    qtbot.waitUntil(lambda: app_state.data.examples is not None and len(app_state.data.examples) == 40, timeout=LONG)
    assert app_state.recipe.data.corrections == ""


def test_another_file_is_learned_with_the_same_corrections(
    app_state: AppState, project: Project, qtbot: QtBot, tmp_path: Path
) -> None:
    correct(project, "a1")
    page: DataPage = shown(app_state, qtbot)
    read(qtbot, page, replies(tmp_path / "one.csv"))
    qtbot.waitUntil(page.loaded.corrections.learn.isVisible, timeout=LONG)
    pressed(qtbot, page.loaded.corrections, "learn")
    read(qtbot, page, replies(tmp_path / "other.csv", count=50))
    assert app_state.data.examples is not None and len(app_state.data.examples) == 51


def test_without_corrections_nothing_is_offered(app_state: AppState, qtbot: QtBot, tmp_path: Path) -> None:
    page = shown(app_state, qtbot)
    read(qtbot, page, replies(tmp_path / "support.csv"))
    qtbot.wait(300)
    assert not page.loaded.corrections.isVisible()


def test_thumbs_become_marks_to_learn_from_and_what_was_corrected_pairs(
    app_state: AppState, project: Project, qtbot: QtBot, tmp_path: Path
) -> None:
    correct(project, "a1")
    for id, rating in (("g1", 1), ("g2", 1), ("w1", -1)):
        turn = TurnRecord(id, 0, "run", f"Where is {id}?", "There.", rating=rating)
        keep_feedback(project.folder / CORRECTIONS, [turn])
    page = shown(app_state, qtbot)
    read(qtbot, page, replies(tmp_path / "support.csv"))
    bar, objective = page.loaded.corrections, page.loaded.objective
    qtbot.waitUntil(bar.isVisible, timeout=LONG)
    assert bar.words.text().startswith("From the chat: 1 corrected, 2 called good, 1 called wrong.")
    assert bar.words.text().endswith("Those called wrong are only used to learn from good and bad answers.")
    assert not objective.isVisible()
    pressed(qtbot, bar, "learn")
    qtbot.waitUntil(lambda: app_state.data.examples is not None and len(app_state.data.examples) == 43, timeout=LONG)
    qtbot.waitUntil(objective.isVisible, timeout=LONG)

    objective.buttons["kto"].click()
    qtbot.waitUntil(lambda: "3 good, 2 bad." in objective.words.text(), timeout=LONG)
    assert app_state.recipe.objective.kind == "kto"
    objective.buttons["dpo"].click()
    qtbot.waitUntil(lambda: "1 pair." in objective.words.text(), timeout=LONG)
    pressed(qtbot, bar, "leave")
    qtbot.waitUntil(lambda: app_state.recipe.objective.kind == "supervised", timeout=LONG)
