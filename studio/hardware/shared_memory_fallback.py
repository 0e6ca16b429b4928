"""Notices that a card under Windows is full and its driver goes on in the computer's memory, many times slower.

The driver doesn't say so, and used memory doesn't show it. What shows it is the memory of the computer that the run
takes for its graphics work, over what it took before the card was full.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from studio.core.problems import Problem
from studio.core.translatable import N_
from studio.hardware.pdh import PdhError, shared_memory_counter
from studio.hardware.snapshot import Card

LOOK_EVERY = 3.0
"""Seconds between two looks. Two in a row must agree, so that a spill is said within some seven seconds."""

NEARLY_FULL = 0.9
"""Share of a card from which on it can spill. Windows keeps some memory back for the screen, so it is never all."""

SPILLED = 256 * 2**20
"""Bytes over the usual from which on it is a spill. Buffers that are handed over to a card come and go below that."""

USUAL = 512 * 2**20
"""Bytes taken for usual when the card was full already at the first look, as in a window opened upon a run."""


class Counter(Protocol):
    """Where the numbers come from: `pdh.SharedMemoryCounter`."""

    def read(self) -> dict[int, int]: ...

    def close(self) -> None: ...


@dataclass
class _Watched:
    """One run: the least that it took while there was room, and what the last looks found."""

    run: int
    usual: int | None = None
    looked_at: float = float("-inf")
    looks_over: int = 0
    looks_under: int = 0
    spilled: int | None = None
    full: set[str] = field(default_factory=set)


class FallbackWatch:
    """Follows one run at a time. Reads the counter at most every `LOOK_EVERY` seconds, and only while a run is on."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._watched: _Watched | None = None

    def marked(self, now: float, run: int | None, pids: Collection[int], cards: Sequence[Card]) -> tuple[Card, ...]:
        """The cards, with a warning on those that spill. `run` is the run's pid, `pids` it and its children."""
        if run is None:
            self._watched = None
            return tuple(cards)
        if self._watched is None or self._watched.run != run:
            self._watched = _Watched(run)
        watched = self._watched
        if now - watched.looked_at >= LOOK_EVERY:
            watched.looked_at = now
            self._look(watched, pids, cards)
        if watched.spilled is None:
            return tuple(cards)
        warning = fallen_back(watched.spilled)
        return tuple(replace(card, warning=warning) if card.key in watched.full else card for card in cards)

    def close(self) -> None:
        self._counter.close()

    def _look(self, watched: _Watched, pids: Collection[int], cards: Sequence[Card]) -> None:
        try:
            taken = self._counter.read()
        except PdhError:
            return  # Not known this time; what was said before stays until it is.
        shared = sum(taken[pid] for pid in pids if pid in taken)
        full = {card.key for card in _of_the_run(cards) if _nearly_full(card)}
        if not full:
            watched.usual = shared if watched.usual is None else min(watched.usual, shared)
        over = shared - (USUAL if watched.usual is None else watched.usual)
        if full and over >= SPILLED:
            watched.looks_over, watched.looks_under = watched.looks_over + 1, 0
            watched.full |= full
            if watched.looks_over >= 2:
                watched.spilled = over
        else:
            watched.looks_over, watched.looks_under = 0, watched.looks_under + 1
            if watched.looks_under >= 2:
                watched.spilled = None
                watched.full = set()


def fallback_watch() -> FallbackWatch | None:
    """What watches on this computer; None where the system doesn't tell, as anywhere but under Windows."""
    counter = shared_memory_counter()
    return None if counter is None else FallbackWatch(counter)


def fallen_back(amount: int) -> Problem:
    """The warning, with the bytes that went over into the computer's memory."""
    return Problem(
        code="card.spilling",
        what=N_("The card is full, and Windows moved {n:.1f} GB of this run into the computer's memory."),
        why=N_("It goes on, but far slower: 36 times in one measurement."),
        fix=N_(
            "Close other programs that use the card. If that isn't enough, stop, and choose settings that need less "
            "memory: fewer examples at once or shorter ones."
        ),
        values={"n": amount / 2**30},
    )


def _of_the_run(cards: Sequence[Card]) -> Sequence[Card]:
    """The cards that the run is on, or all where the driver doesn't tell."""
    with_run = [card for card in cards if any(user.this_run for user in card.users or ())]
    return with_run or cards


def _nearly_full(card: Card) -> bool:
    if card.shared or card.used is None or card.free is None:
        return False
    return card.used >= NEARLY_FULL * (card.used + card.free)
