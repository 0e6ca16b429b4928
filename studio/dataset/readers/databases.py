"""SQLite: a table of a database file, opened so that nothing in it runs and nothing is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.header import names_parts
from studio.dataset.readers.unreadable import changed, damaged, empty, no_such_split
from studio.dataset.table import Doubt, TableInfo, TableStream, cell_text
from studio.dataset.text_batches import stream_rows


def read_database(path: Path, choice: DataChoice) -> TableStream:
    """The table that was chosen as the sheet; else the one that names questions and answers, else the longest.

    Raises `ProblemError`.
    """
    try:
        with closing(_opened(path)) as database:
            listed = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
            tables = {name: _columns(database, name) for (name,) in listed if not name.startswith("sqlite_")}
            counts = {name: database.execute(f"SELECT COUNT(*) FROM {_quoted(name)}").fetchone()[0] for name in tables}
    except sqlite3.Error as error:
        raise damaged(path) from error
    filled = [name for name in tables if counts[name] and tables[name]]
    if not filled:
        raise empty(path)
    if choice.sheet and choice.sheet not in filled:
        raise no_such_split(path.name, choice.sheet, tuple(filled))
    table = choice.sheet or max(filled, key=lambda name: (names_parts(tables[name]), counts[name]))
    if counts[table] > limits.ROWS:
        raise limits.too_many_rows(path)
    if len(tables[table]) > limits.COLUMNS:
        raise limits.too_many_columns(path, len(tables[table]))
    doubts: tuple[Doubt, ...] = ("sheet",) if len(filled) > 1 and not choice.sheet else ()
    note = sentence(N_("It is a database; its table {name} was read."), name=table)
    info = TableInfo(
        path=path,
        format="sqlite",
        columns=tables[table],
        sheet=table,
        sheets=tuple(filled),
        notes=(note,),
        doubts=doubts,
    )
    return stream_rows(info, counts[table], _rows(path, table))


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    database.execute("PRAGMA trusted_schema = OFF")
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    return database


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _columns(database: sqlite3.Connection, table: str) -> tuple[str, ...]:
    return tuple(row[1] for row in database.execute(f"PRAGMA table_info({_quoted(table)})"))


def _rows(path: Path, table: str) -> Iterator[list[str]]:
    try:
        with closing(_opened(path)) as database:
            for row in database.execute(f"SELECT * FROM {_quoted(table)}"):
                yield ["" if isinstance(cell, bytes) else cell_text(cell) for cell in row]
    except sqlite3.Error as error:
        raise changed(path) from error
