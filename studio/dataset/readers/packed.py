"""A single file in a gz or zip, unpacked into a folder of its own while it is read."""

from __future__ import annotations

import gzip
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.file_type import not_a_table
from studio.dataset.readers.unreadable import damaged
from studio.dataset.table import TableStream

_BLOCK = 1 << 20
_PREFIX = "studio-unpacked-"


def read_packed(path: Path, choice: DataChoice, read_file: Callable[[Path, DataChoice], TableStream]) -> TableStream:
    """`read_file` reads what was unpacked. Raises `ProblemError`, also for several files in one."""
    if path.parent.name.startswith(_PREFIX):
        raise not_a_table(path, N_("a packed archive inside of another"))
    folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    try:
        if path.suffix.lower() == ".gz" or not zipfile.is_zipfile(path):
            with gzip.open(path) as source:
                inner = _unpacked(path, source, Path(folder.name) / (path.stem or "data"))
        else:
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
                if len(names) != 1:
                    raise not_a_table(path, N_("a packed archive of several files"))
                with archive.open(names[0]) as source:
                    inner = _unpacked(path, source, Path(folder.name) / Path(names[0].replace("\\", "/")).name)
        stream = read_file(inner, choice)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        folder.cleanup()
        raise damaged(path) from error
    except BaseException:
        folder.cleanup()
        raise
    note = sentence(N_("{name} was unpacked from it."), name=inner.name)
    return replace(stream, path=path, notes=(note, *stream.notes), batches=_batches(stream, folder))


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


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
