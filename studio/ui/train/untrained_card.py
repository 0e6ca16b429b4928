"""Should I train at all? How far the base model gets without any training, asked before there is one."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from studio.evaluation.verdict import without_training
from studio.ui.controls.layout import STRETCH, Card, add_all, hbox
from studio.ui.controls.progress import ProgressCard
from studio.ui.controls.text import button, label, say
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_SMALL
from studio.ui.state.app_state import AppState


class UntrainedCard(Card):
    """Asks, shows how far it is, and what came out."""

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(tr("Should I train at all?"), parent)
        self._app_state = app_state
        self._exam = app_state.untrained_exam
        self.setFixedWidth(288)
        self.body.setSpacing(GAP_SMALL)
        self.words = label("")
        self.start = button(tr("Ask the model as it is"), "", self._exam.start)
        self.copy = button(tr("Copy the prompt"), "quiet", self._copy)
        self.progress = ProgressCard(tr("Progress of the questions"))
        self.progress.setProperty("card", "")
        self.progress.body.setContentsMargins(0, GAP_SMALL, 0, 0)
        self.progress.stopped.connect(self._exam.cancel)
        self._begun = False
        add_all(self.body, self.words, self.progress, hbox(self.start, self.copy, STRETCH), STRETCH)
        self._exam.changed.connect(self.paint)
        app_state.data_changed.connect(self.paint)
        app_state.model_changed.connect(self.paint)
        self.paint()

    @Slot()
    def paint(self) -> None:
        exam = self._exam
        if exam.running and not self._begun:
            self.progress.begin(tr("Getting ready."))
        self._begun = exam.running
        self.progress.setVisible(exam.running)
        if exam.running and exam.state is not None:
            self.progress.show_state(exam.state)
        found = without_training(exam.result) if exam.result is not None else None
        if exam.running:
            say(self.words, "")
        elif exam.problem is not None:
            say(self.words, " ".join(tr_sentence(one) for one in exam.problem.sentences()))
        elif found is not None:
            say(self.words, tr_sentence(found))
        else:
            say(
                self.words,
                tr("In a minute or so: how far the model gets as it is, and with examples in its prompt."),
            )
        self.start.setVisible(not exam.running)
        self.start.setEnabled(self._app_state.obstacle() is None)
        self.start.setText(tr("Ask again") if found is not None else tr("Ask the model as it is"))
        self.copy.setVisible(not exam.running and bool(exam.prompt) and found is not None)
        if exam.running:
            self.copy.setText(tr("Copy the prompt"))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._exam.prompt)
        self.copy.setText(tr("Copied"))
