"""A file as a table: what is known of it, and its rows, kept by number or handed out as a stream."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from studio.core.translatable import Sentence

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, object]
"""A cell for each column: text, or None where it is empty."""

Doubt = Literal["encoding", "delimiter", "sheet", "header", "kind"]
"""`kind` is what a file was taken for: a text, questions with answers, or which of the things in it."""


@dataclass(frozen=True, kw_only=True)
class TableInfo:
    """What is known of a table beside its rows.

    `format` is csv, tsv, json, jsonl, xlsx (any workbook), docx or table (a table in a document), parquet, dataset (a
    `save_to_disk` folder), pairs (questions and answers written below each other), transcript (turns of a conversation
    that was written down) or document (passages, one a row).

    `encoding` and `delimiter` are what was used for text files, "" for others; `sheet` and `sheets` belong to
    workbooks and are the parts (splits) of a data set. `notes` say what a person should know about the reading.
    """

    path: Path
    format: str
    columns: tuple[str, ...]
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    notes: tuple[Sentence, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    """What was guessed and should be confirmed by a person; the reason stands in `notes`."""

    @property
    def info(self) -> TableInfo:
        """Without the rows."""
        return TableInfo(**{field.name: getattr(self, field.name) for field in fields(TableInfo)})


@dataclass(frozen=True, kw_only=True)
class Table(TableInfo):
    """Rows that can be reached by number; they may stay on the disk until they are asked for."""

    rows: Sequence[Row]


@dataclass(frozen=True, kw_only=True)
class TableStream(TableInfo):
    """Rows as they come while a file is read, so that a million can go to the disk without being held at once.

    `count` is how many will come. `batches` (record batches of large_string columns, named as `columns`) can be gone
    through once, and raises `ProblemError` where the file changes or breaks on the way.
    """

    count: int
    batches: Iterator[pa.RecordBatch]


def with_rows(info: TableInfo, rows: Sequence[Row]) -> Table:
    """The table that this is known of."""
    return Table(**{field.name: getattr(info, field.name) for field in fields(TableInfo)}, rows=rows)


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)  # json.dumps would make one for every cell


def cell_text(cell: object) -> str:
    """A cell as text: "" for an empty one, whole numbers without a point, nested values as JSON."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime.datetime | datetime.date | datetime.time):
        return cell.isoformat()
    if isinstance(cell, list | tuple | dict):
        return _ENCODER.encode(cell)
    return str(cell)
