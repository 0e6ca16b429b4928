"""Questions and answers set down beside memory while a set is gone through, to be looked up again by position."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Sequence

_IN_MEMORY = 48 * 1024 * 1024
"""Bytes until a temporary file is used."""


class TextStore:
    """What was asked and answered in each example, in order. At most 48 MB stay in memory, the rest lies in a temporary
    file that nobody else sees and that is gone with this object. Raises OSError where the disk is full."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed in `close`
        self._bounds = array("Q", [0])

    def __len__(self) -> int:
        return (len(self._bounds) - 1) // 2

    def add(self, asked: Sequence[str], answers: Sequence[str]) -> bytes:
        """The next examples. Returns what was written: question, answer, question, answer, in UTF-8."""
        parts: list[bytes] = []
        end = self._bounds[-1]
        for question, answer in zip(asked, answers, strict=True):
            # Half of a pair of surrogates can stand in a JSON file, and is kept as it is.
            for text in (question, answer):
                part = text.encode("utf-8", "surrogatepass")
                parts.append(part)
                end += len(part)
                self._bounds.append(end)
        written = b"".join(parts)
        self._file.seek(0, 2)
        self._file.write(written)
        return written

    def ends(self, first: int) -> array[int]:
        """Where each question and each answer ends, from the example at position `first` on, counted in bytes from
        where that example starts."""
        start = self._bounds[2 * first]
        return array("Q", [end - start for end in self._bounds[2 * first + 1 :]])

    def __getitem__(self, position: int) -> tuple[str, str]:
        """(asked, answer) of one example."""
        start, middle, end = self._bounds[2 * position : 2 * position + 3]
        self._file.seek(start)
        both = self._file.read(end - start)
        return (
            both[: middle - start].decode("utf-8", "surrogatepass"),
            both[middle - start :].decode("utf-8", "surrogatepass"),
        )

    def close(self) -> None:
        """Let go of memory and file."""
        self._file.close()

    def __enter__(self) -> TextStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
