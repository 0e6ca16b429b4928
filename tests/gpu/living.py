"""What lies on the card at the fullest moment of a step: sizes, and the lines of Python that asked for them.

To understand a difference between what was said and what was measured. Recording slows a step down.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

MOST_ENTRIES = 2_000_000
LINES = 4
"""Lines of Python told for each kind of block, the innermost first."""


@contextmanager
def recorded() -> Iterator[list[Mapping[str, Any]]]:
    """Inside, every request to PyTorch's allocator is recorded; afterwards they are in the list."""
    found: list[Mapping[str, Any]] = []
    torch.cuda.memory._record_memory_history("all", context="alloc", stacks="python", max_entries=MOST_ENTRIES)
    try:
        yield found
    finally:
        found += torch.cuda.memory._snapshot()["device_traces"][0]
        torch.cuda.memory._record_memory_history(None)


def at_the_peak(entries: Iterable[Mapping[str, Any]], most: int = 80) -> list[dict[str, Any]]:
    """Blocks made since recording began and alive at the peak, the largest sums first."""
    living: dict[int, Mapping[str, Any]] = {}
    now = peak = 0
    fullest: list[Mapping[str, Any]] = []
    for entry in entries:
        if entry["action"] == "alloc":
            living[entry["addr"]] = entry
            now += entry["size"]
            if now > peak:
                peak, fullest = now, []
        elif entry["action"] == "free_completed" and entry["addr"] in living:
            if now == peak and not fullest:
                fullest = list(living.values())
            now -= living.pop(entry["addr"])["size"]
    kinds = Counter((entry["size"], _asked_by(entry)) for entry in fullest or living.values())
    largest = sorted(kinds.items(), key=lambda kind: kind[0][0] * kind[1], reverse=True)[:most]
    return [{"size": size, "count": count, "asked_by": list(by)} for (size, by), count in largest]


def in_order(entries: Iterable[Mapping[str, Any]], lines: int = 2) -> dict[str, Any]:
    """Every request and return: `steps` holds bytes and the number of a line in `asked_by`, or the place of the request
    that is given back, below 0."""
    steps: list[list[int] | int] = []
    places: dict[int, int] = {}
    numbers: dict[str, int] = {}
    for entry in entries:
        if entry["action"] == "alloc":
            by = " < ".join(_asked_by(entry)[:lines])
            places[entry["addr"]] = len(steps)
            steps.append([entry["size"], numbers.setdefault(by, len(numbers))])
        elif entry["action"] == "free_completed" and entry["addr"] in places:
            steps.append(-1 - places.pop(entry["addr"]))
    return {"asked_by": list(numbers), "steps": steps}


def left_behind(least: int = 1 << 20) -> list[str]:
    """Tensors on the card that something still holds, and what does."""
    found = []
    for thing in gc.get_objects():
        if isinstance(thing, torch.Tensor) and thing.is_cuda and thing.nbytes >= least:
            holders = [f"{type(h).__module__}.{type(h).__qualname__}" for h in gc.get_referrers(thing)][:4]
            found.append(f"{tuple(thing.shape)} {thing.dtype} held by {', '.join(holders)}")
    return found[:12]


def _asked_by(entry: Mapping[str, Any]) -> tuple[str, ...]:
    lines = []
    for frame in entry.get("frames", ()):
        where = str(frame["filename"])
        if "/nn/modules/module.py" in where or "/_ops.py" in where or where.startswith("??"):
            continue
        lines.append(f"{'/'.join(where.split('/')[-2:])}:{frame['line']} {frame['name']}")
    return tuple(lines[:LINES])
