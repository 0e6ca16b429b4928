"""Every test of the window runs off screen, and fails on Qt's warnings and on what it leaves behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QThread
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from studio.core.recipe.recipe import with_values
from studio.runs.project import Project, create_project
from studio.ui.design import language, theme
from studio.ui.gpu_monitor import reader
from studio.ui.main_window import MainWindow
from studio.ui.state import background, preferences
from studio.ui.state.app_state import AppState
from tests.fakes.interpreter import stand_in_python
from tests.ui.small_model import small_model
from tests.ui.train.fit_stage import card, sized_model

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.qt_log_level_fail("WARNING"))
            # the off-screen platform says this of every window with a smallest size
            item.add_marker(pytest.mark.qt_log_ignore("This plugin does not support propagateSizeHints"))


@pytest.fixture(autouse=True)
def leaves_nothing_behind(qapp: QApplication, home: object) -> Iterator[None]:
    """No thread, child process or window outlives its test."""
    widgets_before = set(map(id, qapp.topLevelWidgets()))
    children_before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    threads_done = background.wait_for_all()
    _settle()
    assert threads_done, "a thread of the window is still busy"
    busy = [thread for thread in (*background._running, *reader._running) if _runs(thread)]
    assert not busy, f"threads left running: {busy}"
    left = [w for w in qapp.topLevelWidgets() if id(w) not in widgets_before and w.isVisible()]
    assert not left, f"windows left open: {left}"
    assert _gone(children_before), "child processes left running"


@pytest.fixture(autouse=True)
def plain_appearance(qapp: QApplication) -> Iterator[None]:
    """English and the light theme, whatever the test before has chosen."""
    language.set_language("en")
    theme.apply(qapp, "light")
    yield
    language.set_language("en")


@pytest.fixture(autouse=True)
def nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace loads all of torch in a process of its own: only tests that are about it start one."""
    monkeypatch.setattr("studio.ui.state.memory_fit.PATIENCE", 10_000_000)


@pytest.fixture
def project(home: object) -> Project:
    return create_project("Support replies")


LONG = 30_000
"""Milliseconds for what a process of its own has to do first, on a busy machine."""


@contextmanager
def opened(project: Project) -> Iterator[AppState]:
    """An app state on `project` that leaves nothing behind, whatever becomes of the test or its preparation."""
    made = AppState(project)
    try:
        yield made
    finally:
        made.close()
        assert background.wait_for_all()
        made.deleteLater()


@pytest.fixture
def app_state(project: Project, qtbot: QtBot) -> Iterator[AppState]:
    """An app state on an empty project, whose readings have come to an end."""
    with opened(project) as made:
        qtbot.waitUntil(lambda: not made.data.reading and not made.model.looking)
        yield made


@pytest.fixture
def open_window(qtbot: QtBot) -> Iterator[Callable[[AppState], MainWindow]]:
    """Opens the real window on an app state and closes it when the test ends."""
    preferences.set_theme("light")
    preferences.set_language("en")
    opened: list[MainWindow] = []

    def open_one(app_state: AppState) -> MainWindow:
        window = MainWindow(app_state)
        opened.append(window)
        with qtbot.waitSignal(window.first_frame_painted):
            window.show()
        return window

    yield open_one
    for window in opened:
        if window.gpu_monitor is not None:
            window.gpu_monitor.stop()
        window.app_state.close()
        window.hide()
        window.deleteLater()
    background.wait_for_all()
    _settle()


def _settle() -> None:
    QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    QCoreApplication.processEvents()


def _runs(thread: QThread) -> bool:
    try:
        return thread.isRunning()
    except RuntimeError:  # its Qt side is deleted already
        return False


def _gone(before: set[int], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
        alive = [c for c in left if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]
        if not alive or time.monotonic() > deadline:
            return not alive
        time.sleep(0.05)


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs are started with a stand-in that writes a real journal, the worker is real; whatever still runs at the end
    is stopped."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    script = stand_in_python(tmp_path, Path(__file__).with_name("fake_trainer.py"))
    monkeypatch.setattr(sys, "executable", script)
    yield
    for child in psutil.Process().children(recursive=True):
        if child.pid not in before:
            with suppress(psutil.NoSuchProcess):  # it may end by itself between the look and the kill
                child.kill()
                child.wait(5)


@pytest.fixture
def ready_state(project: Project, tmp_path: Path, qtbot: QtBot, trainer: None) -> Iterator[AppState]:
    """An app state with forty examples and a small model: everything that Train needs."""
    data = tmp_path / "support.csv"
    rows = "".join(f"Where is parcel {n}?,It is on its way: {n}.\n" for n in range(40))
    data.write_text("question,answer\n" + rows, encoding="utf-8")
    folder = small_model(tmp_path / "model")
    values = {"model.source": "folder", "model.name": str(folder), "data.path": str(data)}
    project.save_recipe(with_values(project.load_recipe(), values))
    with opened(project) as made:
        qtbot.waitUntil(lambda: made.obstacle() is None, timeout=LONG)
        yield made


@pytest.fixture
def fit_state(
    project: Project, tmp_path: Path, qtbot: QtBot, trainer: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AppState]:
    """A model that says it has 1.1 billion parameters, a card with 8 GB, 7.5 of them free, and no data yet. What would
    be chosen for that memory is set by hand. The engine is a stand-in that traces and tries, too."""
    script = Path(sys.executable)
    playing = script.read_text(encoding="utf-8").replace("fake_trainer.py", "fake_memory_fit.py")
    script.write_text(playing, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent.parent))
    values = {
        "model.source": "folder",
        "model.name": str(sized_model(tmp_path / "model")),
        "method.layer_streaming": False,
        "training.activation_checkpointing": True,
        "training.batch_size": 2,
        "training.gradient_accumulation_steps": 4,
        "training.optimizer": "paged_adamw_8bit",
    }
    project.save_recipe(with_values(project.load_recipe(), values))
    with opened(project) as made:
        qtbot.waitUntil(lambda: not made.model.looking)
        made.take_snapshot(card(8, 7.5))
        yield made


@pytest.fixture
def fit_state_with_data(fit_state: AppState, tmp_path: Path, qtbot: QtBot) -> AppState:
    """The same with forty examples whose lengths are known: everything that a trial and a run need."""
    data = tmp_path / "support.csv"
    rows = "".join(f"Where is parcel {n}?,It is on its way: {n}.\n" for n in range(40))
    data.write_text("question,answer\n" + rows, encoding="utf-8")
    fit_state.open_data(data)
    qtbot.waitUntil(lambda: fit_state.obstacle() is None and fit_state.data.lengths is not None, timeout=LONG)
    return fit_state
