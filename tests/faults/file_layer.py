"""The layer between a process and its files (`file_layer.c`): built, loaded into child processes, told what to do."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("file_layer.c")


class CannotBuildError(Exception):
    """Says why there is no such layer on this machine: a reason to skip, in one line."""


class Do(IntEnum):
    """What happens at the chosen call, as in `file_layer.c`."""

    count = 0
    kill = 1
    kill_halfway = 2
    """Half of the write is done, then the process ends; calls that write nothing are done as usual."""
    fail_once = 3
    fail_on = 4
    """This call and all after it fail."""


@dataclass(frozen=True)
class Call:
    """One call that changed something below the watched folder. Paths are relative to it; `size` is the file's after
    the call, in bytes; `inode` is 0 where there is none. `mark` is a line that the test itself wrote."""

    name: str
    path: str
    other: str = ""
    size: int = 0
    inode: int = 0


MARK = "mark"


def library() -> Path:
    """The compiled layer, built once. Raises `CannotBuildError` where there is no C compiler or this isn't Linux."""
    if not sys.platform.startswith("linux"):
        raise CannotBuildError("the layer between a process and its files is built on Linux only")
    key = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"studio-file-layer-{os.getuid()}" / f"{key}.so"
    if built.is_file():
        return built
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise CannotBuildError("the layer between a process and its files needs a C compiler, and there is none")
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as work:
        fresh = Path(work) / "layer.so"
        options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
        command = [compiler, *options, "-o", str(fresh), str(SOURCE), "-ldl"]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode:
            raise CannotBuildError(f"the layer could not be compiled: {outcome.stderr.strip()}")
        fresh.replace(built)  # in one go: several test processes may build it at once
    return built


class FileLayer:
    """The layer in this process, which was started with `LD_PRELOAD`; watches what happens below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._library = ctypes.CDLL(None)
        self._library.file_layer_turns.restype = ctypes.c_long

    def watch(self, do: Do = Do.count, at: int = 0, error: int = 0, record: int = -1) -> None:
        """From now on; `at` counts from 1. `record` is the descriptor of a file that gets a line for every call."""
        place = os.fsencode(self.folder)
        self._library.file_layer_watch(place, ctypes.c_int(do), ctypes.c_long(at), ctypes.c_int(error), record)

    def rest(self) -> int:
        """Watch no more. Returns how many calls were counted."""
        self._library.file_layer_rest()
        return int(self._library.file_layer_turns())


def read_record(file: Path, folder: Path) -> list[Call]:
    """The calls in a record, with paths relative to `folder`, which is ""."""
    calls = []
    begin = str(folder.resolve())
    for line in file.read_text(encoding="utf-8").splitlines():
        name, path, other, size, inode = line.split("\t")
        path, other = (part.removeprefix(begin).removeprefix("/") for part in (path, other))
        calls.append(Call(name, path, other, int(size), int(inode)))
    return calls
