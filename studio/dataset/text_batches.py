"""Rows of text as arrow's record batches: how every reader hands out what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

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
        arrays = [_text_array(cells) for cells in zip(*chunk, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        chunks.append(batch)
        held += batch.nbytes
        count += len(chunk)
        if held > BATCH_BYTES or count >= BATCH_ROWS:
            yield _as_one(chunks, schema)
            chunks, held, count = [], 0, 0
    if chunks:
        yield _as_one(chunks, schema)


def _text_array(cells: TextRow) -> pa.Array:
    if "" in cells:
        cells = [cell or None for cell in cells]
    try:
        return pa.array(cells, pa.large_string())
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell and no encoding can
        whole = [cell and cell.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for cell in cells]
        return pa.array(whole, pa.large_string())


def _as_one(chunks: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(chunks) == 1:
        return chunks[0]
    arrays = [pa.concat_arrays([chunk.column(position) for chunk in chunks]) for position in range(len(schema))]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
