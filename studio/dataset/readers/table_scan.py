"""The first time through the rows of a file or sheet: where the table begins and ends, what is odd about it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.dialect import Dialect
from studio.dataset.readers.header import (
    PROBE_ROWS,
    Layout,
    RowsUnder,
    Spans,
    is_known,
    is_total,
    lay_out,
    left_out_note,
    looks_like_name,
    names_parts,
    notes_under,
    start_of,
    wordy_columns,
)
from studio.dataset.readers.shifted_rows import ShiftedRows, ShiftWatch
from studio.dataset.readers.unreadable import no_such_row
from studio.dataset.vocabulary import is_about

_LAST_ROWS = 20


@dataclass
class _Other:
    """Rows of another width than the table's at its end. `at` is how many rows stand before them, `width` is
    that of the last one, `alike` how many are as wide as the one before."""

    at: int
    line: int
    start: str
    width: int
    count: int = 1
    alike: int = 1
    short: int = 0
    long: int = 0

    @staticmethod
    def begun_by(row: Sequence[str], at: int, line: int, width: int) -> _Other:
        """`width` is the table's."""
        is_longer = len(row) > width and any(cell.strip() for cell in row[width:])
        return _Other(at, line, start_of(row), len(row), short=int(len(row) < width), long=int(is_longer))

    def add(self, row: Sequence[str], width: int) -> None:
        self.count += 1
        self.alike += len(row) == self.width != width
        self.width = len(row)
        self.short += len(row) < width
        self.long += len(row) > width and any(cell.strip() for cell in row[width:])

    @property
    def is_table(self) -> bool:
        return self.count > 2 and self.alike >= 0.7 * self.count


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
    is_under_sure: bool
    """False where a person has to say whether the rows under the table are none of its own."""
    repeated: int
    """Rows among them that say the names of the columns again."""
    totals: int
    """Rows among them that add up others, and aren't counted either."""
    wordy: frozenset[int]
    """The columns, from 0, that hold words and no figures."""
    shifts: ShiftedRows
    apart: int = 0
    """Rows below a blank one that begin shorter than those above, or with names, as another table does."""
    other: _Other | None = None
    """The rows at the end that are another table of another width; they aren't among `count`."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.layout.columns[position] for position in self.keep)

    def notes(self) -> list[Sentence]:
        notes = list(self.layout.notes)
        if self.short:
            notes.append(
                sentence(N_("{count} {count:row has|rows have} fewer cells than there are columns."), count=self.short)
            )
        if self.long:
            text = N_(
                "{count} {count:row has|rows have} more cells than there are columns, the first in line "
                "{line}; what is too much was left out. Often a comma inside of a text needs quotation marks "
                "around that text."
            )
            notes.append(sentence(text, count=self.long, line=self.long_line))
        if self.apart:
            text = N_(
                "{count} {count:row below a blank one looks like one|rows below a blank one look like those} of "
                "another table."
            )
            notes.append(sentence(text, count=self.apart))
        if self.other:
            text = N_(
                "{count} {count:row|rows} from line {line} on {count:looks|look} like another table, with "
                "names of its own, and {count:was left out; it begins|were left out; they begin} with: "
                "{start}"
            )
            notes.append(sentence(text, count=self.other.count, line=self.other.line, start=self.other.start))
        notes.extend(self.shifts.notes())
        if self.repeated:
            text = N_(
                "{count} {count:row that says|rows that say} the names of the columns again {count:was|were} left out."
            )
            notes.append(sentence(text, count=self.repeated))
        if self.totals:
            notes.append(
                sentence(
                    N_("{count} {count:row that adds|rows that add} up those above {count:it was|them were} left out."),
                    count=self.totals,
                )
            )
        if self.under:
            notes.append(left_out_note(self.under))
        return notes


def scan_table(
    path: Path,
    rows: Iterator[tuple[int, list[str]]],
    header_row: int | None,
    spans: Spans | None = None,
    at_most: int | None = None,
    dialect: Dialect | None = None,
) -> TableScan | None:
    """`rows` are all rows, blank ones too, with the line that each begins in. None when nothing stands in them.

    With `at_most` stops after so many. `dialect` is that of a text file. Raises `ProblemError` for
    too many rows or columns.
    """
    probe = list(islice(rows, PROBE_ROWS))
    layout = lay_out(_first_table([row for _, row in probe]), header_row, spans)
    if layout is None:
        if header_row and any(holds_something(row) for _, row in probe):
            raise no_such_row(path, header_row)
        return None
    width = len(layout.columns)
    if width > limits.COLUMNS:
        raise limits.too_many_columns(path, width)
    unnamed = {position for position, named in enumerate(layout.named) if not named}
    first_name = layout.names[0] if layout.names else None
    wordy = wordy_columns([row for _, row in probe[layout.skip :]], width)
    watch = ShiftWatch(width, dialect) if dialect is not None and dialect.delimiter else None
    count = short = long = long_line = repeated = totals = 0
    apart = block = 0
    other: _Other | None = None
    last: deque[tuple[list[str], bool]] = deque(maxlen=_LAST_ROWS)
    after_blank, complete = False, True
    for line, row in chain(probe[layout.skip :], rows):
        if not holds_something(row):
            after_blank = True
            continue
        if row[0] == first_name and is_repeated(row, layout):
            repeated += 1
            continue
        if is_total(row, wordy):
            totals += 1
            continue
        if count == at_most:
            complete = False
            break
        count += 1
        if count > limits.ROWS:
            raise limits.too_many_rows(path)
        if other is not None:
            other.add(row, width)
            if len(row) == width and not other.is_table:
                other = None
        elif len(row) != width and _says_names(row):
            other = _Other.begun_by(row, count - 1, line, width)
        is_mended = watch is not None and watch.see(line, row)
        if len(row) < width and not is_mended:
            short += 1
        elif len(row) > width and any(cell.strip() for cell in row[width:]):
            long, long_line = long + 1, long_line or line
        if unnamed:
            unnamed -= {position for position in unnamed if position < len(row) and row[position].strip()}
        last.append((row, after_blank))
        if after_blank:
            block = int(1 < len(row) < width or _names_others(row))
        elif block:
            block += 1
            apart += 2 if block == 2 else 1
        after_blank = False
    if other is not None and other.is_table and other.at:
        count, short, long = other.at, short - other.short, long - other.long
    else:
        other = None
    found = notes_under(last, layout.filled, wordy) if complete and other is None else RowsUnder()
    under = tuple(row for row, _ in list(last)[len(last) - found.count :]) if found.count < count else ()
    short -= sum(len(row) < width for row in under)
    keep = tuple(position for position in range(width) if position not in unnamed)
    shifts, mended = watch.found(count, other.line if other else None) if watch is not None else (ShiftedRows(), 0)
    rows_left = count - len(under)
    return TableScan(
        layout,
        keep,
        rows_left,
        short,
        long - mended,
        long_line,
        under,
        found.sure or not under,
        repeated,
        totals,
        wordy,
        shifts,
        apart if apart > 2 and other is None else 0,
        other,
    )


def _first_table(rows: Sequence[list[str]]) -> Sequence[list[str]]:
    """The rows above those of another table, of another width and with names of its own."""
    above = 0
    filled = [position for position, row in enumerate(rows) if holds_something(row)]
    for width, run in groupby(filled, key=lambda position: len(rows[position])):
        block = list(run)
        first = rows[block[0]]
        if above and 2 < len(block) <= 2 * above and width > 1 and _says_names(first):
            is_meant = names_parts(first) and not any(map(names_parts, rows[: block[0]]))
            return rows if is_meant else rows[: block[0]]
        above = above or (len(block) if len(block) > 2 and width > 1 else 0)
    return rows


def _says_names(row: Sequence[str]) -> bool:
    """Whether each cell of a row is as short and wordy as a name, and no two are the same."""
    cells = [cell.strip() for cell in row if cell.strip()]
    return 1 < len(cells) == len(set(cells)) and len(cells) >= 0.5 * len(row) and all(map(looks_like_name, cells))


def _names_others(row: Sequence[str]) -> bool:
    """Whether a row below a blank one holds nothing but names of columns."""
    filled = [cell for cell in row if cell.strip()]
    return len(filled) > 1 and all(len(cell) < 40 and (is_known(cell) or is_about(cell)) for cell in filled)


def table_rows(rows: Iterable[tuple[int, list[str]]], found: TableScan) -> Iterator[list[str]]:
    """The second time through the same rows: those of the table, with one cell for each of `found.columns`."""
    width, keep = len(found.layout.columns), found.keep
    whole = len(keep) == width
    first_name = found.layout.names[0] if found.layout.names else None
    mending = found.shifts.mending
    given = 0
    for _, row in islice(rows, found.layout.skip, None):
        if not holds_something(row):
            continue
        if row[0] == first_name and is_repeated(row, found.layout):
            continue
        if is_total(row, found.wordy):
            continue
        if given == found.count:
            break
        given += 1
        if mending is not None:
            row = mending.mended(row)
        if len(row) != width:
            row = (row + [""] * width)[:width]
        yield row if whole else [row[position] for position in keep]


def holds_something(row: Sequence[str]) -> bool:
    return bool(row) and (bool(row[0].strip()) or any(cell.strip() for cell in row))


def is_repeated(row: Sequence[str], layout: Layout) -> bool:
    names = layout.names
    return tuple(row) == names and sum(bool(name.strip()) for name in names) > 1
