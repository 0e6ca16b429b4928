"""Opening the window: from the process's start to the first frame and on to the event loop."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from studio.core.paths import resources
from studio.ui.controls import exception_dialog
from studio.ui.design import language, theme
from studio.ui.main_window import MainWindow
from studio.ui.state import background, preferences
from studio.ui.state.app_state import AppState

if TYPE_CHECKING:
    import psutil

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes gives the window its turn."""


def make_application(argv: list[str]) -> QApplication:
    """The dressed application in the person's language."""
    # Painting shared among threads has them wait for each other at every span, and beside a training for a processor
    # too: hundreds of wake-ups a second, which cost the training more than the painting itself does.
    os.environ.setdefault("QT_NO_GUI_THREADPOOL", "1")
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(argv)
    # Qt calls let go of the interpreter; beside a busy thread each would wait 5 ms to get it back
    sys.setswitchinterval(SWITCH_INTERVAL)
    app.setApplicationName("Fine-tuning Studio")
    app.setApplicationDisplayName("")
    app.setDesktopFileName("fine-tuning-studio")
    app.setWindowIcon(QIcon(str(resources() / "icons" / "studio.svg")))
    language.set_language(preferences.language())
    theme.load_fonts()
    theme.apply(app, preferences.theme())
    return app


def main(argv: list[str] | None = None) -> int:
    """Open the window and stay until it is closed. The exit code is 0 unless Qt itself fails."""
    parser = argparse.ArgumentParser(prog="studio", add_help=False)
    parser.add_argument("--report-start", type=Path, help="write the time to the first frame here, then go on")
    options, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    app = make_application([sys.argv[0], *rest])
    exception_dialog.install()
    app_state = AppState(wait=True)
    window = MainWindow(app_state)

    def on_first_frame() -> None:
        if options.report_start is not None:
            _report(options.report_start)
        app_state.begin()
        QTimer.singleShot(500, lambda: get_ready(app, window))

    window.first_frame_painted.connect(on_first_frame)
    window.show()
    code = app.exec()
    app_state.close()
    let_go(window, app_state)
    return code


def let_go(window: MainWindow, app_state: AppState) -> None:
    """Wait for what still works beside the window, then delete it before the state that it paints from: Python would do
    so in any order at its end, and now and then paint from what is gone."""
    background.wait_for_all()
    for made in (window, app_state):
        made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def get_ready(app: QApplication, window: MainWindow) -> None:
    """Ahead of time and beside the window, what a person who just came will need next: the first curve would otherwise
    hold it up for a quarter of a second, and the first rows of a file wait for the process that reads them. That one
    ends when nothing comes for a while, and is started again when a person comes back to the window."""
    background.run_in_background(window, import_plots, lambda _: window.expect_data(app.applicationState()))
    app.applicationStateChanged.connect(window.expect_data)


def import_plots() -> None:
    """What draws curves."""
    import pyqtgraph  # noqa: F401


def _report(path: Path) -> None:
    """Seconds from the creation of this process to the first frame, and resident memory in bytes, as JSON.

    `cpu_seconds` is what the process itself used until then: what `seconds` would be on an idle machine.
    """
    import psutil

    process = psutil.Process()
    times = process.cpu_times()
    report = {
        "cpu_seconds": times.user + times.system,
        "seconds": _age(process),
        "rss": process.memory_info().rss,
        "torch": "torch" in sys.modules,
    }
    path.write_text(json.dumps(report), encoding="utf-8")


def _age(process: psutil.Process) -> float:
    """Seconds since the process was created."""
    try:
        # The time of the boot, on which psutil's wall-clock answer stands, is known to a whole second only.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return time.time() - process.create_time()
