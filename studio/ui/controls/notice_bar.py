"""A plain question with its answers as buttons, in a tinted line: something was guessed and a person should look."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QWidget

from studio.ui.controls.text import button, label
from studio.ui.design.theme import GAP


class NoticeBar(QFrame):
    """`ask` sets the question; `add` puts an answer behind it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", "notice")
        self.words = label("")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(GAP + 2, 4, GAP - 2, 4)
        self._row.setSpacing(GAP)
        self._row.addWidget(self.words, 1)

    def ask(self, question: str) -> None:
        self.words.setText(question)
        self.setAccessibleName(question)

    def add(self, text: str, on_click: Callable[[], object]) -> QPushButton:
        made = button(text, "", on_click)
        self._row.addWidget(made)
        return made

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A long question takes several lines; a scroll area would not find that out."""
        super().resizeEvent(event)
        self.setMinimumHeight(self._row.totalHeightForWidth(self.width()) if self._row.hasHeightForWidth() else 0)
