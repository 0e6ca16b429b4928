"""The card "Will it fit?", what it opens, and that all of it can be used by keyboard and read in both languages."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from studio.core.problems import Problem
from studio.ui.design import language, theme
from studio.ui.state.app_state import AppState
from studio.ui.state.memory_scenario import plan
from studio.ui.train.fit_bar import FitBar, parts_of
from studio.ui.train.fit_card import FitCard
from studio.ui.train.fit_changes import FitChanges
from studio.ui.train.fit_table import FitTable
from studio.ui.train.setup_view import BeforeView
from tests.ui.fake_memory_fit import GIB
from tests.ui.train.fit_stage import card, no_card


@pytest.fixture
def shown(fit_state: AppState, qtbot: QtBot) -> Iterator[FitCard]:
    """The card in a window of its own."""
    made = FitCard(fit_state)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    yield made
    made.hide()


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[QWidget]:
    """Something to lie an overlay over, as large as a small window."""
    made = QWidget()
    made.resize(1024, 700)
    behind = QPushButton("behind", made)
    qtbot.addWidget(made)
    with qtbot.waitActive(made):
        made.show()
        made.activateWindow()
    behind.setFocus()
    yield made
    made.hide()


def seen(shown: FitCard) -> tuple[str, str]:
    """Word and shape."""
    return shown.verdict.text(), shown.icon.shape


def test_it_says_whether_it_fits_in_words_and_with_a_shape(fit_state: AppState, shown: FitCard) -> None:
    assert seen(shown) == ("Fits", "good")
    assert shown.needs.text().startswith("Needs about ") and shown.needs.text().endswith("7.2 GB usable now.")
    answer = fit_state.memory_fit.answer
    assert answer is not None and answer.needed is not None
    fit_state.take_snapshot(card(8, answer.needed / GIB))
    assert seen(shown) == ("Tight", "warn")
    assert "It may run out of memory." in shown.why.text()
    fit_state.take_snapshot(card(8, 0.8))
    assert seen(shown) == ("Won't fit", "stop")
    assert "GB too little." in shown.needs.text()
    assert shown.icon.accessibleName() == "Won't fit"
    assert shown.accessibleDescription().startswith("Won't fit. Needs about")


def test_what_was_chosen_for_the_memory_is_said_and_stands_in_the_form(fit_state: AppState, shown: FitCard) -> None:
    left = ("activation_checkpointing", "batch_size", "gradient_accumulation_steps", "optimizer")
    fit_state.set_values({"method.layer_streaming": None, **{f"training.{name}": None for name in left}})
    assert "Fastest that fits:" in shown.why.text()
    chosen = dict(fit_state.facts().budget)
    assert chosen["training.batch_size"] == 8 / int(str(chosen["training.gradient_accumulation_steps"]))
    fit_state.take_snapshot(card(2, 1.7))
    assert seen(shown) == ("Fits", "good")
    assert "of the base model stay in the computer's memory" in shown.why.text()
    assert dict(fit_state.facts().budget)["method.layer_streaming"] is True


def test_what_cannot_be_told_is_said_with_its_reason_and_without_a_number(fit_state: AppState, shown: FitCard) -> None:
    fit_state.take_snapshot(card(8, 7, trouble=Problem(code="gone", what="The card doesn't answer.")))
    assert shown.verdict.text() == "Can't tell" and shown.icon.shape == "note"
    assert "The card doesn't answer." in shown.why.text()
    assert not shown.change.isVisible()


def test_without_a_card_the_memory_is_named_as_the_computers(fit_state: AppState, shown: FitCard) -> None:
    fit_state.take_snapshot(no_card())
    assert shown.needs.text().endswith("of 9.0 GB of system memory usable now.")
    assert "no NVIDIA card" in shown.why.text()


def test_where_the_number_is_from_changes_with_the_answer(fit_state: AppState, shown: FitCard, qtbot: QtBot) -> None:
    assert shown.source.text().startswith("Calculated.")
    fit_state.memory_fit._pause.setInterval(10)
    fit_state.set_value("method.rank", 20)
    qtbot.waitUntil(lambda: shown.source.text().startswith("Calculated; being traced now."), timeout=10_000)
    qtbot.waitUntil(lambda: shown.source.text().startswith("Traced just now."), timeout=10_000)
    assert fit_state.memory_fit.answered_at is not None
    fit_state.memory_fit.answered_at -= 8
    shown._paint_source()
    assert shown.source.text().startswith("Traced 8 s ago.")
    assert "without computing" in shown.source.toolTip()


@pytest.mark.benchmarks
def test_the_whole_card_is_drawn_anew_within_fifty_milliseconds(fit_state: AppState, shown: FitCard) -> None:
    took = []
    for rank in range(8, 40, 2):
        began = time.perf_counter()
        fit_state.set_value("method.rank", rank)
        shown.repaint()
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.05


def test_the_bar_adds_up_to_what_is_needed_and_marks_what_is_usable(fit_state: AppState, shown: FitCard) -> None:
    answer, estimate = fit_state.memory_fit.answer, fit_state.memory_fit.estimate
    assert answer is not None and estimate is not None
    parts = parts_of(answer, estimate, False)
    assert sum(part.bytes for part in parts) == answer.needed
    end = shown.bar.limit_at()
    assert end is not None and end > shown.bar.areas()[-1].right()
    fit_state.take_snapshot(card(8, 1.2))
    end = shown.bar.limit_at()
    assert end is not None and end < shown.bar.areas()[-1].right()


def test_corrections_by_earlier_runs_stand_in_the_bar_as_well(fit_state: AppState) -> None:
    answer = fit_state.memory_fit.current()
    estimate = fit_state.memory_fit.estimate
    assert answer is not None and estimate is not None and answer.needed is not None
    more = parts_of(answer.model_copy(update={"needed": answer.needed + GIB}), estimate, False)
    assert more[-1].label == "What earlier runs took on top" and more[-1].bytes == GIB
    less = parts_of(answer.model_copy(update={"needed": answer.needed - GIB // 4}), estimate, False)
    assert sum(part.bytes for part in less) == pytest.approx(answer.needed - GIB // 4, abs=10)


def test_parts_are_named_under_the_pointer_and_by_arrow_keys(shown: FitCard, qtbot: QtBot) -> None:
    bar: FitBar = shown.bar
    first = bar.parts()[0]
    middle = bar.areas()[0].center()
    QTest.mouseMove(bar, QPoint(round(middle.x()), round(middle.y())))
    assert bar.words().startswith(f"{first.label}: ") and shown.part.text() == bar.words()
    QApplication.sendEvent(bar, QEvent(QEvent.Type.Leave))
    assert bar.words() == ""
    QTest.keyClick(bar, Qt.Key.Key_End)
    assert bar.words().startswith(bar.parts()[-1].label)
    QTest.keyClick(bar, Qt.Key.Key_Left)
    assert bar.words().startswith(bar.parts()[-2].label)
    assert first.label in bar.accessibleDescription() and bar.accessibleName()


def test_a_trial_shows_how_far_it_is_and_then_its_answer(
    fit_state_with_data: AppState, shown: FitCard, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.5")
    assert "Time: not known yet" in shown.plan.text()
    shown.trial.click()
    assert shown.progress.isVisible() and not shown.trial.isVisible()
    qtbot.waitUntil(lambda: "Trying the longest examples." in shown.progress.words.text(), timeout=10_000)
    qtbot.waitUntil(lambda: shown.trial.isVisible(), timeout=10_000)
    assert shown.source.text().startswith("Tried on this card just now.")
    assert shown.needs.text().startswith("Needs about 2.5 of")
    assert shown.plan.text().startswith("About 10 min")
    assert not shown.progress.isVisible()


def test_a_trial_can_be_cancelled_in_the_card(
    fit_state_with_data: AppState, shown: FitCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "60")
    shown.trial.click()
    shown.progress.cancel.click()
    assert shown.trial.isVisible() and not shown.progress.isVisible()


def test_without_data_a_trial_is_not_offered_and_says_why(shown: FitCard) -> None:
    assert not shown.trial.isEnabled()
    assert shown.trial.toolTip() == shown.trial.accessibleDescription() == "There are no examples to learn from yet."


def make_it_tight(app_state: AppState) -> None:
    app_state.set_values({"training.max_length": 2048, "training.batch_size": 16, "method.kind": "lora"})
    app_state.take_snapshot(card(6, 3.2))


def test_changes_are_shown_before_they_are_applied_and_can_be_undone(
    fit_state: AppState, shown: FitCard, window: QWidget
) -> None:
    make_it_tight(fit_state)
    assert shown.change.text() == "Fix it for me"
    before = fit_state.recipe
    overlay = FitChanges(window, fit_state.memory_fit)
    ticked = [row for row in overlay.rows if row.tick.isChecked()]
    assert ticked and fit_state.recipe == before
    assert overlay.result.text().startswith("With these: Fits.")
    assert "GB less" in ticked[0].tick.accessibleDescription()
    for row in overlay.rows:
        row.tick.setChecked(False)
    assert overlay.result.text().startswith("As it is now: Won't fit.") and not overlay.accept.isEnabled()
    for row in ticked:
        row.tick.setChecked(True)
    overlay.accept.click()
    assert fit_state.recipe != before
    assert shown.verdict.text() == "Fits" and shown.undo.isVisible()
    shown.undo.click()
    assert fit_state.recipe == before and not shown.undo.isVisible()


def test_with_room_to_spare_it_offers_what_is_faster(fit_state: AppState, shown: FitCard, window: QWidget) -> None:
    fit_state.take_snapshot(card(24, 23))
    assert shown.change.text() == "Make it faster"
    overlay = FitChanges(window, fit_state.memory_fit)
    assert overlay.rows and not overlay.chosen()
    overlay.rows[0].tick.setChecked(True)
    assert overlay.result.text().startswith("With these: Fits.")
    overlay.dismiss()


def test_a_sheet_keeps_the_keyboard_and_escape_gives_it_back(
    fit_state: AppState, shown: FitCard, window: QWidget, qtbot: QtBot
) -> None:
    make_it_tight(fit_state)
    before = window.focusWidget()
    overlay = FitChanges(window, fit_state.memory_fit)
    seen = []
    for _ in range(len(overlay.rows) + 4):
        focused = window.focusWidget()
        assert focused is not None and overlay.isAncestorOf(focused)
        seen.append(focused)
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    assert {overlay.accept, overlay.cancel, *(row.tick for row in overlay.rows)} <= set(seen)
    with qtbot.waitSignal(overlay.closed):
        QTest.keyClick(overlay.accept, Qt.Key.Key_Escape)
    assert window.focusWidget() is before


def test_the_table_tells_which_models_fit_which_cards(fit_state: AppState, window: QWidget, qtbot: QtBot) -> None:
    fit_state.memory_fit.current()
    overlay = FitTable(window, fit_state.memory_fit)
    qtbot.waitUntil(lambda: bool(overlay.model.rows), timeout=20_000)
    assert overlay.method.currentText() == "QLoRA, 4-bit"
    overlay.search.setText("qwen2.5-7b")
    rows = overlay._filter
    assert rows.rowCount() == 1
    cells = [rows.index(0, column).data() for column in range(rows.columnCount())]
    assert cells[:2] == ["Qwen/Qwen2.5-7B-Instruct", "7.6 B"]
    assert cells[2] == "\N{EN DASH}" and cells[-1].endswith("K")
    assert rows.index(0, 2).data(Qt.ItemDataRole.AccessibleTextRole) == "Doesn't fit"
    overlay.view.selectRow(0)
    assert "Apache-2.0" in overlay.about.text()
    overlay.search.setText("no such model")
    assert "No model of the list" in overlay.about.text() and not overlay.use.isEnabled()
    overlay.search.setText("qwen2.5-7b")
    overlay.view.selectRow(0)
    overlay.use.click()
    assert fit_state.recipe.model.name == "Qwen/Qwen2.5-7B-Instruct"
    fit_state.memory_fit.undo()
    assert fit_state.recipe.model.source == "folder"
    qtbot.waitUntil(lambda: not fit_state.model.looking)


def test_the_table_answers_what_if_i_had_another_card(fit_state: AppState, window: QWidget, qtbot: QtBot) -> None:
    fit_state.take_snapshot(no_card())
    fit_state.memory_fit.current()
    overlay = FitTable(window, fit_state.memory_fit)
    assert overlay.what_if.currentText() == "12 GB"
    assert overlay.answer.text().startswith("Fits. Needs about") and overlay.answer.text().endswith("of 11.8 GB.")
    fit_state.set_values({"training.max_length": 2048, "training.batch_size": 32, "method.kind": "lora"})
    fit_state.memory_fit.refresh()
    overlay.what_if.setCurrentIndex(0)
    assert overlay.answer.text().startswith("Won't fit.")
    qtbot.waitUntil(lambda: bool(overlay.model.rows), timeout=20_000)
    overlay.dismiss()


@pytest.mark.parametrize("tongue", ["en", "ko"])
@pytest.mark.parametrize("look", ["light", "dark"])
def test_no_word_is_cut_off(fit_state: AppState, qtbot: QtBot, qapp: QApplication, tongue: str, look: str) -> None:
    language.set_language(tongue)
    theme.apply(qapp, look)
    page = BeforeView(fit_state)
    page.resize(800, 480)
    made = page.fit
    qtbot.addWidget(page)
    with qtbot.waitExposed(page):
        page.show()
    make_it_tight(fit_state)
    case = fit_state.memory_fit.advice()
    assert case is not None
    fit_state.memory_fit.apply(plan(case).together)
    qapp.processEvents()
    for words in made.findChildren(QLabel):
        if words.isVisible():
            high = words.heightForWidth(words.width()) if words.wordWrap() else words.sizeHint().height()
            assert words.height() >= high, words.text()
            assert words.wordWrap() or words.width() >= words.sizeHint().width(), words.text()
    for button in made.findChildren(QPushButton):
        if button.isVisible():
            assert button.width() >= button.minimumSizeHint().width(), button.text()
            around = button.parentWidget()
            assert around is not None and around.rect().contains(button.geometry()), button.text()
            assert button.height() >= button.sizeHint().height(), button.text()
    page.hide()


def test_everything_in_the_card_has_a_name_and_can_be_reached_by_tab(
    fit_state_with_data: AppState, shown: FitCard
) -> None:
    make_it_tight(fit_state_with_data)
    for widget in (shown.bar, shown.trial, shown.change, shown.table):
        assert widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        assert widget.accessibleName() or (isinstance(widget, QPushButton) and widget.text())
