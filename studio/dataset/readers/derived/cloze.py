"""Cards with gaps, as Anki keeps them: `The capital is {{c1::Oslo}}.` becomes a question with a gap, and its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from studio.core.translatable import N_, sentence
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows

_GAP = re.compile(r"\{\{c(?P<number>\d{1,2})::(?P<told>.*?)(?:::(?P<hint>.*?))?\}\}", re.DOTALL)
_LOOKED_AT = 200
_NEARLY_ALL = 0.8


def with_gaps(stream: TableStream) -> TableStream:
    """A table in which nearly each cell of a column has gaps, as questions with answers; others as they are."""
    first = next(stream.batches, None)
    if first is None:
        return stream
    column = ""
    for name in stream.columns:
        cells = [cell for cell in first.slice(0, _LOOKED_AT).column(name).to_pylist() if cell]
        if cells and sum("{{c" in cell and bool(_GAP.search(cell)) for cell in cells) >= _NEARLY_ALL * len(cells):
            column = name
            break
    if not column:
        return replace(stream, batches=_with(first, stream))
    texts = (cell or "" for batch in _with(first, stream) for cell in batch.column(column).to_pylist())
    rows = [card for text in texts for card in cards_of(text)]
    others = [name for name in stream.columns if name != column]
    notes = [
        sentence(
            N_("The gaps in {column} became {count} {count:question with an answer|questions with answers}."),
            column=column,
            count=len(rows),
        )
    ]
    if others:
        notes.append(sentence(N_("Not used: {columns}."), columns=", ".join(others)[:300]))
    info = replace(
        stream.info,
        columns=("question", "answer"),
        notes=(*stream.notes, *notes),
        doubts=tuple(dict.fromkeys((*stream.doubts, "kind"))),
    )
    return stream_rows(info, len(rows), rows)


def _with(first: pa.RecordBatch, stream: TableStream) -> Iterator[pa.RecordBatch]:
    yield first
    yield from stream.batches


def cards_of(text: str) -> list[tuple[str, str]]:
    """(question, answer) for each number of a gap in a text; the other gaps are filled in."""
    cards: list[tuple[str, str]] = []
    for number in dict.fromkeys(found["number"] for found in _GAP.finditer(text)):
        told = [found["told"].strip() for found in _GAP.finditer(text) if found["number"] == number]

        def shown(found: re.Match[str], asked: str = number) -> str:
            return f"[{found['hint'] or '...'}]" if found["number"] == asked else found["told"]

        cards.append((_GAP.sub(shown, text).strip(), ", ".join(told)))
    return cards
