"""How sure a figure is: intervals of shares and means, and whether two models differ by more than chance.

All of it is for few examples, from ten to some thousand. How often the intervals really hold the truth is simulated in
`tests/evaluation/test_intervals.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

_Z = 1.959964
"""The two-sided 95 % point of the normal distribution."""

_POWER = 0.841621
"""The point that a real difference is past in 80 % of tests."""

_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """Both ends, which belong to it; 95 % of such intervals hold the true value."""

    low: float
    high: float


def share_interval(right: float, of: int) -> Interval:
    """Wilson's score interval (1927) for a share of which `right` of `of` were seen. Over shares in a small region it
    covers 95 % from ten examples on, also near none and near all, where the usual interval is far too short."""
    if of == 0:
        return Interval(0.0, 1.0)
    share = right / of
    centre = share + _Z * _Z / (2 * of)
    spread = _Z * math.sqrt(share * (1 - share) / of + _Z * _Z / (4 * of * of))
    size = 1 + _Z * _Z / of
    return Interval(max(0.0, (centre - spread) / size), min(1.0, (centre + spread) / size))


def at_least(right: int, of: int) -> int:
    """The lower end of `share_interval`, in examples."""
    return math.floor(share_interval(right, of).low * of + 1e-9) if of else 0


def mean_interval(scores: Sequence[float]) -> Interval:
    """For the mean of scores between 0 and 1: the studentised bootstrap (Efron and Tibshirani 1993, 12.5), which stays
    true with few and lopsided scores where percentiles of the bootstrap don't. Where most scores are 0 or 1 they are
    nearly a count, whose interval is taken instead. The same scores give the same interval."""
    between = sum(0.0 < score < 1.0 for score in scores)
    if len(scores) < 3 or 2 * between < len(scores) or stdev(scores) == 0:
        return share_interval(sum(scores), len(scores))
    import numpy as np

    values = np.asarray(scores, dtype=float)
    drawn = values[np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))]
    errors = drawn.std(axis=1, ddof=1) / math.sqrt(len(values))
    usable = errors > 0
    ratios = (drawn.mean(axis=1)[usable] - values.mean()) / errors[usable]
    low, high = (float(one) for one in np.quantile(ratios, [0.025, 0.975]))
    error = stdev(scores) / math.sqrt(len(scores))
    mean = fmean(scores)
    return Interval(max(0.0, mean - high * error), min(1.0, mean - low * error))


def sign_test(improved: int, regressed: int) -> float:
    """Two-sided exact probability of a split at least this uneven if both were equally good."""
    n = improved + regressed
    if n == 0:
        return 1.0
    tail: float = sum(math.comb(n, k) for k in range(max(improved, regressed), n + 1)) / 2**n
    return min(1.0, 2 * tail)


def paired_test(differences: Sequence[float]) -> float:
    """Two-sided probability of a mean difference at least this large if each had the other sign as easily: Fisher's
    randomisation test for pairs, with all signs up to twelve differences and drawn ones beyond (Phipson and Smyth 2010
    count the one that was seen)."""
    found = [one for one in differences if one != 0]
    if not found:
        return 1.0
    import numpy as np

    values = np.asarray(found)
    seen = abs(values.sum()) - 1e-12
    if len(values) <= 12:
        signs = 1 - 2 * ((np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1)
        return float((np.abs(signs @ values) >= seen).mean())
    draws = 4 * _RESAMPLES
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (draws, len(values)))
    return float(((np.abs(signs @ values) >= seen).sum() + 1) / (draws + 1))


def holm(probabilities: Sequence[float]) -> list[float]:
    """The probabilities of several comparisons made at once, each as if it were the only one: with five models of which
    none is better, one would seem so in a fifth of all cases. Holm's step-down method (1979), in the order given."""
    order = sorted(range(len(probabilities)), key=lambda place: probabilities[place])
    found, largest = [0.0] * len(order), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * probabilities[place]))
        found[place] = largest
    return found


def examples_to_settle(differences: Sequence[float]) -> int | None:
    """How many examples more would show a difference of this size four times in five, if it is real; None where none
    is to be seen. From the normal approximation for the mean of pairs, rounded up to two figures."""
    if len(differences) < 2 or not any(differences):
        return None
    mean, spread = fmean(differences), stdev(differences)
    if mean == 0:
        return None
    needed = max(len(differences) + 1, math.ceil(((_Z + _POWER) * spread / mean) ** 2))
    more = needed - len(differences)
    step = int(10 ** max(0, len(str(more)) - 2))
    return -(-more // step) * step
