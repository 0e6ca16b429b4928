"""Unexpected exceptions: one dialog with Copy and versions, and a log. Expected problems have cards on their pages."""

from __future__ import annotations

import logging
import platform
import sys
import threading
import time
import traceback
from types import TracebackType

from PySide6.QtCore import QMessageLogContext, QObject, QtMsgType, Signal, Slot, qInstallMessageHandler, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QDialog, QMessageBox, QPlainTextEdit, QWidget

import studio
from studio.core import paths
from studio.core.problems import Problem, ProblemError
from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.text import button, label
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_PAGE, GAP_WIDE, fixed_font

LARGEST_LOG = 1_000_000
"""Bytes after which the window's log starts afresh; the one before is kept beside it."""

_log = logging.getLogger("studio.window")


def versions() -> str:
    """What a report of a mistake needs to name, a line each."""
    import PySide6

    return "\n".join(
        (
            f"Fine-tuning Studio {studio.__version__}",
            f"Python {platform.python_version()}, PySide6 {PySide6.__version__}, Qt {qVersion()}",
            f"{platform.system()} {platform.release()} ({platform.machine()})",
        )
    )


class ReportDialog(QDialog):
    """What happened in a sentence, and details that can be copied. These must be redacted already, see
    `studio.runs.crash_report`."""

    def __init__(self, headline: str, words: str, details: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Something went wrong"))
        self.resize(640, 420)
        self.details = QPlainTextEdit(details, readOnly=True)
        self.details.setFont(fixed_font())
        self.details.setAccessibleName(tr("Details"))
        close = button(tr("Close"), "primary", self.accept)
        vbox(
            label(headline, "strong"),
            label(words),
            (self.details, 1),
            label(tr("Keys, your folders and text of your examples are left out."), "small"),
            hbox(button(tr("Copy"), "", self._copy), STRETCH, close),
            on=self,
            gap=GAP_WIDE,
            margins=(GAP_PAGE, GAP_PAGE, GAP_PAGE, GAP_WIDE),
        )
        close.setFocus()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.details.toPlainText())


class _Messenger(QObject):
    """Carries an exception from whatever thread it happened in to the window's thread."""

    raised = Signal(str, str)
    """The exception, and the end of the window's log before it."""

    def __init__(self) -> None:
        super().__init__()
        self.raised.connect(self._on_raised)
        self.open: ReportDialog | None = None

    @Slot(str, str)
    def _on_raised(self, exception: str, before: str) -> None:
        if self.open is not None:  # one dialog, however many exceptions follow from one mistake
            self.open.details.appendPlainText("\n" + exception)
            return
        details = f"{versions()}\n\n{exception}\n{before}".rstrip() + "\n"
        words = tr("That is a mistake of ours, not yours. A run that is going on is not affected.")
        self.open = ReportDialog(
            tr("Something went wrong inside the program"),
            words + " " + tr("Copy the details if you want to report it."),
            details,
            QApplication.activeWindow(),
        )
        self.open.finished.connect(self._on_closed)
        self.open.open()

    @Slot()
    def _on_closed(self) -> None:
        if self.open is not None:
            self.open.deleteLater()
            self.open = None


_messenger: _Messenger | None = None


def install() -> None:
    """Catch what nobody caught: exceptions in slots, threads and the interpreter go to the log and the dialog, Qt's
    own messages to the log."""
    global _messenger
    _messenger = _Messenger()
    _open_log()
    sys.excepthook = _on_exception
    threading.excepthook = lambda args: _on_exception(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
    )
    qInstallMessageHandler(_on_qt_message)


def show_problem(problem: Problem) -> None:
    box = QMessageBox(QApplication.activeWindow())
    box.setIcon(QMessageBox.Icon.Warning)
    first, *rest = problem.sentences()
    box.setText(tr_sentence(first))
    box.setInformativeText(" ".join(tr_sentence(one) for one in rest))
    box.setWindowTitle(tr("A problem"))
    box.finished.connect(box.deleteLater)
    box.open()


def _on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, ProblemError) and threading.current_thread() is threading.main_thread():
        show_problem(error.problem)
        return
    if issubclass(kind, KeyboardInterrupt):
        app = QApplication.instance()
        if app is not None:
            app.quit()
        return
    from studio.runs.crash_report import redacted  # needed so seldom that no start waits for it
    from studio.runs.follow import read_log_end

    text = redacted("".join(traceback.format_exception(kind, error, trace)))
    before = redacted(read_log_end(paths.home() / "window.log"))
    _log.error("%s", text)
    if _messenger is not None and QApplication.instance() is not None:
        _messenger.raised.emit(text, before)


def _on_qt_message(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
    level = {
        QtMsgType.QtDebugMsg: logging.DEBUG,
        QtMsgType.QtInfoMsg: logging.INFO,
        QtMsgType.QtWarningMsg: logging.WARNING,
    }.get(kind, logging.ERROR)
    _log.log(level, "Qt: %s", message)


def _open_log() -> None:
    path = paths.home() / "window.log"
    for handler in list(_log.handlers):
        _log.removeHandler(handler)
        handler.close()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LARGEST_LOG:
            path.replace(path.with_suffix(".old.log"))
        handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    except OSError:
        return  # a log that can't be written must not keep the window from opening
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False
