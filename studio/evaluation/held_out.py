"""How likely two models hold what stands in the examples set aside: of pairs of answers, marked answers and plain texts
that says more than answers word for word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from studio.core.example_scores import ExampleScore
from studio.evaluation.intervals import Interval, paired_test, share_interval, sign_test


@dataclass(frozen=True)
class ScoreComparison:
    """The same examples as scored by two models, in the same order; at least one."""

    before: tuple[ExampleScore, ...]
    after: tuple[ExampleScore, ...]

    @property
    def examples(self) -> int:
        return len(self.after)

    @property
    def of_texts(self) -> bool:
        """Whether these are plain texts."""
        return all(one.worse is None and one.good is None for one in self.after)

    @property
    def gains(self) -> tuple[float, ...]:
        """For each example, in nats, how far training went the way that it should: the better answer against the worse
        one, a marked one the way of its mark, a text per token."""
        return tuple(_gain(one, other) for one, other in zip(self.before, self.after, strict=True))

    @property
    def gained(self) -> int:
        return sum(gain > 0 for gain in self.gains)

    @property
    def interval(self) -> Interval:
        """Of the share of examples that gained."""
        return share_interval(self.gained, self.examples)

    @property
    def p(self) -> float:
        """The two-sided probability of such gains by chance. Of texts their size counts, of answers only how many."""
        if self.of_texts:
            return paired_test(self.gains)
        return sign_test(self.gained, sum(gain < 0 for gain in self.gains))

    def preferred(self) -> tuple[int, int] | None:
        """In how many pairs the better answer is the likelier one per token, before and after; None without pairs."""
        if any(one.worse is None for one in self.after):
            return None
        before, after = (sum(_leads(one) for one in scores) for scores in (self.before, self.after))
        return before, after

    def perplexities(self) -> tuple[float, float]:
        """Before and after: e to the mean loss of a token."""
        return perplexity(self.before), perplexity(self.after)


def perplexity(scores: Sequence[ExampleScore]) -> float:
    return math.exp(-sum(one.first for one in scores) / max(1, sum(one.tokens for one in scores)))


def compare_scores(
    before: Sequence[ExampleScore] | None, after: Sequence[ExampleScore] | None
) -> ScoreComparison | None:
    """None where one of both wasn't scored, or on other examples."""
    if not before or not after or len(before) != len(after):
        return None
    return ScoreComparison(tuple(before), tuple(after))


def _gain(before: ExampleScore, after: ExampleScore) -> float:
    gain = after.first - before.first
    if after.worse is not None and before.worse is not None:
        return gain - (after.worse - before.worse)
    if after.good is not None:
        return gain if after.good else -gain
    return gain / max(1, after.tokens)


def _leads(score: ExampleScore) -> bool:
    assert score.worse is not None
    return score.first / max(1, score.tokens) > score.worse / max(1, score.worse_tokens)
