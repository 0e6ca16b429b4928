"""The first time through the rows of a file or sheet: where the table begins and ends, what is odd about it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.header import PROBE_ROWS, Layout, Spans, is_known, lay_out, left_out_note, notes_under
from studio.dataset.readers.unreadable import no_such_row
from studio.dataset.vocabulary import is_about

_LAST_ROWS = 20


@dataclass(frozen=True)
class TableScan:
    """`keep` are the columns, from 0, that aren't empty throughout. `count` is how many rows the table has."""

    layout: Layout
    keep: tuple[int, ...]
    count: int
    short: int
    long: int
    long_line: int
    under: tuple[Sequence[str], ...]
    repeated: int
    """Rows among them that say the names of the columns again."""
    shifted: int = 0
    """Rows with a delimiter too many before an empty cell, so that what follows stands a column too far."""
    shifted_line: int = 0
    glued: int = 0
    """Rows in which the delimiter before a quotation mark is missing."""
    glued_line: int = 0
    apart: int = 0
    """Rows below a blank one that begin shorter than those above, or with names, as another table does."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.layout.columns[position] for position in self.keep)

    def notes(self) -> list[Sentence]:
        notes = list(self.layout.notes)
        if self.short:
            notes.append(sentence(N_("{count} rows have fewer cells than there are columns."), count=self.short))
        if self.long:
            text = N_(
                "{count} rows have more cells than there are columns, the first in line {line}; what is too much was "
                "left out. Often a comma inside of a text needs quotation marks around that text."
            )
            notes.append(sentence(text, count=self.long, line=self.long_line))
        if self.apart:
            text = N_("{count} rows below a blank one look like those of another table.")
            notes.append(sentence(text, count=self.apart))
        if self.shifted:
            text = N_(
                "{count} rows have a column separator too many, the first in line {line}; their cells stand in the "
                "wrong columns."
            )
            notes.append(sentence(text, count=self.shifted, line=self.shifted_line))
        if self.glued:
            text = N_(
                "In {count} rows the column separator before a quotation mark is missing, the first in line {line}; "
                "their cells stand in the wrong columns."
            )
            notes.append(sentence(text, count=self.glued, line=self.glued_line))
        if self.repeated:
            text = N_("{count} rows that say the names of the columns again were left out.")
            notes.append(sentence(text, count=self.repeated))
        if self.under:
            notes.append(left_out_note(self.under))
        return notes


def scan_table(
    path: Path,
    rows: Iterator[tuple[int, list[str]]],
    header_row: int | None,
    spans: Spans | None = None,
    at_most: int | None = None,
    quote: str = "",
) -> TableScan | None:
    """`rows` are all rows, blank ones too, with the line that each begins in. None when nothing stands in them.

    With `at_most` stops after so many. `quote` is the mark around cells of a text file. Raises `ProblemError` for
    too many rows or columns.
    """
    probe = list(islice(rows, PROBE_ROWS))
    layout = lay_out([row for _, row in probe], header_row, spans)
    if layout is None:
        if header_row and any(holds_something(row) for _, row in probe):
            raise no_such_row(path, header_row)
        return None
    width = len(layout.columns)
    if width > limits.COLUMNS:
        raise limits.too_many_columns(path, width)
    unnamed = {position for position, named in enumerate(layout.named) if not named}
    first_name = layout.names[0] if layout.names else None
    count = short = long = long_line = repeated = shifted = shifted_line = glued = glued_line = padded = 0
    apart = block = 0
    last: deque[tuple[list[str], bool]] = deque(maxlen=_LAST_ROWS)
    after_blank, complete = False, True
    for line, row in chain(probe[layout.skip :], rows):
        if not holds_something(row):
            after_blank = True
            continue
        if row[0] == first_name and is_repeated(row, layout):
            repeated += 1
            continue
        if count == at_most:
            complete = False
            break
        count += 1
        if count > limits.ROWS:
            raise limits.too_many_rows(path)
        if len(row) != width:
            if len(row) < width:
                short += 1
            elif any(cell.strip() for cell in row[width:]):
                long, long_line = long + 1, long_line or line
            else:
                padded += 1
                if not all(cell.strip() for cell in row[:width]):  # what should stand there stands further right
                    shifted, shifted_line = shifted + 1, shifted_line or line
        if quote and quote in "".join(row) and _is_glued(row, quote):
            glued, glued_line = glued + 1, glued_line or line
        if unnamed:
            unnamed -= {position for position in unnamed if position < len(row) and row[position].strip()}
        last.append((row, after_blank))
        if after_blank:
            block = int(1 < len(row) < width or _names_others(row))
        elif block:
            block += 1
            apart += 2 if block == 2 else 1
        after_blank = False
    below = notes_under(last, layout.filled) if complete else 0
    under = tuple(row for row, _ in list(last)[len(last) - below :]) if below < count else ()
    short -= sum(len(row) < width for row in under)
    keep = tuple(position for position in range(width) if position not in unnamed)
    if padded == count or shifted < 0.9 * padded:
        shifted = shifted_line = 0  # rows that merely end with a separator
    rows_left = count - len(under)
    return TableScan(
        layout,
        keep,
        rows_left,
        short,
        long,
        long_line,
        under,
        repeated,
        shifted,
        shifted_line,
        glued,
        glued_line,
        apart if apart > 2 else 0,
    )


def _names_others(row: Sequence[str]) -> bool:
    """Whether a row below a blank one holds nothing but names of columns."""
    filled = [cell for cell in row if cell.strip()]
    return len(filled) > 1 and all(len(cell) < 40 and (is_known(cell) or is_about(cell)) for cell in filled)


def _is_glued(row: Sequence[str], quote: str) -> bool:
    """Whether a cell holds the mark that should begin the next one, and a later cell the one that ends it, as in
    `When?"Monday` and ` Friday."`."""
    began = False
    for cell in row:
        if cell.count(quote) % 2:
            if began and cell.rstrip().endswith(quote):
                return True
            place = cell.find(quote)
            began = 0 < place < len(cell) - 1 and not cell[place - 1].isspace() and not cell[place + 1].isspace()
    return False


def table_rows(rows: Iterable[tuple[int, list[str]]], found: TableScan) -> Iterator[list[str]]:
    """The second time through the same rows: those of the table, with one cell for each of `found.columns`."""
    width, keep = len(found.layout.columns), found.keep
    whole = len(keep) == width
    first_name = found.layout.names[0] if found.layout.names else None
    given = 0
    for _, row in islice(rows, found.layout.skip, None):
        if not holds_something(row):
            continue
        if row[0] == first_name and is_repeated(row, found.layout):
            continue
        if given == found.count:
            break
        given += 1
        if len(row) != width:
            row = (row + [""] * width)[:width]
        yield row if whole else [row[position] for position in keep]


def holds_something(row: Sequence[str]) -> bool:
    return bool(row) and (bool(row[0].strip()) or any(cell.strip() for cell in row))


def is_repeated(row: Sequence[str], layout: Layout) -> bool:
    names = layout.names
    return tuple(row) == names and sum(bool(name.strip()) for name in names) > 1
