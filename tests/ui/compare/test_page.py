"""Compare methods in the window: choosing, beginning, and reading what came of it, with the keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from studio.core.problems import Problem
from studio.core.recipe.recipe import Recipe, with_values
from studio.dataset.samples import sample
from studio.runs.compare_methods.comparison import ComparisonFolder
from studio.runs.project import Project
from studio.ui.compare.page import ComparePage
from studio.ui.main_window import MainWindow
from studio.ui.state.app_state import AppState
from tests.runs.compare_methods.made_results import made_comparison
from tests.ui.conftest import LONG, opened
from tests.ui.finished_run import make_model_folder

WHY = Problem(code="method.too_large", what="Too large.", fix="Choose at most {width}.", values={"width": 64})


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[ComparisonFolder]:
    """Comparisons that would be trained now."""
    found: list[ComparisonFolder] = []
    monkeypatch.setattr("studio.runs.compare_methods.measuring.begin", found.append)
    return found


def on_page(window: MainWindow) -> ComparePage:
    window.go_to("compare")
    page = window.stack.currentWidget()
    assert isinstance(page, ComparePage)
    return page


def press(key: Qt.Key) -> None:
    focused = QApplication.focusWidget()
    assert focused is not None
    QTest.keyClick(focused, key)


def test_methods_are_chosen_and_begun_with_the_keyboard(
    project: Project,
    tmp_path: Path,
    begun: list[ComparisonFolder],
    open_window: Callable[[AppState], MainWindow],
    qtbot: QtBot,
) -> None:
    values = {
        "data.path": str(sample("en")),
        "model.source": "folder",
        "model.name": str(make_model_folder(tmp_path / "base")),
    }
    project.save_recipe(with_values(Recipe(name="Support"), values))
    with opened(project) as app_state:
        window = open_window(app_state)
        window.go_to("train")
        qtbot.waitUntil(lambda: app_state.draft_obstacle() is None, timeout=LONG)
        page = on_page(window)
        qtbot.waitUntil(lambda: page.choice.chosen() == ["qlora", "lora", "prompt"], timeout=LONG)
        assert page.choice.rows["qlora"].takes.text() and page.choice.rows["prefix"].box.accessibleDescription()
        page.focus_first()
        press(Qt.Key.Key_Space)
        assert page.choice.chosen() == ["lora", "prompt"]
        page.choice.rows["lora"].box.click()
        assert not page.begin_button.isEnabled(), "one alone is no comparison"
        page.choice.rows["prefix"].box.click()
        page.begin_button.setFocus()
        press(Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: bool(begun) and page.results.model.rowCount() == 2, timeout=LONG)
        assert [row.method for row in page.results.model.rows] == ["prompt", "prefix"]
        assert page.results.table.hasFocus(), "the keyboard doesn't get lost with the button"
        assert "as soon as two are tested" in page.results.advice.text()
        (folder,) = begun
        first, second = folder.runs()
        assert first.held_out_data.read_bytes() == second.held_out_data.read_bytes() != b""


def test_what_was_measured_is_read_saved_and_opened(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_window: Callable[[AppState], MainWindow],
    qtbot: QtBot,
) -> None:
    made_comparison(project, {"qlora": 36, "prompt": 10}, refused={"bottleneck": WHY})
    with opened(project) as app_state:
        window = open_window(app_state)
        page = on_page(window)
        qtbot.waitUntil(lambda: page.results.model.rowCount() == 3, timeout=LONG)
        assert page.results.advice.text().startswith("Use QLoRA")
        assert "Adapter layers: Too large. Choose at most 64." in page.results.problems.text()
        assert "QLoRA: 90 %" in page.results.plot.accessibleName()
        assert not page.results.plot.grab().toImage().isNull()
        for name in ("table.csv", "table.md", "plot.svg"):
            monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, name=name: (str(tmp_path / name), ""))
            page.save_button.click()
        assert (tmp_path / "table.csv").read_text().startswith("method,")
        assert "Use QLoRA" in (tmp_path / "table.md").read_text()
        assert (tmp_path / "plot.svg").read_text().startswith("<svg")
        page.other_button.click()
        assert page.choice.isVisible()
        page.back_button.click()
        page.focus_first()
        page.results.table.selectRow(1)
        press(Qt.Key.Key_Return)
        assert window.page_name == "train"
        assert app_state.run is not None and app_state.run.path.name.endswith("prompt")


def test_a_comparison_that_was_stopped_offers_to_go_on(
    project: Project,
    begun: list[ComparisonFolder],
    open_window: Callable[[AppState], MainWindow],
    qtbot: QtBot,
) -> None:
    folder = made_comparison(project, {"qlora": 36, "prompt": 10})
    for job in folder.runs()[1].jobs("exam"):
        (job.events).unlink()
    with opened(project) as app_state:
        page = on_page(open_window(app_state))
        qtbot.waitUntil(page.go_on_button.isVisible, timeout=LONG)
        page.go_on_button.click()
        qtbot.waitUntil(lambda: begun == [folder], timeout=LONG)
