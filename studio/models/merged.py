"""What a merged model is on the disk, known before it is made: the base's own tensors under their names and in their
order, in 16 bits, divided into files of a gigabyte.

The form of the files is safetensors: eight bytes of length, a JSON header, then the bytes of all tensors
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.models.adapter import adapter_tensors
from studio.models.config import read_mapping
from studio.models.weights import Tensor, tensors, weight_files

SHARD = 1_000_000_000
"""Bytes of tensors in one file, unless a single one is larger."""

COPIED = 16 << 20
"""Bytes that are copied at once of a tensor that stays as it is."""

_OUTLINE = 32 << 20
"""Bytes of the model without its weights, and of memory that is kept for the next tensor, about: measured on models of
8 to 57 layers, which were within 1.5 % of what is stated then."""

_COMPUTED = 4 << 20
"""Bytes that a processor's core computes with at once, about."""

INDEX = "model.safetensors.index.json"

NO_CHANGE = 1e-6
"""How far merged weights are from the base's, as a part of their size, where they answer as the base does. It needn't
be none at all: weights of zero keep any change."""

ITEM_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number in the formats that weights are computed with; what is stored in others is kept byte for byte."""

_BESIDE = ("config", "tokenizer", "generation_config", "chat_template", "special_tokens", "vocab", "merges", "added")
"""How the names of the small files begin that lie beside the weights."""


@dataclass(frozen=True)
class Slot:
    """The place of one tensor of a merged model: `start` and `end` are bytes from the beginning of `file`. `source` is
    the base's own tensor, None for one that the base doesn't have."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    start: int
    end: int
    source: Tensor | None


@dataclass(frozen=True)
class NewTensor:
    """One that the base has in another shape or not at all."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class MergedLayout:
    """All tensors of a merged model in order, and what stands before them in each file by its name."""

    slots: tuple[Slot, ...]
    headers: dict[str, bytes]
    dtype: str

    @classmethod
    def of(cls, base: Path, new: Sequence[NewTensor] = (), *, shard: int = SHARD) -> MergedLayout:
        """That of what a run on the model in `base` is merged into. `new` tensors stand at the end, or in the place of
        the base's of that name. Reads headers only. Raises `ProblemError`."""
        sources = [tensor for file in weight_files(base) for tensor in sorted(tensors(file), key=lambda t: t.start)]
        replaced = {one.name: one for one in new}
        dtype, formats = _formats(base, sources)
        wanted: list[tuple[str, str, tuple[int, ...], Tensor | None]] = []
        for tensor in sources:
            other = replaced.pop(tensor.name, None)
            shape = other.shape if other is not None else tensor.shape
            wanted.append((tensor.name, formats.get(tensor.dtype, tensor.dtype), shape, tensor))
        wanted += [(one.name, dtype, one.shape, None) for one in replaced.values()]
        return cls(*_placed(wanted, shard), dtype=dtype)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(self.headers)

    @property
    def size(self) -> int:
        """Bytes of all weight files and their index."""
        ends: Counter[str] = Counter()
        for slot in self.slots:
            ends[slot.file] = max(ends[slot.file], slot.end)
        return sum(ends.values()) + len(self.index())

    @property
    def largest(self) -> int:
        """Bytes of the largest tensor."""
        return max((slot.end - slot.start for slot in self.slots), default=0)

    def index(self) -> bytes:
        """What says which tensor is in which file; empty where there is only one file."""
        if len(self.headers) < 2:
            return b""
        total = sum(slot.end - slot.start for slot in self.slots)
        places = {slot.name: slot.file for slot in self.slots}
        return json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2).encode()


def merged_size(base: Path) -> int:
    """Bytes on the disk of a folder with the model that a run on the one in `base` is merged into. Raises
    `ProblemError` and OSError."""
    beside = (p for p in base.iterdir() if p.is_file() and p.name.startswith(_BESIDE))
    return MergedLayout.of(base).size + sum(path.stat().st_size for path in beside)


def merge_memory(base: Path, adapter: Path) -> int:
    """Bytes of memory that merging the adapter in `adapter` takes at the highest, on top of what the libraries take
    that are needed for it: the adapter, the largest weight that it changes, and what is computed or copied at once.
    Raises `ProblemError`."""
    learned = adapter_tensors(adapter)
    changed = {name.partition(".lora_")[0] + ".weight" for name in learned} | learned.keys()
    sources = [tensor for file in weight_files(base) for tensor in tensors(file)]
    found = [tensor for tensor in sources if tensor.name in changed]
    largest = max((tensor.end - tensor.start for tensor in found or sources), default=0)
    held = sum(tensor.end - tensor.start for tensor in learned.values())
    return _OUTLINE + held + largest + COPIED + (os.cpu_count() or 1) * _COMPUTED


def _formats(base: Path, sources: Iterable[Tensor]) -> tuple[str, dict[str, str]]:
    """The 16-bit format of the merged model, and what becomes of the base's formats. Numbers in 16 bits stay as they
    are. Those in 32 are rounded where all are, and were kept on purpose where most are in 16."""
    sizes: Counter[str] = Counter()
    for tensor in sources:
        sizes[tensor.dtype] += tensor.end - tensor.start
    short = [name for name, _ in sizes.most_common() if name in ("F16", "BF16")]
    if short:
        return short[0], {"F64": "F32"}
    config = read_mapping(base / "config.json")
    named = str(config.get("dtype") or config.get("torch_dtype")).removeprefix("torch.")
    dtype = "F16" if named == "float16" else "BF16"
    return dtype, {"F32": dtype, "F64": dtype}


def _placed(
    wanted: Iterable[tuple[str, str, tuple[int, ...], Tensor | None]], limit: int
) -> tuple[tuple[Slot, ...], dict[str, bytes]]:
    shards: list[list[tuple[str, str, tuple[int, ...], Tensor | None, int]]] = [[]]
    filled = 0
    for name, dtype, shape, source in wanted:
        kept = source.end - source.start if source is not None else 0
        size = ITEM_SIZES[dtype] * math.prod(shape) if dtype in ITEM_SIZES else kept
        if shards[-1] and filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append((name, dtype, shape, source, size))
        filled += size
    slots: list[Slot] = []
    headers: dict[str, bytes] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors" if len(shards) > 1 else "model.safetensors"
        at, described = 0, {}
        for name, dtype, shape, _, size in shard:
            described[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
            at += size
        text = json.dumps({"__metadata__": {"format": "pt"}, **described}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # so that the numbers after it lie at a multiple of eight bytes
        headers[file] = len(text).to_bytes(8, "little") + text
        start = len(headers[file])
        for name, dtype, shape, source, size in shard:
            slots.append(Slot(name, dtype, shape, file, start, start + size, source))
            start += size
    return tuple(slots), headers
