"""The box in which a message is written: Enter sends it, Shift and Enter make a new line."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QMimeData, QSize, Qt, Signal
from PySide6.QtGui import QInputMethodEvent, QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QPlainTextEdit, QPushButton, QSizePolicy, QWidget

from studio.ui.controls.layout import STRETCH, vbox
from studio.ui.controls.text import button, clear_layout_widget, label
from studio.ui.design.language import tr
from studio.ui.state.dragged_examples import EXAMPLES

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
        text = self.toPlainText().strip()
        if text and self.isEnabled():
            self.clear()
            self.sent.emit(text)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Examples are for the prompt, and the page takes them."""
        return not source.hasFormat(EXAMPLES) and super().canInsertFromMimeData(source)

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


WIDEST = 620


MARGINS = 44
"""Pixels: the widest button, and what it needs beside its text. The whole question is in its tooltip."""


class SuggestedPrompts(QWidget):
    """`chosen` carries the question that was pressed."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        words = label(tr("Ask anything, or begin with a question from your own data:"), "lead")
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._buttons = vbox()
        vbox(STRETCH, words, self._buttons, STRETCH, on=self)
        self.questions: tuple[str, ...] = ()

    def show_questions(self, questions: tuple[str, ...]) -> None:
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
