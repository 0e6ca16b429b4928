"""Which models fit which cards: for every model of the list and every size of card, the longest example that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSortFilterProxyModel, Qt, Slot
from PySide6.QtWidgets import QHBoxLayout, QHeaderView, QLineEdit, QWidget

from studio.ui.controls.layout import hbox
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.status_icon import SeverityIcon
from studio.ui.controls.table import RowsModel, table_view
from studio.ui.controls.text import button, combo_box, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL
from studio.ui.state.background import run_in_background
from studio.ui.state.memory_fit import MemoryFit
from studio.ui.state.memory_scenario import on_card
from studio.ui.train.fit_card import LOOKS, verdict

if TYPE_CHECKING:
    from studio.memory.model_by_card import Row

BEFORE = 2
"""Columns before the cards: model and size."""


class FitTableModel(RowsModel["Row"]):
    """Rows of `studio.memory.model_by_card`."""

    def cell(self, row: Row, column: int, role: int) -> object:
        """Tokens, or a dash where not even a short example fits."""
        if column < BEFORE:
            if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
                return row.model if column == 0 else billions(row.parameters)
            return None
        longest = row.longest[column - BEFORE]
        if role == Qt.ItemDataRole.DisplayRole:
            return tokens(longest) if longest else "\N{EN DASH}"
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return tr("Examples of up to {n} {n:token|tokens}", n=f"{longest:,}") if longest else tr("Doesn't fit")
        return None


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
        self.method = combo_box(tr("How it learns"), ((tr(name), method) for method, name in METHOD_WORDS.items()))
        kind = memory_fit.scenario.recipe.method.kind if memory_fit.scenario is not None else "qlora"
        self.method.setCurrentIndex(max(0, self.method.findData(kind)))
        row = hbox((self.search, 1), self.method)
        body.addLayout(row)
        headings = (tr("Model"), tr("Size"), *(tr("{n} GB", n=size) for size in CARDS))
        self.model = FitTableModel(headings, range(1, len(headings)))
        self._rows: tuple[Row, ...] = ()
        self._filter = QSortFilterProxyModel()
        self._filter.setSourceModel(self.model)
        self._filter.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.view = table_view(tr("Which models fit which cards?"), self._filter, 32)
        self.view.setAlternatingRowColors(True)
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
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
        self.search.textChanged.connect(lambda text: self._filter.setFilterFixedString(text.strip()))
        self.search.textChanged.connect(self._show_about)
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
        sizes = ((tr("{n} GB", n=size), size) for size in cards)
        self.what_if = combo_box(tr("What if I had a card of this size?"), sizes)
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
        self.model.show_rows([row for row in self._rows if row.method == self.method.currentData()])
        self._show_about()

    def _show_rows(self, rows: tuple[Row, ...]) -> None:
        self._rows = rows
        self._choose()

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
        if not self._rows:
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
