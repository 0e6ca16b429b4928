"""Whether one model answers better than another, in one word and with how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from studio.core.events import BASE, THIS_RUN, ModelResult, ModelUnderTest
from studio.core.job_states import ExamState
from studio.core.translatable import N_, Sentence, sentence

Outcome = Literal["better", "no_clear_difference", "worse"]


@dataclass(frozen=True)
class Comparison:
    """Two models on the same `examples`. `improved` counts those that only `candidate` answered exactly,
    `regressed` those that only `baseline` did."""

    examples: int
    baseline: ModelResult
    candidate: ModelResult
    improved: int
    regressed: int


def compare(
    exam: ExamState, baseline: ModelUnderTest = BASE, candidate: ModelUnderTest = THIS_RUN
) -> Comparison | None:
    """The two, example by example; None before the exam is complete, or where one of them took no part."""
    if exam.completed is None:
        return None
    results = {result.model: result for result in exam.completed.results}
    if baseline not in results or candidate not in results:
        return None
    exact = {(one.model, one.index): one.exact for one in exam.predictions}
    pairs = [
        (exact.get((baseline, index), False), exact.get((candidate, index), False))
        for index in range(exam.completed.examples)
    ]
    return Comparison(
        examples=exam.completed.examples,
        baseline=results[baseline],
        candidate=results[candidate],
        improved=sum(b < a for b, a in pairs),
        regressed=sum(b > a for b, a in pairs),
    )


@dataclass(frozen=True)
class Verdict:
    """`p` is the two-sided exact sign test over the examples on which the two models differ."""

    outcome: Outcome
    text: Sentence
    p: float


def sign_test(improved: int, regressed: int) -> float:
    """Two-sided exact probability of a split at least this uneven if both were equally good."""
    n = improved + regressed
    if n == 0:
        return 1.0
    tail: float = sum(math.comb(n, k) for k in range(max(improved, regressed), n + 1)) / 2**n
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


def verdict(compared: Comparison) -> Verdict:
    """Better or worse only where chance would do so less than once in twenty times; the loss decides where no
    answer of either model was exact, and only when it moved by a tenth."""
    before, after = compared.baseline, compared.candidate
    p = sign_test(compared.improved, compared.regressed)
    values: dict[str, str | int | float] = {
        "before": before.exact,
        "after": after.exact,
        "total": compared.examples,
        "least": at_least(after.exact, compared.examples),
    }
    if compared.examples == 0:
        return Verdict("no_clear_difference", sentence(N_("No examples were set aside, so nothing was compared.")), p)
    if p < 0.05 and compared.improved > compared.regressed:
        text = N_("Better: {after} of {total} right, was {before}. Sure: 95 % say at least {least}.")
        return Verdict("better", Sentence(text=text, values=values), p)
    if p < 0.05:
        text = N_("Worse: {after} of {total} right, was {before}.")
        return Verdict("worse", Sentence(text=text, values=values), p)
    if before.exact == after.exact == 0 and before.loss and after.loss is not None:
        values |= {"loss_before": before.loss, "loss_after": after.loss}
        if after.loss < 0.9 * before.loss:
            text = N_(
                "Closer to your answers, but none is word for word the same: the error fell from {loss_before:.2f} "
                "to {loss_after:.2f}. Read a few below and judge for yourself."
            )
            return Verdict("better", Sentence(text=text, values=values), p)
        if after.loss > 1.1 * before.loss:
            text = N_("Worse: the error grew from {loss_before:.2f} to {loss_after:.2f}.")
            return Verdict("worse", Sentence(text=text, values=values), p)
    text = N_("No clear difference: {after} of {total} right, was {before}. More examples would tell more.")
    return Verdict("no_clear_difference", Sentence(text=text, values=values), p)
