"""Whether one model answers better than another, in one word and with how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from studio.core.events import BASE, PROMPTED, THIS_RUN, ModelResult, ModelUnderTest, Prediction
from studio.core.job_states import ExamState
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_, Sentence, sentence, type_of_value
from studio.evaluation.held_out import ScoreComparison, compare_scores
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
    candidate's for each. `scored` says how likely both hold pairs of answers, marked ones or texts, where these were
    learned from."""

    baseline: ModelResult
    candidate: ModelResult
    measure: Measure = EXACT
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    answers: tuple[tuple[str, str, str], ...] = ()
    scored: ScoreComparison | None = None

    @property
    def examples(self) -> int:
        return len(self.before)

    @property
    def differences(self) -> tuple[float, ...]:
        return tuple(after - before for before, after in zip(self.before, self.after, strict=True))

    @property
    def nothing_changed(self) -> bool:
        """Whether what was trained does nothing that could be seen: the same answers, and the same loss up to
        rounding."""
        same = all(before == after for _, before, after in self.answers)
        losses = (self.baseline.loss, self.candidate.loss)
        trained = self.baseline.model == BASE and self.candidate.model.kind in ("run", "other_run")
        if not (trained and same) or losses[0] is None or losses[1] is None:
            return False
        return abs(losses[0] - losses[1]) <= 1e-4 * abs(losses[0])

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
    complete, or where one of them took no part. Examples that one of them wasn't asked don't count for the other."""
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
    right = {model: sum(one.exact for pair in pairs for one in pair if one.model == model) for model in results}
    return Comparison(
        baseline=results[baseline].model_copy(update={"exact": right[baseline]}),
        candidate=results[candidate].model_copy(update={"exact": right[candidate]}),
        measure=chosen,
        before=tuple(score(chosen, one) for one, _ in pairs),
        after=tuple(score(chosen, other) for _, other in pairs),
        answers=tuple((one.wanted, one.answer, other.answer) for one, other in pairs),
        scored=None if measure is not None else _compare_scores(exam, baseline, candidate),
    )


def _compare_scores(exam: ExamState, baseline: ModelUnderTest, candidate: ModelUnderTest) -> ScoreComparison | None:
    before, after = (exam.scored[model].scores if model in exam.scored else None for model in (baseline, candidate))
    return compare_scores(before, after)


def score(measure: Measure, prediction: Prediction) -> float:
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


def p_value(compared: Comparison) -> float:
    """The two-sided probability of such a difference by chance; 1 where nothing was compared."""
    if compared.scored is not None:
        return compared.scored.p
    if compared.measure.is_count:
        return sign_test(compared.improved, compared.regressed)
    return paired_test(compared.differences)


def verdict(compared: Comparison, p: float | None = None) -> Verdict:
    """Better or worse only where chance would do so less than once in twenty times; the loss decides where no
    answer of the base or of what came of it was right, and only when it moved by a tenth. `p` is the probability
    where several comparisons were made at once, see `holm`."""
    if compared.scored is not None:
        return _verdict_of_scores(compared.scored, compared.scored.p if p is None else p)
    if compared.examples == 0:
        return Verdict("no_clear_difference", sentence(N_("No examples were set aside, so nothing was compared.")), 1.0)
    if compared.nothing_changed:
        text = N_(
            "Nothing changed: both models give the same answers with the same error, so what was learned has no "
            "effect. Train longer, or with a higher learning strength."
        )
        return Verdict("no_clear_difference", sentence(text), 1.0)
    p = p_value(compared) if p is None else p
    before, after = sum(compared.before), sum(compared.after)
    values = _values(compared)
    if p < 0.05 and before != after:
        outcome: Outcome = "better" if after > before else "worse"
        return Verdict(outcome, Sentence(text=_text(compared, outcome), values=values), p)
    if (found := _verdict_of_losses(compared, p)) is not None:
        return found
    more = examples_to_settle(compared.differences)
    if more is None or more > _WORTH_SAYING:
        text = _text(compared, "no_clear_difference")
        return Verdict("no_clear_difference", Sentence(text=text, values=values), p, more)
    text = _text(compared, "to_settle")
    return Verdict("no_clear_difference", Sentence(text=text, values={**values, "more": more}), p, more)


_WORTH_SAYING = 2000
"""More examples than this are no help to anybody."""

_Said = Literal["better", "worse", "no_clear_difference", "to_settle"]

_COUNTED: Mapping[_Said, tuple[str, str]] = {
    "better": (
        N_("Better: {after} of {total} right, was {before}. Sure: 95 % say at least {least}."),
        N_("Better: {after} of {total} right, the other {before}. Sure: 95 % say at least {least}."),
    ),
    "worse": (
        N_("Worse: {after} of {total} right, was {before}."),
        N_("Worse: {after} of {total} right, the other {before}."),
    ),
    "no_clear_difference": (
        N_("No clear difference: {after} of {total} right, was {before}."),
        N_("No clear difference: {after} of {total} right, the other {before}."),
    ),
    "to_settle": (
        N_(
            "No clear difference: {after} of {total} right, was {before}. If it goes on like this, about "
            "{more} more {more:example|examples} set aside would settle it."
        ),
        N_(
            "No clear difference: {after} of {total} right, the other {before}. If it goes on like this, "
            "about {more} more {more:example|examples} set aside would settle it."
        ),
    ),
}
"""What is said beside the base, which something came of, and beside any other model."""

_WEIGHED: Mapping[_Said, tuple[str, str]] = {
    "better": (
        N_(
            "Better: the answers are {after:.0f} % like yours, they were {before:.0f} %. Sure: 95 % say at least "
            "{low:.0f} %."
        ),
        N_(
            "Better: the answers are {after:.0f} % like yours, the other's {before:.0f} %. Sure: 95 % say at least "
            "{low:.0f} %."
        ),
    ),
    "worse": (
        N_("Worse: the answers are {after:.0f} % like yours, they were {before:.0f} %."),
        N_("Worse: the answers are {after:.0f} % like yours, the other's {before:.0f} %."),
    ),
    "no_clear_difference": (
        N_("No clear difference: the answers are {after:.0f} % like yours, they were {before:.0f} %."),
        N_("No clear difference: the answers are {after:.0f} % like yours, the other's {before:.0f} %."),
    ),
    "to_settle": (
        N_(
            "No clear difference: the answers are {after:.0f} % like yours, they were {before:.0f} %. If it "
            "goes on like this, about {more} more {more:example|examples} set aside would settle it."
        ),
        N_(
            "No clear difference: the answers are {after:.0f} % like yours, the other's {before:.0f} %. If "
            "it goes on like this, about {more} more {more:example|examples} set aside would settle it."
        ),
    ),
}


def _text(compared: Comparison, said: _Said) -> str:
    beside_base, beside_other = (_COUNTED if compared.measure.is_count else _WEIGHED)[said]
    return beside_base if compared.baseline.model == BASE else beside_other


def _values(compared: Comparison) -> dict[str, type_of_value]:
    if compared.measure.is_count:
        before, after = int(sum(compared.before)), int(sum(compared.after))
        least = at_least(after, compared.examples)
        return {"before": before, "after": after, "total": compared.examples, "least": least}
    low = interval_of(compared.measure, compared.after).low
    return {"before": 100 * fmean(compared.before), "after": 100 * fmean(compared.after), "low": 100 * low}


def _verdict_of_losses(compared: Comparison, p: float) -> Verdict | None:
    """What the losses of the base and another model say, where there is nothing else to tell them apart by."""
    before, after = compared.baseline.loss, compared.candidate.loss
    nobody_right = compared.measure.is_count and not any((*compared.before, *compared.after))
    if not nobody_right or compared.baseline.model != BASE or not before or after is None:
        return None
    values: dict[str, type_of_value] = {"loss_before": before, "loss_after": after}
    if after < 0.9 * before:
        text = N_(
            "Closer to your answers, but none is word for word the same: the error fell from {loss_before:.2f} "
            "to {loss_after:.2f}. Read a few below and judge for yourself."
        )
        return Verdict("better", Sentence(text=text, values=values), p)
    if after > 1.1 * before:
        text = N_("Worse: the error grew from {loss_before:.2f} to {loss_after:.2f}.")
        return Verdict("worse", Sentence(text=text, values=values), p)
    return None


def _verdict_of_scores(scored: ScoreComparison, p: float) -> Verdict:
    """What was learned is how likely something is, so that is what is judged."""
    sure, mostly = p < 0.05, 2 * scored.gained > scored.examples
    values: dict[str, str | int | float] = {
        "gained": scored.gained,
        "total": scored.examples,
        "least": 100 * scored.interval.low,
    }
    if scored.of_texts:
        values["before"], values["after"] = scored.perplexities()
        mostly = scored.perplexities()[1] < scored.perplexities()[0]
        better = N_(
            "Better: texts like yours surprise it less (perplexity {after:.1f}, was {before:.1f}). So it is with "
            "{gained} of the {total} set aside."
        )
        worse = N_("Worse: texts like yours surprise it more (perplexity {after:.1f}, was {before:.1f}).")
        unclear = N_(
            "No clear difference: texts like yours have a perplexity of {after:.1f}, it was {before:.1f}, but only "
            "{total} were set aside. More of them would tell."
        )
    elif (preferred := scored.preferred()) is not None:
        values["before"], values["after"] = preferred
        better = N_(
            "Better: in {gained} of {total} pairs set aside the better answer gained on the worse one. Sure: 95 % say "
            "in at least {least:.0f} %. It is the likelier one in {after} of them, before in {before}."
        )
        worse = N_("Worse: in only {gained} of {total} pairs set aside the better answer gained on the worse one.")
        unclear = N_(
            "No clear difference: in {gained} of {total} pairs set aside the better answer gained on the worse one, "
            "and by chance it would in half of them."
        )
    else:
        better = N_(
            "Better: of {total} marked answers set aside, {gained} went the way of their mark: good ones likelier, bad "
            "ones less likely. Sure: 95 % say at least {least:.0f} %."
        )
        worse = N_("Worse: of {total} marked answers set aside, only {gained} went the way of their mark.")
        unclear = N_(
            "No clear difference: of {total} marked answers set aside, {gained} went the way of their mark, and by "
            "chance half of them would."
        )
    if sure and mostly:
        return Verdict("better", Sentence(text=better, values=values), p)
    if sure:
        return Verdict("worse", Sentence(text=worse, values=values), p)
    return Verdict("no_clear_difference", Sentence(text=unclear, values=values), p)


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
