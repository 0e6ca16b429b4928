"""The file in which the queue is kept: a line for each entry, written whole, changed only under a lock.

It is JSON, one line an entry: a hand that edits it can spoil one line, and the others stay. A line that can't be read
is named in a sentence and moved to a file beside it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from studio.core import paths
from studio.core.jobs import MOST_PROCESSES
from studio.core.problems import Problem, ProblemError, Remedy, other_format, problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.storage import cannot_write, sync, tidy, write_text
from studio.core.translatable import N_
from studio.core.writer_lock import WriterLock

FORMAT = 1
"""Of the queue's file: its first line says it."""

OTHER_FORMAT = "queue.other_format"
"""Code of the problem with a file that another version of the program wrote."""

PATIENCE = 20.0
"""Seconds to wait for another process that changes the queue; each needs milliseconds."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AtOnce(_Line):
    """As soon as no other run is on its card."""

    kind: Literal["at_once"] = "at_once"


class AtTime(_Line):
    """Not before the clock shows `at`; a time without a zone is this computer's."""

    kind: Literal["at_time"] = "at_time"
    at: datetime

    @field_validator("at")
    @classmethod
    def _with_zone(cls, at: datetime) -> datetime:
        return at.astimezone() if at.tzinfo is None else at


class WhenFree(_Line):
    """When the card is free of other programs too."""

    kind: Literal["when_free"] = "when_free"


When = Annotated[AtOnce | AtTime | WhenFree, Field(discriminator="kind")]


class Entry(_Line):
    """One run in the queue; its folder is what it is known by.

    `group` is the id of the runs that were queued together to be compared, "" without. `processes` compute it, with a
    card each where there are cards. `ended_before` is when the ending was written that the run had when it was queued.
    The last five are the runner's: when it started the run and on which card (the driver's UUID, "" for the processor)
    and which others, how often since the run last got on, and its save point then.
    """

    type: Literal["entry"] = "entry"
    run: Path
    when: When = AtOnce()
    held: bool = False
    group: str = ""
    processes: int = Field(default=1, ge=1, le=MOST_PROCESSES)
    ended_before: float | None = None
    begun: datetime | None = None
    card: str = ""
    others: tuple[str, ...] = ()
    starts: int = 0
    save_point: int = 0

    @field_validator("run")
    @classmethod
    def _absolute(cls, run: Path) -> Path:
        if not run.is_absolute():
            raise ValueError("the folder of a run has to begin with the disk or /")
        return run

    @field_validator("begun")
    @classmethod
    def _with_zone(cls, begun: datetime | None) -> datetime | None:
        return begun.astimezone() if begun is not None and begun.tzinfo is None else begun


class Ended(_Line):
    """A run that has left the queue by itself. `problem` says why it failed."""

    type: Literal["ended"] = "ended"
    run: Path
    group: str = ""
    outcome: Literal["finished", "stopped", "failed"]
    problem: Problem | None = None


class _SetAside(_Line):
    type: Literal["set_aside"] = "set_aside"
    problem: Problem


class _Header(_Line):
    format: int


_LINE: TypeAdapter[Entry | Ended | _SetAside] = TypeAdapter(
    Annotated[Entry | Ended | _SetAside, Field(discriminator="type")]
)


@dataclass(frozen=True)
class Queue:
    """Entries in their order, what ended since the last result was taken, and what of the file couldn't be read."""

    entries: tuple[Entry, ...] = ()
    ended: tuple[Ended, ...] = ()
    set_aside: tuple[Problem, ...] = ()

    def entry(self, run: Path) -> Entry:
        """Raises `ProblemError` for a run that isn't in the queue."""
        for entry in self.entries:
            if entry.run == run:
                return entry
        raise problem(
            "queue.not_there",
            N_("{name} isn't in the queue."),
            N_("It has ended, or it was taken out meanwhile."),
            N_("Look at the list of runs; from there it can be put into the queue again."),
            name=name_of(run),
        )

    def with_entry(self, changed: Entry) -> Queue:
        """With `changed` in the place of the entry of the same run."""
        return replace(self, entries=tuple(changed if e.run == changed.run else e for e in self.entries))

    def without(self, run: Path) -> Queue:
        return replace(self, entries=tuple(e for e in self.entries if e.run != run))


def queue_folder() -> JobFolder:
    """Where queue and runner keep what is theirs: the file, the runner's lock and its log."""
    return JobFolder(paths.home() / "queue")


def queue_file() -> Path:
    return queue_folder().path / "queue.jsonl"


def name_of(run: Path) -> str:
    """What people call a run; the folder's name where its recipe can't be read."""
    try:
        return load(RunFolder(run).recipe).name or run.name
    except ProblemError:
        return run.name


def read_queue() -> Queue:
    """The queue as the file has it now. Lines that can't be read are named in `set_aside`, and moved there by the next
    change. Raises `ProblemError` only for a file of another format, and for one that can't be opened."""
    return _parsed(_bytes())[0]


def _bytes() -> bytes:
    try:
        return queue_file().read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise cannot_write(queue_file(), error) from error


def _parsed(text: bytes) -> tuple[Queue, list[bytes]]:
    """The queue, and the lines that are none of it."""
    entries: dict[Path, Entry] = {}
    ended: list[Ended] = []
    set_aside: list[Problem] = []
    bad: list[bytes] = []
    first: tuple[int, str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or (number == 1 and _is_header(line)):
            continue
        try:
            found = _LINE.validate_json(line)
        except ValidationError as error:
            first = first or (number, _reason(error))
            bad.append(line)
            continue
        if isinstance(found, Ended):
            ended.append(found)
        elif isinstance(found, _SetAside):
            set_aside.append(found.problem)
        elif found.run in entries:
            first = first or (number, f"{found.run.name} is in the queue already")
            bad.append(line)
        else:
            entries[found.run] = found
    if first is not None:
        set_aside.append(
            Problem(
                code="queue.set_aside",
                what=N_("{count} {count:line|lines} of the queue can't be read and {count:was|were} left out.")
                if len(bad) > 1
                else N_("A line of the queue can't be read and was left out."),
                why=N_("In line {line}: {reason}."),
                fix=N_("They are kept in {file}. Put what is missing into the queue again from the list of runs."),
                values={"count": len(bad), "line": first[0], "reason": first[1], "file": str(_set_aside_file())},
            )
        )
    return Queue(tuple(entries.values()), tuple(ended), tuple(set_aside)), bad


def _is_header(line: bytes) -> bool:
    try:
        found = _Header.model_validate_json(line).format
    except ValidationError:
        return False
    if found != FORMAT:
        raise other_format(OTHER_FORMAT, found, FORMAT)
    return True


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def _set_aside_file() -> Path:
    return queue_folder().path / "set-aside.jsonl"


class OpenQueue:
    """The queue while its lock is held: read, and written as often as it changes."""

    def __init__(self) -> None:
        tidy(queue_folder().path)
        text = _bytes()
        self.queue, bad = _parsed(text)
        if bad:
            with open(_set_aside_file(), "ab") as file:
                file.writelines(line + b"\n" for line in bad)
                file.flush()
                os.fsync(file.fileno())
            self.write(self.queue)

    def write(self, queue: Queue) -> None:
        """On the disk when this returns. Raises OSError."""
        lines: list[BaseModel] = [_Header(format=FORMAT), *queue.entries, *queue.ended]
        lines += [_SetAside(problem=one) for one in queue.set_aside]
        write_text(queue_file(), "".join(line.model_dump_json() + "\n" for line in lines))
        sync(queue_file().parent)
        self.queue = queue


@contextlib.contextmanager
def opened(patience: float = PATIENCE) -> Iterator[OpenQueue]:
    """The queue for as long as the block lasts; nobody else changes it meanwhile. Raises `ProblemError` where the
    program's home can't be written, or another process doesn't let go of the queue for `patience` seconds."""
    lock = WriterLock(queue_folder().path / "queue.lock")
    try:
        if not queue_folder().path.is_dir():
            queue_folder().path.mkdir(parents=True, exist_ok=True)
            sync(queue_folder().path.parent)
        until = time.monotonic() + patience
        while not lock.acquire():
            if time.monotonic() > until:
                raise problem(
                    "queue.in_use",
                    N_("The queue can't be changed now."),
                    N_("Another process of the program has been holding it for {seconds:.0f} seconds."),
                    N_("Try again. If that doesn't help, restart the computer; the queue is kept."),
                    remedy=Remedy.try_again,
                    seconds=patience,
                )
            time.sleep(0.02)
        yield OpenQueue()
    except OSError as error:
        raise cannot_write(queue_folder().path, error, remedy=Remedy.try_again) from error
    finally:
        lock.release()
