"""csv and tsv: the delimiter found by constant column counts, quoted line breaks, odd headers, ragged rows."""

from __future__ import annotations

import contextlib
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TextIO

from studio.core.data_choice import DataChoice
from studio.core.problems import Remedy, problem
from studio.core.words import N_, Sentence, sentence
from studio.data import limits
from studio.data.arrow_rows import TextColumns
from studio.data.emptiness import empty, header_only
from studio.data.encodings import Encoding, find_encoding
from studio.data.names import is_known_name
from studio.data.table import Table, column_names

DELIMITERS = (",", ";", "\t", "|")
_PROBE_CHARACTERS = 256 * 1024
_PROBE_ROWS = 300
_NEVER = "\x1f"
"""For a file of one column, whose lines are cells whole."""
_Mode = Literal["strict", "lenient", "lines"]
_LONGEST_LINE = 8 * limits.CELL_CHARACTERS
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=(.)\r?\n?", re.IGNORECASE)


def open_delimited(path: Path, choice: DataChoice) -> Table:
    """Raises `ProblemError`."""
    size = path.stat().st_size
    if size > limits.TEXT_BYTES:
        raise limits.too_large(path, size, limits.TEXT_BYTES)
    encoding = find_encoding(path, choice.encoding)
    csv.field_size_limit(limits.CELL_CHARACTERS)
    with open(path, encoding=encoding.name, newline="") as file:
        probe = file.read(_PROBE_CHARACTERS)
    first_line = _SEPARATOR_LINE.match(probe)
    delimiter = choice.delimiter.replace("\\t", "\t") or (first_line.group(1) if first_line else "")
    if len(delimiter) > 1 or delimiter in ("\r", "\n", '"'):
        raise problem(
            "data.bad_delimiter",
            N_("The column separator has to be one character, not {delimiter}."),
            fix=N_("Use a comma, a semicolon, a tab or a vertical bar, or leave it empty to have it found out."),
            remedy=Remedy.see_settings,
            delimiter=repr(choice.delimiter),
        )
    rest = probe[first_line.end() :] if first_line else probe
    delimiter = delimiter or find_delimiter(rest)
    reading = _Reading(path, encoding, delimiter or _NEVER, bool(first_line))
    columns, kept, notes = reading.read_best()
    if not encoding.sure:
        text = N_("The letters were read as {encoding}, which is a guess. If they look wrong, choose another encoding.")
        notes.insert(0, sentence(text, encoding=encoding.label))
    return Table(
        path=path,
        format="tsv" if delimiter == "\t" else "csv",
        columns=columns,
        rows=kept.rows(),
        encoding=encoding.name,
        delimiter=delimiter,
        notes=tuple(notes),
    )


def find_delimiter(text: str) -> str:
    """The delimiter that gives the same count of columns, two or more, in all rows, else in most; "" when none does."""
    best, best_score = "", (0.0, 0)
    whole = len(text) < _PROBE_CHARACTERS
    for delimiter in DELIMITERS:
        counts = []
        try:
            for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter):
                if row:
                    counts.append(len(row))
                if len(counts) >= _PROBE_ROWS:
                    break
            else:
                if not whole and len(counts) > 1:
                    counts.pop()  # the probe ends in the middle of a row
        except csv.Error:
            continue
        if not counts:
            continue
        width, times = Counter(counts).most_common(1)[0]
        share = times / len(counts)
        if width > 1 and (counts[0] == width or share > 0.9) and share >= 0.75 and (share, width) > best_score:
            best, best_score = delimiter, (share, width)
    return best


class _BadQuote(Exception):
    """A quotation mark that isn't closed, or is closed in the middle of a cell. `line` is where its row begins."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Reading:
    """One file with everything decided but how strictly quotation marks are taken.

    strict refuses a mark in the wrong place; lenient goes on as spreadsheets do, at the price of rows that are
    swallowed by a mark that isn't closed; lines takes each line for a row, so that a stray mark harms only its own.
    """

    def __init__(self, path: Path, encoding: Encoding, delimiter: str, skip_first: bool) -> None:
        self.path, self.encoding, self.delimiter, self.skip_first = path, encoding, delimiter, skip_first
        self._used_up = False

    def read_best(self) -> tuple[tuple[str, ...], TextColumns, list[Sentence]]:
        try:
            return self.read("strict")[:3]
        except _BadQuote as bad:
            text = N_("A quotation mark near line {line} isn't closed where it should be; look at the rows around it.")
            note = sentence(text, line=bad.line)
        columns, kept, notes, ragged = self.read("lines")
        if ragged > 0.05 * kept.count:
            with contextlib.suppress(_BadQuote):
                columns, kept, notes, _ = self.read("lenient")
        return columns, kept, [note, *notes]

    def _rows(self, mode: _Mode) -> Iterator[tuple[int, list[str]]]:
        with open(self.path, encoding=self.encoding.name, newline="") as file:
            if mode == "lines":
                yield from self._single_lines(file)
                return
            reader = csv.reader(self._lines(file), delimiter=self.delimiter, strict=mode == "strict")
            line = 1
            try:
                for row in reader:
                    if self._used_up:
                        raise _BadQuote(line)
                    if any(cell.strip() for cell in row):
                        yield line, row
                    line = reader.line_num + 1
            except csv.Error as error:  # also for a cell beyond the limit, which is usually a mark left open
                raise _BadQuote(line) from error

    def _single_lines(self, file: TextIO) -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(self._lines(file), start=1):
            quoting: Literal[0, 3] = csv.QUOTE_NONE if line.count('"') % 2 else csv.QUOTE_MINIMAL
            try:
                row = next(csv.reader([line], delimiter=self.delimiter, quoting=quoting), [])
            except csv.Error as error:
                raise problem(
                    "data.cell_too_large",
                    N_("In {name}, line {line} is longer than a cell may be."),
                    N_("A cell of more than {limit:.0f} million characters is hardly a question or an answer."),
                    N_("Check whether this is a table at all, and cut or remove that line."),
                    remedy=Remedy.choose_file,
                    name=self.path.name,
                    line=number,
                    limit=limits.CELL_CHARACTERS / 1e6,
                ) from error
            if any(cell.strip() for cell in row):
                yield number, row

    def _lines(self, file: TextIO) -> Iterator[str]:
        """The lines, noting when they are used up: a row that still comes then was never closed."""
        self._used_up = False
        if self.skip_first:
            file.readline()
        while line := file.readline(_LONGEST_LINE):
            yield line
        self._used_up = True

    def read(self, mode: _Mode) -> tuple[tuple[str, ...], TextColumns, list[Sentence], int]:
        """Columns, rows, notes, and how many rows are ragged."""
        rows = self._rows(mode)
        _, first = next(rows, (0, []))
        if not first:
            raise empty(self.path)
        if len(first) > limits.COLUMNS:
            raise limits.too_many_columns(self.path, len(first))
        notes: list[Sentence] = []
        while len(first) > 1 and not first[-1].strip():
            first = first[:-1]  # lines that end with a delimiter
        if is_header(first):
            columns = column_names(first)
            kept = TextColumns(columns)
        else:
            columns = tuple(f"column {n}" for n in range(1, len(first) + 1))
            kept = TextColumns(columns)
            kept.add([cell or None for cell in first])
            notes.append(sentence(N_("The first row looks like an example, not like names, so it was read as one.")))
        short, long, long_line, width = 0, 0, 0, len(columns)
        for line, row in rows:
            if len(row) < width:
                short += 1
                row = row + [""] * (width - len(row))
            elif len(row) > width:
                if any(cell.strip() for cell in row[width:]):
                    long, long_line = long + 1, long_line or line
                row = row[:width]
            kept.add([cell or None for cell in row])
            if kept.count > limits.ROWS:
                raise limits.too_many_rows(self.path)
        if not kept.count:
            raise header_only(self.path)
        if short:
            notes.append(sentence(N_("{count} rows have fewer cells than there are columns."), count=short))
        if long:
            text = N_(
                "{count} rows have more cells than there are columns, the first in line {line}; what is too much was "
                "left out. Often a comma inside of a text needs quotation marks around that text."
            )
            notes.append(sentence(text, count=long, line=long_line))
        return columns, kept, notes, short + long


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first row names columns. Sentences, long texts and numbers don't."""
    if any(is_known_name(cell) for cell in cells):
        return True
    texts = [cell.strip() for cell in cells if cell.strip()]
    if len(texts) < 2:
        return True  # a single column: nothing to tell a name from
    if any(len(t) > 60 or "\n" in t or t.endswith(("?", "!", ".", "。", "？")) for t in texts):
        return False
    return len(set(texts)) == len(texts) and not any(re.fullmatch(r"-?\d+([.,]\d+)?", t) for t in texts)
