"""Zipped files (xlsx, xlsb, ods, docx, hwpx), refused where they are torn or say that they unpack to too much.

What a file hides from that, the limits of the process that reads it meet (`studio.worker`).
"""

from __future__ import annotations

import errno
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.core.problems import ProblemError
from studio.dataset.readers import limits
from studio.dataset.readers.unreadable import damaged_document, damaged_workbook, password_protected

_BLOCK = 1 << 20
_MOST_PARTS = 10_000


@contextmanager
def opened_archive(path: Path, most: int | None = None) -> Iterator[zipfile.ZipFile]:
    """A zip whose parts come to no more than `most` bytes by what its directory says.

    Raises `ProblemError` also for what turns out to be torn while it is used.
    """
    most = limits.UNPACKED_BYTES if most is None else most
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > most:
                raise limits.unpacks_too_large(path, most)
            if any(part.flag_bits & 1 for part in parts):
                raise password_protected(path)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise damaged_archive(path) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # which is what a directory that points nowhere comes to
            raise
        raise damaged_archive(path) from error


def part_blocks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """The unpacked bytes of one part, a block at a time, and no more of them than its directory says."""
    with archive.open(name) as file:
        while block := file.read(_BLOCK):
            yield block


def damaged_archive(path: Path) -> ProblemError:
    """In the words for what the file says it is."""
    return damaged_document(path) if path.suffix.lower() in (".docx", ".hwpx") else damaged_workbook(path)
