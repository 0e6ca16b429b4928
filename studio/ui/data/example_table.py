"""The examples as a table that stays quick with a million rows: searched, sorted and narrowed beside the window."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QAbstractTableModel, QMimeData, QModelIndex, Qt, QTimer, Signal
from PySide6.QtWidgets import QHeaderView, QLineEdit, QWidget

from studio.dataset.table import Table
from studio.ui.controls.layout import hbox, vbox
from studio.ui.controls.table import Index, table_view
from studio.ui.controls.text import button, label
from studio.ui.data.example_listing import FileRows, Listing, Wanted
from studio.ui.design.language import examples as counted
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL
from studio.ui.state.background import run_in_background
from studio.ui.state.dragged_examples import as_mime

CELL = 300
"""Characters of a cell that are shown; the whole text is in the tooltip and beside the table."""
AT_ONCE = 2_000
"""So many rows are searched and sorted without a thread: that takes some milliseconds."""
NUMBER, TOKENS = "#", "tokens"
ARROWS = {False: " \N{UPWARDS ARROW}", True: " \N{DOWNWARDS ARROW}"}
"""Behind the name of a column by which the rows are ordered; True: the largest first."""


@dataclass(frozen=True)
class View:
    """Which rows are shown in which order. `rows` are numbers of the file's rows, None for all."""

    words: tuple[str, ...] = ()
    rows: tuple[int, ...] | None = None
    column: str = NUMBER
    descending: bool = False


class ExampleModel(QAbstractTableModel):
    """Keeps a list of positions over a `Listing`, so that nothing is copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.listing: Listing = FileRows(Table(path=Path(), format="", columns=(), rows=()))
        self.tokens: Sequence[int] | None = None
        self._shown: Sequence[int] = ()
        self._seen: dict[int, tuple[str, ...]] = {}
        self._ordered, self._descending = "", False

    def show_listing(self, listing: Listing, tokens: Sequence[int] | None = None) -> None:
        """Show all of these. `tokens` are the lengths of all of them, None where they aren't known."""
        self.beginResetModel()
        self.listing = listing
        self.tokens = tokens if tokens is not None and len(tokens) == len(listing) else None
        self._shown = range(len(listing))
        self._seen = {}
        self.endResetModel()

    def show_order(self, column: str, *, descending: bool) -> None:
        self._ordered, self._descending = column, descending
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(self.columns) - 1)

    def show_positions(self, positions: Sequence[int]) -> None:
        self.beginResetModel()
        self._shown = positions
        self.endResetModel()

    @property
    def columns(self) -> tuple[str, ...]:
        return (NUMBER, *self.listing.columns, *((TOKENS,) if self.tokens is not None else ()))

    def position(self, row: int) -> int:
        """Where the row stands among all examples, from 0."""
        return self._shown[row]

    def row_of(self, position: int) -> int | None:
        """The row in which a position is shown now, None where it isn't."""
        try:
            return self._shown.index(position)
        except ValueError:
            return None

    @property
    def total(self) -> int:
        return len(self.listing)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and self._is_number(index.column()):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        text = self._cell(self._shown[index.row()], index.column())
        if role == Qt.ItemDataRole.DisplayRole:
            return " ".join(text[:CELL].split())
        return text[:1500] if len(text) > 30 else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        found = super().flags(index)
        return found if self.listing.raw else found | Qt.ItemFlag.ItemIsDragEnabled

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Whole examples, which the chat takes into its prompt."""
        rows = sorted({index.row() for index in indexes})
        found = (self.listing.example(self._shown[row]) for row in rows)
        return as_mime([one for one in found if one is not None])

    def _is_number(self, place: int) -> bool:
        return place == 0 or (self.tokens is not None and place == len(self.columns) - 1)

    def _cell(self, position: int, place: int) -> str:
        if place == 0:
            return f"{self.listing.row(position):,}"
        if self.tokens is not None and self._is_number(place):
            return f"{self.tokens[position]:,}"
        cells = self._seen.get(position)
        if cells is None:
            if len(self._seen) > 500:
                self._seen.clear()
            cells = self._seen[position] = self.listing.cells(position)
        return cells[place - 1]

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if self._is_number(section) else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(column)
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        # written, as the arrow of the header would stand on the text of a narrow column
        return self._title(column) + (ARROWS[self._descending] if column == self._ordered else "")

    def _title(self, column: str) -> str:
        if self.listing.raw:
            return column
        return {
            NUMBER: "#",
            "question": tr("Question"),
            "answer": tr("Answer"),
            "text": tr("Text"),
            TOKENS: tr("Tokens"),
        }[column]

    def _tip(self, column: str) -> str | None:
        if column == NUMBER:
            return tr("Row in the file")
        return tr("Tokens of the whole example") if column == TOKENS else None


class ExampleTable(QWidget):
    """Search box, filter chip, count and table. `selected` carries the position of the chosen example among all,
    None when there is none; `opened` comes when a person asks for it with Enter or a double click."""

    selected = Signal(object)
    opened = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ExampleModel(self)
        self.now = View()
        self._asked = 0
        self._filter_words = ""
        self.box = QLineEdit(placeholderText=tr("Search the examples"), clearButtonEnabled=True)
        self.box.setAccessibleName(tr("Search the examples"))
        self.count = label("", "small")
        self.chip = button(tr("Show all again"), "", self.clear_filter)
        self.chip.setProperty("kind", "chip")
        self.chip.hide()
        self.view = table_view(tr("Examples"), self.model, max(32, self.fontMetrics().height() + 14))
        self.view.setStyleSheet(
            "QTableView { outline: none; }"
        )  # a whole row is chosen: no cell has a frame of its own
        self.view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.view.setMinimumHeight(160)
        self.view.setDragEnabled(True)
        header = self.view.horizontalHeader()
        header.setSectionsClickable(True)
        header.sectionClicked.connect(self._on_header_clicked)
        self._wait = QTimer(self, singleShot=True, interval=200)
        self._wait.timeout.connect(self._search)
        self.box.textChanged.connect(lambda _text: self._wait.start())
        self.view.selectionModel().currentRowChanged.connect(self._on_row_changed)
        self.view.doubleClicked.connect(lambda _index: self.opened.emit())
        self.view.activated.connect(lambda _index: self.opened.emit())

        vbox(self.box, (self.view, 1), hbox((self.count, 1), self.chip, gap=GAP_SMALL), on=self)

    def show_listing(self, listing: Listing, tokens: Sequence[int] | None = None) -> None:
        """Show these; the search and the order stay as they are where they still make sense."""
        position = self._current_position() if len(listing) == self.model.total else None
        self.model.show_listing(listing, tokens)
        if self.now.column not in self.model.columns or (listing.raw and self.now.column != NUMBER):
            self.now = replace(self.now, column=NUMBER, descending=False)
            self._show_order()
        self._size_columns()
        if self.now == View():
            self._after_change(position)
        else:
            self._arrange(position)

    def filter_rows(self, rows: tuple[int, ...], words: str) -> None:
        """Show only what came from these rows of the file; `words` say on a chip why."""
        self._filter_words = words
        self.chip.setText(words + "  \N{MULTIPLICATION SIGN}")
        self.chip.setAccessibleName(tr("Show all again, not only: {what}", what=words))
        self.chip.setToolTip(tr("Show all again"))
        self.chip.show()
        self.now = replace(self.now, rows=rows)
        self._arrange()

    def clear_filter(self) -> None:
        self.chip.hide()
        if self.now.rows is not None:
            self.now = replace(self.now, rows=None)
            self._arrange()

    def sort_by(self, column: str, descending: bool = False) -> None:
        """Order by one of the model's columns; `#` is the order of the file."""
        self.now = replace(self.now, column=column, descending=descending)
        self._show_order()
        self._arrange()

    def _show_order(self) -> None:
        """An arrow in the header, unless it is the order of the file."""
        plain = self.now.column == NUMBER and not self.now.descending
        self.model.show_order("" if plain else self.now.column, descending=self.now.descending)

    def _on_header_clicked(self, section: int) -> None:
        column = self.model.columns[section]
        if self.model.listing.raw and column != NUMBER:
            self.sort_by(NUMBER)
            return
        same = column == self.now.column
        self.sort_by(column, not self.now.descending if same else column == TOKENS)

    def _search(self) -> None:
        words = tuple(self.box.text().split())
        if words != self.now.words:
            self.now = replace(self.now, words=words)
            self._arrange()

    def _arrange(self, position: int | None = None) -> None:
        """Find out which rows stand where, and show that unless something newer was asked meanwhile."""
        self._asked += 1
        number = self._asked
        listing, tokens, view = self.model.listing, self.model.tokens, self.now

        def found(positions: Sequence[int]) -> None:
            if number == self._asked:
                self.model.show_positions(positions)
                self._after_change(position)

        if len(listing) <= AT_ONCE:
            found(arranged(listing, tokens, view, lambda: True))
            return
        self.count.setText(tr("Looking ..."))
        run_in_background(self, lambda: arranged(listing, tokens, view, lambda: number == self._asked), found)

    def _after_change(self, position: int | None = None) -> None:
        shown, total = self.model.rowCount(), self.model.total
        if shown != total:
            self.count.setText(tr("{shown:,} of {total:,}", shown=shown, total=total))
        elif self.model.listing.raw:
            self.count.setText(tr("{n} {n:row, as it stands|rows, as they stand} in the file", n=f"{total:,}"))
        else:
            self.count.setText(counted(total))
        if not shown:
            self.selected.emit(None)
            return
        self.view.selectRow((self.model.row_of(position) if position is not None else None) or 0)

    def _current_position(self) -> int | None:
        index = self.view.currentIndex()
        return self.model.position(index.row()) if index.isValid() else None

    def _size_columns(self) -> None:
        header = self.view.horizontalHeader()
        digit = self.fontMetrics().horizontalAdvance("0")
        last = self.model.total
        narrow = {
            NUMBER: digit * max(3, len(f"{last:,}")) + 22,
            TOKENS: max(digit * 7, self.fontMetrics().horizontalAdvance(tr("Tokens") + ARROWS[True])) + 22,
        }
        header.setMinimumSectionSize(48)
        for place, column in enumerate(self.model.columns):
            if column in narrow:
                header.setSectionResizeMode(place, QHeaderView.ResizeMode.Fixed)
                header.resizeSection(place, narrow[column])
            elif len(self.model.columns) <= 5:
                header.setSectionResizeMode(place, QHeaderView.ResizeMode.Stretch)
            else:
                header.setSectionResizeMode(place, QHeaderView.ResizeMode.Interactive)
                header.resizeSection(place, 160)

    def _on_row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.selected.emit(self.model.position(current.row()))


def arranged(listing: Listing, tokens: Sequence[int] | None, view: View, wanted: Wanted) -> Sequence[int]:
    """Positions in the order of `view`. May take long: for a million examples a second or two."""
    kept: Sequence[int] | None = None
    if view.rows is not None:
        kept = listing.with_rows(view.rows, wanted)
    if view.words:
        found = listing.containing(view.words, wanted)
        chosen = frozenset(kept) if kept is not None else None
        kept = found if chosen is None else array("i", (position for position in found if position in chosen))
    if view.column == NUMBER:
        order: Sequence[int] = range(len(listing)) if kept is None else kept
        return order[::-1] if view.descending else order
    if view.column == TOKENS and tokens is not None:
        order = _by_number(tokens)
    else:
        order = listing.sorted_by(view.column, wanted)
    if view.descending:
        order = order[::-1]
    if kept is None:
        return order
    chosen = frozenset(kept)
    return array("i", (position for position in order if position in chosen))


def _by_number(numbers: Sequence[int]) -> array[int]:
    """Positions by ascending number. By counting: a sort of a million would keep the window's thread waiting."""
    places: dict[int, array[int]] = {}
    for position, number in enumerate(numbers):
        places.setdefault(number, array("i")).append(position)
    order = array("i")
    for number in sorted(places):
        order.extend(places[number])
    return order
