"""Which column plays which part: one line while that is clear, else cards to drag the parts onto or choose them at."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from studio.core.problems import Problem
from studio.core.recipe.data_choice import ColumnMapping, DatasetFormat
from studio.core.translatable import Sentence
from studio.dataset.columns.formats.pairs import QuestionTemplate
from studio.dataset.table import Table, cell_text
from studio.ui.controls.layout import FlowWidget, follow
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.text import ElidedLabel, button, clear_layout_widget, label
from studio.ui.data.column_card import ColumnCard, PartChip
from studio.ui.data.column_extras import RoleExtra
from studio.ui.data.column_parts import (
    NEEDED,
    PARTS,
    SHAPES,
    assigned,
    column_of,
    part_of,
    part_words,
    reshaped,
    roles_words,
    shape_words,
)
from studio.ui.data.first_example import FirstExample, first_example
from studio.ui.data.template_line import TemplateLine
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_WIDE

if TYPE_CHECKING:
    from studio.dataset.examples import Example

CARDS = 60
"""Columns that get a card; a file with more has them in the menus of the parts."""
SPARE = 2
"""Parts beyond the needed ones that are offered at once."""
CARDS_HIGH, BAR_HIGH = 92, 20
"""Pixels that the cards take, and a bar to scroll them where there are many."""
LONGEST_REASON = 240
"""Characters of why the parts were guessed so that are shown: it names columns, which may be called anything."""


class ColumnMappingEditor(QWidget):
    """`show_table` paints without telling; `roles_chosen` carries the `ColumnMapping` that a person chose, `confirmed`
    comes when the guess was called right."""

    roles_chosen = Signal(object)
    confirmed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._painting = False
        self._table: Table | None = None
        self._roles = ColumnMapping()
        self._shape: DatasetFormat = "pair"
        self._instructions = ""
        self._with_template = False
        self._all_parts = False
        self.cards: dict[str, ColumnCard] = {}
        self.chips: dict[str, PartChip] = {}
        self._build_line()
        self._build_editor()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.folded)
        column.addWidget(self.asking)
        column.addWidget(self.editor)

    def _build_line(self) -> None:
        self.line = ElidedLabel()
        self.change = button(tr("Change"), "link", self.open_editor)
        self.change.setAccessibleName(tr("Change which column is what"))
        self.folded = QWidget()
        row = QHBoxLayout(self.folded)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        row.addWidget(self.line, 1)
        row.addWidget(self.change)
        self.asking = NoticeBar()
        self.right = self.asking.add(tr("Looks right"), self._on_right)
        self.asking.hide()

    def _build_editor(self) -> None:
        self.form = QComboBox()
        self.form.setAccessibleName(tr("Each row is"))
        self.form.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        for shape in SHAPES:
            self.form.addItem(shape_words(shape), shape)
        self.form.currentIndexChanged.connect(lambda _index: self._on_form_changed())
        self.done = button(tr("Done"), "link", self.fold)
        self.done.setAccessibleName(tr("Fold the columns away"))
        top = QHBoxLayout()
        top.setSpacing(GAP)
        words = label(tr("Each row is"), "small", wrap=False)
        words.setBuddy(self.form)
        top.addWidget(words)
        top.addWidget(self.form)
        top.addStretch(1)
        top.addWidget(self.done)
        self._chips = FlowWidget()
        self.more = button(tr("More parts"), "link", self._on_more)
        self._chips.flow.addWidget(self.more)
        strip = QWidget()
        strip.setObjectName("content")
        self._cards = QHBoxLayout(strip)
        self._cards.setContentsMargins(0, 0, 0, 0)
        self._cards.setSpacing(GAP)
        self._cards.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setFixedHeight(CARDS_HIGH)
        bar = area.horizontalScrollBar()
        bar.rangeChanged.connect(lambda _least, most: area.setFixedHeight(CARDS_HIGH + (BAR_HIGH if most else 0)))
        area.setWidget(strip)
        self._area = area
        self.several = button(tr("Make the question from several columns"), "link", self._on_several)
        self.template = TemplateLine()
        self.template.edited.connect(self._on_template)
        left = QVBoxLayout()
        left.setSpacing(GAP)
        for part in (self._chips, area, self.template):
            left.addWidget(part)
        left.addWidget(self.several, 0, Qt.AlignmentFlag.AlignLeft)
        self.extra = RoleExtra()
        self.extra.chosen.connect(lambda field, value: self._choose(self._roles.model_copy(update={field: value})))
        left.addWidget(self.extra)
        left.addStretch(1)
        self.preview = FirstExample()
        self.preview.setMinimumWidth(220)
        both = QHBoxLayout()
        both.setSpacing(GAP_WIDE)
        both.addLayout(left, 3)
        both.addWidget(self.preview, 2)
        self.editor = QWidget()
        column = QVBoxLayout(self.editor)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addLayout(top)
        column.addLayout(both)
        self.editor.hide()

    # What is shown

    def show_table(
        self, table: Table, roles: ColumnMapping, instructions: str, *, sure: bool, why: Sequence[Sentence]
    ) -> None:
        """Offer this table's columns and show these roles; a guess that isn't `sure` is asked about, opened."""
        other = self._table is None or (table.path, table.columns) != (self._table.path, self._table.columns)
        self._table, self._roles, self._instructions = table, roles, instructions
        if roles.format is not None:
            self._shape = roles.format
        elif other:
            self._shape = "pair"  # not what the file before was
        if other:
            self._make_cards(table)
            self._with_template = bool(roles.question_template)
            self.editor.hide()
        self.line.setText(roles_words(roles))
        self.change.setText(tr("Change") if roles.format else tr("Choose the columns"))
        unsure = not sure and roles.format is not None
        self.asking.setVisible(unsure)
        if unsure:
            reason = " ".join(tr_sentence(one) for one in why)
            short = shorten(reason, LONGEST_REASON, placeholder=" \N{HORIZONTAL ELLIPSIS}")
            self.asking.ask(tr("Is this right? {why}", why=short) if reason else tr("Are these the right columns?"))
            self.asking.setToolTip(reason if short != reason else "")
        if other and (not sure or roles.format is None):
            self.editor.show()
        self.folded.setVisible(self.editor.isHidden())
        if not self.editor.isHidden():
            self._paint_editor()

    def is_open(self) -> bool:
        return not self.editor.isHidden()

    def open_editor(self) -> None:
        """Show the columns and put the keyboard where one is missing."""
        self.folded.hide()
        self.editor.show()
        self._paint_editor()
        self.focus_first()

    def fold(self) -> None:
        self.editor.hide()
        self.folded.show()
        self.change.setFocus()

    def focus_first(self) -> None:
        """Put the keyboard where a column is missing, else on the first part."""
        if self.editor.isHidden():
            self.open_editor()
            return
        needed = PARTS[self._shape][: NEEDED[self._shape]]
        missing = next((part for part in needed if not column_of(self._roles, part)), needed[0])
        self.chips[missing].setFocus()

    def _make_cards(self, table: Table) -> None:
        for card in self.cards.values():
            clear_layout_widget(card)
        first = table.rows[: min(20, len(table.rows))]
        self.cards = {}
        for place, name in enumerate(table.columns[:CARDS]):
            cell = next((text for row in first if (text := cell_text(row.get(name)).strip())), "")
            card = ColumnCard(name, cell)
            card.part_chosen.connect(self._on_part_chosen)
            self._cards.insertWidget(place, card, 0, Qt.AlignmentFlag.AlignTop)
            self.cards[name] = card

    def _paint_editor(self) -> None:
        assert self._table is not None
        self._painting = True
        self.form.setCurrentIndex(self.form.findData(self._shape))
        parts = PARTS[self._shape]
        if tuple(self.chips) != parts:
            for chip in self.chips.values():
                clear_layout_widget(chip)
            self.chips = {part: self._chip(part) for part in parts}
            self._chips.flow.removeWidget(self.more)
            self._chips.flow.addWidget(self.more)
        cards = [card.button for card in self.cards.values()]
        follow(self.done, [*self.chips.values(), self.more, *cards, self.template.line, self.several, self.extra.box])
        columns = self._table.columns
        inside = QuestionTemplate(self._roles.question_template or "").columns
        for place, (part, chip) in enumerate(self.chips.items()):
            chosen = column_of(self._roles, part)
            filled = inside if part == "question" and inside else chosen
            chip.show_columns(columns, filled, needed=place < NEEDED[self._shape])
            chip.setVisible(self._all_parts or bool(filled) or place < NEEDED[self._shape] + SPARE)
        hidden = any(chip.isHidden() for chip in self.chips.values())
        self.more.setVisible(hidden)
        self._chips.fit()
        for name, card in self.cards.items():
            card.show_part(part_of(self._roles, name) or ("question" if name in inside else ""), parts)
        asks = "question" in parts
        self.several.setVisible(asks and not self._with_template and len(columns) > 1)
        self.template.setVisible(asks and self._with_template)
        self.template.show_template(self._roles.question_template or "", columns)
        self.extra.show_table(self._table, self._roles, self._shape)
        self._painting = False
        found = first_example(self._table, self._roles, self._instructions)
        self.preview.show_example(found)
        self._show_template_problem(found)

    def _show_template_problem(self, found: Example | Problem | Sentence) -> None:
        wrong = ""
        if self._roles.question_template and isinstance(found, Problem):
            said = found.sentences()
            wrong = " ".join(tr_sentence(one) for one in (said[0], said[-1]))
        self.template.show_problem(wrong)

    def _chip(self, part: str) -> PartChip:
        chip = PartChip(part)
        chip.column_chosen.connect(lambda part, column: self._on_part_chosen(column, part))
        self._chips.flow.addWidget(chip)
        return chip

    # What a person does

    def _on_part_chosen(self, column: str, part: str) -> None:
        if part and part == part_of(self._roles, column):
            part = ""  # chosen once more: taken away
        self._choose(assigned(self._roles, part, column))

    def _on_form_changed(self) -> None:
        if self._painting or self._table is None:
            return
        self._shape = self.form.currentData()
        self._choose(reshaped(self._roles, self._shape, self._table.columns))

    def _on_more(self) -> None:
        before = {part for part, chip in self.chips.items() if not chip.isHidden()}
        self._all_parts = True
        self._paint_editor()
        next(chip for part, chip in self.chips.items() if part not in before).setFocus()

    def _on_several(self) -> None:
        self._with_template = True
        columns = self._table.columns if self._table is not None else ()
        asked = self._roles.question or next(iter(columns), "")
        others = [c for c in columns if not part_of(self._roles, c)]
        begun = "{" + others[0] + "}: {" + asked + "}" if others else "{" + asked + "}"
        self._on_template(begun)
        self.template.line.setFocus()

    def _on_template(self, text: str) -> None:
        if not text.strip():
            self._with_template = False
        self._choose(self._roles.model_copy(update={"question_template": text.strip() or None, "question": None}))

    def _on_right(self) -> None:
        self.asking.hide()
        self.fold()
        self.confirmed.emit()

    def _choose(self, roles: ColumnMapping) -> None:
        if roles == self._roles:
            return
        shape = self._shape
        self._roles = roles
        self.asking.hide()
        self._paint_editor()
        self.roles_chosen.emit(roles)
        self._shape = shape if roles.format is None else roles.format
        named = ", ".join(part_words(part) for part in PARTS[self._shape] if column_of(roles, part))
        self.setAccessibleDescription(named)
