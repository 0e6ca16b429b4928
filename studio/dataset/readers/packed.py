"""A file in a gz, bz2 or xz, or the files in a zip, unpacked into a folder of their own while they are read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.file_type import not_a_table
from studio.dataset.readers.folders import ABOUT, read_folder
from studio.dataset.readers.unreadable import damaged
from studio.dataset.table import TableStream

_BLOCK = 1 << 20
_STREAMS: tuple[tuple[bytes, Callable[[Path], AbstractContextManager[_Source]]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ", lzma.open),
)
_MOST_FILES = 2_000
_DEPTH = 4
_PREFIX = "studio-unpacked-"


def read_packed(path: Path, choice: DataChoice, read_file: Callable[[Path, DataChoice], TableStream]) -> TableStream:
    """`read_file` reads a file that was unpacked. Raises `ProblemError`, also for an archive in another."""
    if any(place.name.startswith(_PREFIX) for place in path.parents):
        raise not_a_table(path, N_("a packed archive inside of another"))
    folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    try:
        opener = next((opener for mark, opener in _STREAMS if _begins_with(path, mark)), None)
        if opener is not None:
            with opener(path) as source:
                inner = _unpacked(path, source, Path(folder.name) / (path.stem or "data"))
        else:
            with zipfile.ZipFile(path) as archive:
                inner = _all_unpacked(path, archive, Path(folder.name) / (path.stem or "data"))
        stream = read_folder(inner, choice, read_file) if inner.is_dir() else read_file(inner, choice)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError) as error:
        folder.cleanup()
        raise damaged(path) from error
    except BaseException:
        folder.cleanup()
        raise
    notes = stream.notes
    if inner.is_file():
        notes = (sentence(N_("{name} was unpacked from it."), name=inner.name), *notes)
    return replace(stream, path=path, notes=notes, batches=_batches(stream, folder))


def _all_unpacked(path: Path, archive: zipfile.ZipFile, folder: Path) -> Path:
    """The only file of an archive, or the folder of several; names that lead elsewhere lead nowhere."""
    whole = [name for name in archive.namelist() if not name.endswith("/")]
    names = [name for name in whole if not _is_beside(name)] or whole
    size = sum(archive.getinfo(name).file_size for name in names)
    if not names or len(names) > _MOST_FILES:
        raise not_a_table(path, N_("a packed archive of several files"))
    if size > limits.UNPACKED_BYTES:
        raise limits.unpacks_too_large(path)
    target = folder
    for name in names:
        parts = [part for part in name.replace("\\", "/").split("/") if part.strip(" .")]
        target = folder.joinpath(*parts[-_DEPTH:] if len(names) > 1 else parts[-1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(name) as source:
            _unpacked(path, source, target)
    return target if len(names) == 1 else folder


def _is_beside(name: str) -> bool:
    """Whether a part is no data: a folder, what a Mac puts beside each file, or a text about the others."""
    last = name.rpartition("/")[2].casefold()
    known = last.startswith((".", "~$", *ABOUT)) or last in ("thumbs.db", "desktop.ini")
    return not last or "__MACOSX" in name or known


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _begins_with(path: Path, mark: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(mark)) == mark


def _unpacked(path: Path, source: _Source, target: Path) -> Path:
    size = 0
    with open(target, "wb") as file:
        while block := source.read(_BLOCK):
            size += len(block)
            if size > limits.UNPACKED_BYTES:
                raise limits.unpacks_too_large(path)
            file.write(block)
    return target


def _batches(stream: TableStream, folder: tempfile.TemporaryDirectory[str]) -> Iterator[pa.RecordBatch]:
    try:
        yield from stream.batches
    finally:
        folder.cleanup()
