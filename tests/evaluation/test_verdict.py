"""The verdict is better only when chance would rarely do so, and says what would settle it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from studio.core.events import BASE, THIS_RUN, ExamCompleted, ModelResult, ModelUnderTest, Prediction
from studio.core.job_states import ExamState
from studio.evaluation.measures import EXACT, LABELS, SIMILARITY, Measure
from studio.evaluation.standings import standings
from studio.evaluation.verdict import Comparison, Outcome, compare, interval_of, p_value, verdict


def counted(before: str, after: str, losses: tuple[float, float] = (2, 1)) -> Comparison:
    """From what was right before and after, a digit for each example."""
    return Comparison(
        baseline=ModelResult(model=BASE, exact=before.count("1"), loss=losses[0]),
        candidate=ModelResult(model=THIS_RUN, exact=after.count("1"), loss=losses[1]),
        before=tuple(map(float, before)),
        after=tuple(map(float, after)),
    )


NONE = "0" * 24
SOME = "1" * 10 + "0" * 14


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (counted(NONE, "1" * 20 + "0" * 4), "better"),
        (counted("1" * 20 + "0" * 4, NONE), "worse"),
        (counted(SOME, "0" + "1" * 12 + "0" * 11), "no_clear_difference"),
        (counted(NONE, NONE, (3.0, 1.0)), "better"),
        (counted(NONE, NONE, (1.0, 3.0)), "worse"),
        (counted(NONE, NONE, (1.0, 0.99)), "no_clear_difference"),
        (counted("", ""), "no_clear_difference"),
    ],
)
def test_the_verdict_is_better_only_when_chance_would_rarely_do_so(result: Comparison, outcome: Outcome) -> None:
    judged = verdict(result)
    assert judged.outcome == outcome
    assert "{" not in judged.text.english()


def exam_of(answers: list[tuple[str, str, str]]) -> ExamState:
    """An exam in which both models answered, from the wanted answer and theirs."""
    state = ExamState()
    for index, (wanted, *given) in enumerate(answers):
        for model, answer in zip((BASE, THIS_RUN), given, strict=True):
            state.apply(
                Prediction(index=index, model=model, question="?", wanted=wanted, answer=answer, exact=answer == wanted)
            )
    results = tuple(ModelResult(model=model, exact=0, loss=1.0) for model in (BASE, THIS_RUN))
    state.apply(ExamCompleted(examples=len(answers), results=results))
    return state


WANTED = [f"Your parcel {number} arrives on day {number} of the month, in the morning." for number in range(20)]


def test_right_answers_in_other_words_are_seen_though_none_is_word_for_word_the_same() -> None:
    told = [f"In the morning of day {number} your parcel {number} arrives." for number in range(20)]
    compared = compare(exam_of([(w, "I am a language model.", t) for w, t in zip(WANTED, told, strict=True)]))
    assert compared is not None and compared.measure is SIMILARITY
    judged = verdict(compared)
    assert judged.outcome == "better" and "% like yours" in judged.text.english()
    assert sum(compared.after) / 20 > interval_of(SIMILARITY, compared.after).low > sum(compared.before) / 20


def test_shuffled_answers_are_not_better() -> None:
    """A model whose answers belong to other questions: against the truth, and against another shuffling of it."""
    outcomes = []
    for seed in range(100):
        draw = random.Random(seed)
        one, other = WANTED[:], WANTED[:]
        draw.shuffle(one)
        draw.shuffle(other)
        for measure in (SIMILARITY, EXACT):
            compared = compare(exam_of(list(zip(WANTED, one, other, strict=True))), measure=measure)
            assert compared is not None
            outcomes.append(verdict(compared).outcome)
        compared = compare(exam_of(list(zip(WANTED, WANTED, other, strict=True))), measure=SIMILARITY)
        assert compared is not None and verdict(compared).outcome == "worse"
    assert outcomes.count("better") <= 0.05 * len(outcomes)
    same = compare(exam_of([(w, w, w) for w in WANTED]))
    assert same is not None and verdict(same).outcome == "no_clear_difference" and verdict(same).p == 1.0


def test_a_run_that_learned_nothing_is_called_no_clear_difference_in_95_of_100_seeds() -> None:
    labels = ["spam", "ham", "offer"]
    wrongly = 0
    for seed in range(300):
        draw = random.Random(seed)
        answers = [(draw.choice(labels), draw.choice(labels), draw.choice(labels)) for _ in range(24)]
        compared = compare(exam_of(answers), measure=LABELS)
        assert compared is not None
        wrongly += verdict(compared).outcome != "no_clear_difference"
    assert wrongly <= 15


def test_a_run_that_changed_nothing_is_told_as_such() -> None:
    same = exam_of([(wanted, answer, answer) for wanted, answer in zip(WANTED, WANTED[1:] + WANTED[:1], strict=True)])
    compared = compare(same)
    assert compared is not None and compared.nothing_changed
    judged = verdict(compared)
    assert judged.text.english().startswith("Nothing changed:") and judged.outcome != "better"
    moved = replace(compared, candidate=compared.candidate.model_copy(update={"loss": 0.9}))
    assert not moved.nothing_changed and verdict(moved).text.english().startswith("No clear difference")
    another = exam_of([("yes", "no", "no"), ("yes", "no", "perhaps")])
    compared = compare(another)
    assert compared is not None and not compared.nothing_changed


def test_free_answers_of_a_run_that_learned_nothing_are_no_clear_difference_in_95_of_100_seeds() -> None:
    """Both models hit upon the right words as often: what a run with a learning rate of 0 would give if it answered
    with a temperature. Greedy, its answers are the same, which is no difference at all."""
    wrongly = 0
    for seed in range(200):
        draw = random.Random(seed)
        before, after = ([" ".join(word for word in w.split() if draw.random() < 0.6) for w in WANTED] for _ in "ab")
        compared = compare(exam_of(list(zip(WANTED, before, after, strict=True))), measure=SIMILARITY)
        assert compared is not None
        wrongly += verdict(compared).outcome != "no_clear_difference"
    assert wrongly <= 0.05 * 200 + 6  # and what 200 draws of it may be off


def test_none_of_five_runs_that_learned_nothing_is_called_better_in_95_of_100_seeds() -> None:
    runs = [ModelUnderTest(kind="other_run", name=str(number)) for number in range(5)]
    wrongly = alone = 0
    for seed in range(200):
        draw = random.Random(seed)
        state = ExamState()
        for index in range(40):
            for model in (BASE, *runs):
                right = draw.random() < 0.5
                answer = "yes" if right else "no"
                state.apply(
                    Prediction(index=index, model=model, question="?", wanted="yes", answer=answer, exact=right)
                )
        results = tuple(ModelResult(model=model, exact=0, loss=None) for model in (BASE, *runs))
        state.apply(ExamCompleted(examples=40, results=results))
        table = standings(state, BASE, EXACT)
        wrongly += any(one.verdict is not None and one.verdict.outcome != "no_clear_difference" for one in table)
        alone += any(one.compared is not None and p_value(one.compared) < 0.05 for one in table)
    assert wrongly <= 0.05 * 200 < alone


def test_the_table_has_all_models_best_first_and_judges_them_beside_the_chosen_one() -> None:
    state = exam_of([("a", "a", "a")] * 4 + [("a", "b", "a")] * 16)
    other = ModelUnderTest(kind="other_run", name="second")
    for index in range(10):  # it was trained on the first ten, and isn't asked those
        state.apply(Prediction(index=index + 10, model=other, question="?", wanted="a", answer="a", exact=index > 0))
    assert state.completed is not None
    more = (*state.completed.results, ModelResult(model=other, exact=9, loss=None))
    state.apply(state.completed.model_copy(update={"results": more}))
    table = standings(state, measure=EXACT)
    assert [one.model for one in table] == [THIS_RUN, other, BASE]
    assert [one.examples for one in table] == [20, 10, 20] and table[2].verdict is None
    assert [one.verdict.outcome for one in table[:2] if one.verdict] == ["better", "better"]
    beside = {one.model: one for one in standings(state, THIS_RUN, EXACT)}
    assert beside[THIS_RUN].verdict is None
    compared, judged = beside[other].compared, beside[other].verdict
    assert compared is not None and compared.examples == 10 and compared.baseline.exact == 10
    assert judged is not None and judged.text.english().startswith("No clear difference: 9 of 10 right, the other 10.")


def test_what_would_settle_a_faint_difference_is_said() -> None:
    judged = verdict(counted("1" * 10 + "0" * 14, "0" * 3 + "1" * 14 + "0" * 7))
    assert judged.outcome == "no_clear_difference"
    assert judged.more is not None and f"about {judged.more} more examples" in judged.text.english()


def test_an_example_that_only_one_model_answered_takes_no_part() -> None:
    state = exam_of([("yes", "no", "yes"), ("no", "no", "yes")])
    state.predictions.pop()
    compared = compare(state)
    assert compared is not None and compared.examples == 1


@pytest.mark.parametrize("measure", [EXACT, LABELS, SIMILARITY])
def test_one_example_settles_nothing(measure: Measure) -> None:
    compared = compare(exam_of([("yes", "no", "yes")]), measure=measure)
    assert compared is not None
    assert verdict(compared).outcome == "no_clear_difference" and "{" not in verdict(compared).text.english()
    assert all(one.interval.low < one.interval.high for one in standings(exam_of([("yes", "no", "yes")])))
