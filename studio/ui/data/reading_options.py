"""How a file is read, to be changed: encoding, separator, row with the names, length of passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from studio.ui.controls.text import label
from studio.ui.data.encoding_chooser import EncodingChooser
from studio.ui.data.reading_text import DELIMITERS, delimiter_words, is_document
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE

if TYPE_CHECKING:
    from studio.core.recipe.data_choice import DataChoice
    from studio.dataset.table import Table

AUTOMATIC, NO_NAMES = -1, 0
WITH_NAMES = ("csv", "tsv", "xlsx", "txt")
"""Formats whose names of columns stand in some row."""


class ReadingOptions(QWidget):
    """`changed` maps a field of `DataChoice` to its new value."""

    changed = Signal(dict)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._painting = False
        self.encoding = EncodingChooser()
        self.encoding.chosen.connect(lambda name: self._tell("encoding", name))
        self.delimiter = QComboBox()
        self.delimiter.currentIndexChanged.connect(lambda _index: self._on_delimiter())
        self.header = QSpinBox()
        self.header.setRange(AUTOMATIC, 100)
        self.header.setSpecialValueText(tr("Automatic"))
        self.header.textFromValue = self._header_text  # type: ignore[method-assign]
        self.header.setKeyboardTracking(False)
        self.header.valueChanged.connect(self._on_header)
        self.passage = QSpinBox()
        self.passage.setRange(200, 20_000)
        self.passage.setSingleStep(100)
        self.passage.setGroupSeparatorShown(True)
        self.passage.setKeyboardTracking(False)
        self.passage.valueChanged.connect(lambda value: self._tell("chunk_size", value))
        for box in (self.header, self.passage):
            box.lineEdit().setTextMargins(6, 0, 0, 0)
        self._places: dict[str, QWidget] = {}
        fields = QVBoxLayout()
        fields.setSpacing(GAP)
        for name, text, field in (
            ("delimiter", tr("Columns are separated by"), self.delimiter),
            ("header", tr("Row with the names of the columns"), self.header),
            ("passage", tr("Length of a passage, in characters"), self.passage),
        ):
            self._places[name] = _place(text, field)
            fields.addWidget(self._places[name])
        fields.addStretch(1)
        self._places["encoding"] = _place(tr("Text encoding: choose the line that reads right"), self.encoding)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP_WIDE)
        row.addWidget(self._places["encoding"], 3)
        row.addLayout(fields, 2)

    def offers(self, table: Table) -> bool:
        """Whether anything about the reading of this table can be changed."""
        return any(self._offered(table).values())

    def _offered(self, table: Table) -> dict[str, bool]:
        return {
            "encoding": bool(table.encoding),
            "delimiter": bool(table.delimiter),
            "header": table.format in WITH_NAMES and not is_document(table),
            "passage": is_document(table),
        }

    def show_table(self, table: Table, choice: DataChoice) -> None:
        """Paint how this table was read."""
        self._painting = True
        for name, offered in self._offered(table).items():
            self._places[name].setVisible(offered)
        self.delimiter.clear()
        known = DELIMITERS if table.delimiter in DELIMITERS or not table.delimiter else (table.delimiter, *DELIMITERS)
        for delimiter in known:
            self.delimiter.addItem(delimiter_words(delimiter), delimiter)
        self.delimiter.setCurrentIndex(self.delimiter.findData(table.delimiter))
        self.header.setValue(AUTOMATIC if choice.header_row is None else choice.header_row)
        self.passage.setValue(choice.chunk_size)
        if table.encoding:
            self.encoding.show_file(table.path, table.encoding)
        self._painting = False

    def focus_field(self, field: str) -> None:
        """Put the keyboard into `encoding`, `delimiter` or `header`."""
        widgets: dict[str, QWidget] = {"encoding": self.encoding, "delimiter": self.delimiter, "header": self.header}
        widgets[field].setFocus()

    def focus_first(self) -> None:
        fields: dict[str, QWidget] = {
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "header": self.header,
            "passage": self.passage,
        }
        for name, field in fields.items():
            if not self._places[name].isHidden():
                field.setFocus()
                return

    def _header_text(self, value: int) -> str:
        return tr("none: the first row is an example") if value == NO_NAMES else str(value)

    def _on_delimiter(self) -> None:
        if self.delimiter.currentData() is not None:
            self._tell("delimiter", self.delimiter.currentData())

    def _on_header(self, value: int) -> None:
        self._tell("header_row", None if value == AUTOMATIC else value)

    def _tell(self, field: str, value: object) -> None:
        if not self._painting:
            self.changed.emit({field: value})


def _place(name: str, field: QWidget) -> QWidget:
    place = QWidget()
    column = QVBoxLayout(place)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(GAP_SMALL)
    words = label(name, "small", wrap=False)
    words.setBuddy(field)
    field.setAccessibleName(name)
    column.addWidget(words)
    column.addWidget(field)
    return place
