"""A run on show can be paused, continued, ended when it hangs, and trained longer; what isn't possible says why."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from studio.core.events import Crashed, Finished, Paused
from studio.runs.project import Project
from studio.runs.queue_file import read_queue
from studio.ui.main_window import MainWindow
from studio.ui.state import job_state
from studio.ui.state.app_state import AppState
from studio.ui.train.page import TrainLonger, TrainPage
from tests.ui.test_main_window import words_on
from tests.ui.train.test_page import train

Opener = Callable[[AppState], MainWindow]

LONG = 20_000


def going(app_state: AppState, qtbot: QtBot, steps: int = 5) -> None:
    app_state.start_training()
    qtbot.waitUntil(lambda: app_state.state.last is not None and app_state.state.last.step >= steps, timeout=LONG)


def kill(app_state: AppState) -> None:
    assert app_state.state.process is not None
    psutil.Process(app_state.state.process.pid).kill()


def ended(app_state: AppState, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not app_state.is_training() and app_state.resumption is not None, timeout=LONG)


def focus(page: TrainPage, qtbot: QtBot) -> None:
    with qtbot.waitActive(page.window()):
        page.window().activateWindow()


def test_a_paused_run_goes_on_from_where_it_was(ready_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    page = train(open_window(ready_state))
    going(ready_state, qtbot)
    view = page.run_view
    assert view is not None
    view.pause.click()
    assert view.headline.text() == "Pausing: everything is being saved."
    assert not view.stop.isEnabled()
    ended(ready_state, qtbot)
    assert isinstance(ready_state.state.ending, Paused)
    step = ready_state.state.ending.step
    assert view.headline.text() == f"Paused at step {step}. Continue whenever you like."
    assert f"after step {step}" in page.footer_note.text()
    assert page.continue_button.property("kind") == "primary" and page.test_button.property("kind") == ""
    page.continue_button.click()
    assert view.headline.text() == "Getting ready to go on."
    said: set[str] = set()
    listening = ready_state.run_updated.connect(lambda: said.add(view.headline.text()))
    qtbot.waitUntil(lambda: view.pause.isVisible() and view.pause.isEnabled(), timeout=LONG)
    qtbot.waitUntil(lambda: ready_state.state.last is not None and ready_state.state.last.step > step + 3, timeout=LONG)
    ready_state.run_updated.disconnect(listening)
    assert not [words for words in said if words.startswith("Paused")]
    assert [at for at, _ in ready_state.state.losses[: step + 3]] == list(range(1, step + 4)), "one curve"
    assert ready_state.state.continued is not None and ready_state.state.continued.repeated == 0


def test_after_a_kill_one_button_goes_on_and_says_what_is_repeated(
    ready_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    page = train(open_window(ready_state))
    going(ready_state, qtbot)
    assert page.run_view is not None
    page.run_view.save.click()
    qtbot.waitUntil(lambda: bool(ready_state.state.checkpoints), timeout=LONG)
    saved = ready_state.state.checkpoints[-1].step
    qtbot.waitUntil(
        lambda: ready_state.state.last is not None and ready_state.state.last.step > saved + 2, timeout=LONG
    )
    kill(ready_state)
    ended(ready_state, qtbot)
    assert isinstance(ready_state.state.ending, Crashed) and ready_state.state.last is not None
    repeated = ready_state.state.last.step - saved
    assert f"step {saved}; {repeated} steps are computed again" in page.footer_note.text()
    primaries = [b for b in (page.again_button, page.test_button, page.continue_button) if b.property("kind")]
    assert primaries == [page.continue_button]
    (card,) = page._cards
    assert card.remedy_button is None, "trying again from the start isn't offered beside Continue"
    assert card.details_button is not None
    card.details_button.click()
    qtbot.waitUntil(lambda: page.report is not None and page.report.isVisible(), timeout=LONG)
    assert page.report is not None and "signal SIGKILL" in page.report.details.toPlainText()
    page.report.accept()
    page.continue_button.click()
    qtbot.waitUntil(lambda: ready_state.training.is_running() and ready_state.state.continued is not None, timeout=LONG)
    assert not page.problems()


def test_keys_alone_pause_and_continue(ready_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    window = open_window(ready_state)
    page = train(window)
    going(ready_state, qtbot)
    focus(page, qtbot)
    window.go_to("train")
    view = page.run_view
    assert view is not None
    qtbot.waitUntil(view.pause.hasFocus)
    QTest.keyClick(view.pause, Qt.Key.Key_Return)
    ended(ready_state, qtbot)
    window.go_to("train")
    qtbot.waitUntil(page.continue_button.hasFocus)
    QTest.keyClick(page.continue_button, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: ready_state.training.is_running() and ready_state.state.continued is not None, timeout=LONG)


def test_a_run_killed_before_its_first_save_point_begins_anew(
    ready_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    page = train(open_window(ready_state))
    going(ready_state, qtbot)
    kill(ready_state)
    ended(ready_state, qtbot)
    assert "starts from the beginning" in page.footer_note.text()
    assert page.continue_button.isVisible() and not page.test_button.isVisible()


def test_a_run_that_does_not_answer_is_ended_by_one_button(
    ready_state: AppState, open_window: Opener, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_state, "LOOK_AT_HEART", 100)
    monkeypatch.setattr(job_state, "SILENT_AFTER", 0.5)
    monkeypatch.setattr("studio.runs.command.PATIENCE", 0.2)
    ready_state.training._look_at_heart.setInterval(100)
    page = train(open_window(ready_state))
    going(ready_state, qtbot)
    view = page.run_view
    assert view is not None and ready_state.run is not None and ready_state.state.process is not None
    os.kill(ready_state.state.process.pid, signal.SIGSTOP)
    qtbot.waitUntil(view.silent.isVisible, timeout=LONG)
    assert "Not responding for" in words_on(view.silent)
    begun = time.monotonic()
    view.end_button.click()
    assert not view.silent.isVisible() and "15 seconds" in view.headline.text()
    ended(ready_state, qtbot)
    assert time.monotonic() - begun < 15
    assert page.continue_button.isVisible() or page.again_button.isVisible()


def test_a_run_that_was_told_to_stop_and_does_nothing_is_named_sooner(
    ready_state: AppState, open_window: Opener, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_state, "SILENT_AFTER_ASKED", 0.5)
    ready_state.training._look_at_heart.setInterval(100)
    page = train(open_window(ready_state))
    going(ready_state, qtbot)
    view = page.run_view
    assert view is not None and ready_state.state.process is not None
    os.kill(ready_state.state.process.pid, signal.SIGSTOP)
    view.stop.click()
    qtbot.waitUntil(view.silent.isVisible, timeout=LONG)
    assert view.end_button.isEnabled()


def finished(state: AppState, open_window: Opener, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> TrainPage:
    """The page after a run of twenty steps."""
    monkeypatch.setenv("STAND_IN_STEPS", "20")
    monkeypatch.setenv("STAND_IN_PAUSE", "0.01")
    page = train(open_window(state))
    state.start_training()
    qtbot.waitUntil(lambda: isinstance(state.state.ending, Finished), timeout=LONG)
    ended(state, qtbot)
    return page


def test_a_finished_run_is_trained_longer(
    ready_state: AppState, open_window: Opener, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = finished(ready_state, open_window, qtbot, monkeypatch)
    assert page.test_button.property("kind") == "primary" and not page.continue_button.isVisible()
    assert page.weights_button.isVisible()
    page.longer_button.click()
    overlay = page.overlay
    assert isinstance(overlay, TrainLonger) and overlay.passes.value() == 2
    focus(page, qtbot)
    QTest.keyClick(overlay.passes, Qt.Key.Key_Return)
    qtbot.waitUntil(
        lambda: isinstance(ready_state.state.ending, Finished) and ready_state.state.extended is not None, timeout=LONG
    )
    assert ready_state.state.last is not None and ready_state.state.last.step == 40


def test_a_new_run_begins_with_what_an_older_one_learned(
    ready_state: AppState, open_window: Opener, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = finished(ready_state, open_window, qtbot, monkeypatch)
    run = ready_state.run
    assert run is not None
    ready_state.set_value("training.epochs", 7.0)
    page.weights_button.click()
    qtbot.waitUntil(lambda: ready_state.recipe.model.parent == str(run.path), timeout=LONG)
    assert ready_state.recipe.training.epochs == 7.0, "settings of the draft stay"
    assert ready_state.run is None and page.before is not None
    assert page.before.parent_line.isVisible()
    page.before.parent_line.findChildren(QPushButton)[0].click()
    assert ready_state.recipe.model.parent == "" and not page.before.parent_line.isVisible()


def test_why_a_run_cannot_go_on_stands_where_continue_would(
    ready_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    page = train(open_window(ready_state))
    going(ready_state, qtbot)
    assert ready_state.run is not None
    ready_state.run.train_data.unlink()
    kill(ready_state)
    ended(ready_state, qtbot)
    assert "The examples of this run are gone" in page.footer_note.text()
    assert not page.continue_button.isVisible() and page.again_button.property("kind") == "primary"


def test_while_a_run_goes_on_the_next_one_waits_in_the_queue(
    ready_state: AppState, open_window: Opener, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.runs.queue.ensure_runner", lambda: False)
    page = train(open_window(ready_state))
    going(ready_state, qtbot)
    page.next_button.click()
    qtbot.waitUntil(lambda: page.queue_button.property("kind") == "primary", timeout=LONG)
    assert not page.train_button.isVisible()
    qtbot.waitUntil(lambda: ready_state.obstacle() is None, timeout=LONG)
    page.queue_button.click()
    qtbot.waitUntil(lambda: "It waits in the queue now" in page.footer_note.text(), timeout=LONG)
    assert len(read_queue().entries) == 1
    ready_state.set_value("method.rank", 8)
    assert page.footer_note.text() == ""
    page.strengths_button.click()
    qtbot.waitUntil(lambda: len(read_queue().entries) == 4, timeout=LONG)
    ready_state.open_elsewhere()
    assert ready_state.is_training()


def test_a_run_that_only_waits_is_not_taken_for_interrupted(
    ready_state: AppState, project: Project, open_window: Opener, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.runs.queue.ensure_runner", lambda: False)
    page = train(open_window(ready_state))
    ready_state.add_to_queue()
    qtbot.waitUntil(lambda: len(project.runs()) == 1 and not ready_state.queueing, timeout=LONG)
    (run,) = project.runs()
    ready_state.attach(run)
    assert page.run_view is not None
    assert page.run_view.headline.text() == "Not begun yet: it waits for its turn."
    assert page.start_button.isVisible()
    qtbot.wait(1_200)
    assert not run.events.exists(), "nobody wrote an ending for it"
