"""What a disk holds after the power went: of a record of calls, what the system had promised to keep, and any part of
the rest.

The promises are those of POSIX as journaling file systems keep them: the contents of a file are safe up to the size
that it had at its last fsync; names (made, renamed, removed) are safe once the folder that holds them was synced, and
those that aren't are kept in the order in which they were changed, up to some moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.faults.file_layer import Call

Rest = Literal["gone", "zeros", "half"]
"""What becomes of contents that weren't synced: they are cut off, read as zeros, or half of them is there and the other
half reads as zeros."""


@dataclass
class _File:
    inode: int
    path: str
    size: int = 0
    safe: int = 0


@dataclass
class _Folder:
    entries: dict[str, _File | _Folder] = field(default_factory=dict)


class Disk:
    """Replays calls. `kept` is a folder with the contents of every file that ever was, named by inode."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        self._root = _Folder()
        self._files: dict[int, _File] = {}

    def replay(self, calls: Sequence[Call], names_until: int) -> None:
        """Do `calls`; those after `names_until` change contents and no names."""
        for number, call in enumerate(calls):
            self._do(call, names=number < names_until)

    def _do(self, call: Call, names: bool) -> None:
        match call.name:
            case "create" | "write" | "sync":
                file = self._files.get(call.inode)
                if call.name == "create" and (file is None or call.size == 0):  # inodes are used again
                    file = self._files[call.inode] = _File(call.inode, call.path)
                    if names:
                        self._parent(call.path).entries[_name(call.path)] = file
                if file is not None:
                    if names and file.path != call.path:  # safetensors renames without asking the C library
                        self._rename(file.path, call.path)
                    file.size, file.safe = call.size, min(file.safe, call.size)
                    if call.name == "sync":
                        file.safe = call.size
            case "mkdir" if names:
                self._parent(call.path).entries[_name(call.path)] = _Folder()
            case "rename" if names:
                self._rename(call.path, call.other)
            case "remove" if names:
                del self._parent(call.path).entries[_name(call.path)]

    def _rename(self, path: str, other: str) -> None:
        moved = self._parent(path).entries.pop(_name(path))
        self._parent(other).entries[_name(other)] = moved
        if isinstance(moved, _File):
            moved.path = other

    def _parent(self, path: str) -> _Folder:
        here = self._root
        for part in Path(path).parts[:-1]:
            found = here.entries[part]
            assert isinstance(found, _Folder), path
            here = found
        return here

    def write(self, place: Path, rest: Rest) -> None:
        """Make what is on the disk at `place`, which isn't there yet."""
        self._write(self._root, place, rest)

    def _write(self, folder: _Folder, place: Path, rest: Rest) -> None:
        place.mkdir()
        for name, entry in folder.entries.items():
            if isinstance(entry, _Folder):
                self._write(entry, place / name, rest)
            else:
                (place / name).write_bytes(self._contents(entry, rest))

    def _contents(self, file: _File, rest: Rest) -> bytes:
        source = self._kept / str(file.inode)
        whole = source.read_bytes()[: file.size] if source.is_file() else b""
        if rest == "gone":
            return whole[: file.safe]
        there = file.safe if rest == "zeros" else (file.safe + file.size) // 2
        return whole[:there] + bytes(file.size - len(whole[:there]))


def safe_names(calls: Sequence[Call]) -> int:
    """How many of the first `calls` certainly have their names on the disk: all until the last whose folders were
    synced after it."""
    safe = 0
    pending: dict[int, set[str]] = {}
    for number, call in enumerate(calls):
        if call.name in ("create", "mkdir", "remove"):
            pending[number] = {_folder(call.path)}
        elif call.name == "rename":
            pending[number] = {_folder(call.path), _folder(call.other)}
        elif call.name == "sync":
            for at, folders in list(pending.items()):
                folders.discard(call.path)
                if not folders:
                    safe = max(safe, at + 1)
                    del pending[at]
    return safe


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
