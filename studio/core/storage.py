"""Files and folders that appear whole or not at all, what a folder must hold, and room on the disk.

Whatever is written is staged beside its place, forced to the disk, then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MANIFEST = "manifest.json"
_SEAL = "seal"


MEGABYTE = 1_000_000

_MARGIN = MEGABYTE
"""Bytes that stay free beside what is about to be written."""


@dataclass(frozen=True)
class File:
    """One file of a manifest: path relative to the folder with `/`, size in bytes, SHA-256 as hex digits."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a folder held when it was complete. `step` and the fields after it are for save points."""

    files: tuple[File, ...]
    versions: dict[str, str] = field(default_factory=dict)
    source: str = ""
    step: int | None = None
    trainable: str = ""
    """Fingerprint of the names, shapes and dtypes of the parameters that learn."""


@dataclass
class Staging:
    """What is written into `folder` and gets the name `place` when all of it is there. `kept` is the part of `folder`
    that does, all of it where it isn't said."""

    folder: Path
    place: Path
    kept: Path | None = None

    def set_aside(self) -> None:
        """It failed a check: it gets another name, NAME.failed, or NAME.failed-2, ... where that is taken."""
        wanted = self.place.with_name(f"{self.place.name}.failed")
        self.place, number = wanted, 2
        while self.place.exists():
            self.place = wanted.with_name(f"{wanted.name}-{number}")
            number += 1


@contextlib.contextmanager
def staged(place: Path, *, replace: bool = True) -> Iterator[Path]:
    """A fresh folder beside `place` that becomes `place` when the block ends well, and is removed otherwise.

    With `replace`, an older folder at `place` gives way only then; without, one that isn't empty raises OSError. A disk
    that refuses does too, whatever the library that met it made of that.
    """
    with _staging(place, replace=replace) as staging:
        yield staging.folder


def staging_folder(place: Path, key: str = "") -> Path:
    """Where `place` is written before it is whole; always the same for a `key`, else nobody else's."""
    return place.parent / f".tmp-{place.name}-{key or uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def _staging(place: Path, *, replace: bool, key: str = "") -> Iterator[Staging]:
    place.parent.mkdir(parents=True, exist_ok=True)
    staging = Staging(staging_folder(place, key), place)
    staging.folder.mkdir(exist_ok=bool(key))
    try:
        yield staging
        kept = staging.kept or staging.folder
        sync_tree(kept)
        commit(kept, staging.place, replace=replace)
        if staging.kept is not None:
            shutil.rmtree(staging.folder, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(staging.folder, ignore_errors=True)
        refusal = refusal_in(error)
        if refusal is None or refusal is error:
            raise
        raise refusal from error


def refusal_in(error: BaseException) -> OSError | None:
    """What the system said of a file that couldn't be written, where that is what lies under `error`. torch raises a
    RuntimeError over it, safetensors one of its own with the number in the text."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError):
            return below
        if numbered := re.search(r"\(os error (\d+)\)", str(below)):
            number = int(numbered.group(1))
            return OSError(number, os.strerror(number))
        below = below.__cause__ or below.__context__
    return None


@contextlib.contextmanager
def staged_file(place: Path) -> Iterator[Path]:
    """The path of a file beside `place` to write, which becomes `place` when the block ends well."""
    place.parent.mkdir(parents=True, exist_ok=True)
    staging = place.parent / f".tmp-{place.name}-{uuid.uuid4().hex[:8]}"
    try:
        yield staging
        sync(staging)
        rename(staging, place)
    finally:
        staging.unlink(missing_ok=True)


def write_text(place: Path, text: str) -> None:
    """Write a whole file in UTF-8, in one step for whoever reads it."""
    with staged_file(place) as staging:
        staging.write_text(text, encoding="utf-8")


def tidy(folder: Path) -> None:
    """Remove what a process that ended in the middle left half written or half removed in `folder`, and give what it
    had moved aside for something new its place back where that never came. Nobody else may be writing there."""
    for aside in folder.glob(".old-*"):
        place = folder / aside.name.removeprefix(".old-").rpartition("-")[0]
        if place.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            rename(aside, place)
    for half in folder.glob(".tmp-*"):
        if half.is_dir():
            shutil.rmtree(half, ignore_errors=True)
        else:
            half.unlink(missing_ok=True)


def commit(staging: Path, place: Path, *, replace: bool = True) -> None:
    """Give a finished folder its name, in one step, on the disk when this returns."""
    aside = None
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()  # a rename replaces an empty folder on POSIX only
    elif place.exists() and not replace:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    elif place.exists():
        aside = place.with_name(f".old-{place.name}-{uuid.uuid4().hex[:8]}")
        rename(place, aside)
    rename(staging, place)
    sync(place.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def rename(source: Path, target: Path, attempts: int = 40) -> None:
    """Give `source` the name `target`, in place of a file there. Patiently: on Windows a virus scanner or sync tool may
    hold a file for a moment."""
    for attempt in range(attempts):
        try:
            source.replace(target)
            return
        except OSError as error:
            if getattr(error, "winerror", None) not in (5, 32, 33) or attempt == attempts - 1:
                raise
            time.sleep(0.1)


def sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk. Windows has no such thing for folders."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        sync(path)
    sync(folder)


def listed(folder: Path) -> tuple[File, ...]:
    """Every file below `folder` except the manifest itself, by name."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return tuple(File(name=p.relative_to(folder).as_posix(), size=p.stat().st_size, sha256=sha256_of(p)) for p in files)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """With a seal over all of it, so that a flipped byte of the manifest itself is seen too."""
    written = asdict(manifest)
    text = json.dumps({**written, _SEAL: _seal(written)}, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _seal(written: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest | None:
    """None where there is none or it can't be read: the folder was never finished, or was damaged."""
    try:
        written = json.loads((folder / MANIFEST).read_bytes())
        if _SEAL in written and written.pop(_SEAL) != _seal(written):
            return None
        return _manifests().validate_python(written)
    except (OSError, TypeError, ValueError):
        return None


@cache
def _manifests() -> TypeAdapter[Manifest]:
    from pydantic import TypeAdapter  # takes longer to load than most folders take to be looked at

    return TypeAdapter(Manifest)


def is_intact(folder: Path, *, fully: bool) -> bool:
    """Whether every file is there with its size and, with `fully`, its SHA-256. What the disk can't read isn't."""
    manifest = read_manifest(folder)
    if manifest is None or not manifest.files:
        return False
    try:
        return all(_is_as_written(folder / file.name, file, fully) for file in manifest.files)
    except OSError:
        return False


def _is_as_written(path: Path, file: File, fully: bool) -> bool:
    return path.is_file() and path.stat().st_size == file.size and (not fully or sha256_of(path) == file.sha256)


def size_of(folder: Path) -> int:
    """Bytes of all files below `folder`; what vanishes meanwhile or can't be looked at counts for nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                about = (Path(place) / name).lstat()
                total += about.st_size if stat.S_ISREG(about.st_mode) else 0
    return total


def free_space(place: Path) -> int:
    """Bytes free on the disk where `place` is or would be. Raises OSError."""
    return shutil.disk_usage(existing(place)).free


def existing(place: Path) -> Path:
    """`place`, or the nearest folder above it that is there."""
    here = place.absolute()
    while not here.exists() and here != here.parent:
        here = here.parent
    return here


def require_room(place: Path, needed: int, *, remedy: Remedy = Remedy.try_again) -> None:
    """Raises `ProblemError` when the disk that holds `place` has no room for `needed` bytes."""
    try:
        free = free_space(place)
    except OSError as error:
        raise cannot_write(place, error) from error
    needed += _MARGIN
    if free < needed and not os.access(existing(place), os.W_OK):  # what can't be written often counts as full
        raise cannot_write(place, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    if free < needed:
        raise problem(
            "storage.no_room",
            N_("There isn't enough room at {place}: {needed} MB are needed and {free} MB are free."),
            N_("Nothing has been written, and nothing that was there is lost."),
            N_("Free {missing} MB on that disk, or choose a folder on another one."),
            remedy=remedy,
            place=str(place),
            needed=-(-needed // MEGABYTE),
            free=free // MEGABYTE,
            missing=-(-(needed - free) // MEGABYTE),
        )


def require_new(place: Path) -> None:
    """Raises `ProblemError` when something is at `place` already; an empty folder is nothing."""
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise problem(
            "storage.exists",
            N_("There is already something at {place}."),
            N_("What is there is never overwritten, so that nothing of yours is lost."),
            N_("Choose another folder, or move that one away."),
            remedy=Remedy.choose_folder,
            place=str(place),
        )


@contextlib.contextmanager
def staged_export(place: Path) -> Iterator[Path]:
    """`staged` at a place that a person chose, never over something else: what can't be written is a `ProblemError`,
    raised before anything is read where the place itself can't be."""
    with checked_export(place) as staging:
        yield staging.folder


@contextlib.contextmanager
def checked_export(place: Path, *, key: str = "") -> Iterator[Staging]:
    """`staged_export` of something that may be set aside. With a `key`, a process that was killed leaves what it wrote
    to the next one with the same key, which must know what of it is whole."""
    try:
        with _staging(place, replace=False, key=key) as staging:
            yield staging
    except OSError as error:
        elsewhere = error.filename is not None and place.parent not in Path(str(error.filename)).parents
        if elsewhere and error.filename != str(place.parent):
            raise
        raise cannot_write(place, error) from error


def cannot_write(place: Path, error: OSError, *, remedy: Remedy = Remedy.choose_folder) -> ProblemError:
    """The exception for a place that can't be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return problem(
        "storage.cannot_write",
        N_("{place} can't be written."),
        N_("The computer says: {reason}"),
        N_("Make room on that disk, or choose another folder.")
        if full
        else N_("Allow writing there, or choose another folder."),
        remedy=remedy,
        place=str(place),
        reason=error.strerror or str(error),
    )


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
