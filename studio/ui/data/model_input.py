"""What the model will read of one example: which tokens it learns from, which special ones it sees, where it is cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, Signal
from PySide6.QtGui import QFont, QTextBlockFormat, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QTextEdit, QWidget

from studio.core.conversation import Message
from studio.core.problems import Problem
from studio.ui.controls.layout import LEFT, hbox, vbox
from studio.ui.controls.text import SELECTABLE, button, label
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_SMALL, colours, sizes

if TYPE_CHECKING:
    from studio.dataset.examples import Example
    from studio.tokenization.encoded import Encoded, Piece
    from studio.worker.protocol import ExampleRead

SHOWN = 20_000
"""Characters of one example that are painted."""


JOINER, SIDE = "\N{WORD JOINER}", "\N{NARROW NO-BREAK SPACE}"
"""Between the characters of a special token, so that it stays on one line, and beside it."""


class _Text(QTextEdit):
    """What is copied is what the model reads, without what only keeps chips together."""

    def createMimeDataFromSelection(self) -> QMimeData:
        made = QMimeData()
        text = self.textCursor().selectedText().replace("\N{PARAGRAPH SEPARATOR}", "\n")
        made.setText(text.replace("\N{LINE SEPARATOR}", "\n").replace(JOINER, "").replace(SIDE, ""))
        return made


class ModelInputPane(QWidget):
    """Paints tokens with `show_read`; without a model `show_plain` paints the conversation and says why."""

    model_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._open = False
        self.shows_example = False
        self.facts = label("", "small")
        self.adapted = button(tr("Adapted to this model"), "link", self._toggle)
        self.adaptations = label("", "small")
        self.fetch = button(tr("Go to Train"), "link", self.model_wanted.emit)
        self.text = _Text(
            readOnly=True,
            tabChangesFocus=True,
            lineWrapMode=QTextEdit.LineWrapMode.WidgetWidth,
            textInteractionFlags=SELECTABLE,
        )
        self.text.setAccessibleName(tr("What the model will read"))
        self.text.setMinimumHeight(96)
        vbox(
            (self.text, 1),
            hbox((self.facts, 1), self.fetch, gap=GAP_SMALL),
            (self.adapted, LEFT),
            self.adaptations,
            on=self,
        )
        self.show_nothing()

    def show_nothing(self, words: str = "") -> None:
        """There is no example to show; `words` say why."""
        self._begin()
        self.shows_example = False
        self.text.textCursor().insertText(words, _look("muted"))

    def show_plain(self, example: Example, words: str, *, can_fetch: bool = False) -> None:
        """The conversation without tokens; `words` say why, and `can_fetch` offers the way to a model."""
        self._begin()
        self._paint_plain(example)
        self.facts.setText(words)
        self.fetch.setVisible(can_fetch)

    def show_refused(self, example: Example, problem: Problem) -> None:
        """The conversation, and why the model's template doesn't take it."""
        self.show_plain(example, " ".join(tr_sentence(part) for part in problem.sentences()))

    def show_read(self, read: ExampleRead) -> None:
        """The text as the trainer builds it."""
        self._begin()
        cursor = self.text.textCursor()
        cursor.beginEditBlock()
        left = SHOWN
        parts = list(zip(read.encoded, read.pieces, strict=True))
        for number, (encoded, pieces) in enumerate(parts, start=1):
            if len(parts) > 1:
                words = tr(
                    "part {n} of {all}: {tokens} {tokens:token|tokens}",
                    n=number,
                    all=len(parts),
                    tokens=_total(encoded),
                )
                if _is_pair(read.pieces):
                    tokens = _total(encoded)
                    words = tr("the better answer: {tokens} {tokens:token|tokens}", tokens=tokens)
                    if number > 1:
                        words = tr("the worse answer: {tokens} {tokens:token|tokens}", tokens=tokens)
                _paint_line(cursor, words, _look("muted", small=True), first=number == 1)
            left = self._paint_part(cursor, encoded, pieces, read, left)
        cursor.endEditBlock()
        self.text.moveCursor(QTextCursor.MoveOperation.Start)
        self.facts.setText(pair_text(read.encoded) if _is_pair(read.pieces) else input_text(read.encoded))
        self.adaptations.setText(" ".join(tr_sentence(one) for one in read.adaptations))
        self.adapted.setText(tr("Adapted to this model: {n}", n=len(read.adaptations)))
        self.adapted.setVisible(bool(read.adaptations))
        self.adaptations.setVisible(bool(read.adaptations) and self._open)

    def _begin(self) -> None:
        self.shows_example = True
        self.text.clear()
        self.facts.setText("")
        self.adapted.hide()
        self.adaptations.hide()
        self.fetch.hide()

    def _toggle(self) -> None:
        self._open = not self._open
        self.adaptations.setVisible(self._open)

    def _paint_part(
        self, cursor: QTextCursor, encoded: Encoded, pieces: Sequence[Piece], read: ExampleRead, left: int
    ) -> int:
        cut = False
        over = 0
        for piece in pieces:
            if piece.kind == "cut" and not cut:
                cut = True
                words = tr(
                    "cut here, at {limit} tokens: the {lost} below {lost:is|are} not read",
                    limit=f"{read.limit:,}",
                    lost=f"{encoded.truncated_tokens:,}",
                )
                _paint_line(cursor, words, _look("bad", small=True, bold=True))
            shown = piece.text[: max(0, left)]
            over += len(piece.text) - len(shown)
            left -= len(shown)
            _paint_piece(cursor, shown, piece.kind, read.marks)
        if over:
            cursor.insertText(
                " \N{HORIZONTAL ELLIPSIS} " + tr("and {n} more {n:character|characters}", n=f"{over:,}"), _look("muted")
            )
        return left

    def _paint_plain(self, example: Example) -> None:
        cursor = self.text.textCursor()
        if example.text:
            cursor.insertText(example.text[:SHOWN], _look("accent", underlined=True))
        for position, message in enumerate(example.messages):
            if position:
                cursor.insertBlock()
                cursor.insertBlock()
            cursor.insertText(role_words(message.role), _look("muted", small=True))
            cursor.insertBlock()
            learned = message.role == "assistant" and message.in_loss
            if message.thinking:
                cursor.insertText(message.thinking[:SHOWN] + "\n", _look("muted"))
            cursor.insertText(
                turn_text(message)[:SHOWN], _look("accent", underlined=True) if learned else _look("text")
            )
        self.text.moveCursor(QTextCursor.MoveOperation.Start)


def role_words(role: str) -> str:
    return {
        "system": tr("Instructions"),
        "user": tr("Question"),
        "assistant": tr("Answer"),
        "tool": tr("Result of a tool"),
    }[role]


def turn_text(message: Message) -> str:
    calls = [f"{call.name} {call.arguments}" for call in message.tool_calls]
    return "\n".join(part for part in (message.content, *calls) if part)


def input_text(encoded: Sequence[Encoded]) -> str:
    total = sum(map(_total, encoded))
    learned = sum(one.label_tokens for one in encoded)
    lost = sum(one.truncated_tokens for one in encoded)
    if not learned:
        return tr("{n} {n:token|tokens}; nothing is left to learn, so this example is skipped.", n=f"{total:,}")
    if lost:
        return tr(
            "{n} {n:token|tokens}, {lost} of them cut away. The underlined part is learned.",
            n=f"{total:,}",
            lost=f"{lost:,}",
        )
    return tr(
        "{n} {n:token|tokens}. The {learned} underlined {learned:one is|ones are} learned.",
        n=f"{total:,}",
        learned=f"{learned:,}",
    )


def _is_pair(pieces: Sequence[Sequence[Piece]]) -> bool:
    return any(piece.kind == "avoided" for part in pieces for piece in part)


def pair_text(encoded: Sequence[Encoded]) -> str:
    better, worse = encoded
    if not better.label_tokens or not worse.label_tokens:
        return tr("Nothing is left of one of both answers, so this example is skipped.")
    return tr(
        "The {better} underlined tokens become likelier, the {worse} struck out ones less likely.",
        better=f"{better.label_tokens:,}",
        worse=f"{worse.label_tokens:,}",
    )


def _total(encoded: Encoded) -> int:
    return len(encoded.ids) + encoded.truncated_tokens


def _paint_piece(cursor: QTextCursor, text: str, kind: str, marks: tuple[str, ...]) -> None:
    looks = {"learned": _look("accent", underlined=True), "cut": _look("muted"), "avoided": _look("bad", struck=True)}
    plain = looks.get(kind, _look("text"))
    present = [re.escape(mark) for mark in sorted(marks, key=len, reverse=True) if mark and mark in text]
    if not present:
        cursor.insertText(text, plain)
        return
    learned = kind == "learned"
    colour, ground = ("accent", "accent_soft") if learned else ("muted", "hover")
    chip = _look(colour, underlined=learned, small=True, ground=ground)
    for part in re.split(f"({'|'.join(present)})", text):
        if part in marks:
            cursor.insertText(SIDE + JOINER.join(part) + SIDE, chip)
        elif part:
            cursor.insertText(part, plain)


def _paint_line(cursor: QTextCursor, words: str, look: QTextCharFormat, *, first: bool = False) -> None:
    before = cursor.blockFormat()
    if not first:
        cursor.insertHtml("<hr>")
        cursor.insertBlock(QTextBlockFormat(), look)
    cursor.insertText(words, look)
    cursor.insertBlock(before)


def _look(
    colour: str,
    *,
    underlined: bool = False,
    small: bool = False,
    ground: str = "",
    bold: bool = False,
    struck: bool = False,
) -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(colours().colour(colour))
    made.setFontUnderline(underlined)
    made.setFontStrikeOut(struck)
    if small:
        made.setFontPointSize(sizes().small)
    if ground:
        made.setBackground(colours().colour(ground))
    if bold:
        made.setFontWeight(QFont.Weight.DemiBold)
    return made
