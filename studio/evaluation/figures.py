"""What two models reached in an exam, in figures with their intervals: the Test page, a report and a model card tell
the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from studio.core.events import BASE
from studio.core.translatable import N_, Sentence, sentence
from studio.evaluation.measures import EXACT, LABELS, Measure, forms_kept, macro_f1
from studio.evaluation.verdict import Comparison, interval_of

CHANGES_COUNTED = N_("{won} became right, {lost} became wrong")
CHANGES_WEIGHED = N_("{won} came closer, {lost} moved away")
DIFFERENCES = N_("{won} answered better, {lost} answered worse")


@dataclass(frozen=True)
class Figure:
    """One line of a table: what is told (an English literal), of the baseline and of the candidate."""

    title: str
    before: Sentence
    after: Sentence


def figures(compared: Comparison) -> list[Figure]:
    """The measure that counts comes first."""
    measure, total = compared.measure, compared.examples
    found = [Figure(measure.title, _score(measure, compared.before), _score(measure, compared.after))]
    if measure is not EXACT:
        found.append(Figure(EXACT.title, _of(compared.baseline.exact, total), _of(compared.candidate.exact, total)))
    before = [(wanted, answer) for wanted, answer, _ in compared.answers]
    after = [(wanted, answer) for wanted, _, answer in compared.answers]
    if measure is LABELS:
        f1 = (sentence("{f1:.2f}", f1=macro_f1(pairs)) for pairs in (before, after))
        found.append(Figure(N_("Mean over the labels (macro F1)"), *f1))
    (was_kept, formed), (is_kept, _) = forms_kept(before), forms_kept(after)
    if formed:
        found.append(Figure(N_("Form kept"), _of(was_kept, formed), _of(is_kept, formed)))
    losses = (compared.baseline.loss, compared.candidate.loss)
    found.append(Figure(N_("Error (lower is better)"), *map(_loss, losses)))
    return found


def changes(compared: Comparison) -> Sentence:
    """How many answers became better and worse; of models of which none came of the other, how many are."""
    text = CHANGES_COUNTED if compared.measure.is_count else CHANGES_WEIGHED
    if compared.baseline.model != BASE:
        text = DIFFERENCES
    return sentence(text, won=compared.improved, lost=compared.regressed)


def _of(right: int, total: int) -> Sentence:
    return sentence(N_("{right} of {total}"), right=right, total=total)


def _score(measure: Measure, scores: Sequence[float]) -> Sentence:
    """The figure and, in brackets, between which two the true one lies in 95 of 100 cases."""
    interval, total = interval_of(measure, tuple(scores)), len(scores)
    if measure.is_count:
        return sentence(
            N_("{right} of {total} ({low:.0f}\u2013{high:.0f})"),
            right=int(sum(scores)),
            total=total,
            low=interval.low * total,
            high=interval.high * total,
        )
    mean = 100 * fmean(scores) if scores else 0.0
    text = "{mean:.0f} % ({low:.0f}\u2013{high:.0f})"
    return sentence(text, mean=mean, low=100 * interval.low, high=100 * interval.high)


def _loss(loss: float | None) -> Sentence:
    number = "{loss:.2f}"
    return sentence(N_("not available")) if loss is None else sentence(number, loss=loss)
