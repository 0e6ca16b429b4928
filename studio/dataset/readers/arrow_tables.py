"""Tables out of arrow's columns: which of them are text, what their cells are as text, and what can be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.arrow_rows import ArrowRows
from studio.dataset.readers.emptiness import empty, header_only
from studio.dataset.table import Table, cell_text


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """What the library raises, as the problem that it is; errors of the disk stay what they are."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise damaged(path) from error


def some_row(schema: pa.Schema, names: list[str], count: int) -> pa.Table:
    kept = pa.schema([schema.field(name) for name in names])
    return pa.table([pa.nulls(min(count, 1), field.type) for field in kept], names=names)


def text_of_column(column: pa.Array) -> pa.Array:
    """A column as `cell_text` writes its cells, empty texts as null."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (is_text or pa.types.is_integer(kind)):
        return pa.array([cell_text(cell) or None for cell in column.to_pylist()], pa.large_string())
    text = column.cast(pa.large_string())
    is_empty = pc.equal(text, "")
    return pc.if_else(is_empty, None, text) if pc.any(is_empty).as_py() else text


def table_of_arrow(
    path: Path, kind: str, whole: pa.Table, schema: pa.Schema, sheets: tuple[str, ...], sheet: str
) -> Table:
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


def readable(path: Path, schema: pa.Schema) -> list[str]:
    if len(schema.names) > limits.COLUMNS:
        raise limits.too_many_columns(path, len(schema.names))
    if len(set(schema.names)) < len(schema.names):
        raise damaged(path)
    return [field.name for field in schema if not any(_holds_bytes(kind) for kind in _kinds(field.type))]


def _holds_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _kinds(kind: pa.DataType) -> Iterator[pa.DataType]:
    yield kind
    for position in range(kind.num_fields):
        yield from _kinds(kind.field(position).type)


def guard_size(files: list[Path]) -> None:
    size = sum(file.stat().st_size for file in files)
    if size > limits.COLUMNAR_BYTES:
        raise limits.too_large(files[0], size, limits.COLUMNAR_BYTES)
    if size == 0:
        raise empty(files[0])


def damaged(path: Path) -> ProblemError:
    return problem(
        "data.damaged",
        N_("{name} is damaged or incomplete."),
        N_("Often a download or a copy was cut short."),
        N_("Fetch or save it once more, then choose it again."),
        remedy=Remedy.choose_file,
        name=path.name,
    )
