"""What was learned from pairs, marks and texts is judged by how likely it became."""

from __future__ import annotations

import pytest

from studio.core.events import BASE, THIS_RUN, ExamCompleted, HeldOutScored, ModelResult
from studio.core.example_scores import ExampleScore
from studio.core.job_states import ExamState
from studio.evaluation.held_out import compare_scores, perplexity
from studio.evaluation.verdict import Verdict, compare, verdict


def judged(before: list[ExampleScore], after: list[ExampleScore]) -> Verdict:
    state = ExamState()
    state.apply(HeldOutScored(model=BASE, scores=tuple(before)))
    state.apply(HeldOutScored(model=THIS_RUN, scores=tuple(after)))
    results = tuple(ModelResult(model=model, exact=0, loss=1.0) for model in (BASE, THIS_RUN))
    state.apply(ExamCompleted(examples=0, results=results))
    compared = compare(state)
    assert compared is not None
    return verdict(compared)


def pair(better: float, worse: float) -> ExampleScore:
    return ExampleScore(first=better, tokens=10, worse=worse, worse_tokens=5)


def test_better_is_where_most_better_answers_gained_on_the_worse_ones() -> None:
    found = judged([pair(-30, -10)] * 12, [pair(-25, -20)] * 11 + [pair(-35, -10)])
    assert found.outcome == "better"
    words = found.text.english()
    assert words.startswith("Better: in 11 of 12 pairs") and "at least 65 %" in words
    assert words.endswith("It is the likelier one in 11 of them, before in 0.")


@pytest.mark.parametrize(("gained", "outcome"), [(12, "better"), (7, "no_clear_difference"), (1, "worse")])
def test_a_verdict_over_pairs_is_sure_or_unclear(gained: int, outcome: str) -> None:
    after = [pair(-28, -10)] * gained + [pair(-32, -10)] * (12 - gained)
    assert judged([pair(-30, -10)] * 12, after).outcome == outcome


def test_marked_answers_are_to_go_the_way_of_their_mark() -> None:
    def marked(good: float, bad: float) -> list[ExampleScore]:
        return [ExampleScore(first=sum_, tokens=5, good=is_good) for sum_, is_good in ((good, True), (bad, False))] * 5

    assert judged(marked(-20, -20), marked(-15, -25)).outcome == "better"
    assert judged(marked(-20, -20), marked(-25, -15)).outcome == "worse"
    unclear = judged(marked(-20, -20), marked(-15, -15))
    assert unclear.outcome == "no_clear_difference" and "5 went the way of their mark" in unclear.text.english()


def test_of_texts_the_perplexity_is_told() -> None:
    before = [ExampleScore(first=-30.0 - n, tokens=10) for n in range(8)]
    found = judged(before, [ExampleScore(first=one.first + 8, tokens=10) for one in before])
    assert found.outcome == "better" and f"was {perplexity(before):.1f}" in found.text.english()
    assert judged(before, before).outcome == "no_clear_difference"


def test_scores_of_other_examples_are_not_compared() -> None:
    assert compare_scores([pair(-1, -2)], [pair(-1, -2)] * 2) is None and compare_scores(None, [pair(-1, -2)]) is None
