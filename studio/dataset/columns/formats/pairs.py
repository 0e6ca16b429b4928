"""Questions with answers in two columns of text, as most files are, and several columns as one question."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, sentence
from studio.dataset.columns.formats.cells import is_answer_list, text_of
from studio.dataset.columns.formats.conversations import looks_like_conversation
from studio.dataset.columns.formats.thinking import may_think, split_thinking
from studio.dataset.examples import Skipped
from studio.dataset.table import Row, Table


def plain_pairs(rows: Iterable[Row], mapping: ColumnMapping) -> Iterator[tuple[int, tuple[str, str, str] | Skipped]]:
    """The number of each row, from 1, with its question, answer and what was thought before it ("" mostly)."""
    question_column, answer_column = mapping.question, mapping.answer
    no_question = sentence(N_("The question is empty."))
    no_answer = sentence(N_("The answer is empty."))
    for number, row in enumerate(rows, start=1):
        question, answer = text_of(row, question_column), text_of(row, answer_column)
        if not question:
            yield number, Skipped(number, no_question)
        elif not answer:
            yield number, Skipped(number, no_answer)
        else:
            thinking = ""
            if may_think(answer):
                thinking, answer = split_thinking(answer)
                if not answer:
                    yield number, Skipped(number, no_answer)
                    continue
            yield number, (question, answer, thinking)


def is_plain_pair(table: Table, mapping: ColumnMapping) -> bool:
    """Whether question and answer are nothing but text: no lists of messages, calls of tools, or further parts."""
    if mapping.format != "pair" or not mapping.question or not mapping.answer or mapping.question_template:
        return False
    if any((mapping.context, mapping.system, mapping.thinking, mapping.history, mapping.tools, mapping.desirable)):
        return False
    if mapping.has_pairs:
        return False
    return not has_lists(table, mapping.question) and not has_lists(table, mapping.answer)


def has_lists(table: Table, column: str | None) -> bool:
    """Whether the cells of a column, by its first 200 rows, are messages, or SQuAD's lists of answers."""
    if not column:
        return False
    cells = [cell for row in islice(table.rows, 200) if (cell := row.get(column)) not in (None, "")]
    return bool(cells) and sum(looks_like_conversation(c) or is_answer_list(c) for c in cells) > 0.8 * len(cells)


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
