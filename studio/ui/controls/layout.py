"""How widgets are laid out: rows and columns of what they hold, cards, and what scrolls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLayout, QLayoutItem, QScrollArea, QVBoxLayout, QWidget

from studio.ui.controls.text import label
from studio.ui.design.theme import GAP, GAP_WIDE

LayoutT = TypeVar("LayoutT", bound=QBoxLayout)

Item = QWidget | QLayout | int | None | tuple[QWidget | QLayout | None, int] | tuple[QWidget, Qt.AlignmentFlag]
"""What stands in a row or column: a widget or layout, pixels of space, or `STRETCH`; as a pair with the share of the
room that it takes, or with its alignment."""
STRETCH = None
TOP, LEFT, MIDDLE = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignVCenter


def hbox(
    *items: Item, on: QWidget | None = None, gap: int = GAP, margins: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> QHBoxLayout:
    """A row, installed `on` a widget where one is given."""
    return _filled(QHBoxLayout() if on is None else QHBoxLayout(on), items, gap, margins)


def vbox(
    *items: Item, on: QWidget | None = None, gap: int = GAP, margins: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> QVBoxLayout:
    """A column, installed `on` a widget where one is given."""
    return _filled(QVBoxLayout() if on is None else QVBoxLayout(on), items, gap, margins)


def add_all(layout: QBoxLayout, *items: Item) -> None:
    for item in items:
        one, how = item if isinstance(item, tuple) else (item, 0 if item is not None else 1)
        if isinstance(one, QWidget):
            layout.addWidget(one, 0, how) if isinstance(how, Qt.AlignmentFlag) else layout.addWidget(one, how)
        elif isinstance(one, QLayout):
            layout.addLayout(one, int(how))
        elif one is None:
            layout.addStretch(int(how))
        else:
            layout.addSpacing(one)


def _filled(layout: LayoutT, items: Iterable[Item], gap: int, margins: tuple[int, int, int, int]) -> LayoutT:
    layout.setContentsMargins(*margins)
    layout.setSpacing(gap)
    add_all(layout, *items)
    return layout


class Card(QFrame):
    """Add content to `body`. With a `title`, `head` is the row it stands in; add quiet buttons there."""

    def __init__(self, title: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", "true")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(GAP_WIDE, GAP_WIDE, GAP_WIDE, GAP_WIDE)
        self.body.setSpacing(GAP)
        self.head = QHBoxLayout()
        self.head.setSpacing(GAP)
        self.body.addLayout(self.head)
        if title:
            self.title = label(title, "strong", wrap=False)
            self.head.addWidget(self.title, 1)
            self.setAccessibleName(title)


class FlowLayout(QLayout):
    """From left to right, then down. Hidden widgets take no room."""

    def __init__(self, parent: QWidget | None = None, gap: int = GAP) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self._gap = gap
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._place(rect, move=True)

    def sizeHint(self) -> QSize:
        shown = [item.sizeHint() for item in self._items if not item.isEmpty()]
        width = sum(size.width() for size in shown) + self._gap * max(0, len(shown) - 1)
        return QSize(width, max((size.height() for size in shown), default=0))

    def minimumSize(self) -> QSize:
        found = QSize()
        for item in self._items:
            if not item.isEmpty():
                found = found.expandedTo(item.minimumSize())
        return found

    def _place(self, rect: QRect, *, move: bool) -> int:
        x, y, line = rect.x(), rect.y(), 0
        for item in self._items:
            if item.isEmpty():
                continue
            size = item.sizeHint()
            if x > rect.x() and x + size.width() > rect.right() + 1:
                x, y, line = rect.x(), y + line + self._gap, 0
            if move:
                item.setGeometry(QRect(QPoint(x, y), QSize(min(size.width(), max(1, rect.width())), size.height())))
            x += size.width() + self._gap
            line = max(line, size.height())
        return y + line - rect.y()


class FlowWidget(QWidget):
    """Holds a `FlowLayout` and stays as high as its lines need, which a scroll area would not find out."""

    def __init__(self, parent: QWidget | None = None, gap: int = GAP) -> None:
        super().__init__(parent)
        self.flow = FlowLayout(self, gap)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Look again after widgets came, went or changed their text."""
        self.setFixedHeight(self.flow.heightForWidth(self.width()))


def follow(before: QWidget, after: Iterable[QWidget]) -> QWidget:
    """The widgets of `after` come one after the other behind `before`. Returns the last of them."""
    for widget in after:
        QWidget.setTabOrder(before, widget)
        before = widget
    return before


def scroll_area(content: QWidget) -> QScrollArea:
    """`content` in a frameless area that scrolls up and down only."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(content)
    area.viewport().setAutoFillBackground(False)
    content.setAutoFillBackground(False)
    return area
