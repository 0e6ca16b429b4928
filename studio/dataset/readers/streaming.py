"""A file as a stream of text columns, so that a million rows can go to disk without being held at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from studio.core.translatable import Sentence
from studio.dataset.readers import limits
from studio.dataset.readers.arrow_rows import ArrowRows, text_batches, text_schema
from studio.dataset.table import Doubt, Row, Table, cell_text


@dataclass(frozen=True)
class Stream:
    """As `Table`, with `batches` (record batches of large_string columns named as `columns`) in place of rows.

    `count` is how many rows will come. `batches` can be gone through once, and raises `ProblemError` where the file
    changes or breaks on the way.
    """

    path: Path
    format: str
    columns: tuple[str, ...]
    count: int
    batches: Iterator[pa.RecordBatch]
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    notes: tuple[Sentence, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def held(stream: Stream) -> Table:
    """The stream as a table in memory. Raises `ProblemError` when it is too large for that."""
    batches: list[pa.RecordBatch] = []
    size = 0
    for batch in stream.batches:
        size += batch.nbytes
        if size > limits.UNPACKED_BYTES:
            raise limits.too_large(stream.path, size, limits.UNPACKED_BYTES)
        batches.append(batch)
    return with_rows(stream, ArrowRows(pa.Table.from_batches(batches, text_schema(stream.columns))))


def with_rows(stream: Stream, rows: Sequence[Row]) -> Table:
    return Table(
        path=stream.path,
        format=stream.format,
        columns=stream.columns,
        rows=rows,
        encoding=stream.encoding,
        delimiter=stream.delimiter,
        sheet=stream.sheet,
        sheets=stream.sheets,
        notes=stream.notes,
        doubts=stream.doubts,
    )


def stream_of(table: Table) -> Stream:
    """The rows of a table as text: see `cell_text` for what becomes of numbers and nested values."""
    return Stream(
        path=table.path,
        format=table.format,
        columns=table.columns,
        count=len(table.rows),
        batches=text_batches(table.columns, _texts(table.columns, table.rows)),
        encoding=table.encoding,
        delimiter=table.delimiter,
        sheet=table.sheet,
        sheets=table.sheets,
        notes=table.notes,
        doubts=table.doubts,
    )


def _texts(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[list[str]]:
    for row in rows:
        yield [cell_text(row[name]) for name in columns]
