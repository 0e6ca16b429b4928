"""Arrow and Parquet files, and folders that the datasets library saved, a batch at a time: columns as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from studio.core.problems import Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.unreadable import damaged, empty, guard_unchanged, header_only, no_such_split
from studio.dataset.table import TableInfo, TableStream, cell_text
from studio.dataset.text_batches import BATCH_ROWS, stream_batches, text_array, text_schema

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_PARQUET_ROWS = 1_024


def read_arrow(path: Path) -> TableStream:
    """One arrow file, in either of its two layouts. Raises `ProblemError`."""
    return _read(_ArrowFiles(path, [path]))


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder: one data set, or a dictionary of splits."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def read_saved_dataset(folder: Path, choice: DataChoice) -> TableStream:
    """Raises `ProblemError`. With several splits takes the chosen one, else train, else the first."""
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
    return _read(_ArrowFiles(folder, files, splits, split))


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


@dataclass(frozen=True)
class _ArrowFiles:
    """A data set in arrow files, and which of its splits."""

    path: Path
    files: list[Path]
    splits: tuple[str, ...] = ()
    split: str = ""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Raises `ProblemError`. The files are read, not mapped into memory: a mapped one that somebody shortens ends
        the whole process."""
        first = None
        for file in self.files:
            before = file.stat()
            with _in_words(self.path), pa.OSFile(str(file)) as opened:
                reader = _reader(opened)
                numbered = isinstance(reader, pa.RecordBatchFileReader)
                for batch in map(reader.get_batch, range(reader.num_record_batches)) if numbered else iter(reader):
                    batch.validate(full=True)  # also that texts are characters and that offsets are inside of them
                    if batch.nbytes > limits.UNPACKED_BYTES:
                        raise limits.unpacks_too_large(self.path)
                    first = first or batch.schema
                    if not batch.schema.equals(first):
                        raise damaged(self.path)
                    yield batch
            guard_unchanged(file, before)


def _reader(file: pa.NativeFile) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
    head = file.read(6)
    file.seek(0)
    return pa.ipc.open_file(file) if head == b"ARROW1" else pa.ipc.open_stream(file)


def _read(saved: _ArrowFiles) -> TableStream:
    _guard_size(saved.files)
    with _in_words(saved.path), pa.OSFile(str(saved.files[0])) as file:
        schema = _reader(file).schema
    before = [file.stat() for file in saved.files]
    count = sum(batch.num_rows for batch in saved.batches())
    info = _table_info(saved.path, "dataset", schema, count, saved.splits, saved.split)

    def guard() -> None:
        for file, about in zip(saved.files, before, strict=True):
            guard_unchanged(file, about)

    def batches() -> Iterator[pa.RecordBatch]:
        guard()
        for batch in saved.batches():
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield _as_text(batch.slice(start, BATCH_ROWS), info.columns)
        guard()

    return stream_batches(info, count, batches())


# Shared with parquet


def read_parquet(path: Path, sheets: tuple[str, ...] = (), sheet: str = "") -> TableStream:
    """Raises `ProblemError`. `sheets` and `sheet` are the splits of the data set that the file belongs to."""
    before = path.stat()
    with _opened_parquet(path) as file:
        count = file.metadata.num_rows
        info = _table_info(path, "parquet", file.schema_arrow, count, sheets, sheet)

    def batches() -> Iterator[pa.RecordBatch]:
        guard_unchanged(path, before)
        given = 0
        with _opened_parquet(path) as file:
            rows = file.iter_batches(batch_size=_PARQUET_ROWS, columns=list(info.columns))
            for batch in rows:
                batch.validate(full=True)
                yield _as_text(batch, info.columns)
                given += batch.num_rows
        guard_unchanged(path, before)
        if given != count:
            raise damaged(path)

    return stream_batches(info, count, batches())


@contextmanager
def _opened_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow.parquet as pq  # a library of its own, which Arrow's own files don't need

    _guard_size([path])
    # Pages are read as they are needed: a file of one large part would else be read whole for its first row.
    with _in_words(path), pq.ParquetFile(path, pre_buffer=False, buffer_size=limits.MEGABYTE) as file:
        yield file


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """What the library raises, as the problem that it is; errors of the disk stay what they are."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise damaged(path) from error


def _guard_size(files: Sequence[Path]) -> None:
    """Raises `ProblemError` for files that are empty or too large."""
    size = sum(file.stat().st_size for file in files)
    if size > limits.COLUMNAR_BYTES:
        raise limits.too_large(files[0], size, limits.COLUMNAR_BYTES)
    if size == 0:
        raise empty(files[0])


def _table_info(
    path: Path, kind: str, schema: pa.Schema, count: int, sheets: tuple[str, ...] = (), sheet: str = ""
) -> TableInfo:
    """Of a table with `count` rows; its columns are those that can be text. Raises `ProblemError`."""
    if not schema.names:
        raise empty(path)
    if len(schema.names) > limits.COLUMNS:
        raise limits.too_many_columns(path, len(schema.names))
    if len(set(schema.names)) < len(schema.names):
        raise damaged(path)
    columns = tuple(field.name for field in schema if not any(map(_is_bytes, _types_in(field.type))))
    if not columns:
        raise problem(
            "data.no_text_columns",
            N_("{name} holds no text."),
            N_("All of its columns are pictures, sound or other bytes."),
            N_("Choose data with written questions and answers."),
            remedy=Remedy.choose_file,
            name=path.name,
        )
    if not count:
        raise header_only(path)
    if count > limits.ROWS:
        raise limits.too_many_rows(path)
    notes: list[Sentence] = []
    left_out = [name for name in schema.names if name not in columns]
    if left_out:
        text = N_("Columns with pictures, sound or other bytes were left out: {names}.")
        notes.append(sentence(text, names=", ".join(left_out)[:200]))
    return TableInfo(path=path, format=kind, columns=columns, sheet=sheet, sheets=sheets, notes=tuple(notes))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _types_in(kind: pa.DataType) -> Iterator[pa.DataType]:
    yield kind
    for position in range(kind.num_fields):
        yield from _types_in(kind.field(position).type)


def _as_text(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """These columns of a batch, every cell as `cell_text` writes it and empty texts as null."""
    cells = [_text_of_column(batch.column(name)) for name in columns]
    return pa.RecordBatch.from_arrays(cells, schema=text_schema(columns))


def _text_of_column(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (is_text or pa.types.is_integer(kind)):
        return text_array([cell_text(cell) or None for cell in column.to_pylist()])
    text = column.cast(pa.large_string())
    is_empty = pc.equal(text, "")
    return pc.if_else(is_empty, None, text) if pc.any(is_empty).as_py() else text
