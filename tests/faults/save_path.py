"""`python -m tests.faults.save_path RUN KILLS ERRORS`, with the file layer loaded: trains the run in this process.

At its last save point it tries all kinds of kills at every KILLS-th call of the save path, and all kinds of errors at
every ERRORS-th. The process that trains is forked for each, so that the real save path runs with its real model. What
the save points before did is recorded beside the run, to be played to a disk that forgets. Prints the table's rows.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # before torch: see studio.engine.environment

import torch

from studio.core.jobs import Train
from studio.core.problems import ProblemError
from studio.core.run_folder import RunFolder
from studio.engine.training.checkpoint import CheckpointWriter
from tests.engine.conftest import do_here
from tests.faults.file_layer import MARK, Do, FileLayer
from tests.faults.save_points import look
from tests.faults.table import Tally

LOSSES = (0.5, 2.0, 1.9, 1.8, 1.7, 1.6)
"""Of the save points: the first is the best and has to stay; from the fourth on, an older one goes with each."""

AT = len(LOSSES)
"""The save point at which faults are injected."""

SAVED, FAILED, BROKEN = 0, 3, 4
"""How a forked process ends: the save point is written; it said that it couldn't be; it raised something unexpected."""


@dataclass(frozen=True)
class Fault:
    """One way in which a call goes wrong. With `again`, the disk is well again afterwards and saving is tried anew."""

    name: str
    do: Do
    error: int = 0
    again: bool = False


KILLS = (
    Fault("killed before a call of the save path", Do.kill),
    Fault("killed halfway through a write of it", Do.kill_halfway),
)

ERRORS = (
    Fault("disk full for one call", Do.fail_once, errno.ENOSPC, again=True),
    Fault("disk full from a call on", Do.fail_on, errno.ENOSPC),
    Fault("disk full, then room again", Do.fail_on, errno.ENOSPC, again=True),
    Fault("EIO for one call", Do.fail_once, errno.EIO, again=True),
    Fault("EIO from a call on", Do.fail_on, errno.EIO),
    Fault("read-only from a call on", Do.fail_on, errno.EROFS, again=True),
)


class Recording:
    """What is done to a run folder while save points are written: `record`, a line for every call, and `kept`, the
    contents of all files that ever were, named by inode."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._layer = FileLayer(run.path)
        self._kept = kept_of(run)
        self._kept.mkdir()
        self._record = os.open(record_of(run), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._say("mkdir", run.checkpoints)
        self._say("create", run.events)
        self._say("sync", run.events)
        self._say("sync", run.path)

    def _say(self, call: str, path: Path) -> None:
        found = path.stat()
        os.write(self._record, f"{call}\t{path}\t\t{found.st_size}\t{found.st_ino}\n".encode())

    def write(self, step: int, write: Callable[[], None]) -> None:
        """Have the save point of `step` written."""
        self._layer.watch(record=self._record)
        write()
        self._layer.rest()
        os.write(self._record, f"{MARK}\t{step}\t\t0\t0\n".encode())
        for file in [self._run.events, *self._run.checkpoints.rglob("*")]:
            kept = self._kept / str(file.stat().st_ino)
            if file.is_file() and not kept.exists():
                kept.hardlink_to(file)


def record_of(run: RunFolder) -> Path:
    return run.path.parent / "record"


def kept_of(run: RunFolder) -> Path:
    return run.path.parent / "kept"


class SavePath:
    """Tries faults while a save point is written. `write` writes it."""

    def __init__(self, run: RunFolder, write: Callable[[], None], aside: Path, tally: Tally) -> None:
        self.run = run
        self.tally = tally
        self._write = write
        self._layer = FileLayer(run.path)
        self._before = aside
        self._journal = run.events.stat().st_size
        shutil.copytree(run.checkpoints, aside / "checkpoints")
        self._saved = look(run).whole

    def calls(self) -> int:
        """How many calls the save path makes when nothing goes wrong."""
        reading, writing = os.pipe()
        if os.fork() == 0:
            self._layer.watch()
            self._write()
            os.write(writing, str(self._layer.rest()).encode())
            os._exit(0)
        os.wait()
        self._restore()
        return int(os.read(reading, 20))

    def try_all(self, faults: tuple[Fault, ...], stride: int) -> None:
        calls = self.calls()
        for number, fault in enumerate(faults):
            for at in range(1 + number % stride, calls + 1, stride):
                self._try(fault, at)
                self._restore()

    def _try(self, fault: Fault, at: int) -> None:
        process = os.fork()
        if process == 0:
            os._exit(self._save_with(fault, at))
        _, status = os.waitpid(process, 0)
        found = look(self.run)
        done = os.WIFEXITED(status) and os.WEXITSTATUS(status) == SAVED
        expected = (*self._saved, AT) if done and AT in found.told else self._saved
        lost = found.lost([step for step in expected if step in (1, *sorted(expected)[-2:])], best=1)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == BROKEN:
            lost.append("an unexpected exception, see the log")
        if AT not in found.told and not set(self._saved) <= set(found.whole):
            lost.append("older ones were removed before the journal told of the new one")
        if fault.again and not done:
            lost.append("saving again didn't work when the disk was well again")
        self.tally.note(fault.name, lost=(f"call {at}: {text}" for text in lost), damaged=found.damaged())

    def _save_with(self, fault: Fault, at: int) -> int:
        """In a process of its own."""
        self._layer.watch(fault.do, at, fault.error)
        try:
            ending = self._attempt()
            if fault.again:
                self._layer.rest()
                ending = self._attempt() if ending == FAILED else ending
            return ending
        except BaseException as error:
            self._layer.rest()
            sys.stderr.write(f"{fault} at {at}: {error!r}\n")
            sys.stderr.flush()
            return BROKEN

    def _attempt(self) -> int:
        try:
            self._write()
        except (OSError, ProblemError):
            return FAILED
        return SAVED

    def _restore(self) -> None:
        shutil.rmtree(self.run.checkpoints)
        shutil.copytree(self._before / "checkpoints", self.run.checkpoints)
        os.truncate(self.run.events, self._journal)


@contextlib.contextmanager
def at_each_save(act: Callable[[int, Callable[[], None]], None]) -> Iterator[None]:
    """Have every save point of a training written by `act`, which gets its number, from 1, and what writes it."""
    original = CheckpointWriter.save
    count = 0

    def save(writer: CheckpointWriter, trainer: Any, loss: float | None, *rest: Any, **named: Any) -> None:
        nonlocal count
        count += 1
        loss = LOSSES[min(count, len(LOSSES)) - 1]
        act(count, lambda: original(writer, trainer, loss, *rest, **named))

    with mock.patch.object(CheckpointWriter, "save", save):
        yield


def main(words: list[str]) -> int:
    run, kills, errors = RunFolder(Path(words[0]).resolve()), int(words[1]), int(words[2])
    torch.set_num_threads(1)
    recording: list[Recording] = []
    tally = Tally()

    def act(number: int, write: Callable[[], None]) -> None:
        if number < AT:
            if not recording:
                recording.append(Recording(run))
            recording[0].write(number, write)
            return
        path = SavePath(run, write, run.path.parent / "before", tally)
        path.try_all(KILLS, kills)
        path.try_all(ERRORS, errors)
        write()

    with at_each_save(act):
        code = do_here(run, Train())
    answer = {"code": code, "rows": [asdict(row) for row in tally.rows()], "wrong": tally.wrong}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
