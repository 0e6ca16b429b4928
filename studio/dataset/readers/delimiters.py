"""What stands between the columns of a text file: the mark that gives all rows the same count of columns."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from studio.dataset.readers.header_evidence import is_known

USUAL = (",", ";", "\t", "|")
_RARE = ("\x01", "^", "~", "¦", "§")
_PROBE_ROWS = 300
_MOST_ABOVE = 12
_MOST_UNDER = 5


@dataclass(frozen=True)
class _Trial:
    delimiter: str
    share: float
    width: int
    known: int
    rows: int
    first: int
    """Columns of the first row of all."""
    within: float
    """How many of the rows have no more columns than the one with the most known names."""


def find_delimiter(text: str, whole: bool, preferred: str = "") -> tuple[str, bool]:
    """(delimiter, whether it is sure); ("", True) when the text has one column.

    `text` is the beginning of a file, or all of it when `whole`; `preferred` is what the name of the file says.
    """
    trials = [trial for delimiter in USUAL if (trial := _tried(text, delimiter, whole)) is not None]
    fitting = [trial for trial in trials if trial.share >= 0.75]
    if not fitting:
        named = [trial for trial in trials if trial.known >= 2]
        if named:  # texts with unquoted delimiters in most rows, under names that show what separates
            best = max(named, key=lambda trial: trial.known)
            return best.delimiter, best.within >= 0.9
        return _rare(text, whole)
    fitting.sort(
        key=lambda t: (t.known >= 2, t.delimiter == preferred, t.share, t.known, t.delimiter == "\t", t.width),
        reverse=True,
    )
    best = fitting[0]
    if best.known >= 2 or best.delimiter == preferred or (best.delimiter == "\t" and best.share == 1 and best.rows > 2):
        return best.delimiter, True  # nobody writes a tab into each of their sentences
    rivals = [trial for trial in fitting[1:] if trial.share >= 0.9 and not _is_of_texts(trial, best)]
    return best.delimiter, best.share >= 0.9 and not rivals


def _is_of_texts(trial: _Trial, best: _Trial) -> bool:
    """Whether a mark that stands in every row, but not in the first one, belongs to the texts: names of columns hold
    no marks between clauses, and `best` separates these, too."""
    return trial.first == 1 and best.first == best.width and best.share == 1 and best.width > trial.width


def _rare(text: str, whole: bool) -> tuple[str, bool]:
    for delimiter in _RARE:
        trial = _tried(text, delimiter, whole)
        if trial is not None and trial.share >= 0.95 and trial.rows >= 3:
            return delimiter, trial.known >= 1 or delimiter == "\x01" or (trial.rows >= 5 and trial.share == 1)
    return "", True


def _tried(text: str, delimiter: str, whole: bool) -> _Trial | None:
    if delimiter not in text:
        return None
    rows: list[Sequence[str]] = []
    try:
        for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter):
            if any(row):
                rows.append(row)
            if len(rows) >= _PROBE_ROWS:
                break
        else:
            if not whole and len(rows) > 1:
                rows.pop()  # the probe ends in the middle of a row
    except csv.Error:
        return None
    if not rows:
        return None
    counts = [len(row) for row in rows]
    tally = Counter(counts)
    width = max(tally, key=lambda count: (tally[count] if count > 1 else 0, count))
    if width < 2:
        return None
    # Titles above the table and notes under it have fewer columns.
    above = next((n for n, count in enumerate(counts[:_MOST_ABOVE]) if count >= width), 0)
    under = next((n for n, count in enumerate(reversed(counts[-_MOST_UNDER:])) if count >= width), 0)
    inner = counts[above : len(counts) - under]
    names = max(rows[: _MOST_ABOVE + 1], key=_known)
    body = rows[above : len(rows) - under]
    within = sum(not any(row[len(names) :]) for row in body) / len(body)
    return _Trial(delimiter, inner.count(width) / len(inner), width, _known(names), len(inner), counts[0], within)


def _known(row: Sequence[str]) -> int:
    return len({cell for cell in row if is_known(cell)})
