"""Which models fit which cards: for every model of the list and every size of card, the longest example that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableView,
    QWidget,
)

from studio.ui.controls.layout import hbox
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.status_icon import SeverityIcon
from studio.ui.controls.text import button, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL
from studio.ui.state.background import run_in_background
from studio.ui.state.memory_fit import MemoryFit
from studio.ui.state.memory_scenario import on_card
from studio.ui.train.fit_card import LOOKS, verdict

if TYPE_CHECKING:
    from studio.memory.model_by_card import Row

Index = QModelIndex | QPersistentModelIndex

METHOD_ROLE = Qt.ItemDataRole.UserRole + 1
BEFORE = 2
"""Columns before the cards: model and size."""


class FitTableModel(QAbstractTableModel):
    """Rows of `studio.memory.model_by_card`, one for each model and method."""

    def __init__(self, cards: tuple[int, ...]) -> None:
        super().__init__()
        self.cards = cards
        self.rows: tuple[Row, ...] = ()

    def show_rows(self, rows: tuple[Row, ...]) -> None:
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else BEFORE + len(self.cards)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            heads = (tr("Model"), tr("Size"))
            return heads[section] if section < BEFORE else tr("{n} GB", n=self.cards[section - BEFORE])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Tokens, or a dash where not even a short example fits."""
        row, column = self.rows[index.row()], index.column()
        if role == METHOD_ROLE:
            return row.method
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if column < BEFORE:
            if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
                return row.model if column == 0 else billions(row.parameters)
            return None
        longest = row.longest[column - BEFORE]
        if role == Qt.ItemDataRole.DisplayRole:
            return tokens(longest) if longest else "\N{EN DASH}"
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return tr("Examples of up to {n} tokens", n=f"{longest:,}") if longest else tr("Doesn't fit")
        return None


class _Chosen(QSortFilterProxyModel):
    """Rows of one method whose model has the searched letters in its name."""

    def __init__(self) -> None:
        super().__init__()
        self.method = ""
        self.letters = ""

    def choose(self, method: str, letters: str) -> None:
        self.method, self.letters = method, letters.strip().casefold()
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        model = self.sourceModel()
        assert isinstance(model, FitTableModel)
        one = model.rows[row]
        return one.method == self.method and self.letters in one.model.casefold()


class FitTable(Overlay):
    """Looks nothing up outside: it is all calculated here, in about a second, beside the window."""

    def __init__(self, window: QWidget, memory_fit: MemoryFit) -> None:
        super().__init__(window, tr("Which models fit which cards?"), 1080, 760, fill=True)
        from studio.memory.model_by_card import CARDS, METHOD_WORDS

        self._memory_fit = memory_fit
        body = self.card.body
        body.setSpacing(GAP)
        words = tr(
            "The longest example, in tokens (pieces of words), that a card of that size can learn from when nothing "
            "else runs on it; 1K is 1,024. A dash: not even a short one. Calculated, not measured."
        )
        body.addWidget(label(words, "small"))
        self.search = QLineEdit(placeholderText=tr("Search a model"), clearButtonEnabled=True)
        self.search.setAccessibleName(tr("Search a model"))
        self.method = QComboBox()
        self.method.setAccessibleName(tr("How it learns"))
        for method, name in METHOD_WORDS.items():
            self.method.addItem(tr(name), method)
        kind = memory_fit.scenario.recipe.method.kind if memory_fit.scenario is not None else "qlora"
        self.method.setCurrentIndex(max(0, self.method.findData(kind)))
        row = hbox((self.search, 1), self.method)
        body.addLayout(row)
        self.model = FitTableModel(CARDS)
        self._filter = _Chosen()
        self._filter.setSourceModel(self.model)
        self.view = QTableView(showGrid=False, wordWrap=False)
        self.view.setModel(self._filter)
        self.view.setAccessibleName(tr("Which models fit which cards?"))
        self.view.setAlternatingRowColors(True)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setTabKeyNavigation(False)
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(32)
        heads = self.view.horizontalHeader()
        heads.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        heads.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        heads.setMinimumSectionSize(44)
        body.addWidget(self.view, 1)
        self.about = label(tr("Calculating the table."), "small")
        self.use = button(tr("Use this model"), "", self._use)
        self.use.setEnabled(False)
        chosen = hbox((self.about, 1), self.use)
        body.addLayout(chosen)
        body.addLayout(self._add_what_if(CARDS))
        self.search.textChanged.connect(self._choose)
        self.method.currentIndexChanged.connect(self._choose)
        self.view.selectionModel().selectionChanged.connect(self._show_about)
        self.view.selectionModel().currentRowChanged.connect(self._show_about)
        memory_fit.changed.connect(self._show_what_if)
        self._choose()
        self._show_what_if()
        self.open(self.search)
        run_in_background(self, memory_fit.model_by_card, self._show_rows)

    def _add_what_if(self, cards: tuple[int, ...]) -> QHBoxLayout:
        """The draft itself on another card, and the way out."""
        self.what_if = QComboBox()
        self.what_if.setAccessibleName(tr("What if I had a card of this size?"))
        for size in cards:
            self.what_if.addItem(tr("{n} GB", n=size), size)
        self.what_if.setCurrentIndex(self.what_if.findData(12))
        self.what_if.currentIndexChanged.connect(self._show_what_if)
        question = label(tr("Your settings, if you had"), wrap=False)
        question.setBuddy(self.what_if)
        self.icon = SeverityIcon("note", 18)
        self.answer = label("")
        close = button(tr("Close"), "", self.dismiss)
        return hbox(question, self.what_if, GAP_SMALL, self.icon, (self.answer, 1), close)

    @Slot()
    def _show_what_if(self) -> None:
        total = self.what_if.currentData()
        scenario = self._memory_fit.scenario
        found = on_card(scenario, total << 30) if scenario is not None else None
        self.icon.setVisible(found is not None)
        if found is None:
            self.answer.setText(tr("Choose a model first."))
            return
        self.icon.show_severity(LOOKS[found.verdict], tr(found.word))
        self.answer.setText(verdict(found))

    @Slot()
    def _choose(self) -> None:
        self._filter.choose(self.method.currentData(), self.search.text())
        self._show_about()

    def _show_rows(self, rows: tuple[Row, ...]) -> None:
        self.model.show_rows(rows)
        self._show_about()

    def chosen(self) -> Row | None:
        index = self.view.currentIndex()
        return self.model.rows[self._filter.mapToSource(index).row()] if index.isValid() else None

    def _use(self) -> None:
        row = self.chosen()
        if row is not None:
            self._memory_fit.choose_model(row.model)
            self.dismiss()

    @Slot()
    def _show_about(self) -> None:
        row = self.chosen()
        self.use.setEnabled(row is not None)
        if not self.model.rows:
            return
        if not self._filter.rowCount():
            self.about.setText(tr("No model of the list has this in its name."))
            return
        if row is None:
            self.about.setText(tr("{n} models. Choose one to see its licence.", n=self._filter.rowCount()))
            return
        self.about.setText(
            tr(
                "{model}: {parameters:,} parameters, licence {licence}.",
                model=row.model,
                parameters=row.parameters,
                licence=row.licence,
            )
        )


def tokens(count: int) -> str:
    """A length as models are described: 32K are 32 x 1,024 tokens. Rounded down, so that it fits."""
    return f"{count // 1024}K" if count >= 1024 else str(count)


def billions(parameters: int) -> str:
    """Parameters as models are named after: 7.6 B, 135 M."""
    return f"{parameters / 1e9:.1f} B" if parameters >= 950_000_000 else f"{parameters / 1e6:.0f} M"
