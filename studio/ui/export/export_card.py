"""One place that a trained model can go to: what it is for, how large, where to, and what became of it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QWidget

from studio.core.job_states import ProcessState
from studio.core.problems import Problem
from studio.ui.controls.layout import MIDDLE, Card, hbox, vbox
from studio.ui.controls.notices import ProblemCard
from studio.ui.controls.progress import ProgressCard
from studio.ui.controls.status_icon import StatusIcon
from studio.ui.controls.text import ElidedLabel, button, clear_layout_widget, label, line
from studio.ui.design.language import size as size_words
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL


class ExportCard(Card):
    """`wanted` and `stopped` follow its buttons; `place_wanted` asks for another target folder."""

    wanted = Signal()
    stopped = Signal()
    place_wanted = Signal()

    def __init__(self, title: str, purpose: str, verb: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.setAccessibleDescription(purpose)
        self._name = title
        self.size_words = label("", "small", wrap=False)
        self.head.addWidget(self.size_words)
        self.body.addWidget(label(purpose))
        self.place = ElidedLabel("small", Qt.TextElideMode.ElideMiddle)
        self.change = button(tr("Choose another folder"), "link", self.place_wanted.emit)
        self.change.setAccessibleDescription(title)
        self.start = button(verb, "", self.wanted.emit)
        row = hbox(label(tr("Goes to"), "small", wrap=False), (self.place, 1), self.change, self.start)
        self.body.addLayout(row)
        self.progress = ProgressCard(tr("Progress of the export"))
        self.progress.setProperty("card", "")
        self.progress.body.setContentsMargins(0, GAP_SMALL, 0, 0)
        self.progress.stopped.connect(self.stopped)
        self.progress.hide()
        self.body.addWidget(self.progress)
        self.outcome: QWidget | None = None
        self.problem: ProblemCard | None = None

    def show_size(self, size: int | None, *, estimated: bool) -> None:
        """In bytes; None is not known."""
        words = size_words(size)
        self.size_words.setText(tr("about {size}", size=words) if estimated and size is not None else words)

    def show_place(self, place: Path) -> None:
        self.place.setText(str(place))

    def begin(self, *, can_stop: bool) -> None:
        self._clear()
        self.progress.begin(tr("Getting ready."))
        self.progress.stop.setVisible(can_stop)
        self.progress.show()
        self._enable(False)

    def show_state(self, state: ProcessState) -> None:
        if self.progress.stop.isEnabled():
            self.progress.show_state(state)

    def show_done(self, folder: Path, words: str) -> None:
        self.show_idle()
        self.outcome = _Outcome(folder, words)
        self.body.addWidget(self.outcome)

    def show_idle(self) -> None:
        self._clear()
        self.progress.hide()
        self._enable(True)

    def show_problem(self, problem: Problem) -> ProblemCard:
        self.show_idle()
        self.problem = ProblemCard(problem)
        self.problem.dismissed.connect(self._clear)
        self.body.addWidget(self.problem)
        return self.problem

    def _enable(self, enabled: bool) -> None:
        self.start.setEnabled(enabled)
        self.change.setEnabled(enabled)

    def _clear(self) -> None:
        for part in (self.outcome, self.problem):
            if part is not None:
                clear_layout_widget(part)
        self.outcome = self.problem = None


class _Outcome(QWidget):
    def __init__(self, folder: Path, words: str) -> None:
        super().__init__()
        self._folder = folder
        self.words = label(words)
        place = ElidedLabel("small", Qt.TextElideMode.ElideMiddle)
        place.setText(str(folder))
        self.open = button(tr("Open folder"), "", self._open)
        self.copy = button(tr("Copy path"), "quiet", self._copy)
        vbox(
            line(),
            hbox((StatusIcon("tick", 18), MIDDLE), (vbox(self.words, place, gap=0), 1), self.copy, self.open),
            on=self,
        )
        self.setAccessibleName(f"{words} {folder}")

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._folder)))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(str(self._folder))
        self.copy.setText(tr("Copied"))
