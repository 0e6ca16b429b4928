"""A file as a table: named columns, rows that can be reached by number, and what was noticed while reading."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.core.translatable import Sentence

type_of_cell = object
"""Text, a number, None for an empty cell, or lists and mappings where a file nests them."""

Row = Mapping[str, object]


Doubt = Literal["encoding", "delimiter", "sheet", "header"]


@dataclass(frozen=True)
class Table:
    """`format` is csv, tsv, json, jsonl, xlsx (any workbook), docx (a table in one), parquet, dataset (a `save_to_disk`
    folder), pairs (questions and answers written below each other), transcript (turns of a talk that was written
    down) or document (passages, one a row).

    `encoding` and `delimiter` are what was used for text files, "" for others; `sheet` and `sheets` belong to
    workbooks and are the parts (splits) of a data set. `notes` say what a person should know about the reading.
    """

    path: Path
    format: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    notes: tuple[Sentence, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    """What was guessed and should be confirmed by a person; the reason stands in `notes`."""


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


_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))


def column_names(cells: Sequence[object]) -> tuple[str, ...]:
    """Header cells as names: trimmed, empty ones numbered, later doubles told apart by a number."""
    names: list[str] = []
    for position, cell in enumerate(cells, start=1):
        name = " ".join(cell_text(cell).translate(_INVISIBLE).split())[:200] or f"column {position}"
        unique, times = name, 2
        while unique in names:
            unique, times = f"{name} ({times})", times + 1
        names.append(unique)
    return tuple(names)
