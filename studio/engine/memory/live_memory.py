"""How much memory tensors hold at once: every storage counted from the operation that makes it until it is let go.

Works on real tensors and on fake ones, which have a size but no content, so the same count can be taken of a training
step that runs and of one that is only imagined.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import torch
from bitsandbytes.backends.default import ops as four_bit
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GRAIN = 512
"""CUDA's allocator hands out memory in multiples of this many bytes."""

Answer: TypeAlias = Callable[..., Any]

# Operations that torch sees as one, though they hold memory of their own on the way. Taken apart, it is counted.
_TAKEN_APART: Mapping[str, Answer] = {"bitsandbytes::gemm_4bit": four_bit._gemm_4bit_default_impl}


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, live storages are counted. `answers` replaces operations by name, such as `aten::index`, with functions
    of the same arguments; the function's own operations are counted too. One that returns NotImplemented leaves the
    operation as it is.

    `peak` and `now` are bytes. Parts are named by `label`, see `labelled`, at the time a storage is made; `relabel`
    names storages afterwards, for instance those that turned out to be gradients.
    """

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self.label = "workspace"
        self._answers = {**_TAKEN_APART, **(answers or {})}
        self._open: dict[int, tuple[int, weakref.ref[Any]]] = {}  # StorageImpl's address -> its number
        self._sizes: list[int] = []
        self._labels: list[str] = []
        self._log: list[int] = []  # number + 1 where a storage is made, -(number + 1) where it is let go
        self._peak_at = 0
        self.restarted_at = 0
        """The entry of `requests` from which on the peak counts."""

    # Counting

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = self._answers.get(func._schema.name)
        if answer is not None:
            with self:
                answered = answer(*args, **(kwargs or {}))
            if answered is not NotImplemented:
                return answered
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.count(result)
        elif isinstance(result, tuple | list):
            for leaf in tree_leaves(result):
                if isinstance(leaf, torch.Tensor):
                    self.count(leaf)
        return result

    def count(self, tensor: torch.Tensor) -> int:
        """Take the tensor's storage into the count unless it is there already. Returns the storage's number."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        known = self._open.get(key)
        if known is not None and known[1]() is storage:
            return known[0]
        number = len(self._sizes)
        size = storage.nbytes()
        rounded = -(-size // GRAIN) * GRAIN
        self._sizes.append(rounded)
        self._labels.append(self.label)
        self._open[key] = (number, weakref.ref(storage, partial(self._let_go, key, number)))
        self._log.append(number + 1)
        self.now += rounded
        if self.now > self.peak:
            self.peak = self.now
            self._peak_at = len(self._log)
        return number

    def count_all(self, tensors: Iterable[torch.Tensor], label: str) -> None:
        """Tensors that were made before, under `label`."""
        with self.labelled(label):
            for tensor in tensors:
                self.count(tensor)

    def _let_go(self, key: int, number: int, _: object) -> None:
        known = self._open.get(key)
        if known is not None and known[0] == number:
            del self._open[key]
        self._log.append(-number - 1)
        self.now -= self._sizes[number]

    # Naming

    @contextmanager
    def labelled(self, label: str) -> Iterator[None]:
        """Storages made inside belong to `label`."""
        before, self.label = self.label, label
        try:
            yield
        finally:
            self.label = before

    def relabel(self, tensors: Iterable[torch.Tensor], label: str) -> None:
        """Storages of these tensors belong to `label`, also at the peak that is past."""
        for tensor in tensors:
            self._labels[self.count(tensor)] = label

    def relabel_living(self, label: str, since: int = 0) -> None:
        """What was made since `mark` and is still alive belongs to `label`, unless it has a name of its own."""
        for number, _ in self._open.values():
            if number >= since and self._labels[number] == "workspace":
                self._labels[number] = label

    def mark(self) -> int:
        return len(self._sizes)

    def restart(self) -> None:
        """Look for the peak from here on."""
        self.peak, self._peak_at = self.now, len(self._log)
        self.restarted_at = len(self._log)

    def requests(self) -> Iterator[tuple[int, int]]:
        """All that was made and let go, in order: numbers with their bytes, below 0 where they are let go. Empty
        tensors take nothing and are among them with 0."""
        for entry in self._log:
            number = abs(entry) - 1
            yield number, self._sizes[number] if entry > 0 else -1 - self._sizes[number]

    def parts(self) -> dict[str, int]:
        """Bytes by label at the peak; they add up to it."""
        living: set[int] = set()
        for entry in self._log[: self._peak_at]:
            if entry > 0:
                living.add(entry - 1)
            else:
                living.discard(-entry - 1)
        parts: dict[str, int] = {}
        for number in living:
            parts[self._labels[number]] = parts.get(self._labels[number], 0) + self._sizes[number]
        return parts
