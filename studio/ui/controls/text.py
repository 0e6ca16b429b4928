"""Small pieces that every page is made of: labels and buttons in the theme's looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QFrame, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

Role = Literal["", "title", "lead", "strong", "small", "term", "bad", "good"]
Kind = Literal["", "primary", "quiet", "link", "heading"]
SELECTABLE = Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard


def label(text: str, role: Role = "", *, wrap: bool = True) -> QLabel:
    """A label in one of the theme's looks. Text from files or models is shown as it is, never as markup."""
    made = QLabel(text, textFormat=Qt.TextFormat.PlainText, wordWrap=wrap)
    made.setProperty("role", role)
    if wrap:
        made.setMinimumWidth(40)
        made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
    return made


def rich_label(role: Role = "") -> QLabel:
    """A label for HTML of our own, in which text from files is escaped. It can be selected and copied."""
    made = QLabel(wordWrap=True, alignment=Qt.AlignmentFlag.AlignTop, textInteractionFlags=SELECTABLE)
    made.setTextFormat(Qt.TextFormat.RichText)
    made.setProperty("role", role)
    made.setMinimumWidth(40)
    return made


def say(where: QLabel, text: str) -> None:
    """Show `text`, and nothing where it is empty."""
    where.setText(text)
    where.setVisible(bool(text))


def button(text: str, kind: Kind = "", on_click: Callable[[], object] | None = None) -> QPushButton:
    """A button; `primary` once a page, `quiet` without a border, `link` for in-text actions, `heading` to open what
    stands below."""
    made = QPushButton(text)
    made.setProperty("kind", kind)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    made.setAutoDefault(True)  # Return presses the button that has the keyboard, not only the space bar
    if on_click is not None:
        made.clicked.connect(lambda: on_click())
    return made


def tool_button(text: str, name: str, on_click: Callable[[], object], kind: str = "round") -> QToolButton:
    """A button with a sign on it; its name is its tooltip too."""
    made = QToolButton()
    made.setText(text)
    made.setProperty("kind", kind)
    made.setAccessibleName(name)
    made.setToolTip(name)
    made.clicked.connect(lambda: on_click())
    return made


def combo_box(name: str, choices: Iterable[tuple[str, object]]) -> QComboBox:
    """A list of texts, each with its data; a screen reader calls it `name`."""
    made = QComboBox()
    made.setAccessibleName(name)
    for text, data in choices:
        made.addItem(text, data)
    return made


def line() -> QFrame:
    made = QFrame()
    made.setProperty("line", "true")
    return made


def restyle(widget: QWidget) -> None:
    """Make the stylesheet look at changed dynamic properties again."""
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def clear_layout_widget(widget: QWidget) -> None:
    """Take a widget out of sight and delete it when control returns to the event loop."""
    widget.hide()
    widget.setParent(None)
    widget.deleteLater()


class ElidedLabel(QLabel):
    """One line of text with "..." at its end, or in its middle, where there is no room; the whole is the tooltip."""

    def __init__(self, role: Role = "", mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__()
        self._mode = mode
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        return QSize(40, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        shown = self.fontMetrics().elidedText(self.text(), self._mode, self.width())
        self.setToolTip(self.text() if shown != self.text() else "")
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
        painter.end()
