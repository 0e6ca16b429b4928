"""A loss that jumps: noticed, so that the save point from before stays whatever comes after."""

from __future__ import annotations

from collections import deque
from statistics import median

KNOWN = 20
"""Steps before one that say what is usual, and before which nothing is told again."""

FAR = 8.0
"""A spike is so many times further above the usual loss than losses usually are, and at least half as much again."""


class LossSpike:
    """Told of every step's loss, in order."""

    def __init__(self) -> None:
        self._usual: deque[float] = deque(maxlen=KNOWN)
        self._quiet = 0

    def take(self, loss: float) -> bool:
        """Whether this loss is a spike, the first one for a while."""
        spike = False
        if self._quiet > 0:
            self._quiet -= 1
        elif len(self._usual) == KNOWN:
            middle = median(self._usual)
            spread = median(abs(one - middle) for one in self._usual)
            spike = loss > max(1.5 * middle, middle + FAR * spread)
            self._quiet = KNOWN if spike else 0
        self._usual.append(loss)
        return spike
