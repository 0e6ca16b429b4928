"""An adapter merged into its base tensor by tensor, from the base's files into new ones, without holding the model.

The new files have the base's names, shapes and order. What the adapter doesn't touch is copied byte for byte. Which
parameter of the model a tensor in a file belongs to, and how several are one there, transformers tells: some mixtures
hold their experts one by one in the files and all in one parameter when they are loaded.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
    revert_weight_conversion,
)

from studio.core.problems import Remedy, problem
from studio.core.storage import rename, sync
from studio.core.translatable import N_
from studio.engine.methods.base_model import outline
from studio.engine.methods.quantization import PackedWeights
from studio.engine.methods.weight_changes import Change, Changes, Moved, settle_ties
from studio.models.config import read_mapping
from studio.models.merged import COPIED, INDEX, SHARD, MergedLayout, NewTensor, Slot
from studio.models.weights import Tensor, tensors, weight_files

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

_NEW, _OLD = ".new", ".old"
"""How files end that are being written: from nothing, or over what another merge of the same model wrote."""


class NotStreamableError(Exception):
    """This base's files can't be written tensor by tensor; the reason is for the log."""


@dataclass(frozen=True)
class _Group:
    """Tensors that are read and written together. `parameters` are those of the model that they make up, none where
    they are copied as they are; `converter` makes the parameter `key`, and what belongs to it, of several, which it
    knows by their `patterns`."""

    reads: tuple[Tensor, ...]
    slots: tuple[Slot, ...]
    parameters: tuple[str, ...] = ()
    key: str = ""
    converter: WeightConverter | None = None
    patterns: tuple[str, ...] = ()


class StreamedMerge:
    """One merge, planned when it is made. `changes` are the adapter's, `packed` what the run stored in 4 bits. Raises
    `ProblemError` for changes that belong to no tensor, and `NotStreamableError`."""

    def __init__(
        self, base: Path, changes: Changes, packed: PackedWeights | None = None, *, shard: int = SHARD
    ) -> None:
        self._base = base
        self._network = outline(base)
        self._ties: dict[str, str] = dict(getattr(self._network, "all_tied_weights_keys", None) or {})
        self._changes, self._apart = settle_ties(changes, self._ties)
        self._packed = packed
        self._packed_names = packed.names if packed is not None else frozenset()
        sources = {tensor.name: tensor for file in weight_files(base) for tensor in tensors(file)}
        parts = self._parts(sources)
        new, added = self._new_tensors(parts, sources)
        self.layout = MergedLayout.of(base, new, shard=shard)
        slots = {slot.name: slot for slot in self.layout.slots}
        order = {name: number for number, name in enumerate(slots)}
        groups = [one for key, part in parts.items() for one in self._planned(key, part, slots, sources)]
        groups += [_Group((sources[origin],), (slots[name],), (key,)) for name, (key, origin) in added.items()]
        self._groups = sorted(groups, key=lambda group: order[group.slots[0].name])
        self._require_all_used()

    @property
    def unties(self) -> bool:
        """Whether an embedding and a head that are one in the base are two in the merged model."""
        return bool(self._apart)

    def write(
        self,
        folder: Path,
        report: Callable[[int, int], None],
        *,
        unpacked: bool = False,
        over: Path | None = None,
    ) -> Moved:
        """Write all weight files and their index into `folder`, which may hold some of them already, whole; `report` is
        told the bytes written and all of them. With `unpacked`, the changes are added to the numbers that the 4-bit
        weights stand for, and not to the base's own. `over` is a folder with the other of the two: its files are taken
        away and written over, where they differ. Raises OSError."""
        moved = Moved()
        done, total = 0, sum(slot.end - slot.start for slot in self.layout.slots)
        with _Outputs(folder, self.layout, over) as outputs:
            scratch = _Scratch()
            for group in self._groups:
                wanted = [slot for slot in group.slots if outputs.wants(slot, differs=self._differs(group))]
                if wanted and not group.parameters:
                    for tensor, slot in zip(group.reads, group.slots, strict=True):
                        for at, part in _copied(tensor, _DTYPES.get(slot.dtype)):
                            outputs.write(slot, part, at)
                elif wanted:
                    found = self._merged(group, scratch, unpacked, moved)
                    for slot in wanted:
                        outputs.write(slot, _bytes_of(found.pop(slot.name)))
                    del found
                for slot in group.slots:
                    outputs.passed(slot)
                done += sum(slot.end - slot.start for slot in group.slots)
                report(done, total)
        if len(self.layout.files) > 1:
            (folder / INDEX).write_bytes(self.layout.index())
        return moved

    @property
    def dtype(self) -> str:
        """What most of the weights are stored in, as config.json calls it."""
        return {"F16": "float16"}.get(self.layout.dtype, "bfloat16")

    def write_config(self, folder: Path) -> None:
        """The base's own config.json, with what is different in the merged model."""
        config = read_mapping(self._base / "config.json")
        inner = config.get("text_config")
        for part in (config, inner) if isinstance(inner, dict) else (config,):
            if part is config or "dtype" in part or "torch_dtype" in part:
                part.pop("torch_dtype", None)
                part["dtype"] = self.dtype
            if self._apart and (part is config or "tie_word_embeddings" in part):
                part["tie_word_embeddings"] = False
            if "vocab_size" in part:
                part["vocab_size"] = self._vocabulary or part["vocab_size"]
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")

    @property
    def _vocabulary(self) -> int | None:
        """How many tokens there are, where the adapter brought some; else None."""
        embedding = self._network.get_input_embeddings()
        name = next((name for name, module in self._network.named_modules() if module is embedding), "")
        before = tuple(embedding.weight.shape)
        after = self._shape(f"{name}.weight", before)
        return after[0] if after != before else None

    def _differs(self, group: _Group) -> bool:
        """Whether it holds other numbers in the one merge than in the other."""
        return not self._packed_names.isdisjoint(group.parameters)

    # Which tensors are which parameters

    def _parts(self, sources: dict[str, Tensor]) -> dict[str, list[tuple[str, str | None]]]:
        """The names of all tensors by the parameter that they belong to, each with the pattern by which several do:
        as `convert_and_load_state_dict_in_model` of transformers finds them."""
        mapping = get_model_conversion_mapping(self._network)
        renamings = [one for one in mapping if isinstance(one, WeightRenaming)]
        converters = [one for one in mapping if isinstance(one, WeightConverter)]
        self._by_pattern = {pattern: one for one in converters for pattern in one.source_patterns}
        prefix, state = self._network.base_model_prefix, self._network.state_dict()
        found: defaultdict[str, list[tuple[str, str | None]]] = defaultdict(list)
        for name in sorted(sources, key=dot_natural_key):
            key, pattern = rename_source_key(name, renamings, converters, prefix, state)
            if key not in state and name in state:
                key, pattern = rename_source_key(name, [], [], prefix, state)
            found[key if key in state else f"{name} (not the model's)"].append((name, pattern))
        return dict(found)

    def _file_name(self, parameter: str) -> str:
        """What a parameter that is one tensor is called in the files."""
        names: dict[str, torch.Tensor] = revert_weight_conversion(self._network, {parameter: torch.empty(0)})
        return next(iter(names))

    def _new_tensors(
        self, parts: dict[str, list[tuple[str, str | None]]], sources: dict[str, Tensor]
    ) -> tuple[list[NewTensor], dict[str, tuple[str, str]]]:
        """Tensors of another shape than the base's, and those that it doesn't have: by their names, which parameter
        each is and which of the base's tensors it is made of."""
        new: list[NewTensor] = []
        added: dict[str, tuple[str, str]] = {}
        for key, part in parts.items():
            before = sources[part[0][0]].shape
            if len(part) == 1 and (after := self._shape(key, before)) != before:
                new.append(NewTensor(part[0][0], after))
        for target in sorted(self._apart):
            for key, partner in ((target, self._ties[target]), (self._ties[target], target)):
                if key not in parts and partner in parts:
                    origin = parts[partner][0][0]
                    new.append(NewTensor(self._file_name(key), self._shape(key, sources[origin].shape)))
                    added[new[-1].name] = key, origin
        return new, added

    def _of(self, parameter: str) -> tuple[Change, ...]:
        owner = parameter if parameter in self._apart else self._ties.get(parameter, parameter)
        return self._changes.get(parameter) or self._changes.get(owner, ())

    def _shape(self, parameter: str, before: tuple[int, ...]) -> tuple[int, ...]:
        for change in self._of(parameter):
            before = change.shape(before)
        return before

    def _planned(
        self, key: str, part: list[tuple[str, str | None]], slots: dict[str, Slot], sources: dict[str, Tensor]
    ) -> Iterator[_Group]:
        names = [name for name, _ in part]
        patterns = tuple(pattern for _, pattern in part if pattern is not None)
        mine = tuple(slots[name] for name in names)
        reads = tuple(sources[name] for name in names)
        if not patterns:
            if len(part) > 1:
                raise NotStreamableError(f"{names} are all {key}")
            yield _Group(reads, mine, (key,) if self._of(key) or key in self._packed_names else ())
            return
        group = _Group(reads, mine, (), key, self._by_pattern[patterns[0]], patterns)
        made = self._converted(group, [torch.empty(tensor.shape, device="meta") for tensor in reads])
        if not any(self._of(name) or name in self._packed_names for name in made):
            yield from (_Group((tensor,), (slot,)) for tensor, slot in zip(reads, mine, strict=True))
            return
        back = {name: tuple(one.shape) for name, one in revert_weight_conversion(self._network, made).items()}
        if back != {slot.name: slot.shape for slot in mine}:
            raise NotStreamableError(f"{list(made)} are {names} in the files, but would be saved as {list(back)}")
        if any(self._shape(name, tuple(one.shape)) != tuple(one.shape) for name, one in made.items()):
            raise NotStreamableError(f"one of {list(made)} has another shape, and they are {names} in the files")
        yield replace(group, parameters=tuple(made))

    def _converted(self, group: _Group, read: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Parameters of the model out of what is in the files."""
        one = copy.deepcopy(group.converter)
        assert one is not None
        for tensor, pattern, values in zip(group.reads, group.patterns, read, strict=True):
            held: Future[torch.Tensor] = Future()
            held.set_result(values)
            one.add_tensor(group.key, tensor.name, pattern, held)
        found = one.convert(group.key, model=self._network, config=self._network.config)
        return {name: tensor[0] if isinstance(tensor, list) else tensor for name, tensor in found.items()}

    def _require_all_used(self) -> None:
        parameters = {name for group in self._groups for name in group.parameters}
        reached = parameters | {self._ties[name] for name in parameters if name in self._ties}
        left = sorted(name for name in self._changes if name not in reached)
        if left:
            raise problem(
                "merge.no_such_weight",
                N_("The add-on changes weights that the base model's files don't have: {names}."),
                N_("Left out, the combined model would answer otherwise, so nothing was written."),
                N_("Export the add-on alone, and use it together with its base model."),
                remedy=Remedy.choose_folder,
                names=", ".join(left[:4]),
            )

    # Numbers

    def _merged(self, group: _Group, scratch: _Scratch, unpacked: bool, moved: Moved) -> dict[str, torch.Tensor]:
        """The tensors of a group as they stand in the new files."""
        if group.converter is None:
            (tensor,), (slot,) = group.reads, group.slots
            return {slot.name: self._changed(group.parameters[0], scratch.read(tensor), slot, unpacked, moved)}
        made = self._converted(group, [_read(tensor) for tensor in group.reads])
        for name in list(made):
            made[name] = self._changed(name, made[name], group.slots[0], unpacked, moved)
        back: dict[str, torch.Tensor] = revert_weight_conversion(self._network, made)
        return back

    def _changed(self, parameter: str, source: torch.Tensor, slot: Slot, unpacked: bool, moved: Moved) -> torch.Tensor:
        dtype = _DTYPES[slot.dtype]
        shape = self._shape(parameter, tuple(source.shape))
        if unpacked and self._packed is not None and parameter in self._packed.names:
            source = self._packed.unpacked(parameter, source)
        reusable = source.dtype is dtype and shape == tuple(source.shape)
        out = source if reusable else torch.empty(shape, dtype=dtype)
        changes = self._of(parameter)
        for change in changes:
            change.apply(source, out, moved)
            source = out
        if not changes and not reusable:
            out.copy_(source)
        return out


class _Outputs:
    """The files of a merge: each has its name only when it is whole and on the disk."""

    def __init__(self, folder: Path, layout: MergedLayout, over: Path | None) -> None:
        self._folder, self._layout, self._over = folder, layout, over
        self._left = Counter(slot.file for slot in layout.slots)
        self._state: dict[str, str] = {}
        self._open: dict[str, BinaryIO] = {}
        self._finishing: list[Future[None]] = []

    def __enter__(self) -> _Outputs:
        self._syncing = ThreadPoolExecutor(1, "sync")
        for file in self._layout.files:
            place = self._folder / file
            again = place.with_name(file + _OLD)
            if self._over is not None and not place.is_file() and (self._over / file).is_file():
                rename(self._over / file, again)
            self._state[file] = "" if place.is_file() else _OLD if again.is_file() else _NEW
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for file in self._open.values():
            with contextlib.suppress(OSError):
                file.close()
        self._syncing.shutdown(wait=True, cancel_futures=kind is not None)
        for one in self._finishing if kind is None else ():
            one.result()

    def wants(self, slot: Slot, *, differs: bool) -> bool:
        """Whether a tensor has to be written; one that doesn't differ is there where a file is written over."""
        return self._state[slot.file] == _NEW or (self._state[slot.file] == _OLD and differs)

    def write(self, slot: Slot, data: memoryview, at: int = 0) -> None:
        """Bytes of a tensor, from its byte `at` on."""
        file = self._open.get(slot.file) or self._opened(slot.file)
        file.seek(slot.start + at)
        file.write(data)

    def _opened(self, name: str) -> BinaryIO:
        state = self._state[name]
        file: BinaryIO = open(self._folder / (name + state), "r+b" if state == _OLD else "w+b")  # noqa: SIM115
        self._open[name] = file
        if state == _NEW:
            file.write(self._layout.headers[name])
        return file

    def passed(self, slot: Slot) -> None:
        """Nothing more comes for this tensor: a file that has all of its own gets its name."""
        self._left[slot.file] -= 1
        if self._left[slot.file] or not self._state[slot.file]:
            return
        if slot.file in self._open:
            self._open.pop(slot.file).close()
        self._finishing.append(self._syncing.submit(self._finish, slot.file, self._state[slot.file]))

    def _finish(self, name: str, state: str) -> None:
        sync(self._folder / (name + state))
        rename(self._folder / (name + state), self._folder / name)


class _Scratch:
    """Memory for one tensor after the other: given back to the system and taken again, it would cost more than what is
    computed in it."""

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def read(self, tensor: Tensor) -> torch.Tensor:
        """The numbers of `tensor`, until the next is read."""
        size = tensor.end - tensor.start
        if len(self._bytes) < size:
            self._bytes = torch.empty(0, dtype=torch.uint8)
            self._bytes = torch.empty(size, dtype=torch.uint8)
        return _read(tensor, self._bytes[:size])


def _read(tensor: Tensor, into: torch.Tensor | None = None) -> torch.Tensor:
    into = torch.empty(tensor.end - tensor.start, dtype=torch.uint8) if into is None else into
    with open(tensor.file, "rb", buffering=0) as file:
        file.seek(tensor.start)
        _fill(file, into)
    return into.view(_DTYPES[tensor.dtype]).reshape(tensor.shape)


def _fill(file: FileIO, into: torch.Tensor) -> None:
    left: memoryview = into.numpy().data
    while left:
        count = file.readinto(left)
        if not count:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(file.name))
        left = left[count:]


def _copied(tensor: Tensor, dtype: torch.dtype | None) -> Iterator[tuple[int, memoryview]]:
    """The bytes of a tensor, a part at a time, in another format where one is asked for; each with its place."""
    before = _DTYPES.get(tensor.dtype)
    buffer = torch.empty(min(COPIED, tensor.end - tensor.start), dtype=torch.uint8)
    at = 0
    with open(tensor.file, "rb", buffering=0) as file:
        file.seek(tensor.start)
        for start in range(tensor.start, tensor.end, COPIED):
            part = buffer[: min(COPIED, tensor.end - start)]
            _fill(file, part)
            data = _bytes_of(part if before is dtype or before is None else part.view(before).to(dtype))
            yield at, data
            at += len(data)


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    data: memoryview = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return data
