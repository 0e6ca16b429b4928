"""The program starts light: nothing heavy is imported before the first frame, and the real process paints one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QStyle, QStyleOptionToolButton, QToolButton
from pytestqt.qtbot import QtBot

from studio.core.recipe.recipe import with_value
from studio.core.translatable import Sentence
from studio.ui.app import get_ready
from studio.ui.design import language, theme
from studio.ui.design.palette import DARK, LIGHT, Colours
from studio.ui.main_window import MainWindow
from studio.ui.state.app_state import AppState
from tests.ui.conftest import LONG

HEAVY = ("torch", "transformers", "datasets", "pandas", "pyqtgraph", "pyarrow", "numpy", "python_calamine", "pynvml")


def test_importing_the_window_brings_nothing_heavy_along() -> None:
    script = f"import sys, studio.ui.app, studio.ui.data.page; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_real_program_paints_its_first_frame_and_goes_on(tmp_path: Path) -> None:
    report = tmp_path / "start.json"
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    process = subprocess.Popen([sys.executable, "-m", "studio", "--report-start", str(report)], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not (report.exists() and report.read_text(encoding="utf-8")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        found = json.loads(report.read_text(encoding="utf-8"))
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(10)
    assert found["rss"] < 200 * 2**20
    assert found["torch"] is False


def test_the_real_program_ends_without_a_trace_after_every_page_was_open(home: Path) -> None:
    program = """
import sys
from PySide6.QtCore import QTimer
from studio.ui import app, main_window

class Shown(main_window.MainWindow):
    def showEvent(self, event):
        super().showEvent(event)
        QTimer.singleShot(0, self.open_every_page)

    def open_every_page(self):
        for page in main_window.PAGES:
            self.open_page(page)
        QTimer.singleShot(300, self.close)

app.MainWindow = Shown
sys.exit(app.main([]))
"""
    command = [sys.executable, "-X", "faulthandler", "-c", program]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_reads_files_is_there_before_one_comes(
    app_state: AppState, open_window: Callable[[AppState], MainWindow], monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    app, window = QApplication.instance(), open_window(app_state)
    assert isinstance(app, QApplication)
    expected: list[str] = []
    monkeypatch.setattr(app_state.data, "expect_file", lambda: expected.append("a file"))
    get_ready(app, window)
    qtbot.waitUntil(lambda: "pyqtgraph" in sys.modules and bool(expected), timeout=LONG)
    expected.clear()
    app.applicationStateChanged.emit(Qt.ApplicationState.ApplicationInactive)
    assert not expected
    app.applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)
    assert expected
    app_state.recipe = with_value(app_state.recipe, "data.path", "support.csv")
    expected.clear()
    app.applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)
    assert not expected


def test_english_is_spoken_where_a_catalogue_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(language, "resources", lambda: tmp_path)
    language.set_language("ko")
    assert language.tr("{n} passes", n=3) == "3 passes"
    language.set_language("xx")
    assert language.current() == "en"


def test_sentences_are_translated_with_their_values() -> None:
    sentence = Sentence(text="Stopped at step {step}. What was learned until then is kept.", values={"step": 7})
    language.set_language("ko")
    korean = language.tr_sentence(sentence)
    language.set_language("en")
    assert "7" in korean and korean != language.tr_sentence(sentence) == sentence.english()


def test_a_value_called_text_is_filled_in_too() -> None:
    assert language.tr_sentence(Sentence(text="It says {text}.", values={"text": "no"})) == "It says no."


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (49, "49 s"), (59, "1 min"), (3_540, "59 min"), (7_260, "2 h 1 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert language.duration(seconds) == words


def test_sizes_are_said_as_people_say_them_and_unknown_stays_unknown() -> None:
    assert [language.size(n) for n in (None, 0, 999, 19_600_000, 2_340_000_000)] == [
        "not available",
        "0 KB",
        "1 KB",
        "20 MB",
        "2.3 GB",
    ]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_in_both_themes(colours: Colours) -> None:
    for ground in (colours.window, colours.surface, colours.sidebar):
        assert contrast(colours.text, ground) >= 7
        assert contrast(colours.muted, ground) >= 4.5
    assert contrast(colours.accent_text, colours.accent) >= 4.5
    for sign in (colours.accent, colours.good, colours.bad, colours.warn):
        assert contrast(sign, colours.surface) >= 3


@pytest.mark.parametrize("look", ["light", "dark"])
def test_icons_of_qts_own_file_dialog_have_their_room(qapp: QApplication, look: str) -> None:
    theme.apply(qapp, look)
    dialog = QFileDialog()
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.show()
    for button in dialog.findChildren(QToolButton):
        style = QStyleOptionToolButton()
        button.initStyleOption(style)
        room = button.style().subControlRect(
            QStyle.ComplexControl.CC_ToolButton, style, QStyle.SubControl.SC_ToolButton
        )
        padded = button.style().sizeFromContents(QStyle.ContentsType.CT_ToolButton, style, button.iconSize(), button)
        assert padded.width() <= room.width() and padded.height() <= room.height(), button.objectName()
    dialog.close()
    dialog.deleteLater()


@pytest.mark.skipif(sys.platform != "linux", reason="X11 is Linux's")
def test_a_missing_system_library_is_said_with_the_command_that_repairs_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "libxcb-cursor.so.0").write_bytes(b"")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "DISPLAY": ":77", "STUDIO_HOME": str(home)}
    for name in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    outcome = subprocess.run(
        [sys.executable, "-m", "studio"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert outcome.returncode == 2
    assert "sudo apt-get install -y libxcb-cursor0" in outcome.stderr
    assert "qt.qpa" not in outcome.stderr and "Traceback" not in outcome.stderr


def test_text_sizes_follow_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theme, "_system_points", 18.0)
    monkeypatch.setattr(sys, "platform", "linux")
    larger = theme.sizes()
    monkeypatch.setattr(theme, "_system_points", 9.0)
    assert larger.body == 2 * theme.sizes().body == 19.5
