"""Folders that appear whole or not at all: staged beside their place, forced to the disk, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.problems import Remedy, problem
from studio.core.translatable import N_

MANIFEST = "manifest.json"


class File(BaseModel):
    """One file of a manifest: path relative to the folder with `/`, size in bytes, SHA-256 as hex digits."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    size: int
    sha256: str


class Manifest(BaseModel):
    """What a folder held when it was complete. `step` and the fields after it are for save points."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    files: tuple[File, ...]
    versions: dict[str, str] = {}
    source: str = ""
    step: int | None = None
    trainable: str = ""
    """Fingerprint of the names, shapes and dtypes of the parameters that learn."""


@contextlib.contextmanager
def staged(place: Path, name: str = "") -> Iterator[Path]:
    """A fresh folder beside `place` that becomes `place` when the block ends well, and is removed otherwise.

    An older folder at `place` is replaced only then.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    staging = place.parent / f".tmp-{name or place.name}-{uuid.uuid4().hex[:8]}"
    staging.mkdir()
    try:
        yield staging
        sync_tree(staging)
        commit(staging, place)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def commit(staging: Path, place: Path) -> None:
    """Give a finished folder its name, in one step, on the disk when this returns."""
    aside = None
    if place.exists():
        aside = place.with_name(f".old-{place.name}-{uuid.uuid4().hex[:8]}")
        rename(place, aside)
    rename(staging, place)
    sync(place.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def rename(source: Path, target: Path, attempts: int = 40) -> None:
    """Rename, patiently: on Windows a virus scanner or sync tool may hold a file for a moment."""
    for attempt in range(attempts):
        try:
            source.rename(target)
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
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """None where there is none or it can't be read: the folder was never finished, or was damaged."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def is_intact(folder: Path, *, fully: bool) -> bool:
    """Whether every file is there with its size and, with `fully`, its SHA-256."""
    manifest = read_manifest(folder)
    if manifest is None or not manifest.files:
        return False
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != file.size:
            return False
        if fully and sha256_of(path) != file.sha256:
            return False
    return True


def size_of(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def require_room(place: Path, needed: int) -> None:
    """Raises `ProblemError` when the disk that holds `place` has less than `needed` bytes free."""
    here = place
    while not here.exists() and here != here.parent:
        here = here.parent
    free = shutil.disk_usage(here).free
    if free < needed:
        raise problem(
            "engine.no_room",
            N_("There is too little room on the disk: {free} MB are free, {needed} MB are needed."),
            N_("Nothing has been written, and nothing that was there is lost."),
            N_("Free some space on the disk that holds {place}, then try again."),
            remedy=Remedy.try_again,
            free=free // 1_000_000,
            needed=needed // 1_000_000 + 1,
            place=str(place),
        )


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
