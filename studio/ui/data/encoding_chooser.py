"""Text encodings to choose from, each with the beginning of the file as it would read."""

from __future__ import annotations

import codecs
import functools
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from studio.ui.data.reading_text import ENCODINGS, encoding_words
from studio.ui.design.language import tr
from studio.ui.state.background import run_in_background

READ = 64 * 1024
"""Bytes of the file that are looked at."""
SHOWN = 120
LINES = 5


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
    """How the first telling line of the file reads in each encoding; None where the letters don't fit it.

    Empty for what can't be read: the page says so elsewhere.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(READ)
    except OSError:
        return {}
    return {name: preview(head, name) for name in encodings}


def preview(head: bytes, encoding: str) -> str | None:
    """The first line with letters beyond ASCII, else the first line; None where `head` isn't in this encoding."""
    try:
        # an incremental decoder takes a letter that the end of `head` has cut in two
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except (UnicodeError, LookupError):
        return None
    if any(ord(letter) < 32 and letter not in "\t\n\r\f\v" for letter in text):
        return None
    lines = [line.strip("\ufeff ") for line in text.splitlines() if line.strip("\ufeff ")]
    telling = next((line for line in lines if not line.isascii()), lines[0] if lines else "")
    return telling[:SHOWN]
