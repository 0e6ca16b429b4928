"""The box in which a message is written: Enter sends it, Shift and Enter make a new line."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QInputMethodEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QWidget

MOST_LINES = 8
PADDING = 8
"""Pixels that frame and padding of the stylesheet take above and below the text."""


class Composer(QPlainTextEdit):
    """Grows with its text up to eight lines. Enter that ends a composition of an input method doesn't send."""

    sent = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._composing = False
        self.setTabChangesFocus(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().documentLayout().documentSizeChanged.connect(lambda _size: self._fit())
        self.textChanged.connect(self._fit)
        self._fit()

    @property
    def composing(self) -> bool:
        """Whether an input method holds letters that are not in the text yet."""
        return self._composing

    def send(self) -> None:
        """Send what is written, unless it is blank."""
        text = self.toPlainText().strip()
        if text and self.isEnabled():
            self.clear()
            self.sent.emit(text)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        self._composing = bool(event.preeditString())
        super().inputMethodEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            event.accept()
            if not self._composing:
                self.send()
            return
        super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), self._height())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()  # only now the stylesheet's padding is known

    def _lines(self) -> int:
        # the document of a plain text edit measures its height in lines
        return max(1, int(self.document().size().height()))

    def _height(self) -> int:
        lines = min(MOST_LINES, self._lines())
        margins = self.viewportMargins()
        around = 2 * int(self.document().documentMargin()) + margins.top() + margins.bottom() + 2 * PADDING
        return max(40, lines * self.fontMetrics().lineSpacing() + around)

    def _fit(self) -> None:
        more = self._lines() > MOST_LINES
        policy = Qt.ScrollBarPolicy.ScrollBarAsNeeded if more else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setVerticalScrollBarPolicy(policy)
        self.setFixedHeight(self._height())
