"""Train: what it offers before, shows during, and says after a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QScrollArea
from pytestqt.qtbot import QtBot

from studio.core import paths
from studio.core.events import Stopped
from studio.core.recipe.method import METHODS
from studio.core.recipe.model_choice import Source
from studio.core.recipe.recipe import with_values
from studio.core.recipe.settings import value_of
from studio.ui.main_window import MainWindow
from studio.ui.state.app_state import AppState
from studio.ui.train.fit_changes import FitChanges
from studio.ui.train.fit_table import FitTable
from studio.ui.train.method_chooser import MethodChooser
from studio.ui.train.model_chooser import ModelChooser
from studio.ui.train.page import TrainPage
from studio.ui.train.setup_view import steps_estimate
from tests.ui.test_main_window import words_on
from tests.ui.train.fit_stage import card

Opener = Callable[[AppState], MainWindow]


def train(window: MainWindow) -> TrainPage:
    window.open_page("train")
    page = window.stack.currentWidget()
    assert isinstance(page, TrainPage)
    return page


def test_it_says_what_will_happen(ready_state: AppState, open_window: Opener) -> None:
    page = train(open_window(ready_state))
    words = words_on(page)
    assert "Learns from 36 examples" in words
    assert "4 more are set aside for checking." in words
    assert "3 passes" in words
    assert "About 15 steps." in words
    assert page.footer_note.text() == ""


def test_without_data_it_says_so_and_leads_there(app_state: AppState, open_window: Opener) -> None:
    window = open_window(app_state)
    page = train(window)
    assert page.footer_note.text() == "There are no examples to learn from yet."
    assert page.before is not None
    page.before.plan.to_data.click()
    assert window.page_name == "data"


def test_presets_are_chosen_with_one_press(app_state: AppState, open_window: Opener) -> None:
    page = train(open_window(app_state))
    assert page.before is not None
    cards = page.before.preset_cards
    assert next(iter(cards)) == "1-recommended" and cards["1-recommended"].isChecked()
    cards["2-quick"].click()
    assert app_state.recipe.training.epochs == 1
    assert [key for key, card in cards.items() if card.isChecked()] == ["2-quick"]
    app_state.set_value("method.rank", 12)
    assert not any(card.isChecked() for card in cards.values())


def test_more_and_expert_open_below(app_state: AppState, open_window: Opener) -> None:
    page = train(open_window(app_state))
    assert page.before is not None
    assert list(page.before.forms) == ["simple"]
    page.before.more.click()
    page.before.expert.click()
    assert page.before.forms["more"].isVisible()
    assert page.before.forms["expert"].isVisible()
    page.before.more.click()
    assert not page.before.forms["more"].isVisible()


def test_all_ways_to_train_are_offered_with_a_sentence_each_and_the_simple_choice_keeps_two(
    app_state: AppState, open_window: Opener
) -> None:
    page = train(open_window(app_state))
    assert page.before is not None
    row = page.before.forms["simple"].rows["method.kind"].editor.box
    assert isinstance(row, QComboBox) and row.count() == 2
    page.before.more.click()
    chooser = page.before.findChild(MethodChooser)
    assert chooser is not None and list(chooser.cards) == list(METHODS)
    assert chooser.cards["qlora"].isChecked()
    assert all(card.accessibleDescription().endswith(".") for card in chooser.cards.values())
    chooser.cards["prefix"].click()
    assert app_state.recipe.method.kind == "prefix"
    assert row.count() == 3 and "prefix tuning" in row.currentText()
    rows = page.before.forms["more"].rows
    assert rows["method.rank"].isHidden() and not rows["method.virtual_tokens"].isHidden()
    row.setCurrentIndex(0)
    row.activated.emit(0)
    assert chooser.cards["qlora"].isChecked() and value_of(app_state.recipe, "method.kind") == "qlora"


@pytest.mark.parametrize("width", [880, 1000, 1240])
def test_nothing_of_the_form_is_cut_off_at_any_width(
    ready_state: AppState, open_window: Opener, qtbot: QtBot, width: int
) -> None:
    window = open_window(ready_state)
    view = train(window).before
    assert view is not None
    for w in (1240, width):  # cards go from one place to the other and back
        window.resize(w, 700)
        qtbot.wait(50)
    areas = view.findChildren(QScrollArea)
    for shown in (view.simple, view.fit, view.plan, *view.preset_cards.values()):
        room = next(area.viewport() for area in areas if area.isAncestorOf(shown))
        left = shown.mapTo(room, QPoint(0, 0)).x()
        assert shown.isVisible() and left >= 0 and left + shown.width() <= room.width()


def test_a_run_shows_how_it_goes_and_stops_on_demand(ready_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    page = train(open_window(ready_state))
    assert page.primary is not None
    page.primary.click()
    assert page.title.text() == "Training"
    qtbot.waitUntil(lambda: ready_state.state.last is not None and ready_state.state.last.step > 20, timeout=10_000)
    view = page.run_view
    assert view is not None
    qtbot.waitUntil(lambda: "left" in view.progress_line.text())
    assert view.headline.text() == "Getting better."
    assert "tokens a second" in view.pace.line.text()
    assert view.curve.isVisible()
    view.save.click()
    qtbot.waitUntil(lambda: "newest at step" in view.saved.line.text(), timeout=10_000)
    view.stop.click()
    assert view.headline.text() == "Stopping after this step."
    assert not view.stop.isEnabled()
    qtbot.waitUntil(lambda: isinstance(ready_state.state.ending, Stopped), timeout=10_000)
    qtbot.waitUntil(lambda: page.test_button.isVisible())
    assert view.headline.text().startswith("Stopped at step")
    assert page.test_button.property("kind") == "primary"
    page.again_button.click()
    assert ready_state.run is None
    assert page.title.text() == "Train"
    assert page.train_button.isVisible()


def test_a_failed_run_shows_the_problem_and_the_way_back_to_the_settings(
    ready_state: AppState, open_window: Opener, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    page = train(open_window(ready_state))
    ready_state.start_training()
    qtbot.waitUntil(lambda: bool(page.problems()), timeout=10_000)
    qtbot.waitUntil(lambda: "The base model can't be loaded." in words_on(page))
    assert page.again_button.property("kind") == "primary"
    assert not page.test_button.isVisible()
    button = page._cards[0].remedy_button
    assert button is not None
    button.click()
    assert page.train_button.isVisible()
    assert not page.problems()


def test_details_open_on_demand(ready_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    page = train(open_window(ready_state))
    ready_state.start_training()
    qtbot.waitUntil(lambda: ready_state.state.last is not None, timeout=10_000)
    view = page.run_view
    assert view is not None and view.settings.button is not None
    assert not view.settings.is_open()
    view.settings.button.click()
    assert view.settings.is_open()
    assert view.settings._text is not None
    assert "Passes over your data: 3" in view.settings._text.toPlainText()


def test_a_hub_model_that_is_not_here_can_be_fetched(app_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    page = train(open_window(app_state))
    chooser = page.findChild(ModelChooser)
    assert isinstance(chooser, ModelChooser)
    chooser.source.setCurrentIndex(2)
    chooser.source.activated.emit(2)
    assert app_state.recipe.model.source is Source.hub
    chooser.name.setText("owner/model")
    chooser.name.editingFinished.emit()
    qtbot.waitUntil(lambda: not app_state.model.looking)
    assert app_state.recipe.model.name == "owner/model"
    assert chooser.fetch.isVisible()
    assert "Not on this computer yet" in chooser.about.text()


def test_fetching_shows_progress_and_can_be_cancelled(
    app_state: AppState, open_window: Opener, qtbot: QtBot, trainer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.1")
    page = train(open_window(app_state))
    chooser = page.findChild(ModelChooser)
    assert isinstance(chooser, ModelChooser)
    chooser.fetch.click()
    assert chooser.cancel.isVisible() and not chooser.fetch.isVisible()
    qtbot.waitUntil(lambda: "MB of 10 MB" in chooser.about.text(), timeout=10_000)
    assert chooser.bar.value() > 0
    qtbot.waitUntil(lambda: not app_state.model.is_fetching(), timeout=10_000)


def test_steps_are_counted_as_the_trainer_does(ready_state: AppState) -> None:
    recipe = with_values(
        ready_state.recipe,
        {"training.batch_size": 4, "training.gradient_accumulation_steps": 2, "training.epochs": 2},
    )
    assert steps_estimate(recipe, 36) == 10
    assert steps_estimate(recipe, 1) == 2


def test_whether_it_fits_stands_beside_the_form(fit_state_with_data: AppState, open_window: Opener) -> None:
    page = train(open_window(fit_state_with_data))
    assert page.before is not None
    fit_state_with_data.take_snapshot(card(8, 7.5))
    assert page.before.fit.isVisible() and page.before.fit.verdict.text() == "Fits"
    before = page.before.fit.needs.text()
    fit_state_with_data.set_value("method.rank", 256)
    assert page.before.fit.needs.text() != before


def test_training_what_will_not_fit_asks_once_and_is_never_forbidden(
    fit_state_with_data: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    app_state = fit_state_with_data
    page = train(open_window(app_state))
    app_state.take_snapshot(card(8, 0.8))
    page.train_button.click()
    assert page.confirmation is not None and not app_state.is_training()
    words = words_on(page.confirmation)
    assert "It won't fit" in words
    assert "GB too little." in words
    page.confirmation.cancel_button.click()
    page.train_button.click()
    assert app_state.is_training(), "asked once for the same settings"
    qtbot.waitUntil(lambda: app_state.state.last is not None, timeout=10_000)
    app_state.training.stop(keep=False)
    qtbot.waitUntil(lambda: not app_state.is_training(), timeout=10_000)


def test_the_question_leads_to_the_changes_or_starts_anyway(
    fit_state_with_data: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    app_state = fit_state_with_data
    page = train(open_window(app_state))
    app_state.take_snapshot(card(8, 0.8))
    page.train_button.click()
    assert page.confirmation is not None
    fix, anyway = page.confirmation.buttons
    assert (fix.text(), anyway.text()) == ("Fix it for me", "Try anyway")
    fix.click()
    assert page.overlay is not None and page.overlay.isVisible() and not app_state.is_training()
    page.overlay.dismiss()
    app_state.set_value("method.rank", 64)
    page.train_button.click()
    page.confirmation.buttons[1].click()
    assert app_state.is_training()
    qtbot.waitUntil(lambda: app_state.state.last is not None, timeout=10_000)
    app_state.training.stop(keep=False)
    qtbot.waitUntil(lambda: not app_state.is_training(), timeout=10_000)


def test_the_card_opens_changes_and_the_table_over_the_window(
    fit_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    page = train(open_window(fit_state))
    assert page.before is not None
    fit_state.take_snapshot(card(24, 23))
    page.before.fit.change.click()
    assert isinstance(page.overlay, FitChanges)
    page.overlay.dismiss()
    page.before.fit.table.click()
    assert isinstance(page.overlay, FitTable)
    overlay = page.overlay
    qtbot.waitUntil(lambda: bool(overlay.model.rows), timeout=20_000)
    overlay.dismiss()


def play_exams() -> None:
    """Let the stand-in for Python, which plays trainings, play exams instead."""
    script = Path(sys.executable)
    script.write_text(script.read_text(encoding="utf-8").replace("fake_trainer.py", "fake_engine.py"), encoding="utf-8")


def test_whether_training_is_needed_is_asked_before_it(
    ready_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    play_exams()
    page = train(open_window(ready_state))
    assert page.before is not None
    card = page.before.untrained
    assert card.start.isEnabled() and not card.copy.isVisibleTo(card)
    card.start.click()
    assert card.progress.isVisibleTo(card) and not card.start.isVisibleTo(card)
    qtbot.waitUntil(lambda: not ready_state.untrained_exam.running, timeout=20_000)
    qtbot.waitUntil(lambda: bool(ready_state.untrained_exam.prompt), timeout=20_000)
    assert card.words.text() == ("Training has room to help: examples in the prompt get 2 / 4, without them: 0 / 4.")
    card.copy.click()
    prompt = QGuiApplication.clipboard().text()
    assert prompt.count("Question: ") == 5 and prompt.count("Answer: ") == 4 and prompt.endswith("Question: ...")
    assert ready_state.run is None, "nothing of it stays as a run"
    qtbot.waitUntil(lambda: not list((paths.home() / "jobs").glob("untrained_exam-*")), timeout=20_000)


def test_a_question_that_is_taken_back_leaves_nothing(
    ready_state: AppState, open_window: Opener, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_exams()
    monkeypatch.setenv("STAND_IN_PAUSE", "5")
    page = train(open_window(ready_state))
    assert page.before is not None
    card = page.before.untrained
    card.start.click()
    qtbot.waitUntil(lambda: ready_state.untrained_exam.state is not None, timeout=20_000)
    card.progress.stop.click()
    assert card.start.isVisibleTo(card) and card.words.text().startswith("In a minute or so")
    qtbot.waitUntil(lambda: not list((paths.home() / "jobs").glob("untrained_exam-*")), timeout=20_000)


def test_keep_what_it_knew_is_a_switch_among_the_first_settings(ready_state: AppState, open_window: Opener) -> None:
    page = train(open_window(ready_state))
    assert page.before is not None
    page.before.forms["simple"].rows["training.rehearsal"].value_chosen.emit("training.rehearsal", True)
    assert ready_state.recipe.training.rehearsal
    words = words_on(page)
    assert "Learns from 36 examples" in words, "the person's own"
    assert "Also from 6 answers of the base model itself." in words
    assert "About 18 steps." in words
    ready_state.set_value("training.rehearsal", False)
    assert "answers of the base model" not in words_on(page)
