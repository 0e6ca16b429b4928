"""csv and tsv: the delimiter found by constant column counts, quoted line breaks, odd headers, ragged rows.

A file is gone through twice: once to see how its quotation marks are meant, where the table begins and ends and how
many rows it has, once to hand out the rows. So nothing has to be taken back that was already handed out.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TextIO

from studio.core.problems import Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.derived.quizzes import is_in_parts, read_parts
from studio.dataset.readers.dialect import Dialect, find_dialect, split_line
from studio.dataset.readers.encodings import Encoding, find_encoding
from studio.dataset.readers.table_scan import TableScan, scan_table, table_rows
from studio.dataset.readers.unreadable import changed, empty, guard_unchanged, header_only
from studio.dataset.table import Doubt, TableInfo, TableStream
from studio.dataset.text_batches import stream_rows

_PROBE_CHARACTERS = 256 * 1024
_NEVER = "\x1f"
"""For a file of one column, whose lines are cells whole."""
_Mode = Literal["strict", "lenient", "lines"]
_LONGEST_LINE = 8 * limits.CELL_CHARACTERS
_MOST_SHIFTED = 0.1
"""The share of rows with cells too many or in the wrong place from which on the delimiter is asked about."""
_SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n?", re.IGNORECASE)


def read_delimited(path: Path, choice: DataChoice, first: int | None = None) -> TableStream:
    """All rows, or the `first` ones alone; then what comes later in the file, such as a quotation mark left open, isn't
    seen. Raises `ProblemError`, before anything is handed out for all that is wrong with the file itself."""
    reading = _begin(path, choice, beginning_only=first is not None)
    if reading.is_quiz:
        return read_parts(path, reading.encoding)
    if first is None:
        return reading.stream(*reading.scan_best())
    try:
        mode, found = reading.scan("lenient", at_most=first)
    except _BadQuote:
        mode, found = reading.scan("lines", at_most=first)
    return reading.stream(mode, found, found.notes())


def _begin(path: Path, choice: DataChoice, beginning_only: bool = False) -> _Reading:
    size = path.stat().st_size
    if size > limits.TEXT_BYTES:
        raise limits.too_large(path, size, limits.TEXT_BYTES)
    encoding = find_encoding(path, choice.encoding, beginning_only)
    csv.field_size_limit(limits.CELL_CHARACTERS)
    with open(path, encoding=encoding.name, errors=encoding.errors, newline="") as file:
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
    preferred = "\t" if path.suffix.lower() in (".tsv", ".tab") else ""
    dialect = find_dialect(rest, len(probe) < _PROBE_CHARACTERS, preferred, delimiter)
    return _Reading(path, encoding, dialect, bool(first_line), choice.header_row, is_in_parts(rest))


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

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        dialect: Dialect,
        skip_first: bool,
        header_row: int | None,
        is_quiz: bool = False,
    ) -> None:
        self.path, self.encoding, self.skip_first, self.header_row = path, encoding, skip_first, header_row
        self.dialect, self.delimiter = dialect, dialect.delimiter
        self.is_quiz = is_quiz
        self._used_up = self._is_misquoted = False
        self._before = path.stat()

    def scan_best(self) -> tuple[_Mode, TableScan, list[Sentence]]:
        try:
            mode, found = self.scan("strict")
            return mode, found, found.notes()
        except _BadQuote as bad:
            text = N_("A quotation mark near line {line} isn't closed where it should be; look at the rows around it.")
            note = sentence(text, line=bad.line)
        mode, found = self.scan("lines")
        damaged = found.short + found.long
        if damaged > 0.05 * found.count:
            with contextlib.suppress(_BadQuote):
                other = self.scan("lenient")
                if other[1].short + other[1].long < damaged:
                    mode, found = other
        self._is_misquoted = True
        return mode, found, [note, *found.notes()]

    def stream(self, mode: _Mode, found: TableScan, notes: list[Sentence]) -> TableStream:
        doubts: list[Doubt] = []
        if not self.encoding.sure:
            doubts.append("encoding")
        if self.dialect.quote == "'":
            notes = [sentence(N_("Apostrophes around the cells were read as quotation marks.")), *notes]
        if not self.delimiter:
            if not self.dialect.sure:
                text = N_("The file was read as one column, though every row holds a comma or another such mark.")
                notes = [sentence(text), *notes]
        elif not self.dialect.sure:
            shown = {"\t": N_("a tab"), ",": N_("a comma"), ";": N_("a semicolon"), "|": N_("a vertical bar")}
            text = N_("What stands between the columns is a guess: {kind}.")
            notes = [sentence(text, kind=shown.get(self.delimiter, self.delimiter)), *notes]
        shifts = found.shifts
        is_named = self.path.suffix.lower() in (".csv", ".tsv", ".tab")
        misread = self._is_misquoted and not is_named  # perhaps it is code
        if not self.dialect.sure or misread or shifts.mended or found.long + shifts.wrong > _MOST_SHIFTED * found.count:
            doubts.append("delimiter")
        if found.layout.doubtful or found.apart or found.other:
            doubts.append("header")
        if not found.is_under_sure:
            doubts.append("kind")
        info = TableInfo(
            path=self.path,
            format="tsv" if self.delimiter == "\t" else "csv",
            columns=found.columns,
            encoding=self.encoding.name,
            delimiter=self.delimiter,
            notes=(*self.encoding.notes(), *notes),
            doubts=tuple(doubts),
        )
        return stream_rows(info, found.count, self._table_rows(mode, found))

    def _rows(self, mode: _Mode) -> Iterator[tuple[int, list[str]]]:
        """Each row, blank ones too, with the line that it begins in."""
        with open(self.path, encoding=self.encoding.name, errors=self.encoding.errors, newline="") as file:
            if mode == "lines":
                yield from self._single_lines(file)
                return
            reader = csv.reader(
                self._lines(file),
                delimiter=self.delimiter or _NEVER,
                quotechar=self.dialect.quote,
                skipinitialspace=self.dialect.skip_space,
                strict=mode == "strict",
            )
            line = 1
            try:
                for row in reader:
                    if self._used_up:
                        raise _BadQuote(line)
                    yield line, row
                    line = reader.line_num + 1
            except csv.Error as error:  # also for a cell beyond the limit, which is usually a mark left open
                raise _BadQuote(line) from error

    def _single_lines(self, file: TextIO) -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(self._lines(file), start=1):
            if len(line) >= _LONGEST_LINE:
                raise limits.line_too_long(self.path, number)
            bare = line.rstrip("\r\n")
            row = split_line(bare, self.dialect) if self.delimiter else [bare]
            if max(map(len, row), default=0) > limits.CELL_CHARACTERS:
                raise limits.line_too_long(self.path, number)
            yield number, row

    def _lines(self, file: TextIO) -> Iterator[str]:
        """The lines, noting when they are used up: a row that still comes then was never closed."""
        self._used_up = False
        if self.skip_first:
            file.readline()
        while line := file.readline(_LONGEST_LINE):
            yield self.dialect.plain(line)
        self._used_up = True

    def scan(self, mode: _Mode, at_most: int | None = None) -> tuple[_Mode, TableScan]:
        """Raises `_BadQuote`, and `ProblemError` for what is wrong with the file."""
        found = scan_table(self.path, self._rows(mode), self.header_row, at_most=at_most, dialect=self.dialect)
        if found is None:
            raise empty(self.path)
        if not found.count:
            raise header_only(self.path)
        return mode, found

    def _table_rows(self, mode: _Mode, found: TableScan) -> Iterator[list[str]]:
        given = 0
        try:
            for row in table_rows(self._rows(mode), found):
                given += 1
                yield row
        except (_BadQuote, UnicodeError) as error:
            raise changed(self.path) from error
        guard_unchanged(self.path, self._before)
        if given < found.count:
            raise changed(self.path)
