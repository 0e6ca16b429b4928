"""parquet, arrow files, and folders that the datasets library saved, all through pyarrow alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_
from studio.dataset.readers import limits
from studio.dataset.readers.arrow_files import ArrowFiles, held_arrow, streamed_arrow
from studio.dataset.readers.arrow_rows import text_schema
from studio.dataset.readers.arrow_tables import (
    damaged,
    guard_size,
    in_words,
    readable,
    some_row,
    table_of_arrow,
    text_of_column,
)
from studio.dataset.readers.emptiness import empty
from studio.dataset.readers.streaming import Stream, stream_of
from studio.dataset.table import Table

_BATCH_ROWS = 256
_STREAMED_ROWS = 1_024
_JOINED_BYTES = 32 * limits.MEGABYTE


def open_parquet(path: Path, sheets: tuple[str, ...] = (), sheet: str = "") -> Table:
    """Raises `ProblemError`."""
    with _parquet(path) as file:
        schema = file.schema_arrow
        names = readable(path, schema)
        whole = _read_in_batches(path, file, pa.schema([schema.field(name) for name in names]))
    return table_of_arrow(path, "parquet", whole, schema, sheets, sheet)


def first_parquet(path: Path, count: int, sheets: tuple[str, ...] = (), sheet: str = "") -> Table:
    """Its first `count` rows; little more than these is read from the disk."""
    with _parquet(path) as file:
        schema = file.schema_arrow
        names = readable(path, schema)
        batches = list(islice(file.iter_batches(batch_size=count, columns=names), 1)) if names else []
        whole = pa.Table.from_batches(batches, pa.schema([schema.field(name) for name in names])).slice(0, count)
        whole.validate(full=True)
    return table_of_arrow(path, "parquet", whole, schema, sheets, sheet)


def stream_parquet(path: Path, sheets: tuple[str, ...] = (), sheet: str = "") -> Stream:
    """All rows as text, a batch at a time: see `Stream`. Raises `ProblemError`."""
    before = path.stat()
    with _parquet(path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows
        names = readable(path, schema)
    # One that holds no row, or nothing but bytes, is refused here as it is when it is opened.
    bare = table_of_arrow(path, "parquet", some_row(schema, names, count), schema, sheets, sheet)
    batches = _text_batches(path, before, tuple(names), count)
    return replace(stream_of(bare), count=count, batches=batches)


def _text_batches(path: Path, before: os.stat_result, names: tuple[str, ...], count: int) -> Iterator[pa.RecordBatch]:
    limits.guard_unchanged(path, before)
    size = given = 0
    with _parquet(path) as file:
        schema = text_schema(names)
        for batch in file.iter_batches(batch_size=_STREAMED_ROWS, columns=list(names)):
            batch.validate(full=True)
            as_text = pa.RecordBatch.from_arrays([text_of_column(column) for column in batch.columns], schema=schema)
            size += as_text.nbytes
            given += as_text.num_rows
            if size > limits.STREAMED_BYTES:
                raise limits.unpacks_too_large(path)
            yield as_text
    limits.guard_unchanged(path, before)
    if given != count:
        raise damaged(path)


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    guard_size([path])
    # Pages are read as they are needed: a file of one large part would else be read whole for its first row.
    with in_words(path), pq.ParquetFile(path, pre_buffer=False, buffer_size=limits.MEGABYTE) as file:
        if file.metadata.num_rows > limits.ROWS:
            raise limits.too_many_rows(path)
        yield file


def _read_in_batches(path: Path, file: pq.ParquetFile, schema: pa.Schema) -> pa.Table:
    """Small batches, because a long text that is stored once may stand in every row; then joined into larger ones,
    because finding a row among very many is slow."""
    joined: list[pa.Table] = []
    batches: list[pa.RecordBatch] = []
    held = waiting = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=schema.names) if schema.names else ():
        batch.validate(full=True)
        batches.append(batch)
        waiting += batch.nbytes
        held += batch.nbytes
        if held > limits.UNPACKED_BYTES:
            raise limits.unpacks_too_large(path)
        if waiting > _JOINED_BYTES:
            joined.append(pa.Table.from_batches(batches, schema).combine_chunks())
            batches, waiting = [], 0
    joined.append(pa.Table.from_batches(batches, schema).combine_chunks())
    return pa.concat_tables(joined)


def open_arrow(path: Path) -> Table:
    """One arrow file, in either of its two layouts. Raises `ProblemError`."""
    return held_arrow(ArrowFiles(path, [path]))


def stream_arrow(path: Path) -> Stream:
    """As `stream_parquet`."""
    return streamed_arrow(ArrowFiles(path, [path]))


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder: one data set, or a dictionary of splits."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def open_saved_dataset(folder: Path, choice: DataChoice) -> Table:
    """Raises `ProblemError`. With several splits takes the chosen one, else train, else the first."""
    return held_arrow(_saved(folder, choice))


def stream_saved_dataset(folder: Path, choice: DataChoice) -> Stream:
    """As `open_saved_dataset`, handed out in batches."""
    return streamed_arrow(_saved(folder, choice))


def _saved(folder: Path, choice: DataChoice) -> ArrowFiles:
    splits: tuple[str, ...] = ()
    split, inside = "", folder
    if (folder / "dataset_dict.json").is_file():
        listed = _mapping(folder, folder / "dataset_dict.json").get("splits")
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        splits = tuple(name for name in names if _is_plain(name) and (folder / name / "state.json").is_file())
        if not splits:
            raise damaged(folder)
        wanted = choice.sheet or choice.split
        if wanted in splits:
            split = wanted
        elif wanted in ("", "train"):
            split = splits[0]
        else:
            raise no_such_split(folder.name, wanted, splits)
        inside = folder / split
    listed = _mapping(folder, inside / "state.json").get("_data_files")
    files: list[Path] = []
    for entry in listed if isinstance(listed, list) else []:
        name = entry.get("filename") if isinstance(entry, dict) else None
        # A name with a path in it could lead anywhere on the disk.
        if not isinstance(name, str) or not _is_plain(name) or not (inside / name).is_file():
            raise damaged(folder)
        files.append(inside / name)
    if not files:
        raise empty(folder)
    return ArrowFiles(folder, files, splits, split)


def no_such_split(name: str, split: str, splits: tuple[str, ...]) -> ProblemError:
    return problem(
        "data.no_such_split",
        N_("{name} has no part called {split}."),
        N_("It has: {splits}."),
        N_("Choose one of these as the part of the data set."),
        remedy=Remedy.see_settings,
        name=name,
        split=split,
        splits=", ".join(splits)[:300],
    )


def _is_plain(name: str) -> bool:
    return bool(name) and Path(name).name == name and "\\" not in name and name not in (".", "..")


def _mapping(folder: Path, file: Path) -> dict[str, object]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(folder) from error
    if not isinstance(value, dict):
        raise damaged(folder)
    return value
