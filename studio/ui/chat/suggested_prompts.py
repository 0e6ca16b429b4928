"""What an empty chat offers: a few questions to begin with."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from studio.ui.controls.text import button, clear_layout_widget, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP

WIDEST = 620
MARGINS = 44
"""Pixels: the widest button, and what it needs beside its text. The whole question is in its tooltip."""


class SuggestedPrompts(QWidget):
    """`chosen` carries the question that was pressed."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addStretch(1)
        words = label(tr("Ask anything, or begin with a question from your own data:"), "lead")
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(words)
        self._buttons = QVBoxLayout()
        self._buttons.setSpacing(GAP)
        column.addLayout(self._buttons)
        column.addStretch(1)
        self.questions: tuple[str, ...] = ()

    def show_questions(self, questions: tuple[str, ...]) -> None:
        """Offer these, a button each."""
        if questions == self.questions:
            return
        self.questions = questions
        while (item := self._buttons.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                clear_layout_widget(widget)
        for question in questions:
            made = button("", "", partial(self.chosen.emit, question))
            made.setMinimumWidth(60)  # or the longest question would decide how narrow the page can be
            made.setToolTip(question)
            made.setAccessibleName(question)
            self._buttons.addWidget(made, 0, Qt.AlignmentFlag.AlignHCenter)
        self._shorten()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._shorten()

    def _shorten(self) -> None:
        for position, question in enumerate(self.questions):
            item = self._buttons.itemAt(position)
            made = item.widget() if item is not None else None
            if isinstance(made, QPushButton):
                whole = " ".join(question.split())
                room = min(self.width(), WIDEST) - MARGINS
                text = made.fontMetrics().elidedText(whole, Qt.TextElideMode.ElideRight, max(60, room))
                made.setText(text.replace("&", "&&"))
