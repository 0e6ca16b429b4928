"""The safetensors files of a model, read without torch: which they are, what stands in them, and whether the model is
still the one that it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core import paths
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.storage import sha256_of, write_text
from studio.core.translatable import N_
from studio.models.config import read_mapping

_LONGEST_HEADER = 100 << 20
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")
_INDEX = "model.safetensors.index.json"

_BLOCK = 8 << 20
"""Bytes of a tensor that are hashed at once, on several threads."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a safetensors file; `start` and `end` are bytes from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    end: int


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers would load, none where there are none. Raises `ProblemError` when one of
    several is missing, or what says which tensor is where."""
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if (folder / _INDEX).is_file():
        listed = read_mapping(folder / _INDEX).get("weight_map")
        names = sorted({str(name) for name in listed.values()}) if isinstance(listed, dict) else []
        missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
        if missing:
            raise _incomplete(folder, len(missing), len(names))
        return [folder / name for name in names]
    found = sorted(p.name for p in folder.glob("*.safetensors") if not p.name.startswith("adapter_"))
    shards = [shard for name in found if (shard := _SHARD.fullmatch(name))]
    if shards:
        total = int(shards[0].group(3))
        if len(shards) < total:
            raise _incomplete(folder, total - len(shards), total)
        raise wrong(
            "model.no_index",
            N_("The model in {folder} is incomplete: {file} is missing."),
            N_("That small file says which of the {count} weight files holds what."),
            folder,
            fix=N_("Copy it from where the model came from, or fetch the model once more."),
            file=_INDEX,
            count=total,
        )
    if found:
        raise wrong(
            "model.weights_unknown_name",
            N_("The weights in {folder} are in {file}, where they aren't looked for."),
            N_("A model's weights are in model.safetensors; under other names they belong to other programs."),
            folder,
            file=found[0],
        )
    return []


def tensors(file: Path) -> list[Tensor]:
    """What a safetensors header lists, checked against the file's size: 8 bytes of length, then JSON. Raises
    `ProblemError`."""
    size = file.stat().st_size
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        try:
            header = json.loads(opened.read(length)) if 2 <= length <= min(_LONGEST_HEADER, size - 8) else None
            if not isinstance(header, dict):
                raise ValueError("no header")
            found = [
                Tensor(name, str(one["dtype"]), _whole(one["shape"]), file, *(8 + length + n for n in _two(one)))
                for name, one in header.items()
                if name != "__metadata__"
            ]
        except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
            header, found = None, []
    if header is None or size != max([8 + length, *(tensor.end for tensor in found)]):
        raise problem(
            "model.weights_damaged",
            N_("The weights in {file} are damaged or incomplete."),
            N_("Often a download or a copy was cut short."),
            N_("Fetch or copy the model once more, or use the starter model."),
            remedy=Remedy.choose_model,
            file=file.name,
        )
    return found


def _whole(numbers: object) -> tuple[int, ...]:
    if not isinstance(numbers, list) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise ValueError
    return tuple(numbers)


def _two(entry: dict[str, object]) -> tuple[int, int]:
    start, end = _whole(entry["data_offsets"])
    return start, end


def parameters(file: Path) -> int:
    """How many numbers a safetensors file holds. Raises `ProblemError`."""
    total = 0
    for tensor in tensors(file):
        if any(mark in tensor.name for mark in (".absmax", ".quant_map", ".quant_state", ".nested_")):
            continue  # constants of weights that are already compressed, not weights
        # Two 4-bit weights share a byte.
        total += math.prod(tensor.shape) * (2 if tensor.dtype == "U8" else 1)
    return total


class BaseFingerprint(BaseModel):
    """What a base model was when a run was created: SHA-256 of each part that decides its answers, by the part's name.

    The weights count with names, formats, shapes and every byte of each tensor, however they are divided into files;
    config.json without what a newer library only adds to it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    parts: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Reads all weights the first time, and those again that changed since. Raises `ProblemError`."""
        try:
            config = read_mapping(folder / "config.json")
            for name in ("transformers_version", "_name_or_path"):
                config.pop(name, None)
            parts = {"config.json": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()}
            for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
                if (folder / name).is_file():
                    parts[name] = sha256_of(folder / name)
            return cls(parts={**parts, "weights": _weights_hash(folder)})
        except OSError as error:
            raise unreadable(folder, error) from error

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """None where a run has none."""
        try:
            return cls.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, file: Path) -> None:
        write_text(file, self.model_dump_json(indent=1))

    def require_same(self, folder: Path) -> None:
        """Raises `ProblemError` when the model in `folder` isn't this one any more."""
        now = BaseFingerprint.of(folder).parts
        changed = sorted(name for name in now.keys() | self.parts.keys() if now.get(name) != self.parts.get(name))
        if changed:
            raise problem(
                "model.changed",
                N_("The base model in {folder} isn't the one any more that this run was trained on."),
                N_("Changed since then: {changed}. What was learned only fits the model as it was."),
                N_("Put the base model back as it was, or train once more on the one that is there now."),
                remedy=Remedy.choose_model,
                folder=str(folder),
                changed=", ".join(changed),
            )


class _KnownFiles(BaseModel):
    """What the tensors of weight files were found to be, so that none is read twice: by path, size and times, which all
    change with a file's contents."""

    model_config = ConfigDict(extra="ignore")

    found: dict[str, str] = {}

    @classmethod
    def read(cls) -> Self:
        try:
            return cls.model_validate_json(_known_files().read_bytes())
        except (OSError, ValidationError):
            return cls()


def _known_files() -> Path:
    return paths.models() / "weights.json"


def _weights_hash(folder: Path) -> str:
    """One number for all tensors: the sum of theirs, so that it doesn't matter how they are divided into files."""
    known = _KnownFiles.read()
    total, kept = 0, {}
    for file in weight_files(folder):
        held = file.stat()
        key = f"{file.resolve()} {held.st_size} {held.st_mtime_ns} {held.st_ctime_ns}"
        kept[key] = known.found.get(key) or _file_hash(file)
        total += int(kept[key], 16)
    if not kept.items() <= known.found.items():
        with contextlib.suppress(OSError):  # only slower next time
            _known_files().parent.mkdir(parents=True, exist_ok=True)
            write_text(_known_files(), _KnownFiles(found={**known.found, **kept}).model_dump_json(indent=1))
    return f"{total % _SUMS:064x}"


_SUMS = 1 << 256


def _file_hash(file: Path) -> str:
    """The sum of the SHA-256 of all tensors in `file`, each with its name, format, shape and every byte."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return f"{sum(threads.map(_tensor_hash, tensors(file))) % _SUMS:064x}"


def _tensor_hash(tensor: Tensor) -> int:
    digest = hashlib.sha256(f"{tensor.name} {tensor.dtype} {tensor.shape}".encode())
    with open(tensor.file, "rb") as opened:
        opened.seek(tensor.start)
        for start in range(tensor.start, tensor.end, _BLOCK):
            digest.update(opened.read(min(_BLOCK, tensor.end - start)))
    return int.from_bytes(digest.digest())


def _incomplete(folder: Path, missing: int, total: int) -> ProblemError:
    return wrong(
        "model.weights_incomplete",
        N_("The model in {folder} is incomplete: {count} of {total} weight files {count:is|are} missing."),
        N_("The download was cut short."),
        folder,
        count=missing,
        total=total,
    )


def wrong(code: str, what: str, why: str, folder: Path, *, fix: str = "", **values: str | int) -> ProblemError:
    """The problem of a folder that isn't a model to train on."""
    fix = fix or N_("Choose another model folder, or use the starter model.")
    return problem(code, what, why, fix, remedy=Remedy.choose_model, folder=str(folder), **values)


def unreadable(folder: Path, error: OSError) -> ProblemError:
    return problem(
        "model.unreadable",
        N_("The model folder {folder} can't be read."),
        N_("The computer says: {reason}"),
        N_("Check that the disk is there and that you may read the folder, or use the starter model."),
        remedy=Remedy.choose_model,
        folder=str(folder),
        reason=str(error.strerror or error),
    )
