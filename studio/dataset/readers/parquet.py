"""Parquet files, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from studio.dataset.readers import limits
from studio.dataset.readers.arrow import as_text, guard_size, in_words, table_info
from studio.dataset.readers.unreadable import damaged, guard_unchanged
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_batches

_BATCH_ROWS = 1_024


def read_parquet(path: Path, sheets: tuple[str, ...] = (), sheet: str = "") -> TableStream:
    """Raises `ProblemError`. `sheets` and `sheet` are the splits of the data set that the file belongs to."""
    before = path.stat()
    with _opened(path) as file:
        count = file.metadata.num_rows
        info = table_info(path, "parquet", file.schema_arrow, count, sheets, sheet)

    def batches() -> Iterator[pa.RecordBatch]:
        guard_unchanged(path, before)
        given = 0
        with _opened(path) as file:
            rows = file.iter_batches(batch_size=_BATCH_ROWS, columns=list(info.columns))
            for batch in rows:
                batch.validate(full=True)
                yield as_text(batch, info.columns)
                given += batch.num_rows
        guard_unchanged(path, before)
        if given != count:
            raise damaged(path)

    return stream_batches(info, count, batches())


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    guard_size([path])
    # Pages are read as they are needed: a file of one large part would else be read whole for its first row.
    with in_words(path), pq.ParquetFile(path, pre_buffer=False, buffer_size=limits.MEGABYTE) as file:
        yield file
