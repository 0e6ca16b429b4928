"""Intervals hold the truth as often as they say, and chance is rarely taken for a difference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from studio.evaluation.intervals import (
    at_least,
    examples_to_settle,
    mean_interval,
    paired_test,
    share_interval,
    sign_test,
)

DRAWS = 1000

Draw = Callable[[np.random.Generator, int], np.ndarray]


@pytest.mark.parametrize("examples", [10, 24, 100, 1000])
@pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (0.3, 0.7), (0.9, 1.0)], ids=["none", "half", "all"])
def test_intervals_of_shares_hold_the_truth_in_95_of_100_cases(examples: int, low: float, high: float) -> None:
    draw = np.random.default_rng(examples)
    held = 0
    for _ in range(4 * DRAWS):  # of a single share the figure jumps with each example: it is a count
        share = draw.uniform(low, high)
        interval = share_interval(int(draw.binomial(examples, share)), examples)
        held += interval.low <= share <= interval.high
    assert 0.93 <= held / (4 * DRAWS) <= 0.97


SCORES = pytest.mark.parametrize(
    ("scores", "mean"),
    [
        (lambda draw, n: draw.beta(4, 4, n), 0.5),
        (lambda draw, n: draw.beta(18, 2, n), 0.9),
        (lambda draw, n: draw.beta(1, 9, n), 0.1),
        (lambda draw, n: draw.random(n), 0.5),
    ],
    ids=["middling", "nearly right", "nearly wrong", "anything"],
)


def held(scores: Draw, mean: float, examples: int, draws: int) -> float:
    """How often the interval held the truth, as a share of the draws."""
    draw = np.random.default_rng(examples)
    intervals = (mean_interval([float(one) for one in scores(draw, examples)]) for _ in range(draws))
    return sum(one.low <= mean <= one.high for one in intervals) / draws


@pytest.mark.parametrize("examples", [10, 24, 100])
@SCORES
def test_intervals_of_mean_scores_hold_the_truth_in_95_of_100_cases(examples: int, scores: Draw, mean: float) -> None:
    assert 0.93 <= held(scores, mean, examples, DRAWS) <= 0.97


@SCORES
def test_intervals_of_mean_scores_of_1000_examples_hold_the_truth_mostly(scores: Draw, mean: float) -> None:
    assert 0.84 <= held(scores, mean, 1000, DRAWS // 20) <= 1.0


@pytest.mark.slow
@SCORES
def test_intervals_of_mean_scores_of_1000_examples_hold_it_in_95_of_100_cases(scores: Draw, mean: float) -> None:
    """The same with as many draws as for fewer examples, which takes a minute and a half each."""
    assert 0.93 <= held(scores, mean, 1000, DRAWS) <= 0.97


@pytest.mark.parametrize("examples", [10, 24, 100])
def test_scores_that_are_nearly_all_right_get_no_interval_that_is_too_short(examples: int) -> None:
    draw = np.random.default_rng(examples)
    held = 0
    for _ in range(DRAWS):
        scores = np.where(draw.random(examples) < 0.95, 1.0, draw.beta(2, 2, examples))
        interval = mean_interval([float(one) for one in scores])
        held += interval.low <= 0.975 <= interval.high
    assert held / DRAWS >= 0.93


def test_the_same_scores_give_the_same_interval() -> None:
    scores = [0.2, 0.9, 0.4, 0.7, 0.35]
    found = mean_interval(scores)
    assert found == mean_interval(scores)
    assert 0.0 <= found.low < sum(scores) / 5 < found.high <= 1.0
    assert mean_interval([]).low == 0.0 and mean_interval([]).high == 1.0


def test_the_sign_test_and_the_interval_give_the_textbook_values() -> None:
    # 2 * 0.5**5, and Wilson's interval for 15 of 20 which begins at 0.531
    assert sign_test(5, 0) == pytest.approx(0.0625)
    assert sign_test(3, 3) == 1.0
    assert at_least(15, 20) == 10
    assert at_least(0, 20) == 0
    assert at_least(20, 20) == 16


def test_the_paired_test_counts_all_signs_of_few_differences() -> None:
    assert paired_test([0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(2 / 32)
    assert paired_test([0.0, 0.0]) == 1.0
    assert paired_test([0.2] * 30) < 0.001


@pytest.mark.parametrize("examples", [10, 24, 100])
def test_two_equal_models_are_rarely_told_apart(examples: int) -> None:
    draw = np.random.default_rng(examples)
    wrongly_of_scores = wrongly_of_counts = 0
    for _ in range(200):
        before, after = draw.beta(2, 2, examples), draw.beta(2, 2, examples)
        wrongly_of_scores += paired_test([float(one) for one in after - before]) < 0.05
        right = draw.random((2, examples)) < 0.6
        wrongly_of_counts += sign_test(int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())) < 0.05
    assert wrongly_of_scores / 200 <= 0.09  # 0.05, and what 200 draws of it may be off
    assert wrongly_of_counts / 200 <= 0.06  # exact, and more careful than it says


def test_how_many_more_examples_would_settle_it() -> None:
    assert examples_to_settle([0.0] * 20) is None
    assert examples_to_settle([1.0, -1.0] * 10) is None
    faint, strong = [1.0] * 11 + [-1.0] * 9, [1.0] * 15 + [-1.0] * 5
    few, many = examples_to_settle(strong), examples_to_settle(faint)
    assert few is not None and many is not None and few < 40 < 500 < many
    draw = np.random.default_rng(0)
    found = 0
    for _ in range(200):  # with that many, a difference of this size is seen four times in five
        signs = np.where(draw.random(20 + few) < 0.75, 1.0, -1.0)
        found += paired_test([float(one) for one in signs]) < 0.05
    assert found >= 140
