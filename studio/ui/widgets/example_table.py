"""The examples as a table that stays quick with hundreds of thousands of rows, and a box to search in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLineEdit, QTableView, QVBoxLayout, QWidget

from studio.ui.language import examples as counted
from studio.ui.language import tr
from studio.ui.theme import GAP
from studio.ui.widgets.text import label

if TYPE_CHECKING:
    from studio.data.examples import Example

Index = QModelIndex | QPersistentModelIndex

CELL = 300
"""Characters of a cell that are shown; the whole text is in the tooltip and beside the table."""


class ExampleModel(QAbstractTableModel):
    """Number, question and answer of each example. Filtering keeps a list of positions, so nothing is copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._examples: Sequence[Example] = ()
        self._plain = False
        self._shown: Sequence[int] = ()
        self._searched: list[str] | None = None

    def set_examples(self, examples: Sequence[Example]) -> None:
        """Show these, all of them."""
        self.beginResetModel()
        self._examples = examples
        self._plain = bool(examples) and not examples[0].messages
        self._shown = range(len(examples))
        self._searched = None
        self.endResetModel()

    def search(self, words: str) -> None:
        """Show only examples that contain every one of these words, in either column and in any case."""
        wanted = words.casefold().split()
        self.beginResetModel()
        if not wanted:
            self._shown = range(len(self._examples))
        else:
            if self._searched is None:  # made once, when somebody searches at all
                self._searched = [f"{e.question}\n{e.answer}".casefold() for e in self._examples]
            self._shown = [i for i, text in enumerate(self._searched) if all(word in text for word in wanted)]
        self.endResetModel()

    def example(self, row: int) -> Example:
        return self._examples[self._shown[row]]

    def position(self, row: int) -> int:
        """Where the row stands among all examples, from 0."""
        return self._shown[row]

    @property
    def total(self) -> int:
        return len(self._examples)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def columnCount(self, parent: Index | None = None) -> int:
        if parent is not None and parent.isValid():
            return 0
        return 2 if self._plain else 3

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() == 0:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        text = self._cell(index.row(), index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return " ".join(text[:CELL].split())
        return text[:1500] if len(text) > 30 else None

    def _cell(self, row: int, column: int) -> str:
        if column == 0:
            return str(self._shown[row] + 1)
        example = self.example(row)
        if self._plain:
            return example.text
        return example.question if column == 1 else example.answer

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section == 0 else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if self._plain:
            return ("#", tr("Text"))[section]
        return ("#", tr("Question"), tr("Answer"))[section]


class ExampleTable(QWidget):
    """Search box, count and table. `selected` carries the chosen example, None when there is none."""

    selected = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ExampleModel(self)
        self.box = QLineEdit()
        self.box.setPlaceholderText(tr("Search the examples"))
        self.box.setAccessibleName(tr("Search the examples"))
        self.box.setClearButtonEnabled(True)
        self.count = label("", "small")
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setAccessibleName(tr("Examples"))
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setAlternatingRowColors(False)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setTabKeyNavigation(False)
        self.view.verticalHeader().setVisible(False)
        self.view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.view.verticalHeader().setDefaultSectionSize(max(32, self.fontMetrics().height() + 14))
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setMinimumHeight(160)
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(200)
        self._wait.timeout.connect(self._search)
        self.box.textChanged.connect(lambda _text: self._wait.start())
        self.view.selectionModel().currentRowChanged.connect(self._on_row_changed)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.box)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.count)

    def set_examples(self, examples: Sequence[Example]) -> None:
        """Show these and select the first."""
        self.model.set_examples(examples)
        self._size_columns()
        if self.box.text():
            self._search()
        else:
            self._after_change()

    def _size_columns(self) -> None:
        header = self.view.horizontalHeader()
        digits = self.fontMetrics().horizontalAdvance("0" * max(3, len(str(self.model.total))))
        header.setMinimumSectionSize(digits + 24)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        header.resizeSection(0, digits + 24)
        for column in range(1, self.model.columnCount()):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)

    def _search(self) -> None:
        self.model.search(self.box.text())
        self._after_change()

    def _after_change(self) -> None:
        shown, total = self.model.rowCount(), self.model.total
        if shown == total:
            self.count.setText(counted(total))
        else:
            self.count.setText(tr("{shown:,} of {total:,} examples", shown=shown, total=total))
        if shown:
            self.view.selectRow(0)
        else:
            self.selected.emit(None)

    def _on_row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.selected.emit(self.model.example(current.row()))
