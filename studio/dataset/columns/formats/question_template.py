"""Several columns as one question: a pattern such as `{title}: {question}`, with `{{` for a brace that is meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from studio.dataset.columns.formats.row_text import text_of
from studio.dataset.table import Row

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


class QuestionTemplate:
    """`columns` are the names in braces in their order; `is_broken` tells that a brace has no partner."""

    def __init__(self, pattern: str) -> None:
        self._pieces: list[tuple[str, bool]] = []
        self.is_broken = False
        for found in _PIECE.finditer(pattern):
            whole = found.group()
            if found.group(1) is not None:
                self._pieces.append((found.group(1).strip(), True))
            elif whole in ("{{", "}}"):
                self._pieces.append((whole[0], False))
            elif whole in ("{", "}"):
                self.is_broken = True
                self._pieces.append((whole, False))
            else:
                self._pieces.append((whole, False))
        self.columns = tuple(dict.fromkeys(text for text, is_column in self._pieces if is_column))

    def fill(self, row: Row) -> str:
        """The question of a row; "" where all of its columns are empty."""
        told: list[str] = []
        filled = False
        for piece, is_column in self._pieces:
            text = text_of(row, piece) if is_column else piece
            filled = filled or (is_column and bool(text))
            told.append(text)
        if not filled:
            return ""
        whole = "".join(told).strip()
        if self._pieces[0][1] and not told[0]:
            whole = whole.lstrip(" :-–|/,\n")  # what stood between an empty title and the rest
        return whole


def nearest(name: str, columns: Sequence[str]) -> str:
    """The column that was probably meant; "" when none is close."""
    folded = {column.casefold(): column for column in reversed(columns)}
    found = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else ""
