"""Runs: listed, searched, opened, copied, deleted with what that frees."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from studio.core.events import CheckpointCommitted, Evaluated, Finished, ProcessStarted, StepDone
from studio.core.recipe.recipe import Recipe, to_yaml, with_values
from studio.core.recipe.settings import value_of
from studio.core.run_folder import RunFolder
from studio.runs.project import Project, create_project
from studio.runs.variants import RunGroup
from studio.ui.main_window import MainWindow
from studio.ui.runs.comparison import names_of
from studio.ui.runs.page import RunsPage
from studio.ui.state.app_state import AppState
from tests.ui.test_main_window import words_on

Opener = Callable[[AppState], MainWindow]


def made(project: Project, name: str, loss: float, *, at: float = 1_700_000_000.0, rank: int = 16) -> RunFolder:
    run = RunFolder(project.runs_folder / name)
    run.path.mkdir(parents=True)
    recipe = with_values(Recipe(name=name), {"data.path": "/somewhere/letters.csv", "method.rank": rank})
    run.recipe.write_text(to_yaml(recipe), encoding="utf-8")
    with run.writer() as writer:
        writer.write(ProcessStarted(at=at, job="train", pid=1, started=0.0))
        writer.write(StepDone(at=at, step=1, total_steps=1, epoch=1, loss=loss, learning_rate=1e-4))
        writer.write(Evaluated(at=at, step=1, loss=loss, examples=4))
        writer.write(CheckpointCommitted(at=at, step=1, folder="checkpoints/step-000001", size=10, loss=loss))
        writer.write(Finished(at=at + 90))
    return run


@pytest.fixture
def page(app_state: AppState, project: Project, open_window: Opener, qtbot: QtBot) -> RunsPage:
    made(project, "20260101-first", 0.9)
    made(project, "20260102-second", 0.4, at=1_700_100_000.0, rank=8)
    window = open_window(app_state)
    window.open_page("runs")
    shown = window.stack.currentWidget()
    assert isinstance(shown, RunsPage)
    qtbot.waitUntil(lambda: shown.model.rowCount() == 2)
    return shown


def cells(page: RunsPage, row: int) -> list[str]:
    return [str(page.model.index(row, column).data()) for column in range(page.model.columnCount())]


def test_the_newest_run_comes_first_with_all_there_is_to_know(page: RunsPage) -> None:
    first = cells(page, 0)
    assert first[0] == "20260102-second"
    assert first[2:6] == ["Starter model", "letters.csv", "Finished", "0.400"]
    assert first[7] == "2 min"
    assert first[8].endswith("KB")
    assert page.table.isColumnHidden(1), "all are of this project"


def test_search_narrows_and_columns_sort(page: RunsPage, qtbot: QtBot) -> None:
    page.search.setText("20260101-FIRST")
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)
    page.search.setText("rank=8")
    qtbot.waitUntil(lambda: [cells(page, 0)[0]] == ["20260102-second"])
    page.search.setText("nothing is called this")
    qtbot.waitUntil(page.nothing_found.isVisible)
    page.search.clear()
    page.table.sortByColumn(5, Qt.SortOrder.DescendingOrder)
    qtbot.waitUntil(lambda: page.model.rowCount() == 2 and cells(page, 0)[5] == "0.900")
    page.table.sortByColumn(5, Qt.SortOrder.AscendingOrder)
    qtbot.waitUntil(lambda: cells(page, 0)[5] == "0.400")


def test_a_run_that_gets_on_changes_its_row_and_nothing_else(page: RunsPage, project: Project, qtbot: QtBot) -> None:
    page.table.selectRow(1)
    resets: list[bool] = []
    page.model.modelReset.connect(lambda: resets.append(True))
    run = RunFolder(project.runs_folder / "20260101-first")
    with run.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0))
        page.refresh()
        qtbot.waitUntil(lambda: cells(page, 1)[4] in ("Going on", "Not responding"))
    assert not resets and page.table.currentIndex().row() == 1


def test_runs_of_all_projects_stand_in_one_table(page: RunsPage, app_state: AppState, qtbot: QtBot) -> None:
    made(create_project("Letters"), "20260103-elsewhere", 0.7)
    page.which.setCurrentIndex(1)
    page.which.activated.emit(1)
    qtbot.waitUntil(lambda: page.model.rowCount() == 3)
    assert not page.table.isColumnHidden(1)
    row = [cells(page, row)[0] for row in range(3)].index("20260103-elsewhere")
    assert cells(page, row)[1] == "Letters"
    page.table.selectRow(row)
    page.open_button.click()
    assert app_state.project.name == "Letters"
    assert app_state.run is not None and app_state.run.path.name == "20260103-elsewhere"


def test_two_runs_are_compared_by_curves_and_what_differs(page: RunsPage, qtbot: QtBot) -> None:
    page.table.selectAll()
    assert not page.open_button.isVisible() and page.compare_button.property("kind") == "primary"
    page.compare_button.click()
    qtbot.waitUntil(lambda: page.comparison is not None and page.comparison.chart.plot is not None)
    view = page.comparison
    assert view is not None
    rows = [[str(view.model.index(r, c).data()) for c in range(3)] for r in range(view.model.rowCount())]
    assert rows[0] == ["Outcome", "Finished", "Finished"]
    assert ["Room for new knowledge", "Small", "Medium"] in rows
    assert not any("Passes over your data" in row for row in rows), "the same in both"
    view.close_button.click()


def test_runs_of_one_name_are_told_apart_by_when_they_began(page: RunsPage, project: Project, qtbot: QtBot) -> None:
    twin = made(project, "20260105-twin", 0.5, at=1_700_200_000.0)
    twin.recipe.write_text((project.runs_folder / "20260101-first" / "recipe.yaml").read_text(encoding="utf-8"))
    page.refresh()
    qtbot.waitUntil(lambda: page.model.rowCount() == 3)
    assert len(set(names_of(page.model.rows))) == 3


def test_runs_that_were_queued_together_are_compared_with_one_press(
    page: RunsPage, project: Project, qtbot: QtBot
) -> None:
    group = RunGroup(id="made-up", keys=("training.learning_rate",))
    for number in (1, 2):
        run = made(project, f"2026010{number}-strength", 0.5)
        (run.path / "group.json").write_text(group.model_dump_json(), encoding="utf-8")
    page.refresh()
    qtbot.waitUntil(lambda: page.model.rowCount() == 4)
    names = [cells(page, row)[0] for row in range(4)]
    page.table.selectRow(names.index("20260102-second"))
    assert not page.group_action.isVisible(), "it was alone"
    page.table.selectRow(names.index("20260101-strength"))
    assert page.group_action.isVisible()
    page.group_action.trigger()
    qtbot.waitUntil(lambda: page.comparison is not None and page.comparison.chart.plot is not None)
    assert page.comparison is not None
    assert {one.name for one in page.comparison.found.summaries} == {"20260101-strength", "20260102-strength"}
    page.comparison.dismiss()


def test_a_run_opens_on_the_train_page(page: RunsPage, app_state: AppState, qtbot: QtBot) -> None:
    page.table.selectRow(1)
    page.open_button.click()
    assert app_state.run is not None and app_state.run.path.name == "20260101-first"
    qtbot.waitUntil(lambda: isinstance(app_state.state.ending, Finished))


def test_its_settings_can_be_used_again(page: RunsPage, app_state: AppState) -> None:
    page.table.selectRow(0)
    page.copy_button.click()
    assert value_of(app_state.recipe, "method.rank") == 8
    assert app_state.run is None


def test_a_run_goes_into_a_bundle_and_comes_out_of_it(
    page: RunsPage, project: Project, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = str(tmp_path / "run.zip")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (chosen, ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (chosen, ""))
    page.table.selectRow(0)
    page.bundle_action.trigger()
    asked = page.confirmation
    assert asked is not None
    asked.buttons[0].click()
    qtbot.waitUntil(lambda: "bundle is written" in page.footer_note.text())
    page.open_bundle_action.trigger()
    qtbot.waitUntil(lambda: page.confirmation is not asked)
    assert page.confirmation is not None
    assert "starter model isn't on this computer" in words_on(page.confirmation)
    page.confirmation.cancel_button.click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 3)


def test_the_numbers_of_a_run_become_a_table(
    page: RunsPage, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(out), ""))
    page.table.selectRow(0)
    page.journal_action.trigger()
    qtbot.waitUntil(lambda: "5 rows" in page.footer_note.text())
    assert "step_done" in out.read_text(encoding="utf-8-sig")


def test_repeating_without_the_frozen_examples_says_what_is_missing(page: RunsPage, qtbot: QtBot) -> None:
    page.table.selectRow(0)
    page.repeat_action.trigger()
    qtbot.waitUntil(lambda: "examples of this run aren't in its folder" in words_on(page))


def test_deleting_asks_first_and_says_what_it_takes_up(
    page: RunsPage, project: Project, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.runs.delete.send2trash", lambda path: shutil.move(path, tmp_path / "bin"))
    page.table.selectRow(1)
    page.delete_button.click()
    assert page.confirmation is not None
    assert "20260101-first and everything it learned goes into the bin. It takes up" in words_on(page.confirmation)
    page.confirmation.cancel_button.click()
    assert len(project.runs()) == 2
    page.delete_button.click()
    page.confirmation.buttons[0].click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)
    assert [run.path.name for run in project.runs()] == ["20260102-second"]
    assert (tmp_path / "bin" / "recipe.yaml").is_file()


def test_without_a_bin_it_asks_once_more(
    page: RunsPage, project: Project, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_bin(path: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("studio.runs.delete.send2trash", no_bin)
    page.table.selectRow(1)
    page.delete_button.click()
    first = page.confirmation
    assert first is not None
    first.buttons[0].click()
    qtbot.waitUntil(lambda: page.confirmation is not first)
    assert len(project.runs()) == 2
    assert page.confirmation is not None
    assert "can't be put into the bin" in words_on(page.confirmation)
    page.confirmation.buttons[0].click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 1)
    assert not list(project.runs_folder.glob(".deleted-*"))


def test_without_runs_it_says_so(app_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    window = open_window(app_state)
    window.go_to("runs")
    page = window.stack.currentWidget()
    assert isinstance(page, RunsPage)
    qtbot.waitUntil(page.empty.button.hasFocus)
    QTest.keyClick(page.empty.button, Qt.Key.Key_Return)
    assert window.page_name == "train"
