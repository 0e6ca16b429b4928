"""The memory gauge: what every NVIDIA card holds now, for this run and for others.

    gauge = Gauge()
    reading = gauge.read(run_pid)   # as often as four times a second
    gauge.close()

The library is started once and the cards' handles are kept. Each read asks for memory, temperature, load, power
and what limits the clock; the list of processes, which costs milliseconds under the driver's lock, is asked for every
five seconds at most. Use one gauge from one thread at a time.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path

from studio.core.problems import Problem
from studio.core.translatable import N_, sentence
from studio.hardware import nvml
from studio.hardware.card_problems import card_problem
from studio.hardware.card_watch import CardWatch, Run
from studio.hardware.nvml import Code, NvmlError
from studio.hardware.shared_memory_fallback import FallbackWatch, fallback_watch
from studio.hardware.snapshot import Card, Snapshot
from studio.hardware.system import RunTree, system_memory

TRY_AGAIN_AFTER = 30.0
"""Seconds between two attempts to reach a driver or a card that failed."""

_NEVER = float("inf")
_FIRST_NAMESPACE = "pid:[4026531836]"
"""What Linux calls the outermost pid namespace (PROC_PID_INIT_INO in the kernel's proc_ns.h)."""

_NO_CARD = N_("No NVIDIA card found; showing system memory.")


class Gauge:
    """Reads the cards and the computer's memory. Never raises for what the hardware does: see `Snapshot`.

    `same_pids` says whether the driver's pids mean the same processes as ours: not so inside a container. `fallback`
    notices a card that goes on in the computer's memory; by default what this system has for that.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        try_again_after: float = TRY_AGAIN_AFTER,
        same_pids: bool | None = None,
        fallback: FallbackWatch | None = None,
    ) -> None:
        self._clock = clock
        self._try_again_after = try_again_after
        self._same_pids = _outermost_namespace() if same_pids is None else same_pids
        self._tree = RunTree(clock)
        self._fallback = fallback if fallback is not None else fallback_watch()
        self._open = False
        self._try_at = float("-inf")
        self._watches: list[CardWatch] = []
        self._memory_version = 2
        self._problem: Problem | None = None
        self._closed = False

    def read(self, run_pid: int | None = None, *, everyone: bool = False) -> Snapshot:
        """Look once. `run_pid` is the run whose share is wanted; `everyone` also lists programs that only draw."""
        now = self._clock()
        if not self._closed and now >= self._try_at:
            self._reach(now)
        self._tree.follow(run_pid)
        pids = self._tree.pids() or (frozenset() if run_pid is None else frozenset({run_pid}))
        run = Run(pids if run_pid is not None else None, self._same_pids, everyone)
        cards = self._read_cards(now, run)
        if self._fallback is not None and not self._closed:
            cards = self._fallback.marked(now, run_pid, pids, cards)
        return Snapshot(
            cards=cards,
            system=system_memory(self._tree),
            problem=self._problem,
            note=sentence(_NO_CARD) if not self._watches and self._problem is None else None,
            at=now,
        )

    def try_again(self) -> None:
        """Reach for the driver and for lost cards at the next read, without waiting."""
        self._try_at = float("-inf")

    def close(self) -> None:
        """Give the library back. A read after this shows no cards."""
        if self._fallback is not None and not self._closed:
            self._fallback.close()
        self._closed = True
        self._watches = []
        self._release()

    def _reach(self, now: float) -> None:
        """Start the library and take every card's handle, once more after a failure."""
        self._try_at = _NEVER
        self._release()
        try:
            nvml.open_library()
            self._open = True
            found = [watch for index in range(nvml.count()) for watch in CardWatch.at(index)]
        except NvmlError as error:
            self._release()
            self._problem = None if error.code == Code.LIBRARY_NOT_FOUND else card_problem(error.code)
            self._watches = [watch.lost() for watch in self._watches]
            # Looking again can't help where the library is missing or only a restart mends it.
            if error.code not in (Code.LIBRARY_NOT_FOUND, Code.LIB_RM_VERSION_MISMATCH):
                self._try_at = now + self._try_again_after
            return
        self._problem = None
        for watch in found:
            for before in self._watches:
                watch.remember(before)
        here = {watch.uuid for watch in found}
        gone = [watch.lost() for watch in self._watches if watch.uuid and watch.uuid not in here]
        self._watches = sorted([*found, *gone], key=lambda watch: watch.place)

    def _read_cards(self, now: float, run: Run) -> tuple[Card, ...]:
        if self._problem is not None and not self._open:
            return ()
        cards = self._read_each(now, run)
        if self._memory_version == 2 and any(watch.only_old_memory for watch in self._watches):
            # The two versions count differently, so one card that only knows the old one decides for all.
            self._memory_version = 1
            cards = self._read_each(now, run)
        if any(watch.failed for watch in self._watches) and self._try_at == _NEVER:
            self._try_at = now + self._try_again_after
        return cards

    def _read_each(self, now: float, run: Run) -> tuple[Card, ...]:
        return tuple(watch.read(now, run, self._memory_version) for watch in self._watches)

    def _release(self) -> None:
        if self._open:
            self._open = False
            nvml.close_library()


@functools.cache
def cuda_card_present() -> bool:
    """Whether an NVIDIA card answers, asked once a process and without torch. For automatic values."""
    try:
        nvml.open_library()
    except NvmlError:
        return False
    try:
        return nvml.count() > 0
    except NvmlError:
        return False
    finally:
        nvml.close_library()


def _outermost_namespace() -> bool:
    """False inside a container, where the driver counts processes by numbers that mean nothing here."""
    link = Path("/proc/self/ns/pid")
    try:
        return str(link.readlink()) == _FIRST_NAMESPACE
    except OSError:
        return True  # Not Linux, which has no such thing.
