"""Which file the examples come from, how it was read, what of that is doubtful, and which column is what."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from studio.core.translatable import Sentence
from studio.ui.controls.editors import Dropdown
from studio.ui.controls.layout import MIDDLE, Card, follow, hbox, vbox
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.text import ElidedLabel, button, clear_layout_widget, line
from studio.ui.data.column_mapping import ColumnMappingEditor
from studio.ui.data.drop_area import SOURCES
from studio.ui.data.reading_options import NO_NAMES, ReadingOptions, doubt_words, has_names, source_facts, source_name
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_WIDE

if TYPE_CHECKING:
    from studio.core.recipe.data_choice import DataChoice
    from studio.dataset.table import Doubt, Table


class SourceCard(Card):
    """`replace_requested` carries file, folder, paste, hub or sample; `reading_changed` maps fields of `DataChoice`
    to new values; `confirmed` carries the doubt that a person called right."""

    replace_requested = Signal(str)
    reading_changed = Signal(dict)
    confirmed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setAccessibleName(tr("Your data"))
        self.body.setContentsMargins(GAP_WIDE, GAP + 2, GAP_WIDE, GAP + 2)
        self._shown: object = None
        self._table: Table | None = None
        self.doubts: dict[Doubt, NoticeBar] = {}
        self.name = ElidedLabel("strong")
        self.facts = ElidedLabel("small")
        self.sheet = Dropdown(tr("Sheet"))
        self.sheet.currentIndexChanged.connect(lambda _index: self.reading_changed.emit({"sheet": self.sheet.value()}))
        self.how = button(tr("Change how it is read"), "link", self._toggle)
        self.replace = QPushButton(tr("Choose another"))
        self.replace.setAccessibleName(tr("Choose other data"))
        menu = QMenu(self.replace)
        for which, text in SOURCES.items():
            menu.addAction(tr(text)).triggered.connect(partial(self._replace, which))
        self.replace.setMenu(menu)

        row = hbox(
            (vbox(self.name, self.facts, gap=0), 1), (self.how, MIDDLE), (self.sheet, MIDDLE), (self.replace, MIDDLE)
        )
        self.body.addLayout(row)
        self._asked = vbox()
        self.body.addLayout(self._asked)
        self.options = ReadingOptions()
        self.options.changed.connect(self.reading_changed)
        self.options.hide()
        self.body.addWidget(self.options)
        self._line = line()
        self.body.addWidget(self._line)
        self.mapping = ColumnMappingEditor(after=self.options.chunk)
        self.body.addWidget(self.mapping)

    def show_beginning(self, table: Table, settled: Sequence[str] = ()) -> None:
        """The first rows of a file that is still being read: how it was read and what its columns are comes later.

        Where the same file is read in another way, what a person works with stays in its place, and the keyboard too.
        """
        self._shown = None
        self.name.setText(source_name(table.path))
        self.facts.setText(tr("the first {n} rows", n=f"{len(table.rows):,}"))
        self._show_doubts(table, settled)
        if self._table is not None and self._table.path == table.path:
            self.mapping.setEnabled(False)  # its columns may be others now
            return
        for part in (self.how, self.sheet, self.mapping, self._line):
            part.hide()
        self._fold_options()

    def show_table(
        self, table: Table, choice: DataChoice, *, sure: bool, why: Sequence[Sentence], settled: Sequence[str] = ()
    ) -> None:
        """Paint what was read, and how. Doubts that are `settled` aren't asked again."""
        shown = (id(table), choice, sure, tuple(why), tuple(settled))
        if shown == self._shown:
            return  # progress is told many times a second, and what is being written or chosen should stay
        self._shown = shown
        self._line.show()
        self.mapping.show()
        self.mapping.setEnabled(True)
        self.name.setText(source_name(table.path))
        self.name.setAccessibleDescription(str(table.path))
        self.facts.setText(source_facts(table, choice.chunk_size))
        self.how.setVisible(self.options.offers(table))
        if self.how.isHidden() or (self._table is not None and self._table.path != table.path):
            self._fold_options()
        self.sheet.setVisible(len(table.sheets) > 1)
        self.sheet.show_values([(name, name) for name in table.sheets], table.sheet)
        if not self.options.isHidden():
            self.options.show_table(table, choice)
        self._table, self._choice = table, choice
        self._show_doubts(table, settled)
        self.mapping.show_table(table, choice.mapping, choice.system_prompt, sure=sure, why=why)

    def _show_doubts(self, table: Table, settled: Sequence[str]) -> None:
        for asked in self.doubts.values():
            clear_layout_widget(asked)
        self.doubts = {}
        last: QWidget = self.replace
        for doubt in table.doubts:
            if doubt in settled:
                continue
            asked = NoticeBar(doubt_words(doubt, table))
            answers = [asked.add(tr("Looks right"), partial(self._confirm, doubt))]
            if doubt == "header" and has_names(table):
                no_names = partial(self.reading_changed.emit, {"header_row": NO_NAMES})
                answers.append(asked.add(tr("No, they are an example"), no_names))
            answers.append(asked.add(tr("Choose another"), partial(self._choose_other, doubt)))
            self._asked.addWidget(asked)
            last = follow(last, answers)
            self.doubts[doubt] = asked

    def _confirm(self, doubt: Doubt) -> None:
        clear_layout_widget(self.doubts.pop(doubt))
        self.confirmed.emit(doubt)

    def _choose_other(self, doubt: Doubt) -> None:
        if doubt == "sheet":
            self.sheet.setFocus()
            self.sheet.showPopup()
            return
        if self.options.isHidden():
            self._toggle()
        self.options.focus_field(doubt)

    def _replace(self, which: str, _checked: bool = False) -> None:
        self.replace_requested.emit(which)

    def _toggle(self) -> None:
        opening = self.options.isHidden()
        if opening and self._table is not None:
            self.options.show_table(self._table, self._choice)
            self.options.show()
            self.how.setText(tr("Done"))
            self.options.focus_first()
        else:
            self._fold_options()

    def _fold_options(self) -> None:
        self.options.hide()
        self.how.setText(tr("Change how it is read"))
