"""The computer's own memory, and how much of it a run and its children hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

LOOK_FOR_CHILDREN = 5.0
"""Seconds between two searches for children: a search may read every process of the computer."""


@dataclass(frozen=True)
class SystemMemory:
    """Bytes. `available` is what can be had without swapping; `used` is the rest of `total`.

    `this_run` is the resident memory of the run and its children, None when no run was asked about or it is gone.
    Pages that they share are counted once for each.
    """

    total: int
    used: int
    available: int
    this_run: int | None = None


class RunTree:
    """A run's process and its children. Looks for new children at most every `LOOK_FOR_CHILDREN` seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pid: int | None = None
        self._found: list[psutil.Process] = []
        self._looked_at = float("-inf")

    def follow(self, pid: int | None) -> None:
        """Watch `pid` from now on, or nothing."""
        now = self._clock()
        if pid == self._pid and now - self._looked_at < LOOK_FOR_CHILDREN:
            return
        if pid != self._pid:
            self._found = []
        self._pid, self._looked_at = pid, now
        if pid is None:
            return
        try:
            # is_running() also notices a pid that now belongs to someone else.
            root = self._found[0] if self._found and self._found[0].is_running() else psutil.Process(pid)
            self._found = [root, *root.children(recursive=True)]
        except psutil.Error:
            self._found = []

    def pids(self) -> frozenset[int]:
        """The run's pids, as of the last search."""
        return frozenset(process.pid for process in self._found)

    def resident(self) -> int | None:
        """Resident bytes of all of them now; None when none is left."""
        sizes = []
        for process in self._found:
            try:
                sizes.append(process.memory_info().rss)
            except psutil.Error:
                continue
        return sum(sizes) if sizes else None


def system_memory(run: RunTree | None = None) -> SystemMemory:
    """The computer's memory now."""
    now = psutil.virtual_memory()
    return SystemMemory(
        total=now.total,
        used=now.total - now.available,
        available=now.available,
        this_run=run.resident() if run else None,
    )
