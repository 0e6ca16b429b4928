"""Which column is what: a dropdown for what one example is, one for each role, and a button for more columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QFrame, QLineEdit, QMenu, QPushButton, QWidget

from studio.core.problems import Problem
from studio.core.recipe.data_choice import ColumnMapping, DatasetFormat
from studio.core.translatable import Sentence
from studio.dataset.table import Table
from studio.ui.controls.editors import Dropdown
from studio.ui.controls.layout import FlowWidget, follow, hbox, vbox
from studio.ui.controls.text import ElidedLabel, button, clear_layout_widget, label, restyle, say
from studio.ui.data.column_roles import (
    FORMATS,
    ROLES,
    Reading,
    assigned,
    column_role_words,
    columns_of,
    example_words,
    first_example,
    format_words,
    mapping_words,
    reformatted,
    speakers,
    two_readings,
)
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE

SEVERAL = object()
"""Chosen in the dropdown of the question: it is made from several columns."""
LONGEST_REASON = 240
"""Characters of why the mapping was guessed so that are shown: it names columns, which may be called anything."""
LINE_BREAK = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"
"""Stands for a new line, which a field of one line can't show."""
ELLIPSIS = " \N{HORIZONTAL ELLIPSIS}"
SETTLES = 400
"""Milliseconds after the last key until a template is tried."""


@dataclass(frozen=True)
class _Field:
    """A dropdown as it should look now. `key` is a role with its place among several, or a field of the mapping."""

    key: tuple[str, int]
    name: str
    values: tuple[tuple[str, object], ...]
    now: object


class ColumnMappingEditor(QWidget):
    """`show_table` paints without telling; `mapping_chosen` carries the `ColumnMapping` that a person chose,
    `confirmed` comes when the guess was called right."""

    mapping_chosen = Signal(object)
    confirmed = Signal()

    def __init__(self, after: QWidget | None = None, parent: QWidget | None = None) -> None:
        """The Tab key comes here from `after`."""
        super().__init__(parent)
        self._after = after
        self._table: Table | None = None
        self._mapping = ColumnMapping()
        self._format: DatasetFormat = "pair"
        self._system_prompt = ""
        self._added: set[str] = set()
        self.dropdowns: dict[tuple[str, int], Dropdown] = {}
        self._places: dict[tuple[str, int], QWidget] = {}
        self.unsure = ReadingsNotice()
        self.unsure.chosen.connect(self._on_reading_chosen)
        self.unsure.hide()
        self._fields = FlowWidget()
        self.add = button(tr("+ column"), "quiet")
        self.add.setAccessibleName(tr("Use another column"))
        self._roles = QMenu(self.add)
        self.add.setMenu(self._roles)
        self._fields.flow.addWidget(self.add)
        self.template = TemplateLine()
        self.template.edited.connect(self._on_template)
        self.example = label("", "small")
        vbox(self.unsure, self._fields, self.template, self.example, on=self)

    def show_table(
        self, table: Table, mapping: ColumnMapping, system_prompt: str, *, sure: bool, why: Sequence[Sentence]
    ) -> None:
        """Offer this table's columns and show this mapping; a guess that isn't `sure` is asked about."""
        other = self._table is None or (table.path, table.columns) != (self._table.path, self._table.columns)
        self._table, self._mapping, self._system_prompt = table, mapping, system_prompt
        if mapping.format is not None:
            self._format = mapping.format
        elif other:
            self._format = "pair"  # not what the file before was
        if other:
            self._added = {"question_template"} if mapping.question_template else set()
        readings = () if sure or mapping.format is None else two_readings(table, mapping, system_prompt)
        self.unsure.show_readings(readings, why)
        self.unsure.setVisible(bool(readings))
        self._paint()

    def focus_first(self) -> None:
        """Put the keyboard where two readings wait to be told apart, where a column is missing, else on the format."""
        missing = [key for key, box in self.dropdowns.items() if key[0] in self._needed() and box.value() is None]
        if not self.unsure.isHidden() and self.unsure.answers:
            self.unsure.answers[0].setFocus()
        else:
            self.dropdowns[missing[0] if missing else ("format", 0)].setFocus()

    def _needed(self) -> tuple[str, ...]:
        return ROLES[self._format][0]

    # How it looks

    def _paint(self) -> None:
        table = self._table
        assert table is not None
        fields = self._all_fields(table)
        for key in [key for key in self.dropdowns if key not in {field.key for field in fields}]:
            clear_layout_widget(self._places.pop(key))
            del self.dropdowns[key]
        for field in fields:
            if field.key not in self.dropdowns:
                self._make(field)
            self.dropdowns[field.key].show_values(field.values, field.now)
        for widget in (*(self._places[field.key] for field in fields), self.add):  # in the order of the fields
            self._fields.flow.removeWidget(widget)
            self._fields.flow.addWidget(widget)
            widget.show()
        boxes = [self.dropdowns[field.key] for field in fields]
        stops = [*self.unsure.answers, *boxes, self.add, self.template.line, self.template.insert]
        follow(self._after or stops[0], stops[0 if self._after else 1 :])
        more = [role for role in ROLES[self._format][1] if (role, 0) not in self.dropdowns]
        self._roles.clear()
        for role in more:
            self._roles.addAction(column_role_words(role)).triggered.connect(lambda _=False, role=role: self._add(role))
        unused = len(table.columns) > len(self._mapping.columns())
        self.add.setVisible(bool(more) and unused)
        self._fields.fit()
        with_template = "question_template" in self._added and "question" in self._needed()
        self.template.setVisible(with_template)
        if with_template:
            self.template.show_template(self._mapping.question_template or "", table.columns)
        found = first_example(table, self._mapping, self._system_prompt)
        wrong = isinstance(found, Problem | Sentence)
        about_template = wrong and with_template and bool(self._mapping.question_template)
        self.template.show_problem(example_words(found) if about_template else "")
        self.example.setText(
            example_words(found) if wrong else tr("The first example: {example}", example=example_words(found))
        )
        self.example.setVisible(not about_template and self.unsure.isHidden())
        self.example.setProperty("role", "bad" if wrong else "small")
        restyle(self.example)

    def _all_fields(self, table: Table) -> list[_Field]:
        formats = tuple((format_words(form), form) for form in FORMATS)
        fields = [_Field(("format", 0), tr("What one example is"), formats, self._format)]
        columns: tuple[tuple[str, object], ...] = tuple((name, name) for name in table.columns)
        nothing: tuple[tuple[str, object], ...] = ((tr("no column"), None),)
        for role in (*self._needed(), *ROLES[self._format][1]):
            chosen = columns_of(self._mapping, role)
            name = column_role_words(role)
            if role == "options":  # one dropdown for each, and one more
                for place in range(min(len(chosen) + 1, len(table.columns))):
                    numbered = tr("Option {n}", n=place + 1)
                    fields.append(_Field((role, place), numbered, (*nothing, *columns), (*chosen, None)[place]))
            elif role in self._needed():
                more = ((tr("several columns"), SEVERAL),) if role == "question" and len(columns) > 1 else ()
                several = role == "question" and "question_template" in self._added
                now: object = SEVERAL if several else next(iter(chosen), None)
                fields.append(_Field((role, 0), name, (*columns, *more), now))
            elif chosen or role in self._added:
                for place, column in enumerate(chosen or (None,)):
                    fields.append(_Field((role, place), name, (*nothing, *columns), column))
        if self._format == "turns" and self._mapping.speaker:
            names = speakers(table, self._mapping.speaker)
            names += [n for n in (self._mapping.assistant_speaker,) if n and n not in names]
            who = ((tr("find out"), None), *((one, one) for one in names))
            fields.append(_Field(("assistant_speaker", 0), tr("Who answers"), who, self._mapping.assistant_speaker))
        if self._format == "options":
            first = ((tr("find out"), None), ("0", 0), ("1", 1))
            fields.append(_Field(("first_option", 0), tr("Numbers begin at"), first, self._mapping.first_option))
        return fields

    def _make(self, field: _Field) -> None:
        place = QWidget()
        box = Dropdown(field.name)
        box.setPlaceholderText(tr("choose a column"))
        box.currentIndexChanged.connect(lambda _index, key=field.key: self._on_chosen(key))
        words = label(field.name, "small", wrap=False)
        words.setBuddy(box)
        hbox(words, box, on=place, margins=(0, 0, GAP, 0))
        self.dropdowns[field.key], self._places[field.key] = box, place

    # What a person does

    def _on_chosen(self, key: tuple[str, int]) -> None:
        assert self._table is not None
        role, place = key
        value = self.dropdowns[key].value()
        if role == "format":
            self._format = FORMATS[self.dropdowns[key].currentIndex()]
            self._added.clear()
            self._choose(reformatted(self._mapping, self._format, self._table.columns))
        elif value is SEVERAL:
            self._begin_template(self._table.columns)
        elif role in ("assistant_speaker", "first_option"):
            self._choose(self._mapping.model_copy(update={role: value}))
        else:
            self._added.discard("question_template" if role == "question" else role)
            self._choose(assigned(self._mapping, role, str(value) if value is not None else None, place))

    def _add(self, role: str) -> None:
        self._added.add(role)
        self._paint()
        self.dropdowns[role, 0].setFocus()

    def _begin_template(self, columns: tuple[str, ...]) -> None:
        self._added.add("question_template")
        asked = self._mapping.question or columns[0]
        other = next((c for c in columns if c != asked and c not in self._mapping.columns()), "")
        self._on_template(("{" + other + "}: " if other else "") + "{" + asked + "}")
        self.template.line.setFocus()

    def _on_template(self, text: str) -> None:
        self._choose(self._mapping.model_copy(update={"question_template": text.strip() or None, "question": None}))

    def _on_reading_chosen(self, mapping: ColumnMapping) -> None:
        self.unsure.hide()
        self.dropdowns["format", 0].setFocus()  # the button that was pressed is gone
        if mapping == self._mapping:
            self.confirmed.emit()
        else:
            self._choose(mapping)

    def _choose(self, mapping: ColumnMapping) -> None:
        changed = mapping != self._mapping
        self._mapping = mapping
        if mapping.format is not None:
            self._format = mapping.format
        self.unsure.hide()
        self._paint()
        if changed:
            self.mapping_chosen.emit(mapping)


class ReadingsNotice(QFrame):
    """The columns can be understood in two ways: each with the example that it makes, and a press chooses it.

    `chosen` carries the `ColumnMapping` of the one that is right.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", "notice")
        self.words = label("")
        self.answers: list[QPushButton] = []
        self._rows: list[QWidget] = []
        self._column = vbox(self.words, on=self, margins=(GAP_WIDE - GAP_SMALL, GAP, GAP_WIDE - GAP_SMALL, GAP))

    def show_readings(self, readings: Sequence[Reading], why: Sequence[Sentence]) -> None:
        for row in self._rows:
            clear_layout_widget(row)
        self._rows, self.answers = [], []
        reason = " ".join(tr_sentence(one) for one in why)
        question = tr("Which is right?") if len(readings) > 1 else tr("Is this right? Otherwise choose below.")
        self.words.setText(f"{question} {shorten(reason, LONGEST_REASON, placeholder=ELLIPSIS)}")
        self.words.setToolTip(reason if len(reason) > LONGEST_REASON else "")
        self.setAccessibleName(self.words.text())
        for reading in readings:
            self._add(reading)

    def _add(self, reading: Reading) -> None:
        name, shown = mapping_words(reading.mapping), example_words(reading.example)
        made = button(shorten(name, 60, placeholder=ELLIPSIS), "", lambda: self.chosen.emit(reading.mapping))
        made.setAccessibleName(tr("This is right: {what}", what=name))
        made.setAccessibleDescription(shown)
        example = ElidedLabel("small")
        example.setText(shown)
        row = QWidget()
        hbox(made, (example, 1), on=row, gap=GAP_WIDE)
        self._column.addWidget(row)
        self._rows.append(row)
        self.answers.append(made)


class TemplateLine(QWidget):
    """A question from several columns, such as `{title}: {body}`; a menu puts the name of a column in.

    `edited` carries the text shortly after the last key; whoever listens answers with `show_problem`.
    """

    edited = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLineEdit()
        self.line.setAccessibleName(tr("Question from several columns"))
        self.insert = button(tr("Insert a column"))
        self.columns = QMenu(self.insert)
        self.insert.setMenu(self.columns)
        self.wrong = label("", "bad")
        vbox(hbox((self.line, 1), self.insert), self.wrong, on=self, gap=GAP_SMALL)
        self._wait = QTimer(self, singleShot=True, interval=SETTLES)
        self._wait.timeout.connect(self._tell)
        self.line.textEdited.connect(lambda _text: self._wait.start())
        self.line.editingFinished.connect(lambda: self._tell() if self._wait.isActive() else None)

    def show_template(self, text: str, columns: tuple[str, ...]) -> None:
        """Paint without telling; a line that is being written is left alone."""
        self.columns.clear()
        for name in columns:
            action = self.columns.addAction(name.replace("&", "&&"))
            action.triggered.connect(lambda _checked=False, name=name: self._insert(name))
        shown = text.replace("\n", LINE_BREAK)
        if not self._wait.isActive() and self.line.text() != shown:
            self.line.setText(shown)

    def show_problem(self, words: str) -> None:
        """Say below the line what is wrong with it; nothing when empty."""
        say(self.wrong, words)
        self.line.setProperty("wrong", "true" if words else "false")
        restyle(self.line)

    def _insert(self, name: str) -> None:
        self.line.insert("{" + name + "}")
        self.line.setFocus()
        self._tell()

    def _tell(self) -> None:
        self._wait.stop()
        self.edited.emit(self.line.text().replace(LINE_BREAK, "\n"))
