"""A card over the dimmed window that holds more than a question: Escape closes it, the keyboard stays inside."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.ui.controls.layout import Card
from studio.ui.controls.text import clear_layout_widget
from studio.ui.design.theme import GAP_PAGE, GAP_WIDE, colours

EDGE = 24
"""Pixels of the window that stay visible around the card at least."""


class Overlay(QWidget):
    """Covers `window`; put content into `card.body`. No larger than `width` by `height` pixels, nor than the window.

    With `fill` it takes all of that room, else only as much height as its content needs.
    """

    closed = Signal()

    def __init__(self, window: QWidget, title: str, width: int, height: int, *, fill: bool = False) -> None:
        super().__init__(window)
        self.setAccessibleName(title)
        self._window = window
        self._size = (width, height)
        self._fill = fill
        self._before = window.focusWidget()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(EDGE, EDGE, EDGE, EDGE)
        self.card = Card(title)
        self.card.body.setContentsMargins(GAP_PAGE, GAP_PAGE, GAP_PAGE, GAP_PAGE)
        self.card.body.setSpacing(GAP_WIDE)
        outer.addWidget(self.card, 0, Qt.AlignmentFlag.AlignCenter)
        window.installEventFilter(self)
        self._fit_window()

    def open(self, focus: QWidget) -> None:
        """Show it with the keyboard on `focus`."""
        self.show()
        self.raise_()
        focus.setFocus(Qt.FocusReason.OtherFocusReason)

    def close_sheet(self) -> None:
        """Take it away; the keyboard goes back to where it was."""
        self._window.removeEventFilter(self)
        clear_layout_widget(self)
        if self._before is not None and self._before.isVisible():
            self._before.setFocus(Qt.FocusReason.OtherFocusReason)
        self.closed.emit()

    def _fit_window(self) -> None:
        self.setGeometry(self._window.rect())
        width = min(self._size[0], self.width() - 2 * EDGE)
        height = min(self._size[1], self.height() - 2 * EDGE)
        self.card.setFixedWidth(width)
        self.card.setMaximumHeight(height)
        self.card.setMinimumHeight(height if self._fill else 0)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the window's size."""
        if watched is self._window and event.type() == QEvent.Type.Resize:
            self._fit_window()
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape closes; nothing behind the sheet reacts to keys."""
        if event.key() == Qt.Key.Key_Escape:
            self.close_sheet()
        else:
            event.accept()

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab goes round inside."""
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
        """Dim what lies behind."""
        painter = QPainter(self)
        shade = QColor(colours().sidebar if colours().name == "dark" else colours().text)
        shade.setAlpha(170 if colours().name == "dark" else 90)
        painter.fillRect(self.rect(), shade)
        painter.end()
