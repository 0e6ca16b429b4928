"""Whether one model answers better than another, in one word and with how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from studio.core.events import BASE, PROMPTED, THIS_RUN, ModelResult, ModelUnderTest, Prediction
from studio.core.job_states import ExamState
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_, Sentence, sentence
from studio.evaluation.intervals import (
    Interval,
    at_least,
    examples_to_settle,
    mean_interval,
    paired_test,
    share_interval,
    sign_test,
)
from studio.evaluation.measures import EXACT, Measure, measure_for

Outcome = Literal["better", "no_clear_difference", "worse"]


def newest_exam(run: RunFolder, *, since: float = 0.0) -> ExamState | None:
    """The newest exam of this run that came to its end (the very newest may have been stopped), and that began at
    `since` or later, in seconds since the epoch. Reads files."""
    for folder in reversed(run.jobs("exam")):
        state = folder.fold(ExamState())
        if state.completed is not None and (state.started_at or 0.0) >= since:
            return state
    return None


@dataclass(frozen=True)
class Comparison:
    """Two models on the same examples. `before` and `after` are what `measure` gives for each answer of `baseline` and
    of `candidate`, between 0 and 1, example by example; `answers` are the wanted answer, the baseline's and the
    candidate's for each."""

    baseline: ModelResult
    candidate: ModelResult
    measure: Measure = EXACT
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    answers: tuple[tuple[str, str, str], ...] = ()

    @property
    def examples(self) -> int:
        return len(self.before)

    @property
    def differences(self) -> tuple[float, ...]:
        return tuple(after - before for before, after in zip(self.before, self.after, strict=True))

    @property
    def improved(self) -> int:
        """Examples that `candidate` answered better."""
        return sum(one > 0 for one in self.differences)

    @property
    def regressed(self) -> int:
        """Examples that `candidate` answered worse."""
        return sum(one < 0 for one in self.differences)


def compare(
    exam: ExamState,
    baseline: ModelUnderTest = BASE,
    candidate: ModelUnderTest = THIS_RUN,
    measure: Measure | None = None,
) -> Comparison | None:
    """The two, example by example, by `measure` or by the one that fits the wanted answers; None before the exam is
    complete, or where one of them took no part."""
    if exam.completed is None:
        return None
    results = {result.model: result for result in exam.completed.results}
    if baseline not in results or candidate not in results:
        return None
    given = {(one.model, one.index): one for one in exam.predictions}
    pairs = [
        (given[baseline, index], given[candidate, index])
        for index in range(exam.completed.examples)
        if (baseline, index) in given and (candidate, index) in given
    ]
    chosen = measure or measure_for([one.wanted for one, _ in pairs])
    return Comparison(
        baseline=results[baseline],
        candidate=results[candidate],
        measure=chosen,
        before=tuple(_score(chosen, one) for one, _ in pairs),
        after=tuple(_score(chosen, other) for _, other in pairs),
        answers=tuple((one.wanted, one.answer, other.answer) for one, other in pairs),
    )


def _score(measure: Measure, prediction: Prediction) -> float:
    return measure.score(prediction.wanted, prediction.answer, prediction.exact)


def interval_of(measure: Measure, scores: tuple[float, ...]) -> Interval:
    """Of the mean score: 95 % of such intervals hold what the model would score on endlessly many examples."""
    return share_interval(sum(scores), len(scores)) if measure.is_count else mean_interval(scores)


@dataclass(frozen=True)
class Verdict:
    """`p` is the two-sided probability of such a difference by chance: the exact sign test where answers are right or
    wrong, the paired randomisation test else. `more` examples would probably settle a difference that isn't clear;
    None where there is none to be seen, or it is clear."""

    outcome: Outcome
    text: Sentence
    p: float
    more: int | None = None


def verdict(compared: Comparison) -> Verdict:
    """Better or worse only where chance would do so less than once in twenty times; the loss decides where no
    answer of either model was right, and only when it moved by a tenth."""
    if compared.examples == 0:
        return Verdict("no_clear_difference", sentence(N_("No examples were set aside, so nothing was compared.")), 1.0)
    if not compared.measure.is_count:
        return _verdict_of_likeness(compared)
    before, after = int(sum(compared.before)), int(sum(compared.after))
    p = sign_test(compared.improved, compared.regressed)
    values: dict[str, str | int | float] = {
        "before": before,
        "after": after,
        "total": compared.examples,
        "least": at_least(after, compared.examples),
    }
    if p < 0.05 and compared.improved > compared.regressed:
        text = N_("Better: {after} of {total} right, was {before}. Sure: 95 % say at least {least}.")
        return Verdict("better", Sentence(text=text, values=values), p)
    if p < 0.05:
        text = N_("Worse: {after} of {total} right, was {before}.")
        return Verdict("worse", Sentence(text=text, values=values), p)
    losses = (compared.baseline.loss, compared.candidate.loss)
    if before == after == 0 and losses[0] and losses[1] is not None:
        values |= {"loss_before": losses[0], "loss_after": losses[1]}
        if losses[1] < 0.9 * losses[0]:
            text = N_(
                "Closer to your answers, but none is word for word the same: the error fell from {loss_before:.2f} "
                "to {loss_after:.2f}. Read a few below and judge for yourself."
            )
            return Verdict("better", Sentence(text=text, values=values), p)
        if losses[1] > 1.1 * losses[0]:
            text = N_("Worse: the error grew from {loss_before:.2f} to {loss_after:.2f}.")
            return Verdict("worse", Sentence(text=text, values=values), p)
    more = examples_to_settle(compared.differences)
    text = N_("No clear difference: {after} of {total} right, was {before}.")
    if more is not None and more <= _WORTH_SAYING:
        values["more"] = more
        text = N_(
            "No clear difference: {after} of {total} right, was {before}. If it goes on like this, about {more} more "
            "examples set aside would settle it."
        )
    return Verdict("no_clear_difference", Sentence(text=text, values=values), p, more)


_WORTH_SAYING = 2000
"""More examples than this are no help to anybody."""


def _verdict_of_likeness(compared: Comparison) -> Verdict:
    p = paired_test(compared.differences)
    low = interval_of(compared.measure, compared.after).low
    before, after = fmean(compared.before), fmean(compared.after)
    values: dict[str, str | int | float] = {"before": 100 * before, "after": 100 * after, "low": 100 * low}
    if p < 0.05 and after > before:
        text = N_(
            "Better: the answers are {after:.0f} % like yours, they were {before:.0f} %. Sure: 95 % say at least "
            "{low:.0f} %."
        )
        return Verdict("better", Sentence(text=text, values=values), p)
    if p < 0.05:
        text = N_("Worse: the answers are {after:.0f} % like yours, they were {before:.0f} %.")
        return Verdict("worse", Sentence(text=text, values=values), p)
    more = examples_to_settle(compared.differences)
    text = N_("No clear difference: the answers are {after:.0f} % like yours, they were {before:.0f} %.")
    if more is not None and more <= _WORTH_SAYING:
        values["more"] = more
        text = N_(
            "No clear difference: the answers are {after:.0f} % like yours, they were {before:.0f} %. If it goes on "
            "like this, about {more} more examples set aside would settle it."
        )
    return Verdict("no_clear_difference", Sentence(text=text, values=values), p, more)


_ENOUGH = 0.7
"""The share of right answers, or the likeness, from which it is said that training may not be needed."""


def without_training(exam: ExamState, measure: Measure | None = None) -> Sentence | None:
    """How far the base gets with examples in its prompt, and what that says about the training; None where it wasn't
    asked. With a trained model in the exam, whether that one is better; without, whether a training has room to be."""
    trained = compare(exam, PROMPTED, THIS_RUN, measure)
    if trained is not None:
        values = _in_words(trained.measure, trained.before)
        if verdict(trained).outcome == "better":
            return sentence(N_("Training was worth it: examples in the prompt alone get {reached}."), **values)
        return sentence(
            N_("Examples in the prompt alone get {reached}: training brought no clear advantage over them."), **values
        )
    prompted = compare(exam, BASE, PROMPTED, measure)
    if prompted is None or not prompted.examples:
        return None
    values = _in_words(prompted.measure, prompted.after)
    bare = _in_words(prompted.measure, prompted.before)["reached"]
    if fmean(prompted.after) >= _ENOUGH:
        return sentence(
            N_("Examples in the prompt already get {reached}: training may not be needed. Without them: {bare}."),
            bare=bare,
            **values,
        )
    return sentence(
        N_("Training has room to help: examples in the prompt get {reached}, without them: {bare}."),
        bare=bare,
        **values,
    )


def _in_words(measure: Measure, scores: tuple[float, ...]) -> dict[str, str]:
    """What was reached, in figures that read the same in every language."""
    if measure.is_count:
        return {"reached": f"{int(sum(scores))} / {len(scores)}"}
    return {"reached": f"{100 * fmean(scores):.0f} %"}
