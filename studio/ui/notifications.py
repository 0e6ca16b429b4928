"""One notification when the queue or a long run is over, for a person who is elsewhere; none while they look."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from studio.core.events import Crashed, Failed, Finished
from studio.core.run_folder import RunFolder
from studio.core.run_state import headline
from studio.runs.queue import QueueResult
from studio.ui.design.language import tr, tr_sentence
from studio.ui.state.app_state import AppState

LONG_RUN = 300.0
"""Seconds after which a person may be elsewhere when a run ends."""


class Notifications(QObject):
    """Watches an app state. Where the system shows no messages, `line_wanted` carries what the window is to say."""

    line_wanted = Signal(str)

    def __init__(self, window: QWidget, app_state: AppState) -> None:
        super().__init__(window)
        self._window, self._app_state = window, app_state
        self._watched: RunFolder | None = None
        self.tray: QSystemTrayIcon | None = None
        app_state.queue.done.connect(self._on_queue_done)
        for changed in (app_state.run_changed, app_state.run_updated):
            changed.connect(self._watch)
        app_state.training.ended.connect(self._on_training_ended)

    @Slot()
    def _watch(self) -> None:
        if self._app_state.is_training():
            self._watched = self._app_state.run

    @Slot()
    def _on_training_ended(self) -> None:
        """A run that ended long ago comes to its ending, too, whenever it is opened: only one that was seen going on
        counts. Those of the queue end in one notification together."""
        run, state = self._app_state.run, self._app_state.state
        if run is None or run != self._watched:
            return
        self._watched = None
        ending = state.ending
        by_itself = isinstance(ending, Finished | Failed | Crashed)
        if ending is None or not by_itself or self._app_state.queue.was_queued(run):
            return
        if state.started_at is not None and ending.at - state.started_at >= LONG_RUN:
            self.notify(self._app_state.project.name, tr_sentence(headline(state)))

    @Slot(object, bool)
    def _on_queue_done(self, result: QueueResult, while_closed: bool) -> None:
        words = tr_sentence(result.sentence)
        if while_closed:
            self.line_wanted.emit(words)
        else:
            self.notify(tr("Queue"), words)

    def notify(self, title: str, words: str) -> None:
        if self._window.isActiveWindow() and not self._window.isMinimized():
            return
        if QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages():
            if self.tray is None:
                self.tray = QSystemTrayIcon(QApplication.windowIcon(), self)
                self.tray.messageClicked.connect(self._come_back)
                self.tray.activated.connect(self._come_back)
            self.tray.setToolTip(words)
            self.tray.show()
            self.tray.showMessage(title, words, QApplication.windowIcon())
            return
        QApplication.alert(self._window)
        self.line_wanted.emit(words)

    @Slot()
    def _come_back(self) -> None:
        if self.tray is not None:
            self.tray.hide()
        self._window.showNormal() if self._window.isMinimized() else self._window.show()
        self._window.raise_()
        self._window.activateWindow()
