"""parquet, arrow files, and folders that the datasets library saved, all through pyarrow alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from studio.core.data_choice import DataChoice
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.words import N_, Sentence, sentence
from studio.data import limits
from studio.data.arrow_rows import ArrowRows
from studio.data.emptiness import empty, header_only
from studio.data.table import Table

_BATCH_ROWS = 256
_JOINED_BYTES = 32 * limits.MEGABYTE


def open_parquet(path: Path, sheets: tuple[str, ...] = (), sheet: str = "") -> Table:
    """Raises `ProblemError`."""
    _guard_size([path])
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > limits.ROWS:
                raise limits.too_many_rows(path)
            schema = file.schema_arrow
            names = _readable(path, schema)
            whole = _read_in_batches(path, file, pa.schema([schema.field(name) for name in names]))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path) from error
    return _table(path, "parquet", whole, schema, sheets, sheet)


def _read_in_batches(path: Path, file: pq.ParquetFile, schema: pa.Schema) -> pa.Table:
    """Small batches, because a long text that is stored once may stand in every row; then joined into larger ones,
    because finding a row among very many is slow."""
    joined: list[pa.Table] = []
    batches: list[pa.RecordBatch] = []
    held = waiting = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=schema.names) if schema.names else ():
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
    _guard_size([path])
    return _from_arrow_files(path, [path], "dataset", (), "")


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder: one data set, or a dictionary of splits."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def open_saved_dataset(folder: Path, choice: DataChoice) -> Table:
    """Raises `ProblemError`. With several splits takes the chosen one, else train, else the first."""
    splits: tuple[str, ...] = ()
    split, inside = "", folder
    if (folder / "dataset_dict.json").is_file():
        listed = _mapping(folder, folder / "dataset_dict.json").get("splits")
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        splits = tuple(name for name in names if _is_plain(name) and (folder / name / "state.json").is_file())
        if not splits:
            raise _damaged(folder)
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
            raise _damaged(folder)
        files.append(inside / name)
    if not files:
        raise empty(folder)
    _guard_size(files)
    return _from_arrow_files(folder, files, "dataset", splits, split)


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
        raise _damaged(folder) from error
    if not isinstance(value, dict):
        raise _damaged(folder)
    return value


def _from_arrow_files(path: Path, files: list[Path], kind: str, sheets: tuple[str, ...], sheet: str) -> Table:
    tables = []
    try:
        for file in files:
            mapped = pa.memory_map(str(file))
            with mapped:
                head = mapped.read(6)
                mapped.seek(0)
                # Memory-mapped: the columns stay on disk and are read when they are looked at.
                reader = pa.ipc.open_file(mapped) if head == b"ARROW1" else pa.ipc.open_stream(mapped)
                tables.append(reader.read_all())
        whole = pa.concat_tables(tables)
        if whole.num_rows > limits.ROWS:
            raise limits.too_many_rows(path)
        if whole.nbytes > limits.COLUMNAR_BYTES:
            raise limits.unpacks_too_large(path)
        whole.validate()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path) from error
    schema = whole.schema
    return _table(path, kind, whole.select(_readable(path, schema)), schema, sheets, sheet)


def _table(path: Path, kind: str, whole: pa.Table, schema: pa.Schema, sheets: tuple[str, ...], sheet: str) -> Table:
    if not schema.names:
        raise empty(path)
    notes: list[Sentence] = []
    left_out = [name for name in schema.names if name not in whole.column_names]
    if left_out:
        text = N_("Columns with pictures, sound or other bytes were left out: {names}.")
        notes.append(sentence(text, names=", ".join(left_out)[:200]))
    if not whole.column_names:
        raise problem(
            "data.no_text_columns",
            N_("{name} holds no text."),
            N_("All of its columns are pictures, sound or other bytes."),
            N_("Choose data with written questions and answers."),
            remedy=Remedy.choose_file,
            name=path.name,
        )
    if not whole.num_rows:
        raise header_only(path)
    return Table(
        path, kind, tuple(whole.column_names), ArrowRows(whole), sheet=sheet, sheets=sheets, notes=tuple(notes)
    )


def _readable(path: Path, schema: pa.Schema) -> list[str]:
    if len(schema.names) > limits.COLUMNS:
        raise limits.too_many_columns(path, len(schema.names))
    if len(set(schema.names)) < len(schema.names):
        raise _damaged(path)
    return [field.name for field in schema if not any(_holds_bytes(kind) for kind in _kinds(field.type))]


def _holds_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _kinds(kind: pa.DataType) -> Iterator[pa.DataType]:
    yield kind
    for position in range(kind.num_fields):
        yield from _kinds(kind.field(position).type)


def _guard_size(files: list[Path]) -> None:
    size = sum(file.stat().st_size for file in files)
    if size > limits.COLUMNAR_BYTES:
        raise limits.too_large(files[0], size, limits.COLUMNAR_BYTES)
    if size == 0:
        raise empty(files[0])


def _damaged(path: Path) -> ProblemError:
    return problem(
        "data.damaged",
        N_("{name} is damaged or incomplete."),
        N_("Often a download or a copy was cut short."),
        N_("Fetch or save it once more, then choose it again."),
        remedy=Remedy.choose_file,
        name=path.name,
    )
