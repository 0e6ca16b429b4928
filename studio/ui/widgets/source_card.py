"""Which file the examples come from and how it was read, with what can be changed about that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from studio.core.data_choice import Roles
from studio.ui.language import tr
from studio.ui.theme import GAP, GAP_WIDE
from studio.ui.widgets.card import Card
from studio.ui.widgets.role_chooser import RoleChooser
from studio.ui.widgets.text import button, label, line

if TYPE_CHECKING:
    from studio.data.table import Table

ENCODINGS = ("utf-8", "cp949", "cp1252", "utf-16", "shift_jis", "gb18030", "big5", "cp1251")
DELIMITERS = (",", ";", "\t", "|")


def encoding_words(name: str) -> str:
    """An encoding as people know it, with its technical name."""
    plain = name.lower().replace("_", "-")
    if plain in ("utf-8", "utf-8-sig", "ascii"):
        return "UTF-8"
    known = {
        "cp949": tr("Windows Korean"),
        "cp1252": tr("Windows Western"),
        "cp1251": tr("Windows Cyrillic"),
        "shift-jis": tr("Japanese"),
        "cp932": tr("Japanese"),
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
        case "|":
            return tr("vertical bars")
    return repr(delimiter)


class SourceCard(Card):
    """`replace_requested` carries file, folder, hub or sample; `reading_changed` maps DataChoice fields to new
    values; `roles_chosen` carries `Roles`."""

    replace_requested = Signal(str)
    reading_changed = Signal(dict)
    roles_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setAccessibleName(tr("Your data"))
        self._painting = False
        self.name = label("", "strong")
        self.facts = label("", "small", wrap=False)
        self.sheet = _box(tr("Sheet"))
        self.how = button(tr("Change how it is read"), "link", self._toggle)
        self.replace = QPushButton(tr("Choose another"))
        self.replace.setAccessibleName(tr("Choose other data"))
        menu = QMenu(self.replace)
        for text, which in (
            (tr("Choose a file"), "file"),
            (tr("Choose a folder"), "folder"),
            (tr("Hugging Face Hub"), "hub"),
            (tr("Try with the sample"), "sample"),
        ):
            menu.addAction(text).triggered.connect(partial(self._replace, which))
        self.replace.setMenu(menu)

        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.name)
        below = QHBoxLayout()
        below.setSpacing(GAP)
        below.addWidget(self.facts)
        below.addWidget(self.how)
        below.addStretch(1)
        words.addLayout(below)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addLayout(words, 1)
        row.addWidget(self.sheet, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.replace, 0, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(row)

        self.options = QWidget()
        self.encoding = _box(tr("Text encoding"))
        self.delimiter = _box(tr("Columns are separated by"))
        options = QHBoxLayout(self.options)
        options.setContentsMargins(0, 0, 0, 0)
        options.setSpacing(GAP)
        for text, box in ((tr("Text encoding"), self.encoding), (tr("Columns are separated by"), self.delimiter)):
            options.addWidget(label(text, "small", wrap=False))
            options.addWidget(box)
            options.addSpacing(GAP_WIDE)
        options.addStretch(1)
        self.options.hide()
        self.body.addWidget(self.options)
        self.body.addWidget(line())
        self.roles = RoleChooser()
        self.roles.roles_chosen.connect(self.roles_chosen)
        self.body.addWidget(self.roles)

        self.sheet.currentIndexChanged.connect(lambda _index: self._changed("sheet", self.sheet))
        self.encoding.currentIndexChanged.connect(lambda _index: self._changed("encoding", self.encoding))
        self.delimiter.currentIndexChanged.connect(lambda _index: self._changed("delimiter", self.delimiter))

    def show_table(self, table: Table, roles: Roles) -> None:
        """Paint what was read, and how."""
        self._painting = True
        self.name.setText(table.path.name)
        self.name.setToolTip(str(table.path))
        count = len(table.rows)
        facts = [tr("1 row") if count == 1 else tr("{n} rows", n=f"{count:,}")]
        is_text = bool(table.encoding or table.delimiter)
        if table.encoding:
            facts.append(encoding_words(table.encoding))
        if table.delimiter:
            facts.append(tr("separated by {what}", what=delimiter_words(table.delimiter)))
        self.facts.setText(" \N{MIDDLE DOT} ".join(facts))
        self.how.setVisible(is_text)
        if not is_text:
            self.options.hide()
        self.sheet.setVisible(len(table.sheets) > 1)
        _fill(self.sheet, [(name, name) for name in table.sheets], table.sheet)
        encodings = [(encoding_words(name), name) for name in ENCODINGS]
        _fill(self.encoding, encodings, _plain(table.encoding), encoding_words(table.encoding))
        delimiters = [(delimiter_words(d), d) for d in DELIMITERS]
        _fill(self.delimiter, delimiters, table.delimiter, delimiter_words(table.delimiter))
        self.delimiter.setEnabled(bool(table.delimiter))
        self.roles.show_roles(table.columns, roles)
        self._painting = False

    def _replace(self, which: str, _checked: bool = False) -> None:
        self.replace_requested.emit(which)

    def _toggle(self) -> None:
        self.options.setVisible(self.options.isHidden())
        if not self.options.isHidden():
            self.encoding.setFocus()

    def _changed(self, field: str, box: QComboBox) -> None:
        if not self._painting and box.currentData() is not None:
            self.reading_changed.emit({field: box.currentData()})


def _plain(encoding: str) -> str:
    return "utf-8" if encoding in ("utf-8-sig", "ascii") else encoding


def _box(name: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(11)
    box.setMaximumWidth(260)
    return box


def _fill(box: QComboBox, choices: list[tuple[str, str]], now: str, now_words: str = "") -> None:
    box.clear()
    for words, value in choices:
        box.addItem(words, value)
    if now and box.findData(now) < 0:
        box.insertItem(0, now_words or now, now)
    box.setCurrentIndex(box.findData(now))
