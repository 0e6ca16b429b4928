"""Sheets that lie on their side: a row of questions above a row of answers, with the names in the first column."""

from __future__ import annotations

from dataclasses import replace

from studio.core.translatable import N_, sentence
from studio.dataset.readers.header import names_parts
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows
from studio.dataset.vocabulary import plain

_MOST_ROWS = 12
_FEWEST_COLUMNS = 5
_LONGEST_NAME = 40


def upright(stream: TableStream) -> TableStream:
    """The table turned by a quarter where its first column names a question and an answer, and it is wider than it is
    high; other tables as they are. A person has to confirm it."""
    width = len(stream.columns)
    if stream.format not in ("csv", "tsv", "xlsx") or not stream.count < _MOST_ROWS or width < _FEWEST_COLUMNS:
        return stream
    batches = list(stream.batches)
    rows = [list(cells) for batch in batches for cells in zip(*(one.to_pylist() for one in batch.columns), strict=True)]
    unnamed = all(name == f"column {number}" for number, name in enumerate(stream.columns, 1))
    lines = rows if unnamed else [list(stream.columns), *rows]
    names = [str(line[0] or "").strip() for line in lines]
    is_named = all(0 < len(name) <= _LONGEST_NAME for name in names) and len(set(map(plain, names))) == len(names)
    if not is_named or not names_parts(names) or (names_parts(stream.columns) and not unnamed) or len(lines) >= width:
        return replace(stream, batches=iter(batches))
    note = sentence(
        N_("The names stand in the first column, so each of its {count} other columns is a row."), count=width - 1
    )
    info = replace(
        stream.info,
        columns=tuple(names),
        notes=(*stream.notes, note),
        doubts=tuple({*stream.doubts, "kind"} - {"header"}),
    )
    turned = [[str(line[place] or "") for line in lines] for place in range(1, width)]
    return stream_rows(info, len(turned), turned)
