"""Whether the taught model is better, in one word and with how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from studio.core.events import Checked
from studio.core.translatable import N_, Sentence, sentence

Outcome = Literal["better", "no_clear_difference", "worse"]


@dataclass(frozen=True)
class Verdict:
    """`p` is the two-sided exact sign test over the examples on which the two models differ."""

    outcome: Outcome
    text: Sentence
    p: float


def sign_test(won: int, lost: int) -> float:
    """Two-sided exact probability of a split at least this uneven if both were equally good."""
    n = won + lost
    if n == 0:
        return 1.0
    tail: float = sum(math.comb(n, k) for k in range(max(won, lost), n + 1)) / 2**n
    return min(1.0, 2 * tail)


def at_least(right: int, of: int) -> int:
    """The lower end, in examples, of Wilson's 95 % interval for `right` of `of`."""
    if of == 0:
        return 0
    z = 1.959964
    share = right / of
    centre = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0, math.floor((centre - spread) / (1 + z * z / of) * of + 1e-9))


def verdict(checked: Checked) -> Verdict:
    """Better or worse only where chance would do so less than once in twenty times; the loss decides where no
    answer of either model was exact, and only when it moved by a tenth."""
    p = sign_test(checked.improved, checked.regressed)
    values: dict[str, str | int | float] = {
        "before": checked.exact_before,
        "after": checked.exact_after,
        "total": checked.examples,
        "least": at_least(checked.exact_after, checked.examples),
        "loss_before": checked.loss_before,
        "loss_after": checked.loss_after,
    }
    if checked.examples == 0:
        return Verdict("no_clear_difference", sentence(N_("No examples were set aside, so nothing was checked.")), p)
    if p < 0.05 and checked.improved > checked.regressed:
        text = N_("Better: {after} of {total} right, was {before}. Sure: 95 % say at least {least}.")
        return Verdict("better", Sentence(text=text, values=values), p)
    if p < 0.05:
        text = N_("Worse: {after} of {total} right, was {before}.")
        return Verdict("worse", Sentence(text=text, values=values), p)
    if checked.exact_before == checked.exact_after == 0 and checked.loss_before > 0:
        if checked.loss_after < 0.9 * checked.loss_before:
            text = N_(
                "Closer to your answers, but none is word for word the same: mistakes fell from {loss_before:.2f} "
                "to {loss_after:.2f}. Read a few below and judge for yourself."
            )
            return Verdict("better", Sentence(text=text, values=values), p)
        if checked.loss_after > 1.1 * checked.loss_before:
            text = N_("Worse: mistakes grew from {loss_before:.2f} to {loss_after:.2f}.")
            return Verdict("worse", Sentence(text=text, values=values), p)
    text = N_("No clear difference: {after} of {total} right, was {before}. More examples would tell more.")
    return Verdict("no_clear_difference", Sentence(text=text, values=values), p)
