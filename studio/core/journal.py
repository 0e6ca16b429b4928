"""The journal of a job: one event a line, appended by one writer, followed by any number of readers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ValidationError

from studio.core.events import EVENT, Event
from studio.core.problems import other_format, problem
from studio.core.storage import sync
from studio.core.translatable import N_


class WriterLock:
    """An operating-system lock on a file, held while a job writes. It is gone when its process is, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    @property
    def descriptor(self) -> int | None:
        """The open file that holds the lock, None while it isn't held. A child that gets it holds the lock as well."""
        return self._file.fileno() if self._file is not None else None

    def acquire(self) -> bool:
        """True when this process holds the lock now; False when another one does. The folder has to be there."""
        file = open(self.path, "a+b")  # noqa: SIM115 - kept open for as long as the lock is held
        try:
            _lock(file)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def acquire_patiently(self) -> bool:
        """`acquire`, tried for a moment: whoever only asks whether the lock is held takes it for an instant."""
        for _ in range(10):
            if self.acquire():
                return True
            time.sleep(0.03)
        return False

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_is_held(path: Path) -> bool:
    """Whether some process holds the writer's lock at `path` now. Asks without writing, which a disk may not allow."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError:
        return False
    with file:
        try:
            _lock(file)
        except OSError:
            return True
    return False


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
