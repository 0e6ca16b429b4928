"""What the model will read of one example: which words it learns, which marks it sees, where it is cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QTextBlockFormat, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QTextEdit, QVBoxLayout, QWidget

from studio.core.problems import Problem, ProblemError
from studio.ui.language import tr, tr_sentence
from studio.ui.tasks import run_in_background
from studio.ui.theme import GAP, GAP_SMALL, colours, sizes
from studio.ui.widgets.text import button, label

if TYPE_CHECKING:
    from studio.data.encode import Encoded, Encoder, Piece
    from studio.data.examples import Example

SHOWN = 20_000
"""Characters of one example that are painted; longer ones are also encoded beside the window."""


@dataclass(frozen=True)
class Reading:
    """One example as a model reads it. `limit` is the longest example kept whole, in tokens."""

    encoded: Encoded
    pieces: tuple[Piece, ...]
    marks: tuple[str, ...]
    limit: int


def read(encoder: Encoder, example: Example) -> Reading:
    """Raises `ProblemError` when the model's template refuses the example."""
    encoded = encoder.encode(example)
    return Reading(encoded, encoder.pieces(encoded), encoder.marks, encoder.max_length)


class ReadingPane(QWidget):
    """`show_example` with an encoder paints tokens; without one it paints the conversation and says what is missing."""

    model_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number = 0
        self.facts = label("", "small")
        self.fetch = button(tr("Go to Teach"), "link", self.model_wanted.emit)
        self.text = QTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName(tr("What the model will read"))
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QTextEdit.LineWrapMode.WidgetWidth)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        below = QHBoxLayout()
        below.setSpacing(GAP_SMALL)
        below.addWidget(self.facts, 1)
        below.addWidget(self.fetch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        title = label(tr("What the model will read"), "strong")
        title.setMinimumHeight(32)
        layout.addWidget(title)
        layout.addWidget(self.text, 1)
        layout.addLayout(below)
        self.show_example(None, None)

    def show_example(self, example: Example | None, encoder: Encoder | None, waiting: str = "") -> None:
        """Paint one example. `waiting` says why there is no encoder yet where that will change by itself."""
        self._number += 1
        number = self._number
        self.fetch.hide()
        self.text.clear()
        self.facts.setText("")
        if example is None:
            return
        if encoder is None:
            self._paint_plain(example)
            self.facts.setText(waiting or tr("Fetch the model on the Teach page to see the word pieces."))
            self.fetch.setVisible(not waiting)
            return
        length = len(example.text) + sum(len(m.content) for m in example.messages)
        if length > SHOWN:
            self.facts.setText(tr("Cutting a long text into word pieces ..."))
            run_in_background(
                self,
                lambda: read(encoder, example),
                lambda reading: self._paint(reading) if number == self._number else None,
                lambda problem: self._refused(example, problem) if number == self._number else None,
            )
            return
        try:
            self._paint(read(encoder, example))
        except ProblemError as error:
            self._refused(example, error.problem)

    def _refused(self, example: Example, problem: Problem) -> None:
        self.text.clear()
        self._paint_plain(example)
        self.facts.setText(" ".join(tr_sentence(part) for part in problem.sentences()))

    def _paint(self, reading: Reading) -> None:
        encoded = reading.encoded
        self.text.clear()
        cursor = self.text.textCursor()
        cursor.beginEditBlock()
        left = SHOWN
        cut = False
        for piece in reading.pieces:
            if piece.kind == "cut" and not cut:
                cut = True
                self._paint_cut(cursor, reading)
            shown = piece.text[: max(0, left)]
            left -= len(piece.text)
            self._paint_piece(cursor, shown, piece.kind, reading.marks)
        if left < 0:
            cursor.insertText(" \N{HORIZONTAL ELLIPSIS} " + tr("and {n} more characters", n=f"{-left:,}"), _muted())
        cursor.endEditBlock()
        self.text.moveCursor(QTextCursor.MoveOperation.Start)
        total = len(encoded.ids) + encoded.lost
        if not encoded.learned:
            words = tr("{n} word pieces; nothing is left to learn, so this example is skipped.", n=f"{total:,}")
        elif encoded.lost:
            words = tr(
                "{n} word pieces, {lost} of them cut away. The underlined part is learned.",
                n=f"{total:,}",
                lost=f"{encoded.lost:,}",
            )
        else:
            words = tr(
                "{n} word pieces. The {learned} underlined ones are learned.", n=f"{total:,}", learned=encoded.learned
            )
        self.facts.setText(words)

    def _paint_piece(self, cursor: QTextCursor, text: str, kind: str, marks: tuple[str, ...]) -> None:
        plain = {"learned": _learned(), "cut": _muted()}.get(kind, _read())
        present = [re.escape(mark) for mark in marks if mark and mark in text]
        if not present:
            cursor.insertText(text, plain)
            return
        chip = _chip(learned=kind == "learned")
        for part in re.split(f"({'|'.join(present)})", text):
            if part in marks:
                cursor.insertText(f"\N{NARROW NO-BREAK SPACE}{part}\N{NARROW NO-BREAK SPACE}", chip)
            elif part:
                cursor.insertText(part, plain)

    def _paint_cut(self, cursor: QTextCursor, reading: Reading) -> None:
        words = tr(
            "cut here, at {limit} word pieces: the {lost} below are not read",
            limit=f"{reading.limit:,}",
            lost=f"{reading.encoded.lost:,}",
        )
        before = cursor.blockFormat()
        cursor.insertHtml("<hr>")
        cursor.insertBlock(QTextBlockFormat(), _cut())
        cursor.insertText(words, _cut())
        cursor.insertBlock(before)

    def _paint_plain(self, example: Example) -> None:
        cursor = self.text.textCursor()
        names = {
            "system": tr("Standing instructions"),
            "user": tr("Question"),
            "assistant": tr("Answer"),
            "tool": tr("Result of a tool"),
        }
        if example.text:
            cursor.insertText(example.text[:SHOWN], _learned())
        for position, message in enumerate(example.messages):
            if position:
                cursor.insertBlock()
                cursor.insertBlock()
            cursor.insertText(names[message.role], _muted(small=True))
            cursor.insertBlock()
            cursor.insertText(message.content[:SHOWN], _learned() if message.role == "assistant" else _read())
        self.text.moveCursor(QTextCursor.MoveOperation.Start)


def _read() -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(colours().colour("text"))
    return made


def _learned() -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(colours().colour("accent"))
    made.setFontUnderline(True)
    return made


def _muted(*, small: bool = False) -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(colours().colour("muted"))
    if small:
        made.setFontPointSize(sizes().small)
    return made


def _chip(*, learned: bool) -> QTextCharFormat:
    made = _muted(small=True)
    made.setBackground(colours().colour("accent_soft" if learned else "hover"))
    made.setFontUnderline(learned)
    if learned:
        made.setForeground(colours().colour("accent"))
    return made


def _cut() -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(colours().colour("bad"))
    made.setFontPointSize(sizes().small)
    made.setFontWeight(QFont.Weight.DemiBold)
    return made
