"""Rows of text as arrow's record batches: how every reader hands out what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa

from studio.dataset.table import TableInfo, TableStream

BATCH_ROWS = 20_000
BATCH_BYTES = 16 << 20
_CHUNK = 500

TextRow = Sequence[str | None]
"""One cell a column."""


def stream_rows(info: TableInfo, count: int, rows: Iterable[TextRow]) -> TableStream:
    """The stream of `count` rows of text."""
    return stream_batches(info, count, text_batches(info.columns, rows))


def stream_batches(info: TableInfo, count: int, batches: Iterator[pa.RecordBatch]) -> TableStream:
    """The stream of batches that hold `count` rows."""
    return TableStream(**vars(info.info), count=count, batches=batches)


def text_schema(columns: Sequence[str]) -> pa.Schema:
    """Of columns of text."""
    return pa.schema([(name, pa.large_string()) for name in columns])


def text_batches(columns: Sequence[str], rows: Iterable[TextRow]) -> Iterator[pa.RecordBatch]:
    """Rows as batches of large_string columns, "" as null; a batch has up to 20,000 rows or about 16 MB."""
    schema = text_schema(columns)
    source = iter(rows)
    chunks: list[pa.RecordBatch] = []
    held = count = 0
    while chunk := list(islice(source, _CHUNK)):
        arrays = [text_array([cell or None for cell in cells]) for cells in zip(*chunk, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        chunks.append(batch)
        held += batch.nbytes
        count += len(chunk)
        if held > BATCH_BYTES or count >= BATCH_ROWS:
            yield _as_one(chunks, schema)
            chunks, held, count = [], 0, 0
    if chunks:
        yield _as_one(chunks, schema)


def text_array(cells: Sequence[str | None]) -> pa.LargeStringArray:
    """Texts as an arrow array, None as null.

    `pa.array` would load pandas, only to ask whether the list is one of its columns: a quarter of a small file's time.
    """
    try:
        stored = [cell.encode() if cell else b"" for cell in cells]
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell and no encoding can
        stored = [(cell or "").encode("utf-16-le", "surrogatepass") for cell in cells]
        stored = [text.decode("utf-16-le", "replace").encode() for text in stored]
    ends = np.zeros(len(stored) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, stored), dtype=np.int64, count=len(stored)), out=ends[1:])
    nulls = None
    if None in cells:
        nulls = pa.py_buffer(np.packbits([cell is not None for cell in cells], bitorder="little"))
    return pa.LargeStringArray.from_buffers(len(stored), pa.py_buffer(ends), pa.py_buffer(b"".join(stored)), nulls)


def _as_one(chunks: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(chunks) == 1:
        return chunks[0]
    arrays = [pa.concat_arrays([chunk.column(position) for chunk in chunks]) for position in range(len(schema))]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
