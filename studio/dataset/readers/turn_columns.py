"""Conversations laid out in columns (user_1, assistant_1, user_2, ... or 사람문장1, 시스템응답1, ...), put together."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.lazy_sequence import LazySequence
from studio.dataset.readers.streaming import Stream
from studio.dataset.table import Row, Table, cell_text
from studio.dataset.vocabulary import part_of

type_of_turn = tuple[str, Literal["user", "assistant"]]

_NAME = re.compile(r"(?P<stem>[^\W\d]+?)[_\s\-.#]*(?P<number>\d{1,2})(?:번|번째)?")
_BEFORE = re.compile(r"(?:turn|round|t|턴|대화|차)?[_\s\-.#]*(?P<number>\d{1,2})[_\s\-.#]*(?P<stem>[^\W\d]+?)")
_PEOPLE = ("사람", "인간", "이용자", "고객", "사용자", "user", "human", "customer", "client")
_MACHINES = ("시스템", "챗봇", "봇", "ai", "assistant", "bot", "system", "gpt", "model", "상담사", "agent")
_ENDINGS = "문장 응답 발화 대화 대답 답변 말 질문 utterance utt message msg text sentence response reply turn said"
_WHAT = frozenset(_ENDINGS.split())
_SHORT = {"hs": "user", "ss": "assistant"}  # human's and system's sentences, as the large Korean collections write


@dataclass(frozen=True)
class TurnColumns:
    """The columns that are turns, in the order in which they are spoken, and the name of the column they are put
    together in."""

    turns: tuple[type_of_turn, ...]
    name: str

    def note(self) -> Sentence:
        text = N_("{columns} are the turns of one conversation; {name} holds them together.")
        return sentence(text, columns=", ".join(column for column, _ in self.turns)[:300], name=self.name)

    def told(self, cells: Sequence[str]) -> str:
        """The conversation of a row as JSON text; "" where nobody says anything."""
        pairs = zip(self.turns, cells, strict=True)
        said = [{"role": part, "content": cell} for (_, part), cell in pairs if cell.strip()]
        return json.dumps(said, ensure_ascii=False) if said else ""


def turn_columns(columns: Sequence[str]) -> TurnColumns | None:
    """The columns that are turns: one speaker's and the other's, numbered alike. None without.

    Numbered questions and answers don't count: they are as likely to be independent of each other.
    """
    found: dict[tuple[str, str], dict[int, str]] = {}
    for name in columns:
        plain = unicodedata.normalize("NFKC", name).strip().casefold()
        match = _NAME.fullmatch(plain) or _BEFORE.fullmatch(plain)
        part = _speaker(match["stem"].strip("_ -.")) if match else None
        if match and part:
            found.setdefault((part, match["stem"]), {}).setdefault(int(match["number"]), name)
    users = [numbers for (part, _), numbers in found.items() if part == "user"]
    answering = [numbers for (part, _), numbers in found.items() if part == "assistant"]
    if len(users) != 1 or len(answering) != 1:
        return None
    asked, replied = users[0], answering[0]
    first, count = min(asked), len(asked)
    is_whole = sorted(asked) == list(range(first, first + count)) and first in (0, 1) and count >= 2
    if not is_whole or not set(replied) <= set(asked) or len(replied) < max(1, count - 1):
        return None
    begins_asking = columns.index(asked[first]) < columns.index(replied.get(first, columns[-1]))
    order: list[type_of_turn] = []
    for number in sorted(asked):
        both: list[type_of_turn] = [(asked[number], "user")]
        if number in replied:
            both.append((replied[number], "assistant"))
        order += both if begins_asking else reversed(both)
    name = "conversation"
    while name in columns:
        name += "_"
    return TurnColumns(tuple(order), name)


def _speaker(stem: str) -> Literal["user", "assistant"] | None:
    bare = stem.replace("_", "").replace(" ", "")
    if bare in _SHORT:
        return "user" if _SHORT[bare] == "user" else "assistant"
    for people, part in ((_PEOPLE, "user"), (_MACHINES, "assistant")):
        for who in people:
            rest = bare.removeprefix(who)
            if rest != bare and (rest in _WHAT or (not rest and part_of(who) == part)):
                return "user" if part == "user" else "assistant"
    return None


def gathered_stream(stream: Stream) -> Stream:
    """The stream with one column more where its columns are the turns of conversations; else as it is."""
    found = turn_columns(stream.columns)
    if found is None:
        return stream
    columns, notes = (*stream.columns, found.name), (*stream.notes, found.note())
    return replace(stream, columns=columns, notes=notes, batches=_gathered_batches(stream, found))


def _gathered_batches(stream: Stream, found: TurnColumns) -> Iterator[pa.RecordBatch]:
    for batch in stream.batches:
        held = [[cell or "" for cell in batch.column(column).to_pylist()] for column, _ in found.turns]
        told = pa.array([found.told(cells) or None for cells in zip(*held, strict=True)], pa.large_string())
        yield pa.RecordBatch.from_arrays([*batch.columns, told], names=[*batch.schema.names, found.name])


def gathered(table: Table) -> Table:
    """As `gathered_stream`, for a table."""
    found = turn_columns(table.columns)
    if found is None:
        return table
    columns, notes = (*table.columns, found.name), (*table.notes, found.note())
    return replace(table, columns=columns, notes=notes, rows=_GatheredRows(table.rows, found))


class _GatheredRows(LazySequence[Row]):
    def __init__(self, rows: Sequence[Row], found: TurnColumns) -> None:
        self._rows = rows
        self._found = found

    def __len__(self) -> int:
        return len(self._rows)

    def _at(self, positions: range) -> Iterator[Row]:
        if positions.step == 1:
            return map(self._gathered, self._rows[positions.start : positions.stop])
        return (self._gathered(self._rows[position]) for position in positions)

    def __iter__(self) -> Iterator[Row]:
        return map(self._gathered, self._rows)

    def _gathered(self, row: Row) -> Row:
        cells = [cell_text(row.get(column)) for column, _ in self._found.turns]
        return {**row, self._found.name: self._found.told(cells) or None}
