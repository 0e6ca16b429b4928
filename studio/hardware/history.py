"""What the gauge has read in the last ten minutes, and the highest marks since the run began."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from studio.hardware.snapshot import Card, Snapshot

KEEP = 600.0
"""Seconds of history."""

SYSTEM = "system"
"""The key of the computer's own memory, beside the cards' keys."""


@dataclass(frozen=True)
class Point:
    """Memory at one moment, in bytes; None where it wasn't known then. `at` is seconds on the monotonic clock."""

    at: float
    used: int | None
    this_run: int | None
    total: int | None


@dataclass(frozen=True)
class Peak:
    """Since the run began, in bytes: the most that it held, the most that was used, the least that was free."""

    this_run: int | None = None
    used: int | None = None
    least_free: int | None = None


class History:
    """Grows by one reading at a time and forgets what is older than `keep` seconds."""

    def __init__(self, keep: float = KEEP) -> None:
        self._keep = keep
        self._points: dict[str, deque[Point]] = {}
        self._peaks: dict[str, Peak] = {}
        self._running = False

    def begin_run(self) -> None:
        """A new run: its peaks start from nothing."""
        self._peaks = {}
        self._running = True

    def end_run(self) -> None:
        """The run is over: its peaks stay as they are until the next one begins."""
        self._running = False

    def add(self, snapshot: Snapshot) -> None:
        """Keep one reading."""
        for card in snapshot.cards:
            self._add(card.key, Point(snapshot.at, card.used, card.this_run, card.total), card.free)
        system = snapshot.system
        self._add(SYSTEM, Point(snapshot.at, system.used, system.this_run, system.total), system.available)

    def points(self, key: str) -> tuple[Point, ...]:
        return tuple(self._points.get(key, ()))

    def peak(self, card: Card | None = None) -> Peak:
        """Of a card, or of the computer's memory."""
        return self._peaks.get(SYSTEM if card is None else card.key, Peak())

    def _add(self, key: str, point: Point, free: int | None) -> None:
        points = self._points.setdefault(key, deque())
        points.append(point)
        while point.at - points[0].at > self._keep:
            points.popleft()
        if self._running:
            old = self._peaks.get(key, Peak())
            self._peaks[key] = Peak(
                this_run=_known(max, old.this_run, point.this_run),
                used=_known(max, old.used, point.used),
                least_free=_known(min, old.least_free, free),
            )


def _known(choose: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    """The larger or smaller of the two, or the one that is known."""
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)
