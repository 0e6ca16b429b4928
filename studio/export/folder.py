"""Folders that other programs can open: written beside their place, and moved there only when they are complete."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_

MEGABYTE = 1_000_000


def free_space(place: Path) -> int:
    """Bytes free where `place` is or would be. Raises OSError when no part of the path exists."""
    here = place.absolute()
    while not here.exists() and here != here.parent:
        here = here.parent
    return shutil.disk_usage(here).free


def check_target(out: Path, size: int) -> None:
    """Raises `ProblemError` when `size` bytes can't be exported to `out`: something is there, or no room is left."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise problem(
            "export.exists",
            N_("There is already something at {path}."),
            N_("An export never writes over what is there, so that nothing of yours is lost."),
            N_("Choose another folder, or move that one away."),
            remedy=Remedy.choose_folder,
            path=str(out),
        )
    try:
        free = free_space(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    needed = size + size // 10 + MEGABYTE
    if free < needed:
        raise problem(
            "export.no_space",
            N_("There isn't enough room at {path}: {needed} MB are needed and {free} MB are free."),
            N_("Nothing has been written."),
            N_("Choose a folder on another disk, or free {missing} MB."),
            remedy=Remedy.choose_folder,
            path=str(out),
            needed=-(-needed // MEGABYTE),
            free=free // MEGABYTE,
            missing=-(-(needed - free) // MEGABYTE),
        )


def cannot_write(out: Path, error: OSError) -> ProblemError:
    """The exception for a folder that can't be written."""
    return problem(
        "export.cannot_write",
        N_("The folder {path} can't be written."),
        N_("The computer says: {reason}"),
        N_("Choose another folder."),
        remedy=Remedy.choose_folder,
        path=str(out),
        reason=error.strerror or str(error),
    )


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into. It becomes `out` when the block ends well and is removed when it doesn't.

    Raises `ProblemError` when the disk refuses.
    """
    staging = out.parent / f".{out.name}-{uuid.uuid4().hex[:8]}.part"
    try:
        staging.mkdir(parents=True)
        yield staging
        for file in staging.rglob("*"):
            if file.is_file():
                _sync(file)
        if out.is_dir():
            out.rmdir()  # empty, or this raises: os.rename replaces an empty folder on POSIX only
        staging.rename(out)
        _sync_folder(out.parent)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _sync(file: Path) -> None:
    with open(file, "r+b") as opened:
        os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def folder_size(folder: Path, without: str = "") -> int:
    """Bytes of all files directly in `folder`, except those with the suffix `without`. Raises OSError."""
    return sum(p.stat().st_size for p in folder.iterdir() if p.is_file() and (not without or p.suffix != without))
