"""How a text file parts its cells: the delimiter that gives all rows the same width, and the marks around cells."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

from studio.dataset.readers.header import is_known

_USUAL = (",", ";", "\t", "|")
_RARE = ("\x01", "^", "~", "¦", "§")
_PROBED_ROWS = 300
_MOST_ABOVE = 12
_MOST_UNDER = 5
_MOST_TABLES = 4
_SHORTEST_TABLE = 5
"""Rows of one width that are a table when others of another width stand below or above."""


@dataclass(frozen=True)
class Dialect:
    """`delimiter` is "" for a file of one column; `sure` is whether nothing else fits as well. `skip_space` says that
    a space may stand between a delimiter and the quotation mark of a cell."""

    delimiter: str
    sure: bool = True
    quote: str = '"'
    skip_space: bool = False
    is_escaped: bool = False
    """Whether quotation marks inside of cells stand behind a backslash rather than twice."""

    def plain(self, line: str) -> str:
        """A line with its quotation marks as `csv` reads them."""
        return line.replace("\\" + self.quote, self.quote * 2) if self.is_escaped else line


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
    split: float
    """The share of rows with more than one column."""
    is_clean: bool
    """Whether there are quotation marks, and nearly all of them stand at the edges of cells."""


def find_dialect(text: str, whole: bool, preferred: str = "", delimiter: str = "") -> Dialect:
    """`text` is the beginning of a file, or all of it when `whole`; `preferred` is the delimiter that the name of the
    file suggests, `delimiter` the one that a person chose."""
    quote = _quote_mark(text)
    escaped = len(re.findall(rf"[^\s\\,;\t|]?\\{quote}(?=[\w\s.])", text))
    is_escaped = escaped >= 2 and escaped > 2 * len(re.findall(rf"\w{quote}{quote}|{quote}{quote}\w", text))
    text = Dialect("", quote=quote, is_escaped=is_escaped).plain(text)
    found, sure = (delimiter, True) if delimiter else _find_delimiter(text, whole, preferred, quote)
    return Dialect(found, sure, quote, bool(found) and _has_space_before_quotes(text, found, quote), is_escaped)


def _quote_mark(text: str) -> str:
    """Apostrophes, where most lines have cells in them and hardly any has cells in quotation marks."""
    lines = [line.strip() for line in text.splitlines()[:_PROBED_ROWS] if line.strip()]

    def edges(mark: str) -> tuple[int, int]:
        opened = sum(len(re.findall(rf"(?:^|[,;\t|]) ?{mark}(?=[^\s,;|])", line)) for line in lines)
        return opened, sum(len(re.findall(rf"{mark}(?=[,;\t|]|$)", line)) for line in lines)

    opened, closed = edges("'")
    is_single = opened >= max(3, 0.5 * len(lines)) and closed >= 0.8 * opened and edges('"')[0] < 0.1 * opened
    return "'" if is_single else '"'


def _has_space_before_quotes(text: str, delimiter: str, quote: str) -> bool:
    mark = re.escape(delimiter)
    spaced = len(re.findall(f"{mark} +{quote}", text))
    # Inside of a text in quotation marks, doubled ones may follow a comma and a space.
    return spaced >= 2 and spaced > 3 * len(re.findall(f"{mark}{quote}", text))


def _find_delimiter(text: str, whole: bool, preferred: str, quote: str) -> tuple[str, bool]:
    """(delimiter, whether it is sure); "" when the text has one column."""
    trials = [trial for mark in _USUAL if (trial := _tried(text, mark, whole, quote)) is not None]
    if not 0 < sum(trial.is_clean for trial in trials) < len(trials):
        trials = [replace(trial, is_clean=False) for trial in trials]  # tells nothing
    fitting = [trial for trial in trials if trial.share >= (0.5 if trial.is_clean else 0.75)]
    if not fitting:
        named = [trial for trial in trials if trial.known >= 2]
        if named:  # texts with unquoted delimiters in most rows, under names that show what separates
            best = max(named, key=lambda trial: trial.known)
            return best.delimiter, best.within >= 0.9
        rare, sure = _find_rare(text, whole, quote)
        return rare, sure and (bool(rare) or not any(trial.split >= 0.95 for trial in trials))
    fitting.sort(
        key=lambda t: (
            t.is_clean,
            t.known >= 2,
            t.delimiter == preferred,
            t.share,
            t.known,
            t.delimiter == "\t",
            t.width,
        ),
        reverse=True,
    )
    best = fitting[0]
    if best.known >= 2 or best.delimiter == preferred or (best.delimiter == "\t" and best.share == 1 and best.rows > 2):
        return best.delimiter, True  # nobody writes a tab into each of their sentences
    rivals = [
        trial
        for trial in fitting[1:]
        if trial.share >= 0.9 and trial.is_clean == best.is_clean and not _is_of_texts(trial, best)
    ]
    return best.delimiter, best.share >= 0.9 and not rivals


def _is_of_texts(trial: _Trial, best: _Trial) -> bool:
    """Whether a mark that stands in every row, but not in the first one, belongs to the texts: names of columns hold
    no marks between clauses, and `best` separates these, too."""
    return trial.first == 1 and best.first == best.width and best.share == 1 and best.width > trial.width


def _find_rare(text: str, whole: bool, quote: str) -> tuple[str, bool]:
    for delimiter in _RARE:
        trial = _tried(text, delimiter, whole, quote)
        if trial is not None and trial.share >= 0.95 and trial.rows >= 3:
            return delimiter, trial.known >= 1 or delimiter == "\x01" or (trial.rows >= 5 and trial.share == 1)
    return "", True


def _tried(text: str, delimiter: str, whole: bool, quote: str) -> _Trial | None:
    if delimiter not in text:
        return None
    skip_space = _has_space_before_quotes(text, delimiter, quote)
    lines = text.splitlines(keepends=True)
    try:
        rows = _probed(
            csv.reader(lines, delimiter=delimiter, quotechar=quote, skipinitialspace=skip_space), whole=whole
        )
    except csv.Error:
        return None
    if quote != '"':  # apostrophes stand inside of words, too
        dialect = Dialect(delimiter, quote=quote, skip_space=skip_space)
        by_line = _probed((split_line(line.rstrip("\r\n"), dialect) for line in lines), whole=whole)
        rows = max(rows, by_line, key=lambda tried: max(Counter(map(len, tried)).values(), default=0))
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
    return _Trial(
        delimiter,
        share=max(inner.count(width) / len(inner), _stacked(counts)),
        width=width,
        known=_known(names),
        rows=len(inner),
        first=counts[0],
        within=sum(not any(row[len(names) :]) for row in body) / len(body),
        split=sum(count > 1 for count in counts) / len(counts),
        is_clean=_is_clean(lines, delimiter, quote),
    )


def _probed(rows: Iterable[list[str]], whole: bool) -> list[list[str]]:
    found = list(islice((row for row in rows if any(row)), _PROBED_ROWS))
    if not whole and 1 < len(found) < _PROBED_ROWS:
        found.pop()  # the probe ends in the middle of a row
    return found


def _stacked(counts: Sequence[int]) -> float:
    """The share of the rows that stand in tables below each other, each of its own width."""
    runs = [sum(1 for _ in run) for count, run in groupby(counts) if count > 1]
    long = [run for run in runs if run >= _SHORTEST_TABLE]
    return sum(long) / len(counts) if len(long) <= _MOST_TABLES else 0.0


def _is_clean(lines: Sequence[str], delimiter: str, quote: str) -> bool:
    mark = re.escape(delimiter)
    edge = re.compile(f"(?:^|{mark}) *{quote}|{quote}(?= *(?:{mark}|$))")
    bare = [line.strip("\r\n").replace(quote + quote, "") for line in lines[: 2 * _PROBED_ROWS]]
    total = sum(line.count(quote) for line in bare)
    return total > 1 and sum(len(edge.findall(line)) for line in bare) >= 0.9 * total


def _known(row: Sequence[str]) -> int:
    return len({cell for cell in row if is_known(cell)})


def split_line(line: str, dialect: Dialect) -> list[str]:
    """One line whose quotation marks may be anywhere: a mark begins a cell only at its start, and ends it only before a
    delimiter or the end, so that those inside of a text stay what they are. One that isn't closed is part of the text;
    where the marks of a line don't come in pairs, that is one after which another cell begins with one."""
    cells: list[str] = []
    at = 0
    delimiter, mark = dialect.delimiter, dialect.quote
    closing = re.compile(f"(?<!{mark})(?:{mark}{mark})*{mark}(?={re.escape(delimiter)}|$)")
    is_uneven = line.count(mark) % 2 == 1
    opening = re.compile(f"{re.escape(delimiter)}{mark}(?!{mark}|{re.escape(delimiter)}|$)")
    while True:
        if dialect.skip_space and line.startswith(" ", at) and line[at:].lstrip(" ").startswith(mark):
            at = line.index(mark, at)
        end = closing.search(line, at + 1) if line.startswith(mark, at) else None
        if end is not None and is_uneven and (begun := opening.search(line, at + 1, end.end())):
            last = begun.start() - 1
            if last > at and line[last] == mark:  # one inside of the text, as in `"48"","next"`, wasn't doubled
                cells.append(line[at + 1 : last])
                at = begun.start() + 1
                continue
            end = None
        if line.startswith(mark + mark, at) and (at + 2 == len(line) or line[at + 2] == delimiter):
            cells.append("")
            at += 2
        elif end is not None:
            cells.append(line[at + 1 : end.end() - 1].replace(mark + mark, mark))
            at = end.end()
        else:
            stop = line.find(delimiter, at)
            stop = len(line) if stop < 0 else stop
            cells.append(line[at:stop])
            at = stop
        if at >= len(line):
            return cells
        at += 1
        if at == len(line):
            return [*cells, ""]
