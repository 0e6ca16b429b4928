"""A question inside the window: the page behind it dims, a card asks, Escape means the harmless answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from studio.ui.controls.layout import Card
from studio.ui.controls.text import Kind, button, clear_layout_widget, label
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_WIDE, colours


@dataclass(frozen=True)
class Answer:
    """A button and what it does; the first answer is the one that Enter gives, Escape gives none."""

    text: str
    on_chosen: Callable[[], object]
    kind: Kind = ""


class Confirmation(QWidget):
    """Covers `window` until one of the answers is chosen. With `field`, a line of text stands above the buttons."""

    def __init__(
        self,
        window: QWidget,
        title: str,
        text: str,
        answers: tuple[Answer, ...],
        cancel_text: str,
        field: QLineEdit | None = None,
    ) -> None:
        super().__init__(window)
        self.setAccessibleName(title)
        self._window = window
        self._before = window.focusWidget()
        outer = QVBoxLayout(self)
        outer.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.card = Card(title)
        self.card.setFixedWidth(min(520, max(320, window.width() - 80)))
        self.card.body.setContentsMargins(GAP_PAGE, GAP_PAGE, GAP_PAGE, GAP_PAGE)
        self.card.body.setSpacing(GAP_WIDE)
        if text:
            self.card.body.addWidget(label(text))
        self.field = field
        if field is not None:
            self.card.body.addWidget(field)
        stacked = len(answers) > 1
        self.buttons: list[QPushButton] = [self._button(answer) for answer in answers]
        self.cancel_button = button(cancel_text, "" if not stacked else "quiet", self.close_question)
        if stacked:  # sentences on buttons need the width of the card
            column = QVBoxLayout()
            column.setSpacing(GAP)
            for one in [*self.buttons, self.cancel_button]:
                column.addWidget(one)
            self.card.body.addLayout(column)
        else:
            row = QHBoxLayout()
            row.setSpacing(GAP)
            row.addStretch(1)
            row.addWidget(self.cancel_button)
            for one in self.buttons:
                row.addWidget(one)
            self.card.body.addLayout(row)
        outer.addWidget(self.card)
        window.installEventFilter(self)
        self.setGeometry(window.rect())
        self.show()
        self.raise_()
        (field or self.buttons[0]).setFocus()
        if field is not None:
            field.selectAll()
            field.returnPressed.connect(self.buttons[0].click)

    def _button(self, answer: Answer) -> QPushButton:
        def chosen() -> None:
            self.close_question()
            answer.on_chosen()

        return button(answer.text, answer.kind, chosen)

    def close_question(self) -> None:
        """Take the question away without an answer."""
        self._window.removeEventFilter(self)
        clear_layout_widget(self)
        if self._before is not None:
            self._before.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._window and event.type() == QEvent.Type.Resize:
            self.setGeometry(self._window.rect())
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close_question()
        else:
            event.accept()  # nothing behind the question reacts to keys

    def focusNextPrevChild(self, forward: bool) -> bool:
        inside: list[QWidget] = [*([self.field] if self.field else []), *self.buttons, self.cancel_button]
        now = next((i for i, widget in enumerate(inside) if widget.hasFocus()), -1)
        inside[(now + (1 if forward else -1)) % len(inside)].setFocus(Qt.FocusReason.TabFocusReason)
        return True

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        shade = QColor(colours().sidebar if colours().name == "dark" else colours().text)
        shade.setAlpha(170 if colours().name == "dark" else 90)
        painter.fillRect(self.rect(), shade)
