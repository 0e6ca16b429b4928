"""Whoever can't see a page, or has no mouse, finds every control by its name and by the Tab key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QScrollBar,
    QTableView,
    QTextEdit,
    QTreeView,
    QWidget,
)
from pytestqt.qtbot import QtBot

from studio.core.recipe.data_choice import DatasetFormat
from studio.core.recipe.recipe import Recipe, with_values
from studio.dataset.quality.report import Grade
from studio.dataset.samples import sample
from studio.evaluation.verdict import Outcome
from studio.runs.project import create_project
from studio.runs.queue import EntryStatus
from studio.ui.chat.page import ChatPage
from studio.ui.compare.page import ComparePage
from studio.ui.controls.status_icon import Severity, severity_words
from studio.ui.data.column_roles import format_words
from studio.ui.data.data_check import grade_words
from studio.ui.data.page import DataPage
from studio.ui.export.page import ExportPage
from studio.ui.runs.page import RunsPage
from studio.ui.runs.queue_card import status_words
from studio.ui.state.app_state import AppState
from studio.ui.state.workflow_steps import Mark, Step, mark_words, step_title
from studio.ui.test.page import TestPage
from studio.ui.test.standings_card import outcome_word
from studio.ui.train.fit_bar import Group, group_words
from studio.ui.train.page import TrainPage
from tests.ui.finished_run import fine_tuned_run, make_model_folder, opened

CONTROLS = (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QTableView,
    QTextEdit,
    QTreeView,
)


def controls(page: QWidget) -> list[QWidget]:
    """What a person can use or read the state of; the inner parts that Qt itself makes are left out."""
    found: list[QWidget] = []
    for widget in page.findChildren(QWidget):
        inner = widget.objectName().startswith("qt_") or isinstance(widget, QScrollBar)
        inside = isinstance(widget.parent(), QComboBox | QAbstractSpinBox | QLineEdit | QTableView | QTreeView)
        hidden_list = widget.window() is not page
        if isinstance(widget, CONTROLS) and not inner and not inside and not hidden_list:
            found.append(widget)
    return found


def name_of(widget: QWidget) -> str:
    text = widget.text() if isinstance(widget, QAbstractButton) else ""
    return widget.accessibleName() or text


@pytest.mark.parametrize("make", [DataPage, TrainPage, TestPage, ChatPage, ExportPage, RunsPage, ComparePage])
def test_every_control_has_a_name_and_can_be_reached(
    make: Callable[[AppState], QWidget], home: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    project = create_project("Support")
    base = make_model_folder(tmp_path / "base")
    values = {"data.path": str(sample("en")), "model.source": "folder", "model.name": str(base)}
    project.save_recipe(with_values(Recipe(), values))
    fine_tuned_run(project, project.load_recipe())
    with opened(project) as app_state:
        qtbot.waitUntil(lambda: bool(app_state.state.checkpoints), timeout=10_000)
        if make is DataPage:
            qtbot.waitUntil(lambda: app_state.data.examples is not None, timeout=30_000)
        page = make(app_state)
        qtbot.addWidget(page)
        page.show()
        found = controls(page)
        assert len(found) >= 3
        for widget in found:
            assert name_of(widget).strip(), f"a {type(widget).__name__} of {make.__name__} has no name"
            if not isinstance(widget, QProgressBar):
                assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus, f"{name_of(widget)} can't be reached by Tab"


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        (outcome_word, Outcome),
        (severity_words, Severity),
        (group_words, Group),
        (format_words, DatasetFormat),
        (grade_words, Grade),
        (step_title, Step),
        (mark_words, Mark),
        (status_words, EntryStatus),
    ],
)
def test_each_of_a_fixed_list_of_kinds_has_words_of_its_own(words: Callable[[Any], str], kinds: object) -> None:
    said = [words(kind) for kind in get_args(kinds)]
    assert said and all(said) and len(set(said)) == len(said)
