"""Notices memory that grows towards its limit while a run goes on, before it fails there.

The trial before a run tries the longest batch, so a steady run stays where it began. What can still grow: scoring the
held-out examples, memory broken into pieces too small to use, a library that keeps what it should let go, and other
programs that take what was free.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

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

GIB = 1 << 30


@dataclass(frozen=True)
class _Seen:
    step: int
    held: int


class MemoryGrowth:
    """Fed with every step, it answers with something to say at most twice a run: that memory is growing and when it
    would run out, and that hardly any is left."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=WINDOW)
        self._told: set[str] = set()
        self._steps = 0

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
        if limit - held < NEAR * limit and "memory.nearly_full" not in self._told:
            return self._nearly_full(held, limit)
        return self._growing(event, held, limit)

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
                    "This run takes more and more memory: {held:.1f} GiB now. At this pace the {limit:.1f} GiB that it "
                    "can have are full in about {left} steps, before it ends. Save now, to lose nothing."
                ),
                held=held / GIB,
                limit=limit / GIB,
                left=left,
            ),
        )
