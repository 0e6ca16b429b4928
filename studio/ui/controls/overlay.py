"""Cards over the dimmed window: a question with its answers, or more. Escape closes them, the keyboard stays inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from studio.core.problems import Problem
from studio.ui.controls.layout import Card, vbox
from studio.ui.controls.notices import ProblemCard
from studio.ui.controls.text import Kind, button, clear_layout_widget, label
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_WIDE, colours

EDGE = 24
"""Pixels of the window that stay visible around the card at least."""


class Overlay(QWidget):
    """Covers `window`; put content into `card.body`. No larger than `width` by `height` pixels, nor than the window.

    With `fill` it takes all of that room, else only as much height as its content needs.
    """

    closed = Signal()

    def __init__(self, window: QWidget, title: str, width: int, height: int = 10_000, *, fill: bool = False) -> None:
        super().__init__(window)
        self.setAccessibleName(title)
        self._window = window
        self._size = (width, height)
        self._fill = fill
        self._before = window.focusWidget()
        self._problem: ProblemCard | None = None
        self.card = Card(title)
        self.card.body.setContentsMargins(GAP_PAGE, GAP_PAGE, GAP_PAGE, GAP_PAGE)
        self.card.body.setSpacing(GAP_WIDE)
        vbox((self.card, Qt.AlignmentFlag.AlignCenter), on=self, margins=(EDGE, EDGE, EDGE, EDGE))
        window.installEventFilter(self)
        self._fit_window()

    def open(self, focus: QWidget) -> None:
        self.show()
        self.raise_()
        focus.setFocus(Qt.FocusReason.OtherFocusReason)

    def dismiss(self) -> None:
        """Take it away; the keyboard goes back to where it was."""
        self._window.removeEventFilter(self)
        clear_layout_widget(self)
        if self._before is not None and self._before.isVisible():
            self._before.setFocus(Qt.FocusReason.OtherFocusReason)
        self.closed.emit()

    def show_problem(self, problem: Problem) -> None:
        """Above the last row, which holds the buttons, in place of one that was shown before."""
        self._clear_problem()
        self._problem = ProblemCard(problem)
        self._problem.dismissed.connect(self._clear_problem)
        self.card.body.insertWidget(self.card.body.count() - 1, self._problem)

    def _clear_problem(self) -> None:
        if self._problem is not None:
            clear_layout_widget(self._problem)
            self._problem = None

    def _fit_window(self) -> None:
        self.setGeometry(self._window.rect())
        width = min(self._size[0], self.width() - 2 * EDGE)
        height = min(self._size[1], self.height() - 2 * EDGE)
        self.card.setFixedWidth(width)
        self.card.setMaximumHeight(height)
        self.card.setMinimumHeight(height if self._fill else 0)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._window and event.type() == QEvent.Type.Resize:
            self._fit_window()
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape closes; nothing behind the overlay reacts to keys."""
        if event.key() == Qt.Key.Key_Escape:
            self.dismiss()
        else:
            event.accept()

    def focusNextPrevChild(self, forward: bool) -> bool:
        inside = [w for w in self._in_tab_order() if w.isVisible() and w.isEnabled()]
        if inside:
            now = next((i for i, widget in enumerate(inside) if widget.hasFocus()), -1 if forward else 0)
            reason = Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason
            inside[(now + (1 if forward else -1)) % len(inside)].setFocus(reason)
        return True

    def _in_tab_order(self) -> list[QWidget]:
        found: list[QWidget] = []
        here = self.nextInFocusChain()
        while here is not None and here is not self:
            if self.isAncestorOf(here) and here.focusPolicy() & Qt.FocusPolicy.TabFocus:
                found.append(here)
            here = here.nextInFocusChain()
        return found

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        shade = QColor(colours().sidebar if colours().name == "dark" else colours().text)
        shade.setAlpha(170 if colours().name == "dark" else 90)
        painter.fillRect(self.rect(), shade)
        painter.end()


@dataclass(frozen=True)
class Answer:
    """A button and what it does; the first answer is the one that Enter gives, Escape gives none."""

    text: str
    on_chosen: Callable[[], object]
    kind: Kind = ""


class Confirmation(Overlay):
    """Asks until one of the answers is chosen. With `field`, a line of text stands above the buttons."""

    def __init__(
        self,
        window: QWidget,
        title: str,
        text: str,
        answers: tuple[Answer, ...],
        cancel_text: str,
        field: QLineEdit | None = None,
    ) -> None:
        super().__init__(window, title, 520)
        if text:
            self.card.body.addWidget(label(text))
        self.field = field
        if field is not None:
            self.card.body.addWidget(field)
        stacked = len(answers) > 1  # sentences on buttons need the width of the card
        self.buttons: list[QPushButton] = [self._button(answer) for answer in answers]
        self.cancel_button = button(cancel_text, "quiet" if stacked else "", self.dismiss)
        row = QVBoxLayout() if stacked else QHBoxLayout()
        row.setSpacing(GAP)
        if not stacked:
            row.addStretch(1)
        for one in [*self.buttons, self.cancel_button] if stacked else [self.cancel_button, *self.buttons]:
            row.addWidget(one)
        self.card.body.addLayout(row)
        self.open(field or self.buttons[0])
        if field is not None:
            field.selectAll()
            field.returnPressed.connect(self.buttons[0].click)

    def _button(self, answer: Answer) -> QPushButton:
        def chosen() -> None:
            self.dismiss()
            answer.on_chosen()

        return button(answer.text, answer.kind, chosen)
