"""How a file is read: in words, and to be changed (encoding, separator, row with the names, length of passages)."""

from __future__ import annotations

import codecs
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QSpinBox, QTreeWidget, QTreeWidgetItem, QWidget

from studio.ui.controls.editors import Dropdown
from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.text import label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL, GAP_WIDE
from studio.ui.state.background import run_in_background

if TYPE_CHECKING:
    from studio.core.recipe.data_choice import DataChoice
    from studio.dataset.table import Doubt, Table

ENCODINGS = ("utf-8", "cp949", "cp1252", "utf-16", "cp932", "gb18030", "big5", "cp1251")
DELIMITERS = (",", ";", "\t", "|")
AUTOMATIC, NO_NAMES = -1, 0
"""Beside the numbers of rows, for the one that names the columns."""
WITH_NAMES = ("csv", "tsv", "xlsx", "txt")
"""Formats whose names of columns stand in some row."""
PREVIEWED_BYTES, PREVIEWED_CHARACTERS = 64 * 1024, 120
LINES = 5


def encoding_words(name: str) -> str:
    """An encoding as people know it, with its technical name."""
    plain = name.lower().replace("_", "-")
    if plain in ("utf-8", "utf-8-sig", "ascii"):
        return "UTF-8"
    known = {
        "cp949": tr("Windows Korean"),
        "euc-kr": tr("Windows Korean"),
        "cp1252": tr("Windows Western"),
        "latin-1": tr("Western"),
        "cp1251": tr("Windows Cyrillic"),
        "shift-jis": tr("Japanese"),
        "cp932": tr("Japanese"),
        "euc-jp": tr("Japanese"),
        "gb18030": tr("Chinese, simplified"),
        "big5": tr("Chinese, traditional"),
    }
    return f"{known[plain]} ({plain})" if plain in known else name.upper()


def delimiter_words(delimiter: str) -> str:
    match delimiter:
        case ",":
            return tr("commas")
        case ";":
            return tr("semicolons")
        case "\t":
            return tr("tabs")
        case "":
            return tr("nothing")
        case "|":
            return tr("vertical bars")
    return repr(delimiter)


def doubt_words(doubt: Doubt, table: Table) -> str:
    """A plain question about one thing that was guessed."""
    match doubt:
        case "encoding":
            what = encoding_words(table.encoding)
            return tr("Is this right? The characters were read as {what}.", what=what)
        case "delimiter":
            what = delimiter_words(table.delimiter)
            return tr("Is this right? The columns seem to be separated by {what}.", what=what)
        case "sheet":
            count = len(table.sheets)
            return tr("Is this the right sheet? {sheet} was read, one of {n}.", sheet=table.sheet, n=count)
        case "kind" if is_document(table):
            return tr("Is this right? It was read as one running text.")
        case "kind":
            return tr("Is this right? The columns were found in a text, or something beside them was left out.")
        case "header" if not has_names(table):
            return tr("Is this right? The first row was read as an example, as it doesn't look like names of columns.")
        case "header":
            names = ", ".join(table.columns[:6])
            return tr("Is this right? These were taken for the names of the columns: {names}.", names=names)


def has_names(table: Table) -> bool:
    """Whether the file names its columns; else they are numbered."""
    return table.columns != tuple(f"column {number}" for number in range(1, len(table.columns) + 1))


def is_document(table: Table) -> bool:
    """Whether the rows are passages of a text."""
    return table.format == "document"


def source_name(path: Path) -> str:
    """What a file is called; what was pasted has a name that nobody gave it."""
    return tr("Pasted text") if path.parent.name == "pasted" and path.name.startswith("pasted-") else path.name


def source_facts(table: Table, chunk_size: int) -> str:
    count = len(table.rows)
    if is_document(table):
        facts = [tr("{n} {n:passage|passages}", n=f"{count:,}")]
        facts.append(tr("of about {n} {n:character|characters}", n=f"{chunk_size:,}"))
    else:
        facts = [tr("{n} {n:row|rows}", n=f"{count:,}")]
    if table.sheet and len(table.sheets) <= 1:
        facts.append(tr("sheet {name}", name=table.sheet))
    if table.encoding:
        facts.append(encoding_words(table.encoding))
    if table.delimiter:
        facts.append(tr("separated by {what}", what=delimiter_words(table.delimiter)))
    return " \N{MIDDLE DOT} ".join(facts)


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
        self.delimiter = Dropdown(tr("Columns are separated by"))
        self.delimiter.currentIndexChanged.connect(lambda _index: self._tell("delimiter", self.delimiter.value()))
        self.header = QSpinBox()
        self.header.setRange(AUTOMATIC, 100)
        self.header.setSpecialValueText(tr("Automatic"))
        self.header.textFromValue = self._header_text  # type: ignore[method-assign]
        self.header.setKeyboardTracking(False)
        self.header.valueChanged.connect(self._on_header)
        self.chunk = QSpinBox()
        self.chunk.setRange(200, 20_000)
        self.chunk.setSingleStep(100)
        self.chunk.setGroupSeparatorShown(True)
        self.chunk.setKeyboardTracking(False)
        self.chunk.valueChanged.connect(lambda value: self._tell("chunk_size", value))
        for box in (self.header, self.chunk):
            box.lineEdit().setTextMargins(6, 0, 0, 0)
        self._fields: dict[str, QWidget] = {
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "header": self.header,
            "chunk_size": self.chunk,
        }
        names = (
            tr("Text encoding: choose the line that reads right"),
            tr("Columns are separated by"),
            tr("Row with the names of the columns"),
            tr("Length of a passage, in characters"),
        )
        self._places = {
            field: _place(name, box) for name, (field, box) in zip(names, self._fields.items(), strict=True)
        }
        encoding, *others = self._places.values()
        hbox((encoding, 3), (vbox(*others, STRETCH), 2), on=self, gap=GAP_WIDE)

    def offers(self, table: Table) -> bool:
        """Whether anything about the reading of this table can be changed."""
        return any(self._offered(table).values())

    def _offered(self, table: Table) -> dict[str, bool]:
        return {
            "encoding": bool(table.encoding),
            "delimiter": bool(table.delimiter),
            "header": table.format in WITH_NAMES and not is_document(table),
            "chunk_size": is_document(table),
        }

    def show_table(self, table: Table, choice: DataChoice) -> None:
        self._painting = True
        for name, offered in self._offered(table).items():
            self._places[name].setVisible(offered)
        known = DELIMITERS if table.delimiter in DELIMITERS or not table.delimiter else (table.delimiter, *DELIMITERS)
        self.delimiter.show_values([(delimiter_words(one), one) for one in known], table.delimiter)
        self.header.setValue(AUTOMATIC if choice.header_row is None else choice.header_row)
        self.chunk.setValue(choice.chunk_size)
        if table.encoding:
            self.encoding.show_file(table.path, table.encoding)
        self._painting = False

    def focus_field(self, field: str) -> None:
        if field in self._fields:  # what a file was taken for has none
            self._fields[field].setFocus()

    def focus_first(self) -> None:
        for name, field in self._fields.items():
            if not self._places[name].isHidden():
                field.setFocus()
                return

    def _header_text(self, value: int) -> str:
        return tr("none: the first row is an example") if value == NO_NAMES else str(value)

    def _on_header(self, value: int) -> None:
        self._tell("header_row", None if value == AUTOMATIC else value)

    def _tell(self, field: str, value: object) -> None:
        if not self._painting:
            self.changed.emit({field: value})


def _place(name: str, field: QWidget) -> QWidget:
    place = QWidget()
    words = label(name, "small", wrap=False)
    words.setBuddy(field)
    field.setAccessibleName(name)
    vbox(words, field, on=place, gap=GAP_SMALL)
    return place


class EncodingChooser(QTreeWidget):
    """`chosen` carries the name of an encoding. Rows are filled when the beginning of the file was read."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path: Path | None = None
        self.setAccessibleName(tr("Text encoding"))
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.header().setStretchLastSection(True)
        row = self.fontMetrics().height() + 12
        self.setFixedHeight(row * LINES)
        self.itemClicked.connect(lambda item, _column: self._choose(item))
        self.itemActivated.connect(lambda item, _column: self._choose(item))

    def show_file(self, path: Path, now: str) -> None:
        """Offer encodings for this file; `now` is the one in use."""
        plain = "utf-8" if now in ("utf-8-sig", "ascii") else now
        names = ENCODINGS if plain in ENCODINGS else (plain, *ENCODINGS)
        self._path = path
        self.clear()
        for name in names:
            item = QTreeWidgetItem([encoding_words(name), ""])
            item.setData(0, Qt.ItemDataRole.UserRole, name)
            self.addTopLevelItem(item)
            if name == plain:
                self.setCurrentItem(item)
        run_in_background(
            self, functools.partial(previews, path, names), lambda found: self._fill(path, found), lambda _problem: None
        )

    def _fill(self, path: Path, found: dict[str, str | None]) -> None:
        if path != self._path:
            return
        for place in range(self.topLevelItemCount()):
            item = self.topLevelItem(place)
            if item is not None:
                text = found.get(item.data(0, Qt.ItemDataRole.UserRole))
                item.setText(1, text if text is not None else tr("doesn't fit this file"))

    def _choose(self, item: QTreeWidgetItem) -> None:
        self.chosen.emit(item.data(0, Qt.ItemDataRole.UserRole))


def previews(path: Path, encodings: tuple[str, ...]) -> dict[str, str | None]:
    """How the first telling line of the file reads in each encoding; None where the bytes don't fit it.

    Empty for what can't be read: the page says so elsewhere.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(PREVIEWED_BYTES)
    except OSError:
        return {}
    return {name: preview(head, name) for name in encodings}


def preview(head: bytes, encoding: str) -> str | None:
    """The first line with characters beyond ASCII, else the first line; None where `head` isn't in this encoding."""
    try:
        # an incremental decoder takes a character that the end of `head` has cut in two
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except (UnicodeError, LookupError):
        return None
    if any(ord(character) < 32 and character not in "\t\n\r\f\v" for character in text):
        return None
    lines = [line.strip("\ufeff ") for line in text.splitlines() if line.strip("\ufeff ")]
    telling = next((line for line in lines if not line.isascii()), lines[0] if lines else "")
    return telling[:PREVIEWED_CHARACTERS]
