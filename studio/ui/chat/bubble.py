"""One turn of a conversation."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from studio.ui.chat.conversation import Turn
from studio.ui.controls.text import button, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, colours


class Bubble(QWidget):
    """What a person wrote (right, tinted) or a model answered (left, plain, with time, length and Copy below)."""

    def __init__(self, text: str, *, mine: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mine = mine
        c = colours()
        frame = QFrame()
        frame.setObjectName("bubble")
        fill, line = (c.accent_soft, c.accent_soft) if mine else (c.surface, c.line)
        frame.setStyleSheet(f"QFrame#bubble {{ background: {fill}; border: 1px solid {line}; border-radius: 6px; }}")
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setMinimumWidth(40)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        inside = QVBoxLayout(frame)
        inside.setContentsMargins(GAP + GAP_SMALL, GAP, GAP + GAP_SMALL, GAP)
        inside.addWidget(self.text)
        column = QVBoxLayout(self)
        column.setContentsMargins(GAP_PAGE if mine else 0, 0, 0 if mine else GAP_PAGE, 0)
        column.setSpacing(0)
        column.addWidget(frame)
        self._below = QHBoxLayout()
        self._below.setSpacing(GAP_SMALL)
        self.facts = label("", "small")
        self.copy = button(tr("Copy"), "link", self._copy)
        self.copy.setAccessibleName(tr("Copy this answer"))
        self._below.addWidget(self.facts, 1)
        self._below.addWidget(self.copy)
        self.facts.hide()
        self.copy.hide()
        if not mine:
            column.addLayout(self._below)
        self.set_text(text)

    def set_text(self, text: str) -> None:
        self.text.setText(text)
        who = tr("You wrote: {text}") if self.mine else tr("The model answered: {text}")
        self.text.setAccessibleName(who.replace("{text}", text))

    def show_turn(self, turn: Turn) -> None:
        """The answer as far as it has come and, when it is complete, quietly what it took."""
        ended = turn.ended
        if turn.given_up and not turn.text:
            self.set_text(tr("(no answer)"))
        elif ended is not None and not turn.text.strip():
            self.set_text(tr("(an empty answer)"))
        else:
            self.set_text(turn.text or "\N{HORIZONTAL ELLIPSIS}")
        self.copy.setVisible(not turn.waiting and bool(turn.text))
        self.facts.setVisible(ended is not None)
        if ended is not None:
            seconds = f"{ended.seconds:.1f}"
            self.facts.setText(
                tr("stopped after {seconds} s, {n} word pieces", seconds=seconds, n=ended.tokens)
                if ended.stopped
                else tr("{seconds} s, {n} word pieces", seconds=seconds, n=ended.tokens)
            )

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.text())
        self.copy.setText(tr("Copied"))
