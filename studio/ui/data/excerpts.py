"""Short stretches of a person's own text with what is meant in them marked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from studio.ui.design.language import tr
from studio.ui.design.theme import colours

if TYPE_CHECKING:
    from studio.dataset.quality.report import Excerpt


class ExcerptsLabel(QLabel):
    """A line for each excerpt: the row's number, then the text with the meant letters coloured and underlined."""

    MOST = 5

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setMinimumWidth(40)
        self.setProperty("role", "small")
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )

    def show_excerpts(self, excerpts: Sequence[Excerpt]) -> None:
        lines = [f"{escape(row_words(one.row))}&nbsp; {marked(one)}" for one in excerpts[: self.MOST]]
        self.setText("<br>".join(lines))
        self.setAccessibleName("\n".join(f"{row_words(one.row)}: {one.shown}" for one in excerpts[: self.MOST]))


def row_words(row: int) -> str:
    return tr("Row {n}", n=f"{row:,}")


def marked(excerpt: Excerpt) -> str:
    """HTML. Where nothing in particular is meant, nothing is marked."""
    c = colours()
    text = " ".join(excerpt.shown.split()) if excerpt.start == excerpt.end else excerpt.shown
    if excerpt.start == excerpt.end:
        return f'<span style="color:{c.text}">{escape(text)}</span>'
    before, meant, after = text[: excerpt.start], text[excerpt.start : excerpt.end], text[excerpt.end :]
    sign = f'<span style="color:{c.bad}; text-decoration: underline">{escape(meant)}</span>'
    return f'<span style="color:{c.text}">{escape(before)}{sign}{escape(after)}</span>'
