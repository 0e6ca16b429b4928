"""The Export page: real copies of the add-on, and a child process that combines as it was told to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import RunFolder
from studio.dataset.samples import sample
from studio.export.exporters import exporter_named
from studio.runs.project import Project, create_project
from studio.ui.export.export_card import _Outcome
from studio.ui.export.page import ExportPage
from studio.ui.state.app_state import AppState
from tests.ui.finished_run import fine_tuned_run, make_model_folder, opened, stand_in_interpreter


@pytest.fixture
def project(home: Path, tmp_path: Path) -> Project:
    made = create_project("Support")
    base = make_model_folder(tmp_path / "base")
    values = {"data.path": str(sample("en")), "model.source": "folder", "model.name": str(base), "name": "Support"}
    made.save_recipe(with_values(Recipe(), values))
    return made


@pytest.fixture
def run(project: Project) -> RunFolder:
    return fine_tuned_run(project, project.load_recipe())


@pytest.fixture
def app_state(project: Project, run: RunFolder, qtbot: QtBot) -> Iterator[AppState]:
    with opened(project) as made:
        qtbot.waitUntil(lambda: bool(made.state.checkpoints) and not made.is_training(), timeout=10_000)
        yield made


@pytest.fixture
def page(app_state: AppState, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExportPage:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    made = ExportPage(app_state)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    qtbot.waitUntil(lambda: set(made.targets) == {"adapter", "merged"}, timeout=10_000)
    return made


def outcome(part: object) -> _Outcome:
    assert isinstance(part, _Outcome)
    return part


def test_without_a_trained_model_nothing_can_be_exported_and_it_says_why(home: Path, qtbot: QtBot) -> None:
    with opened(create_project("Empty")) as app_state:
        page = ExportPage(app_state)
        qtbot.addWidget(page)
        page.show()
        assert page.missing is not None and page.missing.isVisible()
        assert not page.cards["adapter"].isVisible() and not page.cards["merged"].isVisible()


def test_the_add_on_is_exported_into_the_runs_folder(page: ExportPage, run: RunFolder, qtbot: QtBot) -> None:
    page.cards["adapter"].start.click()
    qtbot.waitUntil(lambda: page.cards["adapter"].outcome is not None, timeout=10_000)
    exported = run.exports / "adapter"
    original = run.checkpoints / "step-000040" / "adapter_model.safetensors"
    assert (exported / "adapter_model.safetensors").read_bytes() == original.read_bytes()
    done = outcome(page.cards["adapter"].outcome)
    done.copy.click()
    assert QGuiApplication.clipboard().text() == str(exported)
    assert page.targets["adapter"] == run.exports / "adapter-2"


def test_combining_shows_progress_and_how_many_answers_are_the_same(
    page: ExportPage, run: RunFolder, qtbot: QtBot
) -> None:
    page.cards["merged"].start.click()
    assert page.cards["merged"].progress.isVisible()
    assert not page.cards["merged"].start.isEnabled()
    qtbot.waitUntil(lambda: page.cards["merged"].outcome is not None, timeout=15_000)
    words = outcome(page.cards["merged"].outcome).words.text()
    assert "Compared 20 answers" in words and "20 the same" in words
    assert (run.exports / "merged" / "model.safetensors").is_file()
    assert page.cards["merged"].start.isEnabled()


def test_combining_can_be_cancelled(page: ExportPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.5")
    page.cards["merged"].start.click()
    job = page._app_state.export
    qtbot.waitUntil(job.is_running, timeout=10_000)
    page.cards["merged"].progress.stop.click()
    qtbot.waitUntil(page.cards["merged"].start.isEnabled, timeout=15_000)
    assert page.cards["merged"].outcome is None and page.cards["merged"].problem is None
    assert not page.cards["merged"].progress.isVisible()


def test_a_folder_with_something_in_it_is_never_written_over(page: ExportPage, qtbot: QtBot, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine", encoding="utf-8")
    for kind, card in page.cards.items():
        page._set_target(exporter_named(kind), taken)
        card.start.click()
        qtbot.waitUntil(lambda card=card: card.problem is not None, timeout=10_000)  # type: ignore[misc]
        assert card.problem is not None and card.problem.problem.code == "storage.exists"
    assert [p.name for p in taken.iterdir()] == ["mine.txt"]


def test_another_folder_can_be_chosen(page: ExportPage, qtbot: QtBot, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    page.choose_place("adapter", place)
    page.cards["adapter"].start.click()
    qtbot.waitUntil(lambda: page.cards["adapter"].outcome is not None, timeout=10_000)
    assert (place / "support-adapter" / "adapter_config.json").is_file()


def test_a_failed_combination_is_explained_on_its_card(
    page: ExportPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    page.cards["merged"].start.click()
    qtbot.waitUntil(lambda: page.cards["merged"].problem is not None, timeout=15_000)
    assert page.cards["merged"].problem is not None
    assert page.cards["merged"].problem.problem.code == "stand_in.broken"


def test_earlier_exports_are_there_when_the_page_opens(page: ExportPage, app_state: AppState, qtbot: QtBot) -> None:
    page.cards["adapter"].start.click()
    page.cards["merged"].start.click()
    qtbot.waitUntil(lambda: all(card.outcome is not None for card in page.cards.values()), timeout=15_000)
    again = ExportPage(app_state)
    qtbot.addWidget(again)
    qtbot.waitUntil(lambda: all(card.outcome is not None for card in again.cards.values()), timeout=10_000)
    assert "20 the same" in outcome(again.cards["merged"].outcome).words.text()


def test_sizes_are_known_before_anything_is_exported(page: ExportPage) -> None:
    assert page.cards["adapter"].size_words.text() == "102 KB"
    assert page.cards["merged"].size_words.text().startswith("about ")
