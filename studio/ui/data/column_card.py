"""A column of the file as a small card, and the parts of an example as chips to drop onto it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QMimeData, QPoint, Qt, Signal
from PySide6.QtGui import QDrag, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QMouseEvent
from PySide6.QtWidgets import QApplication, QFrame, QMenu, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from studio.ui.controls.text import ElidedLabel, restyle
from studio.ui.data.column_parts import part_words
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL

MIME = "application/x-studio-part"
WIDTH = 156


def dragged_part(data: QMimeData) -> str:
    """The part that is being dragged, "" for anything else."""
    return bytes(data.data(MIME).data()).decode() if data.hasFormat(MIME) else ""


class ColumnCard(QFrame):
    """`part_chosen` carries the column's name and the part that it gets, "" for none."""

    part_chosen = Signal(str, str)

    def __init__(self, column: str, sample: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.column = column
        self.part = ""
        self.setProperty("card", "column")
        self.setFixedWidth(WIDTH)
        self.setAcceptDrops(True)
        self.name = ElidedLabel()
        self.name.setText(column)
        self.sample = ElidedLabel("small")
        self.sample.setText(" ".join(sample.split())[:120] or tr("(empty)"))
        self.button = QToolButton()
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.menu = QMenu(self.button)
        self.button.setMenu(self.menu)
        inside = QVBoxLayout(self)
        inside.setContentsMargins(10, 6, 10, 8)
        inside.setSpacing(GAP_SMALL)
        inside.addWidget(self.name)
        inside.addWidget(self.sample)
        inside.addWidget(self.button)
        self.show_part("", ())

    def show_part(self, part: str, parts: tuple[str, ...]) -> None:
        """`part` is what the column plays now, "" for nothing; `parts` are those to choose from."""
        self.part = part
        words = part_words(part) if part else tr("not used")
        self.button.setText(words + "  \N{BLACK DOWN-POINTING SMALL TRIANGLE}")
        self.button.setAccessibleName(tr("Column {name} is: {what}", name=self.column, what=words))
        self.menu.clear()
        for one in ("", *parts):
            action = self.menu.addAction(part_words(one) if one else tr("not used"))
            action.setCheckable(True)
            action.setChecked(one == part)
            action.triggered.connect(partial(self._choose, one))
        self._look("used" if part else "column")

    def _choose(self, part: str, _checked: bool = False) -> None:
        self.part_chosen.emit(self.column, part)

    def _look(self, look: str) -> None:
        if self.property("card") != look:
            self.setProperty("card", look)
            restyle(self)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dragged_part(event.mimeData()):
            event.acceptProposedAction()
            self._look("target")

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._look("used" if self.part else "column")

    def dropEvent(self, event: QDropEvent) -> None:
        part = dragged_part(event.mimeData())
        self._look("used" if self.part else "column")
        if part:
            event.acceptProposedAction()
            self.part_chosen.emit(self.column, part)


class PartChip(QToolButton):
    """A part to drag onto a column; pressed, it offers the columns. `column_chosen` carries part and column."""

    column_chosen = Signal(str, str)

    def __init__(self, part: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.part = part
        self.setProperty("kind", "chip")
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.setToolTip(tr("Drag it onto a column, or press it to choose one."))
        self._menu = QMenu(self)
        self._columns: tuple[str, ...] = ()
        self._chosen: tuple[str, ...] = ()
        self._pressed_at: QPoint | None = None
        self.clicked.connect(self._offer)

    def show_columns(self, columns: tuple[str, ...], chosen: tuple[str, ...], *, needed: bool) -> None:
        words = part_words(self.part)
        missing = needed and not chosen
        self.setText(f"\N{CHECK MARK} {words}" if chosen else words)
        what = ", ".join(chosen) or tr("no column yet")
        self.setAccessibleName(f"{words}: {what}")
        self.setProperty("missing", missing)
        restyle(self)
        self._columns, self._chosen = columns, chosen

    def menu_of_columns(self) -> QMenu:
        """All columns to choose from; made when it is wanted, as there may be thousands."""
        self._menu.clear()
        for column in self._columns:
            action = self._menu.addAction(column.replace("&", "&&")[:80])
            action.setCheckable(True)
            action.setChecked(column in self._chosen)
            action.triggered.connect(partial(self._choose, column))
        return self._menu

    def _choose(self, column: str, _checked: bool = False) -> None:
        self.column_chosen.emit(self.part, column)

    def _offer(self) -> None:
        self.menu_of_columns().popup(self.mapToGlobal(QPoint(0, self.height() + 2)))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed_at = event.position().toPoint()
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        moved = self._pressed_at is not None and event.buttons() & Qt.MouseButton.LeftButton
        if not moved or self._pressed_at is None:
            return
        if (event.position().toPoint() - self._pressed_at).manhattanLength() < QApplication.startDragDistance():
            return
        self._pressed_at = None
        self.setDown(False)
        drag = QDrag(self)
        data = QMimeData()
        data.setData(MIME, self.part.encode())
        drag.setMimeData(data)
        drag.setPixmap(self.grab())
        drag.exec(Qt.DropAction.CopyAction)
