"""The journal of a job: one event a line, appended by one writer, followed by any number of readers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from studio.core.events import EVENT, Event
from studio.core.problems import other_format, problem
from studio.core.storage import sync
from studio.core.translatable import N_
from studio.core.writer_lock import WriterLock

FORMAT = 1
"""Of journals: their first line says it. To be raised whenever events change so that older ones are misunderstood."""


class _Header(BaseModel):
    """The first line of a journal."""

    format: int


class JournalWriter(AbstractContextManager["JournalWriter"]):
    """Appends events to a journal; a new one begins with its format. Only one writes at a time: a second one gets a
    `ProblemError`.

    A torn last line (power loss, a full disk) is cut off before the next event is appended. The file underneath is
    unbuffered, so an event is in the journal, for every reader, when `write` returns.
    """

    def __init__(self, path: Path, lock: Path) -> None:
        lock.parent.mkdir(parents=True, exist_ok=True)
        self._lock = WriterLock(lock)
        if not self._lock.acquire_patiently():
            raise problem(
                "journal.in_use",
                N_("This run is already going on in another process."),
                N_("Two processes writing one run would damage it."),
                N_("Wait until it ends, or stop it first."),
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._torn = True
        """Whether the last line may be unfinished."""
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
        self._cut_torn_tail()
        if path.stat().st_size == 0:
            self._append(_Header(format=FORMAT).model_dump_json())
            sync(path.parent)  # what is forced to the disk later is worth nothing without its name

    def write(self, event: Event, *, durable: bool = False) -> None:
        """Append one event; with `durable`, also force it to the disk."""
        self._append(event.model_dump_json())
        if durable:
            self.sync()

    def sync(self) -> None:
        """Force what was written to the disk."""
        os.fsync(self._file.fileno())

    def _append(self, text: str) -> None:
        if self._torn:  # a line that a full disk cut off mustn't swallow this one
            self._cut_torn_tail()
        line = memoryview(text.encode("utf-8") + b"\n")
        self._torn = True
        while line:  # an unbuffered write may take only part of it
            line = line[self._file.write(line) :]
        self._torn = False

    def _cut_torn_tail(self) -> None:
        written = self._path.read_bytes()
        keep = written.rfind(b"\n") + 1
        if keep != len(written):
            os.truncate(self._path, keep)
        self._torn = False

    def close(self) -> None:
        self._file.close()
        self._lock.release()

    def __exit__(self, *_: object) -> None:
        self.close()


class JournalReader:
    """Reads a journal from where it last stopped. Lines that are no events (NULs, a torn line) are counted in `bad`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bad = 0
        self._offset = 0
        self._skip_line = False
        self._checks_format = True

    def skip_to(self, offset: int) -> None:
        """Start at the first whole line at or after `offset` bytes, and take the format as it is."""
        self._checks_format = False
        self._offset = max(0, offset - 1)
        self._skip_line = offset > 0

    def read_new(self, *, most: int | None = None, thin: bytes | None = None, thin_to: int = 1) -> list[Event]:
        """The complete events appended since the last call; empty when the file isn't there yet. Raises `ProblemError`
        for a journal in another format than this program reads.

        With `most`, no more than about so many bytes are read at once: where events came, there may be more. Of the
        lines that contain `thin`, at most `thin_to` are parsed, evenly spread, the last one always: lists of runs need
        no single steps.
        """
        try:
            if self.path.stat().st_size <= self._offset:
                return []
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                block = file.read() if most is None else file.read(most) + file.readline()
        except FileNotFoundError:
            return []
        end = block.rfind(b"\n") + 1
        begin = 0
        if self._checks_format and self._offset == 0 and end:
            begin = self._after_header(block)
        self._offset += end
        if self._skip_line and end:
            begin, self._skip_line = block.find(b"\n") + 1, False
        lines = block[begin:end].split(b"\n")
        if thin is not None:
            places = [i for i, line in enumerate(lines) if thin in line]
            skipped = set(places) - set(places[-1 :: -max(1, -(-len(places) // thin_to))])
            lines = [line for i, line in enumerate(lines) if i not in skipped]
        return list(self._parse(lines))

    def _after_header(self, block: bytes) -> int:
        """Where the events begin. A first line that was damaged is left for `_parse` to count."""
        end = block.find(b"\n") + 1
        try:
            found: int | None = _Header.model_validate_json(block[:end]).format
        except ValidationError:
            try:
                EVENT.validate_json(block[:end])
            except ValidationError:
                return 0
            found = None
        if found != FORMAT:
            raise other_format("journal.other_format", found, FORMAT)
        return end

    def _parse(self, lines: list[bytes]) -> Iterator[Event]:
        validate = EVENT.validate_json
        for line in lines:
            if not line:
                continue
            try:
                yield validate(line)
            except ValidationError:
                self.bad += 1
