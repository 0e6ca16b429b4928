"""Arrow files, in either of their two layouts, one or several to a data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from studio.dataset.readers import limits
from studio.dataset.readers.arrow_rows import BATCH_ROWS, text_schema
from studio.dataset.readers.arrow_tables import (
    damaged,
    guard_size,
    in_words,
    readable,
    some_row,
    table_of_arrow,
    text_of_column,
)
from studio.dataset.readers.streaming import Stream, stream_of
from studio.dataset.table import Table


@dataclass(frozen=True)
class ArrowFiles:
    """A data set in arrow files, and which of its parts."""

    path: Path
    files: list[Path]
    splits: tuple[str, ...] = ()
    split: str = ""

    def schema(self) -> pa.Schema:
        """Raises `ProblemError`."""
        guard_size(self.files)
        with in_words(self.path), pa.OSFile(str(self.files[0])) as file:
            return _reader(file).schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Raises `ProblemError`. The files are read, not mapped into memory: a mapped one that somebody shortens ends
        the whole process."""
        first = None
        for file in self.files:
            before = file.stat()
            for batch in _batches_of(self.path, file):
                first = first or batch.schema
                if not batch.schema.equals(first):
                    raise damaged(self.path)
                yield batch.replace_schema_metadata(None)
            limits.guard_unchanged(file, before)


def _reader(file: pa.NativeFile) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
    head = file.read(6)
    file.seek(0)
    return pa.ipc.open_file(file) if head == b"ARROW1" else pa.ipc.open_stream(file)


def _batches_of(path: Path, file: Path) -> Iterator[pa.RecordBatch]:
    with in_words(path), pa.OSFile(str(file)) as opened:
        reader = _reader(opened)
        numbered = isinstance(reader, pa.RecordBatchFileReader)
        batches = map(reader.get_batch, range(reader.num_record_batches)) if numbered else iter(reader)
        for batch in batches:
            batch.validate(full=True)  # also that texts are letters and that places in it are inside of it
            if batch.nbytes > limits.UNPACKED_BYTES:
                raise limits.unpacks_too_large(path)
            yield batch


def held_arrow(saved: ArrowFiles) -> Table:
    """All rows in memory. Raises `ProblemError`."""
    schema = saved.schema()
    names = readable(saved.path, schema)
    batches: list[pa.RecordBatch] = []
    rows = held = 0
    for batch in saved.batches():
        kept = batch.select(names)
        rows += kept.num_rows
        held += kept.nbytes
        if rows > limits.ROWS:
            raise limits.too_many_rows(saved.path)
        if held > limits.UNPACKED_BYTES:
            raise limits.too_large(saved.path, held, limits.UNPACKED_BYTES)
        batches.append(kept)
    whole = pa.Table.from_batches(batches, pa.schema([schema.field(name) for name in names]).remove_metadata())
    return table_of_arrow(saved.path, "dataset", whole, schema, saved.splits, saved.split)


def streamed_arrow(saved: ArrowFiles) -> Stream:
    """All rows as text, a batch at a time: see `Stream`. Raises `ProblemError`."""
    schema = saved.schema()
    names = readable(saved.path, schema)
    before = [file.stat() for file in saved.files]
    count = sum(batch.num_rows for batch in saved.batches())
    if count > limits.ROWS:
        raise limits.too_many_rows(saved.path)
    bare = some_row(schema, names, count)
    told = stream_of(table_of_arrow(saved.path, "dataset", bare, schema, saved.splits, saved.split))
    columns = text_schema(names)

    def guard() -> None:
        for file, about in zip(saved.files, before, strict=True):
            limits.guard_unchanged(file, about)

    def batches() -> Iterator[pa.RecordBatch]:
        guard()
        for batch in saved.batches():
            for start in range(0, batch.num_rows, BATCH_ROWS):
                part = batch.select(names).slice(start, BATCH_ROWS)
                yield pa.RecordBatch.from_arrays([text_of_column(column) for column in part.columns], schema=columns)
        guard()

    return replace(told, count=count, batches=batches())
