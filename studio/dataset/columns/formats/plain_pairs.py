"""Two columns of text, a question and its answer: most files, and the largest ones, are nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, sentence
from studio.dataset.columns.formats.answer_lists import is_answer_list
from studio.dataset.columns.formats.conversations import looks_like_conversation
from studio.dataset.columns.formats.message_parts import split_thinking
from studio.dataset.columns.formats.row_text import Skipped, text_of
from studio.dataset.table import Row, Table


def plain_pairs(rows: Iterable[Row], roles: ColumnMapping) -> Iterator[tuple[int, tuple[str, str, str] | Skipped]]:
    """The number of each row, from 1, with its question, answer and what was thought before it ("" mostly)."""
    question_column, answer_column = roles.question, roles.answer
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
            if answer[0] == "<":  # as `<think>` does, which is rare
                thinking, answer = split_thinking(answer)
                if not answer:
                    yield number, Skipped(number, no_answer)
                    continue
            yield number, (question, answer, thinking)


def is_plain_pair(table: Table, roles: ColumnMapping) -> bool:
    """Whether question and answer are nothing but text: no lists of messages, calls of tools, or further parts."""
    if roles.format != "pair" or not roles.question or not roles.answer or roles.question_template:
        return False
    if any((roles.context, roles.system, roles.thinking, roles.history, roles.tools)):
        return False
    return not has_lists(table, roles.question) and not has_lists(table, roles.answer)


def has_lists(table: Table, column: str | None) -> bool:
    """Whether the cells of a column, by its first 200 rows, are messages, or SQuAD's lists of answers."""
    if not column:
        return False
    cells = [cell for row in islice(table.rows, 200) if (cell := row.get(column)) not in (None, "")]
    return bool(cells) and sum(looks_like_conversation(c) or is_answer_list(c) for c in cells) > 0.8 * len(cells)
