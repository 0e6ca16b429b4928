"""Tables inside of documents: read as the data when they hold it, else kept as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers.documents.passages import Block
from studio.dataset.readers.header import names_parts
from studio.dataset.readers.table_scan import TableScan, scan_table, table_rows
from studio.dataset.table import Doubt, TableInfo, TableStream
from studio.dataset.text_batches import stream_rows

_MOST_OF_IT = 0.7


@dataclass(frozen=True)
class Grid:
    """A table as its cells, a row at a time."""

    rows: tuple[tuple[str, ...], ...]

    def block(self) -> Block:
        lines = (" | ".join(" ".join(cell.split()) for cell in row) for row in self.rows)
        return Block("table", "\n".join(line for line in lines if line.strip(" |")))

    @property
    def size(self) -> int:
        return sum(len(cell) for row in self.rows for cell in row)


def table_in(path: Path, choice: DataChoice, contents: Sequence[Block | Grid]) -> TableStream | None:
    """The table that a document consists of: one that names questions and answers, or one that is most of its text.

    Tables with the same columns count as one. None where the document is a document.
    """
    grids = [grid for grid in contents if isinstance(grid, Grid) and max(map(len, grid.rows)) > 1]
    around = sum(len(block.text) for block in contents if isinstance(block, Block))
    groups: dict[tuple[str, ...], list[tuple[Grid, TableScan]]] = {}
    for grid in grids:
        found = scan_table(path, _numbered(grid), choice.header_row)
        if found is not None and found.count and len(found.columns) > 1:
            groups.setdefault(found.columns, []).append((grid, found))
    if not groups:
        return None
    whole = around + sum(grid.size for grid in grids)

    def rank(columns: tuple[str, ...]) -> tuple[bool, int]:
        return names_parts(columns), sum(grid.size for grid, _ in groups[columns])

    columns = max(groups, key=rank)
    parts, size = rank(columns)
    rows = sum(found.count for _, found in groups[columns])
    if not parts and (size < _MOST_OF_IT * whole or rows < 3):
        return None
    notes = [sentence(N_("The rows of a table in the document were read; {count} in all."), count=rows)]
    doubts: list[Doubt] = []
    if size < _MOST_OF_IT * whole:
        notes.append(sentence(N_("The text around the table was left out.")))
        doubts.append("kind")
    if any(found.layout.doubtful for _, found in groups[columns]):
        doubts.append("header")
    notes.extend(groups[columns][0][1].notes())
    cells = (row for grid, found in groups[columns] for row in table_rows(_numbered(grid), found))
    info = TableInfo(path=path, format="table", columns=columns, notes=tuple(notes), doubts=tuple(doubts))
    return stream_rows(info, rows, cells)


def _numbered(grid: Grid) -> Iterator[tuple[int, list[str]]]:
    return ((number, list(row)) for number, row in enumerate(grid.rows, start=1))
