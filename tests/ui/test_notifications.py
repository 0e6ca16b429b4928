"""A person who is elsewhere hears once that the queue or a long run is over, in the window's language."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtWidgets import QSystemTrayIcon
from pytestqt.qtbot import QtBot

from studio.core.events import Finished, ProcessStarted
from studio.core.run_folder import RunFolder
from studio.runs.project import Project
from studio.runs.queue import QueueResult
from studio.runs.queue_file import Ended
from studio.ui.design import language
from studio.ui.main_window import MainWindow
from studio.ui.state.app_state import AppState
from tests.ui.runs.test_page import made
from tests.ui.test_main_window import words_on

Opener = Callable[[AppState], MainWindow]


@pytest.fixture
def window(app_state: AppState, open_window: Opener) -> MainWindow:
    return open_window(app_state)


def result(project: Project, count: int = 3) -> QueueResult:
    runs = [project.runs_folder / f"2026010{number}-run" for number in range(count)]
    return QueueResult(tuple(Ended(run=run, outcome="finished") for run in runs))


def elsewhere(window: MainWindow, monkeypatch: pytest.MonkeyPatch, *, tray: bool = False) -> list[tuple[str, str]]:
    """The window isn't in front. What is shown in the tray."""
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(window, "isActiveWindow", lambda: False)
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: tray)
    monkeypatch.setattr(QSystemTrayIcon, "supportsMessages", lambda: tray)
    monkeypatch.setattr(QSystemTrayIcon, "show", lambda self: None)
    monkeypatch.setattr(QSystemTrayIcon, "showMessage", lambda self, title, text, *_: told.append((title, text)))
    return told


def test_without_a_tray_the_window_says_it_in_a_line_that_leads_to_the_runs(
    window: MainWindow, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(window, monkeypatch)
    window.app_state.queue.done.emit(result(project), False)
    assert window.line is not None and "The queue is done: 3 runs finished." in words_on(window.line)
    window.line.findChildren(type(window.sidebar.project))[0].click()
    assert window.page_name == "runs"


def test_with_a_tray_it_is_one_message_in_the_windows_language(
    window: MainWindow, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = elsewhere(window, monkeypatch, tray=True)
    language.set_language("ko")
    window.app_state.queue.done.emit(result(project), False)
    assert told == [(language.tr("Queue"), language.tr_sentence(result(project).sentence))]
    assert window.line is None


def test_nothing_is_said_to_who_looks_at_the_window(
    window: MainWindow, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "isActiveWindow", lambda: True)
    window.app_state.queue.done.emit(result(project), False)
    assert window.line is None


def test_what_a_night_came_to_is_said_in_the_morning(window: MainWindow, project: Project) -> None:
    window.app_state.queue.done.emit(result(project), True)
    assert window.line is not None and "3 runs finished" in words_on(window.line)


def test_a_long_run_is_told_of_and_a_short_one_or_an_old_one_is_not(
    window: MainWindow, project: Project, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = elsewhere(window, monkeypatch, tray=True)
    app_state = window.app_state
    app_state.attach(made(project, "20260101-old", 0.5))
    qtbot.waitUntil(lambda: isinstance(app_state.state.ending, Finished))
    assert not told, "it ended long ago"
    for number, (seconds, expected) in enumerate(((10.0, 0), (3_600.0, 1))):
        run = RunFolder(project.runs_folder / f"2026020{number}-going")
        run.path.mkdir(parents=True)
        with run.writer() as writer:
            writer.write(ProcessStarted(at=1_700_000_000.0, job="train", pid=1, started=0.0))
            app_state.attach(run)
            qtbot.waitUntil(app_state.is_training)
            writer.write(Finished(at=1_700_000_000.0 + seconds))
        qtbot.waitUntil(lambda: not app_state.is_training())
        assert len(told) == expected
    assert told[0] == (project.name, "Finished. Now test whether it is really better.")
