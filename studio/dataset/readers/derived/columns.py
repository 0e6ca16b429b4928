"""Columns made of others: turns in columns (user_1, assistant_1, ... or 사람문장1, 시스템응답1, ...) put together as
one conversation, and records inside of cells laid out."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal, Protocol

import pyarrow as pa

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.table import Row, TableStream, cell_text
from studio.dataset.text_batches import text_array
from studio.dataset.vocabulary import EXACT, part_of, plain, rank

LOOKED_AT = 200
"""Rows by which it is told what cells hold."""
_LONGEST_RECORD = 200_000

Turn = tuple[str, Literal["user", "assistant"]]

_NAME = re.compile(r"(?P<stem>[^\W\d]+?)[_\s\-.#]*(?P<number>\d{1,2})(?:번|번째)?")
_BEFORE = re.compile(r"(?:turn|round|t|턴|대화|차)?[_\s\-.#]*(?P<number>\d{1,2})[_\s\-.#]*(?P<stem>[^\W\d]+?)")
_PEOPLE = ("사람", "인간", "이용자", "고객", "사용자", "user", "human", "customer", "client")
_MACHINES = ("시스템", "챗봇", "봇", "ai", "assistant", "bot", "system", "gpt", "model", "상담사", "agent")
_ENDINGS = "문장 응답 발화 대화 대답 답변 말 질문 utterance utt message msg text sentence response reply turn said"
_WHAT = frozenset(_ENDINGS.split())
_SHORT = {"hs": "user", "ss": "assistant"}  # human's and system's sentences, as the large Korean collections write


class DerivedColumns(Protocol):
    """Columns that are made of others: of `sources` those called `names`."""

    @property
    def sources(self) -> tuple[str, ...]: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def note(self) -> Sentence:
        """What was done, for a person."""

    def cells(self, held: Sequence[object]) -> tuple[str | None, ...]:
        """The cells of a row, from those of its sources."""


@dataclass(frozen=True)
class TurnColumns:
    """The columns that are turns, in the order in which they are spoken, and the name of the column they are put
    together in, as JSON text."""

    turns: tuple[Turn, ...]
    name: str

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(column for column, _ in self.turns)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def note(self) -> Sentence:
        text = N_("{columns} are the turns of one conversation; {name} holds them together.")
        return sentence(text, columns=", ".join(self.sources)[:300], name=self.name)

    def cells(self, held: Sequence[object]) -> tuple[str | None, ...]:
        pairs = zip(self.turns, map(cell_text, held), strict=True)
        said = [{"role": part, "content": cell} for (_, part), cell in pairs if cell.strip()]
        return (json.dumps(said, ensure_ascii=False) if said else None,)


@dataclass(frozen=True)
class RecordColumns:
    """The parts of the records in the cells of a column, such as the output in `[{"input": "", "output": "..."}]`."""

    source: str
    keys: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    def note(self) -> Sentence:
        text = N_("The records in {column} were laid out in columns: {names}.")
        return sentence(text, column=self.source, names=", ".join(self.names)[:200])

    def cells(self, held: Sequence[object]) -> tuple[str | None, ...]:
        record = _record(held[0]) or {}
        return tuple(cell_text(record.get(key)) or None for key in self.keys)


@dataclass(frozen=True)
class TextInside:
    """The text within the records of a column, such as the reply in what a model's server answered."""

    source: str
    path: tuple[str | int, ...]
    name: str
    is_partial: bool = False
    """Whether other texts stand beside it, so that a person has to say which of them is meant."""

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def note(self) -> Sentence:
        text = N_("Of the records in {column} the text under {place} stands in {name}.")
        place = ".".join(str(step) for step in self.path if isinstance(step, str))
        return sentence(text, column=self.source, place=place, name=self.name)

    def cells(self, held: Sequence[object]) -> tuple[str | None, ...]:
        told = _at(_record(held[0]), self.path)
        return (told if isinstance(told, str) else None,)


@dataclass(frozen=True)
class JoinedTexts:
    """The sentences in the lists of a column, put together again."""

    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.source + ".text",)

    def note(self) -> Sentence:
        text = N_("The sentences in {column} were put together in {name}.")
        return sentence(text, column=self.source, name=self.names[0])

    def cells(self, held: Sequence[object]) -> tuple[str | None, ...]:
        return (" ".join(_pieces(_list(held[0]))) or None,)


BEST = ".best"
"""The end of the name of a column with the best of several answers."""
_SCORES = frozenset(
    (
        "score",
        "overallscore",
        "rating",
        "ratings",
        "scores",
        "votes",
        "upvotes",
        "reward",
        "rewards",
        "likes",
        "pmscore",
    )
)
_RANKS = ("rank", "ranking")
_TEXTS = ("text", "response", "answer", "content", "body", "completion", "output", "value")
_ANSWERED_IN = ("comments", "comment")
"""What the answers to a post are called."""


@dataclass(frozen=True)
class BestAnswers:
    """Of the answers in a list the one with the highest score. The scores stand in the records of the list
    (`score_key`), or in a list of their own beside it (`scores`, a column)."""

    source: str
    score_key: str = ""
    text_key: str = ""
    scores: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source, self.scores) if self.scores else (self.source,)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.source + BEST,)

    def note(self) -> Sentence:
        text = N_("Of the answers in each list of {column} the one with the highest {score} stands in {name}.")
        if self.score_key in _RANKS:
            text = N_("Of the answers in each list of {column} the one with the first {score} stands in {name}.")
        return sentence(text, column=self.source, score=self.scores or self.score_key, name=self.source + BEST)

    def cells(self, held: Sequence[object]) -> tuple[str | None, ...]:
        scored = self.scored(held)
        return (max(scored, key=lambda one: one[0])[1] if scored else None,)

    def scored(self, held: Sequence[object]) -> list[tuple[float, str]]:
        """The answers of a row with their scores; empty where they aren't all scored. Ranks count downwards."""
        answers = _list(held[0])
        if self.scores:
            texts, marks = answers, _list(held[1])
        else:
            records = [one if isinstance(one, Mapping) else {} for one in answers]
            texts, marks = [one.get(self.text_key) for one in records], [one.get(self.score_key) for one in records]
        pairs = [
            (-float(mark) if self.score_key in _RANKS else float(mark), text)
            for mark, text in zip(marks, texts, strict=False)
            if isinstance(mark, int | float) and isinstance(text, str)
        ]
        return pairs if len(pairs) == len(texts) == len(marks) else []


def _list(cell: object) -> list[object]:
    """The list in a cell; a record of lists that are as long as each other is one of records."""
    if isinstance(cell, str) and cell[:1] in ("[", "{") and len(cell) <= _LONGEST_RECORD:
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return []
    if isinstance(cell, Mapping) and cell and all(isinstance(held, list) for held in cell.values()):
        lists = list(cell.values())
        if len(lists) > 1 and len({len(held) for held in lists}) == 1:
            return [dict(zip(cell, row, strict=True)) for row in zip(*lists, strict=True)]
    return cell if isinstance(cell, list) else []


def best_answers(columns: Sequence[str], rows: Sequence[Row]) -> list[BestAnswers]:
    """The columns whose cells are lists of scored answers, with several in some of them."""
    found: list[BestAnswers] = []
    marks = [name for name in columns if plain(name) in _SCORES]
    for column in columns:
        if rank(column, "answer") is None and plain(column) not in _ANSWERED_IN:
            continue
        filled = [row for row in rows if row.get(column) not in (None, "")]
        first = next((answers for row in filled if (answers := _list(row.get(column)))), [])
        tried: list[BestAnswers] = []
        if first and isinstance(first[0], Mapping):
            keys = [key for key in first[0] if plain(key) in _SCORES] or [key for key in first[0] if key in _RANKS]
            texts = [key for key in _TEXTS if key in first[0]]
            tried = [BestAnswers(column, keys[0], texts[0])] if len(keys) == 1 and texts else []
        elif first and len(marks) == 1:
            tried = [BestAnswers(column, scores=marks[0])]
        for one in tried:
            scored = [one.scored([row.get(name) for name in one.sources]) for row in filled]
            if sum(map(bool, scored)) >= 0.95 * len(filled) and any(len(answers) > 1 for answers in scored):
                found.append(one)
    return found


def _record(cell: object) -> Mapping[str, object] | None:
    """The single record of a cell."""
    if isinstance(cell, str):
        bare = cell.strip()
        if bare[:1] not in ("{", "[") or len(bare) > _LONGEST_RECORD:
            return None
        try:
            cell = json.loads(bare)
        except (ValueError, RecursionError):
            return None
    if isinstance(cell, list) and len(cell) == 1:
        cell = cell[0]
    return cell if isinstance(cell, Mapping) else None


def record_columns(columns: Sequence[str], rows: Sequence[Row]) -> list[RecordColumns | TextInside]:
    """The columns in which nearly every one of these rows holds a single record with an answer in it. Turns of
    conversations aren't meant."""
    found: list[RecordColumns | TextInside] = []
    for column in columns:
        filled = [cell for row in rows if (cell := row.get(column)) not in (None, "")]
        records = [record for cell in filled if (record := _record(cell)) is not None]
        if len(records) < max(1, 0.95 * len(filled)):
            continue
        keys = list(dict.fromkeys(key for record in records for key in record))
        if {"role", "from", "content", "messages", "conversations", "function"} & set(keys):
            continue
        texts = [key for key in keys if not any(isinstance(record.get(key), list | dict) for record in records)]
        named = [key for key in texts if any(_is_exact(key, role) for role in ("answer", "question", "context"))]
        if any(_is_exact(key, "question") for key in named) and any(_is_exact(key, "answer") for key in named):
            found.append(_laid_out(column, named))
        elif _is_exact(column, "question") and any(plain(key) in _ASKED_IN for key in texts):
            asked = [key for key in texts if plain(key) in _ASKED_IN]
            options = [key for key in keys if _is_exact(key, "options")]
            found.append(_laid_out(column, [*asked[:1], *options]))
        elif plain(column) in _TRANSLATIONS and len(texts) == len(keys) > 1:
            found.append(_laid_out(column, keys))
        elif any(len(key) > 1 and (_is_exact(key, "answer") or plain(key) == "question") for key in named):
            found.append(_laid_out(column, named))
        elif role := next((role for role in ("question", "answer") if _is_exact(column, role)), ""):
            path = _path_to_text(records[0], column)
            if path and all(isinstance(_at(record, path), str) for record in records):
                around = [_at(record, path[:-1]) for record in records]
                others = sum(isinstance(one, Mapping) and _tells_more(one, path[-1]) for one in around)
                found.append(TextInside(column, path, f"{column}.{role}", others > 0.2 * len(records)))
    return found


def _tells_more(record: Mapping[object, object], text: str | int) -> bool:
    """Whether a record holds sentences elsewhere than under the name of its text."""
    return any(
        isinstance(held, str) and name != text and len(held) >= 40 and " " in held for name, held in record.items()
    )


def text_columns(columns: Sequence[str], rows: Sequence[Row]) -> list[JoinedTexts]:
    """The columns whose cells are lists of a text's sentences or paragraphs, each in a record, and those called as
    summaries are that hold lists of a single text."""
    found: list[JoinedTexts] = []
    for column in columns:
        if not any(_is_exact(column, role) for role in ("text", "context", "summary")):
            continue
        cells = [_list(cell) for row in rows if (cell := row.get(column)) not in (None, "")]
        lists = [cell for cell in cells if cell]
        if not lists or len(lists) < 0.95 * len(cells):
            continue
        in_records = all(_is_in_records(cell) for cell in lists)
        if in_records or (_is_exact(column, "summary") and all(len(_pieces(cell)) == 1 for cell in lists)):
            found.append(JoinedTexts(column))
    return found


def _is_in_records(cell: object) -> bool:
    while isinstance(cell, list) and cell and isinstance(cell[0], list):
        cell = cell[0]
    return isinstance(cell, list) and bool(cell) and all(isinstance(one, Mapping) and _piece(one) for one in cell)


def _piece(record: Mapping[str, object]) -> str:
    return next((str(record[name]) for name in _PIECES if isinstance(record.get(name), str)), "")


def _pieces(cell: object) -> list[str]:
    if isinstance(cell, list):
        return [piece for one in cell for piece in _pieces(one)]
    if isinstance(cell, Mapping):
        return [piece] if (piece := _piece(cell)) else []
    return [cell] if isinstance(cell, str) and cell.strip() else []


_PIECES = ("sentence", "form", "text", "paragraph", "content", "문장")
"""What one of the sentences of a text is called in a record of it."""
_ONE_OF = ("choices", "candidates", "generations")
"""Lists of answers of which the first is the one that was given."""
_TOLD_IN = ("message", "content", "parts", "output", "text", "value", "answer", "completion", "response", "delta")
_DEEPEST = 6


def _path_to_text(record: Mapping[str, object], column: str) -> tuple[str | int, ...]:
    """Where in a record the text stands: through the first of its answers and the names by which texts are called, or
    a name that holds the column's own, or the only part there is; () where that isn't clear."""
    here: object = record
    path: list[str | int] = []
    while len(path) < _DEEPEST:
        if isinstance(here, str):
            return tuple(path)
        if isinstance(here, list) and len(here) == 1:
            path.append(0)
            here = here[0]
            continue
        if not isinstance(here, Mapping):
            return ()
        known = [name for name in (*_ONE_OF, *_TOLD_IN) for key in here if plain(str(key)) == name for name in [key]]
        known = known or [key for key in here if plain(column) in plain(str(key)) and isinstance(here[key], str)]
        known = known or (list(here) if len(here) == 1 else [])
        if not known:
            return ()
        path.append(str(known[0]))
        here = here[known[0]]
        if str(known[0]) in _ONE_OF and isinstance(here, list) and here:
            path.append(0)
            here = here[0]
    return ()


def _at(value: object, path: Sequence[str | int]) -> object:
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value


_ASKED_IN = ("stem", "text", "fulltext", "question", "title", "body", "content", "value")
"""What the words of a question are called in a record of it."""
_TRANSLATIONS = ("translation", "translations", "traduction", "번역", "訳", "翻译")


def _laid_out(column: str, keys: Sequence[str]) -> RecordColumns:
    return RecordColumns(column, tuple(keys), tuple(f"{column}.{key}" for key in keys))


def _is_exact(name: str, role: str) -> bool:
    place = rank(name, role)
    return place is not None and place < EXACT


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
    for name in columns:
        # "user" beside "user2" is the first of them.
        stem = unicodedata.normalize("NFKC", name).strip().casefold()
        part = _speaker(stem.strip("_ -."))
        numbers = found.get((part, stem), {}) if part else {}
        if numbers and min(numbers) == 2:
            numbers[1] = name
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
    order: list[Turn] = []
    for number in sorted(asked):
        both: list[Turn] = [(asked[number], "user")]
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


def with_derived_columns(stream: TableStream) -> TableStream:
    """The stream with further columns where its columns are the turns of conversations, or hold records."""
    first = next(stream.batches, None)
    if first is None:
        return stream
    rows = first.slice(0, LOOKED_AT).to_pylist()
    found: list[DerivedColumns] = [*record_columns(stream.columns, rows), *best_answers(stream.columns, rows)]
    found += text_columns(stream.columns, rows)
    turns = turn_columns(stream.columns)
    if turns is not None:
        found.append(turns)
    stream = replace(stream, batches=chain((first,), stream.batches))
    for one in found:
        if isinstance(one, TextInside) and one.is_partial:
            stream = replace(stream, doubts=(*stream.doubts, "kind"))
        columns, notes = (*stream.columns, *one.names), (*stream.notes, one.note())
        stream = replace(stream, columns=columns, notes=notes, batches=_derived_batches(stream, one))
    return stream


def _derived_batches(stream: TableStream, derived: DerivedColumns) -> Iterator[pa.RecordBatch]:
    for batch in stream.batches:
        held = [batch.column(column).to_pylist() for column in derived.sources]
        made = [derived.cells(cells) for cells in zip(*held, strict=True)]
        arrays = [text_array([cells[place] for cells in made]) for place in range(len(derived.names))]
        yield pa.RecordBatch.from_arrays([*batch.columns, *arrays], names=[*batch.schema.names, *derived.names])
