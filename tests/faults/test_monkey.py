"""Somebody clicks anything, types anything and never waits: no exception, no warning of Qt, no run changed."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QDesktopServices, QInputMethodEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget

from studio.ui.chat.endpoint import ChatEndpoint
from studio.ui.main_window import PAGES, MainWindow
from studio.ui.state.app_state import AppState
from tests.faults.table import Record, Row, report
from tests.ui.conftest import leaves_nothing_behind as leaves_nothing_behind
from tests.ui.conftest import nothing_is_traced as nothing_is_traced
from tests.ui.conftest import open_window as open_window
from tests.ui.conftest import plain_appearance as plain_appearance
from tests.ui.conftest import project as project
from tests.ui.conftest import ready_state as ready_state
from tests.ui.conftest import trainer as trainer

pytestmark = [
    pytest.mark.qt_log_level_fail("WARNING"),
    pytest.mark.qt_log_ignore("This plugin does not support"),  # what only the off-screen platform says
]

KEYS = (
    *(Qt.Key.Key_Tab, Qt.Key.Key_Backtab, Qt.Key.Key_Return, Qt.Key.Key_Space, Qt.Key.Key_Escape, Qt.Key.Key_Delete),
    *(Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End),
    *(Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Backspace, Qt.Key.Key_F1, Qt.Key.Key_A, Qt.Key.Key_9),
)
MODIFIERS = (
    *(Qt.KeyboardModifier.NoModifier,) * 6,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
)
TEXTS = ("", "hello", "0", "-1", "1e9", "안녕하세요", "../../etc", "{{ x }}", "<b>", "\U0001f600" * 20)


class Monkey:
    """Does what comes into its head to a window, always the same for one seed."""

    def __init__(self, window: MainWindow, seed: int) -> None:
        self.slowest: tuple[float, str] = (0.0, "")
        self._window = window
        self._dice = random.Random(seed)

    def play(self, events: int) -> None:
        for _ in range(events):
            act = self._dice.choices((self.click, self.press, self.type, self.scroll, self.resize, self.turn), WEIGHTS)[
                0
            ]
            began = time.perf_counter()
            what = act()
            QApplication.processEvents()
            took = time.perf_counter() - began
            self.slowest = max(self.slowest, (took, what))

    def _anything(self) -> QWidget:
        """A widget that can be seen: of the popup that is open, else of the window."""
        popup = QApplication.activePopupWidget()
        if popup is not None and self._dice.random() < 0.3:
            popup.close()
            popup = None
        top = popup or QApplication.activeModalWidget() or self._window
        seen = [w for w in top.findChildren(QWidget) if w.isVisible() and w.isEnabled() and w.width() and w.height()]
        return self._dice.choice(seen) if seen else top

    def click(self) -> str:
        target = self._anything()
        name = type(target).__name__
        place = QPoint(self._dice.randrange(max(1, target.width())), self._dice.randrange(max(1, target.height())))
        button = self._dice.choices((Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton), (9, 1))[0]
        action = QTest.mouseDClick if self._dice.random() < 0.05 else QTest.mouseClick
        action(target, button, Qt.KeyboardModifier.NoModifier, place)
        return f"click on {name}"

    def press(self) -> str:
        target = QApplication.focusWidget() or self._window
        key = self._dice.choice(KEYS)
        QTest.keyClick(target, key, self._dice.choice(MODIFIERS))
        return f"{key.name} in {type(target).__name__}"

    def type(self) -> str:
        target = QApplication.focusWidget() or self._window
        typed = QInputMethodEvent()  # as Korean comes from an input method
        typed.setCommitString(self._dice.choice(TEXTS))
        QApplication.sendEvent(target, typed)
        return f"typing in {type(target).__name__}"

    def scroll(self) -> str:
        target = self._anything()
        middle = QPointF(target.rect().center())
        turn = QPoint(0, self._dice.choice((-120, 120)))
        none = (Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase)
        QApplication.sendEvent(target, QWheelEvent(middle, target.mapToGlobal(middle), QPoint(), turn, *none, False))
        return "scrolling"

    def resize(self) -> str:
        self._window.resize(self._dice.randint(700, 1500), self._dice.randint(500, 1000))
        return "resizing"

    def turn(self) -> str:
        name = self._dice.choice(PAGES)
        self._window.open_page(name)
        return f"opening {name}"


WEIGHTS = (60, 15, 5, 10, 3, 7)


def contents(folder: Path) -> dict[str, str]:
    """What must not change: recipes, data and save points of runs, by path."""
    kept = [*folder.glob("runs/*/recipe.yaml"), *folder.glob("runs/*/data/*"), *folder.glob("runs/*/checkpoints/**/*")]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(kept) if p.is_file()}


@pytest.mark.parametrize(
    ("seed", "events"),
    [
        *((seed, 1_000) for seed in range(2)),
        *(
            pytest.param(seed, 10_000, marks=[pytest.mark.faults, pytest.mark.timeout(3600)])
            for seed in range(2, int(os.environ.get("STUDIO_MONKEYS", "20")) + 2)
        ),
    ],
)
def test_whatever_anybody_clicks_nothing_breaks(
    ready_state: AppState,
    open_window: Callable[[AppState], MainWindow],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
    seed: int,
    events: int,
) -> None:
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda *_: True)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    folder = ready_state.project.folder
    monkey = Monkey(open_window(ready_state), seed)
    before: dict[str, str] = {}
    for _ in range(0, events, 250):
        monkey.play(min(250, events))
        after = contents(folder)
        changed = [path for path, digest in before.items() if after.get(path, digest) != digest]
        assert not changed
        before = after
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    connections = (connection for one in family for connection in one.net_connections("inet"))
    heard = {(one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN}
    switched_on = (one.endpoint for one in ready_state.findChildren(ChatEndpoint))
    assert heard == {("127.0.0.1", endpoint.port) for endpoint in switched_on if endpoint is not None}
    report([Row("anything clicked or typed", injected=events, recovered=events)], record_property)
    record_property("slowest", f"{1000 * monkey.slowest[0]:.0f} ms: {monkey.slowest[1]}")
