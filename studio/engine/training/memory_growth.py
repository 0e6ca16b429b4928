"""Notices memory that grows towards its limit while a run goes on, before it fails there, and a run that goes on there
at a crawl.

The trial before a run tries the longest batch, so a steady run stays where it began. What can still grow: scoring the
held-out examples, memory broken into pieces too small to use, a library that keeps what it should let go, and other
programs that take what was free.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from studio.core.events import NoticeLogged, StepDone
from studio.core.translatable import N_, sentence

SETTLING = 5
"""Steps at the beginning that say nothing: memory is still being taken for the first time."""

WINDOW = 60
"""Steps over which the pace of growing is taken."""

SPURTS = 3
"""So many separate rises within the window make a trend; one or two are a longer example."""

NEAR = 0.03
"""With less than this share of the limit left, the next longer example may be one too many."""

SLOWER = 3.0
"""So many times slower than usual, with memory at its limit, is a driver that goes on in the computer's memory."""

SLOW_STEPS = 2
"""So many slow steps in a row: one is a pause of something else."""

GIB = 1 << 30


@dataclass(frozen=True)
class _Seen:
    step: int
    held: int


class MemoryGrowth:
    """Fed with every step, it answers with something to say, each at most once a run: that memory is growing and when
    it would run out, that hardly any is left, that steps take far longer since."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=WINDOW)
        self._told: set[str] = set()
        self._steps = 0
        self._paces: deque[float] = deque(maxlen=WINDOW)
        self._slow = 0

    def take(self, event: StepDone, limit: int | None) -> NoticeLogged | None:
        """`limit` is how many bytes this process could hold now, None where that isn't known; it may change, because
        others take and give back."""
        held = event.peak_memory
        if held is None or not limit:
            return None
        self._steps += 1
        if self._steps <= SETTLING:
            return None
        self._seen.append(_Seen(event.step, held))
        full = limit - held < NEAR * limit
        times = self._times_slower(event)
        if full and self._slow >= SLOW_STEPS and "memory.slow" not in self._told:
            return self._crawling(times)
        if full and "memory.nearly_full" not in self._told:
            return self._nearly_full(held, limit)
        return self._growing(event, held, limit)

    def _times_slower(self, event: StepDone) -> float:
        """Than usual, in seconds a token: batches differ in length."""
        pace = event.seconds / max(1, event.tokens)
        usual = median(self._paces) if len(self._paces) >= SETTLING else 0.0
        times = pace / usual if usual > 0 else 1.0
        self._slow = self._slow + 1 if times >= SLOWER else 0
        if not self._slow:
            self._paces.append(pace)
        return times

    def _crawling(self, times: float) -> NoticeLogged:
        self._told |= {"memory.slow", "memory.nearly_full", "memory.growing"}
        return NoticeLogged(
            code="memory.slow",
            text=sentence(
                N_(
                    "The card's memory is full, and steps take {times:.0f} times as long as before. Under Windows the "
                    "driver then goes on in the computer's memory. End other programs that use the card, or start "
                    "again with fewer examples at once."
                ),
                times=times,
            ),
        )

    def _nearly_full(self, held: int, limit: int) -> NoticeLogged:
        self._told |= {"memory.nearly_full", "memory.growing"}  # the smaller warning has nothing to add
        return NoticeLogged(
            code="memory.nearly_full",
            text=sentence(
                N_(
                    "This run holds {held:.1f} of {limit:.1f} GiB: it goes on, but hardly any memory is left. If it "
                    "fails, what was saved is kept. Ending other programs that use the card makes room."
                ),
                held=held / GIB,
                limit=limit / GIB,
            ),
        )

    def _growing(self, event: StepDone, held: int, limit: int) -> NoticeLogged | None:
        if "memory.growing" in self._told or len(self._seen) < 2:
            return None
        seen = list(self._seen)
        rises = sum(later.held > earlier.held for earlier, later in pairwise(seen))
        grown, steps = held - seen[0].held, event.step - seen[0].step
        if rises < SPURTS or grown <= 0 or steps <= 0:
            return None
        left = max(1, round((limit - held) / (grown / steps)))
        if event.step + left >= event.total_steps:
            return None
        self._told.add("memory.growing")
        return NoticeLogged(
            code="memory.growing",
            text=sentence(
                N_(
                    "This run takes more and more memory: {held:.1f} GiB now. At this pace the {limit:.1f} "
                    "GiB that it can have are full in about {left} {left:step|steps}, before it ends. Save "
                    "now, to lose nothing."
                ),
                held=held / GIB,
                limit=limit / GIB,
                left=left,
            ),
        )
