"""Which of two answers to the same question is better: in two columns, by a verdict or ratings beside them, or in rows
that rate one answer each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from studio.core.conversation import Message
from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.columns.formats.cells import CannotLearn, first_answer, is_answer_list, message, text_of
from studio.dataset.columns.formats.conversations import ConversationReader
from studio.dataset.columns.formats.pairs import has_lists
from studio.dataset.columns.formats.thinking import split_thinking
from studio.dataset.examples import Example
from studio.dataset.table import Row, Table

Side = Literal["answer", "rejected", "neither"]

_NAMED_ROWS = 8
_NEITHER = frozenset(("tie", "tied", "both", "equal", "same", "draw", "neither", "bothbad", "tiebothbad", "none", ""))
_LAST = re.compile(r"(?:^|[^a-z0-9]|(?<=[a-z])(?=\d))([a-z]|\d+|left|right|first|second)$")
_ORDER = {"a": 0, "b": 1, "left": 0, "right": 1, "first": 0, "second": 1, "j": 0, "k": 1}


@dataclass
class PairReader:
    """Puts the worse answer beside the better one, and counts where that isn't possible: such an example can still be
    learned for its answer."""

    table: Table
    mapping: ColumnMapping
    reader: ConversationReader
    _equal: list[int] = field(default_factory=list)
    _missing: list[int] = field(default_factory=list)
    _unlike: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._in_lists = has_lists(self.table, self.mapping.rejected)

    def with_rejected(self, number: int, row: Row, example: Example) -> Example:
        """`example`, made of row `number`, with the worse answer of the row where there is another one."""
        worse = self._worse(number, row, example)
        if worse is None:
            return example
        if _same(worse, example.messages[-1]):
            self._equal.append(number)
            return example
        return example.model_copy(update={"rejected": worse})

    def _worse(self, number: int, row: Row, example: Example) -> Message | None:
        cell = row.get(str(self.mapping.rejected))
        if self._in_lists and not is_answer_list(cell):
            try:
                said, _ = self.reader.read(cell)
            except CannotLearn:
                said = ()
            while said and said[-1].role != "assistant":
                said = said[:-1]
            if not said:
                self._missing.append(number)
                return None
            asked = tuple(one for one in said[:-1] if one.role != "system")
            if asked and asked != tuple(one for one in example.prompt if one.role != "system"):
                self._unlike.append(number)
                return None
            return said[-1]
        thinking, text = split_thinking(
            first_answer(cell) if is_answer_list(cell) else text_of(row, self.mapping.rejected)
        )
        if not text:
            self._missing.append(number)
            return None
        return message("assistant", text, thinking)

    def notes(self) -> list[Sentence]:
        """What stands in the way of pairs, with the first rows of each kind."""
        equal = N_("Both answers are the same in {count} of the rows, so neither can be preferred: {rows}.")
        missing = N_("A worse answer is missing in {count} of the rows: {rows}.")
        unlike = N_(
            "The two answers follow different conversations in {count} of the rows, so they are no pair: {rows}."
        )
        kinds = ((self._equal, equal), (self._missing, missing), (self._unlike, unlike))
        return [sentence(text, count=len(rows), rows=_some(rows)) for rows, text in kinds if rows]


def swapped(mapping: ColumnMapping) -> ColumnMapping:
    """The same with the other one of both answers as the better one."""
    if mapping.messages:
        return mapping.model_copy(update={"messages": mapping.rejected, "rejected": mapping.messages})
    return mapping.model_copy(update={"answer": mapping.rejected, "rejected": mapping.answer})


class Verdicts:
    """Tells from each row which of its two answers is the better one, where a column or two ratings say so."""

    def __init__(self, rows: Iterable[Row], mapping: ColumnMapping) -> None:
        self._mapping = mapping
        self._names = (mapping.answer or mapping.messages or "", mapping.rejected or "")
        seen = {text_of(row, mapping.better).casefold() for row in islice(rows, 5_000)} if mapping.better else set()
        self._first = 0 if "0" in seen else 1

    def side(self, row: Row) -> Side:
        """ "neither" where both are said to be equal, or nothing is said that could be understood."""
        if self._mapping.better:
            return self._told(text_of(row, self._mapping.better))
        if len(self._mapping.ratings) == 2:
            one, other = (number_of(row, column) for column in self._mapping.ratings)
            if one is None or other is None or one == other:
                return "neither"
            return "answer" if one > other else "rejected"
        return "answer"

    def _told(self, value: str) -> Side:
        told = value.casefold().strip()
        if re.sub(r"[\W_]", "", told) in _NEITHER:
            return "neither"
        names = [name.casefold() for name in self._names]
        if told in names:
            return "answer" if told == names[0] else "rejected"
        ends = [_end(name) for name in names]
        end = _end(told)
        if end is not None and all(one is not None for one in ends) and ends[0] != ends[1] and end in ends:
            return "answer" if end == ends[0] else "rejected"
        place = int(end) - self._first if end is not None and end.isdigit() else _ORDER.get(end or "", -1)
        return {0: "answer", 1: "rejected"}.get(place, "neither")  # type: ignore[return-value]

    def understood(self, rows: Sequence[Row]) -> float:
        """The share of `rows` in which one of both is called better."""
        return sum(self.side(row) != "neither" for row in rows) / max(1, len(rows))


def _end(name: str) -> str | None:
    """What tells a name from others like it: the letter or number at its end, or the word for its place."""
    found = _LAST.search(name.strip())
    return found.group(1) if found else None


def number_of(row: Row, column: str) -> float | None:
    """A rating as a number; None where it isn't one."""
    try:
        return float(text_of(row, column).replace(",", "."))
    except ValueError:
        return None


@dataclass(frozen=True)
class RatedAnswers:
    """Of answers to the same question in several rows: `worst` says for the row with the best one in which row the
    worst one stands, `passed_over` holds the rows of all others. Rows are counted from 0."""

    worst: dict[int, int]
    passed_over: frozenset[int]


def rated_answers(rows: Iterable[Row], mapping: ColumnMapping) -> RatedAnswers:
    """One walk over the rows, keeping two numbers for each question. Where all answers to a question are rated alike,
    none of them is passed over."""
    column = mapping.ratings[0]
    extremes: dict[int, tuple[tuple[float, int], tuple[float, int]]] = {}
    members: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        rating = number_of(row, column)
        if rating is None or not text_of(row, mapping.answer):
            continue
        key = hash((text_of(row, mapping.question), text_of(row, mapping.context), text_of(row, mapping.system)))
        best, worst = extremes.get(key, ((rating, place), (rating, place)))
        best = (rating, place) if rating > best[0] else best
        worst = (rating, place) if rating < worst[0] else worst
        extremes[key] = (best, worst)
        members.setdefault(key, []).append(place)
    made = {best[1]: worst[1] for best, worst in extremes.values() if best[0] > worst[0]}
    others = {
        place
        for key, (best, worst) in extremes.items()
        if best[0] > worst[0]
        for place in members[key]
        if place != best[1]
    }
    return RatedAnswers(made, frozenset(others))


def _same(one: Message, other: Message) -> bool:
    return " ".join(one.content.split()) == " ".join(other.content.split()) and one.tool_calls == other.tool_calls


def _some(rows: list[int]) -> str:
    return ", ".join(map(str, rows[:_NAMED_ROWS])) + (", …" if len(rows) > _NAMED_ROWS else "")
