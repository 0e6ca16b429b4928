"""Rows of a text file in which a separator too many or too few puts cells into the wrong columns.

Where only one reading makes such a row fit, it is read that way and asked about; where several do, it is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers.dialect import Dialect

_FEWEST_WHOLE = 3
"""Rows as wide as the table that have to show which columns are always filled."""


@dataclass(frozen=True)
class RowMending:
    """How rows of the wrong width are read. `filled` are the columns, from 0, that no row of the table's width leaves
    empty: an empty cell there is a separator too many."""

    width: int
    dialect: Dialect
    filled: frozenset[int]

    def mended(self, row: list[str]) -> list[str]:
        """The row with a cell for each column, or as it is where that can't be told with certainty."""
        if len(row) == self.width + 1:
            if _holds_commas(row):
                return row
            surplus = [position for position in _empty(row[: self.width]) if position in self.filled]
            return [*row[: surplus[0]], *row[surplus[0] + 1 :]] if len(surplus) == 1 else row
        parted = _parted(row, self.dialect)
        return parted if parted is not None and len(parted) == self.width else row


@dataclass(frozen=True)
class ShiftedRows:
    """How many rows were put right (`left_out` separators, `put_in` ones), and how many still stand in the wrong
    columns (`shifted`, `glued`), each with the first line."""

    mending: RowMending | None = None
    left_out: int = 0
    left_out_line: int = 0
    put_in: int = 0
    put_in_line: int = 0
    shifted: int = 0
    shifted_line: int = 0
    glued: int = 0
    glued_line: int = 0
    all_longer: bool = False
    """Whether each row ends with a separator that the names don't have."""

    @property
    def wrong(self) -> int:
        return self.shifted + self.glued

    @property
    def mended(self) -> int:
        return self.left_out + self.put_in

    def notes(self) -> list[Sentence]:
        told = (
            (
                self.left_out,
                self.left_out_line,
                N_(
                    "{count} {count:row|rows} had a column separator too many, the first in line {line}; it "
                    "was left out, so that each cell stands in a column of its kind."
                ),
            ),
            (
                self.put_in,
                self.put_in_line,
                N_(
                    "In {count} {count:row|rows} the column separator before a quotation mark was missing, "
                    "the first in line {line}; it was put in."
                ),
            ),
            (
                self.shifted,
                self.shifted_line,
                N_(
                    "{count} {count:row has|rows have} a column separator too many, the first in line "
                    "{line}: cells stand in the wrong columns."
                ),
            ),
            (
                self.glued,
                self.glued_line,
                N_(
                    "In {count} {count:row|rows} the column separator before a quotation mark is missing, "
                    "the first in line {line}; their cells stand in the wrong columns."
                ),
            ),
        )
        found = [sentence(text, count=count, line=line) for count, line, text in told if count]
        if self.all_longer:
            text = N_(
                "Every row has more column separators than there are names; look whether each name stands over its own "
                "column."
            )
            found.append(sentence(text))
        return found


@dataclass
class ShiftWatch:
    """Looks at each row of a table of `width` columns, as they come."""

    width: int
    dialect: Dialect
    filled: set[int] = field(init=False)
    whole: int = 0
    """Rows as wide as the table."""
    padded: int = 0
    """Rows with empty cells too many at the end."""
    _wide: list[tuple[int, tuple[int, ...], bool]] = field(default_factory=list)
    """(line, the empty cells, whether what is too much holds something) of rows one cell too wide."""
    _put_in: list[int] = field(default_factory=list)
    _shifted: list[int] = field(default_factory=list)
    _glued: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.filled = set(range(self.width))

    def see(self, line: int, row: list[str]) -> bool:
        """Whether the row will be read as whole, now that it is known."""
        if self.dialect.quote in "".join(row) and _is_glued(row, self.dialect.quote, len(row) < self.width):
            parted = _parted(row, self.dialect)
            is_parted = parted is not None and len(parted) == self.width
            (self._put_in if is_parted else self._glued).append(line)
            return is_parted
        if len(row) == self.width:
            self.whole += 1
            if not all(row):
                self.filled.difference_update(_empty(row))
        elif len(row) > self.width:
            surplus = any(cell.strip() for cell in row[self.width :])
            empty = _empty(row[: self.width])
            self.padded += not surplus
            if len(row) == self.width + 1 and empty and not _holds_commas(row):
                self._wide.append((line, tuple(empty), surplus))
            elif not surplus and empty:
                self._shifted.append(line)
        return False

    def found(self, count: int, before: int | None = None) -> tuple[ShiftedRows, int]:
        """(what was seen in `count` rows, how many of the rows with something too much were put right). From the line
        `before` on stands another table."""
        filled = frozenset(self.filled if self.whole >= _FEWEST_WHOLE else ())
        wide = [one for one in self._wide if before is None or one[0] < before]
        put_in, odd, glued = (
            [line for line in lines if before is None or line < before]
            for lines in (self._put_in, self._shifted, self._glued)
        )
        sure = [(line, surplus) for line, empty, surplus in wide if len(filled.intersection(empty)) == 1]
        known = {line for line, _ in sure}
        shifted = [*odd, *(line for line, _, surplus in wide if not surplus and line not in known)]
        if before is None and (self.padded == count or len(shifted) + len(sure) < 0.9 * self.padded):
            shifted = []  # rows that merely end with a separator
        left_out = [line for line, _ in sure]
        rows = ShiftedRows(
            RowMending(self.width, self.dialect, filled) if left_out or put_in else None,
            len(left_out),
            min(left_out, default=0),
            len(put_in),
            min(put_in, default=0),
            len(shifted),
            min(shifted, default=0),
            len(glued),
            min(glued, default=0),
            all_longer=self.padded == count > 0,
        )
        return rows, sum(surplus for _, surplus in sure)


def _empty(row: Sequence[str]) -> list[int]:
    return [position for position, cell in enumerate(row) if not cell.strip()]


def _holds_commas(row: Sequence[str]) -> bool:
    """Whether a cell begins with a space: then what stands before it is a comma of a text, more likely."""
    return any(cell.startswith(" ") for cell in row[1:])


def _is_glued(row: Sequence[str], quote: str, is_short: bool) -> bool:
    """Whether a cell holds the mark that should begin the next one, and it or a later cell the one that ends it, as in
    `When?"Monday` and ` Friday."`; within one cell only where a cell `is_short` of the others."""
    began = False
    for cell in row:
        if cell.count(quote) % 2:
            if began and cell.rstrip().endswith(quote):
                return True
            began = _opens(cell, quote) > 0
        elif is_short and cell.count(quote) == 2 and cell.rstrip().endswith(quote) and _opens(cell, quote) > 0:
            return True
    return False


def _opens(cell: str, quote: str) -> int:
    """Where a mark stands between two letters, 0 for nowhere."""
    place = cell.find(quote)
    is_inside = 0 < place < len(cell) - 1 and not cell[place - 1].isspace() and not cell[place + 1].isspace()
    return place if is_inside else 0


def _parted(row: Sequence[str], dialect: Dialect) -> list[str] | None:
    """The row with what `_is_glued` finds put into two cells, None where there is nothing of the kind."""
    for first, cell in enumerate(row):
        place = _opens(cell, dialect.quote)
        if not place:
            continue
        for last in range(first, len(row)):
            text = dialect.delimiter.join(row[first : last + 1])
            if text.count(dialect.quote) == 2 and text.rstrip().endswith(dialect.quote):
                return [*row[:first], text[:place], text[place + 1 :].rstrip()[:-1], *row[last + 1 :]]
    return None
