"""Rows over the lines of a text file; a line is parsed whenever it is asked for."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

from studio.dataset.lazy_sequence import LazySequence
from studio.dataset.readers import limits
from studio.dataset.table import Row


class LineRows(LazySequence[Row]):
    """The lines are kept as bytes."""

    def __init__(self, parse: Callable[[bytes], Row]) -> None:
        self._parse = parse
        self._lines: list[bytes] = []

    def add(self, place: int, line: bytes) -> None:
        """One more row."""
        self._lines.append(line)

    def __len__(self) -> int:
        return len(self._lines)

    def _at(self, positions: range) -> Iterator[Row]:
        return (self._parse(self._lines[position]) for position in positions)

    def __iter__(self) -> Iterator[Row]:
        return map(self._parse, self._lines)


class FileLines(LazySequence[Row]):
    """The lines stay in the file; only where each begins is kept. Raises `ProblemError` once the file is changed.

    The file isn't mapped into memory: a mapped file that somebody shortens ends the whole process.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], Row]) -> None:
        self._path, self._parse = path, parse
        self._before = path.stat()
        self._places = array("Q")
        self._sizes = array("L")

    def add(self, place: int, line: bytes) -> None:
        """One more row: a line and where in the file it begins."""
        self._places.append(place)
        self._sizes.append(len(line))

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Row]:
        return self._at(range(len(self)))

    def _at(self, positions: range) -> Iterator[Row]:
        limits.guard_unchanged(self._path, self._before)
        at = -1
        with open(self._path, "rb") as file:
            for index in positions:
                place, size = self._places[index], self._sizes[index]
                if place != at:
                    file.seek(place)
                line = file.read(size)
                at = place + size
                if len(line) < size:
                    raise limits.changed(self._path)
                try:
                    row = self._parse(line)
                except ValueError as error:  # it was whole when it was first read
                    raise limits.changed(self._path) from error
                yield row
        limits.guard_unchanged(self._path, self._before)
