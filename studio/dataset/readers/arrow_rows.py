"""Rows kept in arrow's columns. Apart from `table`, so that whoever needs only the names doesn't load pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pyarrow as pa

from studio.dataset.lazy_sequence import LazySequence
from studio.dataset.readers import limits
from studio.dataset.table import Row

BATCH_ROWS = 20_000
BATCH_BYTES = 16 * limits.MEGABYTE
_CHUNK = 500


class ArrowRows(LazySequence[Row]):
    """Rows over an arrow table: compact in memory, made into Python values only when asked for."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def _at(self, positions: range) -> Iterator[Row]:
        if positions.step == 1:
            yield from self._table.slice(positions.start, len(positions)).to_pylist()
        else:
            for position in positions:
                yield from self._table.slice(position, 1).to_pylist()

    def __iter__(self) -> Iterator[Row]:
        for batch in self._table.to_batches(max_chunksize=_CHUNK):
            yield from batch.to_pylist()


def text_schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, pa.large_string()) for name in columns])


def text_batches(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Iterator[pa.RecordBatch]:
    """Rows of text as batches of large_string columns, "" as null; a batch has up to 20,000 rows or about 16 MB.

    Each of `rows` holds one cell a column.
    """
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


def _text_array(cells: Sequence[str | None]) -> pa.Array:
    if "" in cells:
        cells = [cell or None for cell in cells]
    try:
        return pa.array(cells, pa.large_string())
    except UnicodeEncodeError:  # half of a letter, which JSON can spell and no encoding can
        whole = [cell and cell.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for cell in cells]
        return pa.array(whole, pa.large_string())


def _as_one(chunks: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(chunks) == 1:
        return chunks[0]
    arrays = [pa.concat_arrays([chunk.column(position) for chunk in chunks]) for position in range(len(schema))]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
