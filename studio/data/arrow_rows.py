"""Rows kept in arrow's columns. Apart from `table`, so that whoever needs only the names doesn't load pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import pyarrow as pa

from studio.data.table import Row


class ArrowRows(Sequence[Row]):
    """Rows over an arrow table: compact in memory, made into Python values only when asked for."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                found: list[Row] = self._table.slice(start, max(0, stop - start)).to_pylist()
                return found
            return [self[i] for i in range(start, stop, step)]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        row: Row = self._table.slice(index, 1).to_pylist()[0]
        return row

    def __iter__(self) -> Iterator[Row]:
        for batch in self._table.to_batches(max_chunksize=500):
            yield from batch.to_pylist()


class TextColumns:
    """Collects rows of text into arrow columns, a batch at a time, so that a wide file costs its own size once."""

    BATCH = 20_000

    def __init__(self, columns: Sequence[str]) -> None:
        self._schema = pa.schema([(name, pa.large_string()) for name in columns])
        self._waiting: list[Sequence[str | None]] = []
        self._batches: list[pa.RecordBatch] = []
        self.bytes = 0
        self.count = 0

    def add(self, row: Sequence[str | None]) -> None:
        """`row` holds one cell a column."""
        self._waiting.append(row)
        self.count += 1
        if len(self._waiting) >= self.BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            arrays = [pa.array(cells, pa.large_string()) for cells in zip(*self._waiting, strict=True)]
            batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
            self.bytes += batch.nbytes
            self._batches.append(batch)
            self._waiting = []

    def rows(self) -> ArrowRows:
        self._flush()
        return ArrowRows(pa.Table.from_batches(self._batches, self._schema))
