"""All models of an exam in one table: how each did, and whether it is better than a chosen one."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from studio.core.events import BASE, ModelResult, ModelUnderTest
from studio.core.job_states import ExamState
from studio.core.translatable import N_, Sentence, sentence
from studio.evaluation.intervals import Interval, holm
from studio.evaluation.measures import Measure, measure_for
from studio.evaluation.verdict import Comparison, Verdict, compare, interval_of, p_value, score, verdict


@dataclass(frozen=True)
class Standing:
    """One model: its `result`, the mean `score` over the examples that it was asked, between 0 and 1, with its
    interval, and what it is beside the chosen baseline; both None for the baseline itself."""

    result: ModelResult
    examples: int
    score: float
    interval: Interval
    compared: Comparison | None = None
    verdict: Verdict | None = None

    @property
    def model(self) -> ModelUnderTest:
        return self.result.model


def standings(exam: ExamState, baseline: ModelUnderTest = BASE, measure: Measure | None = None) -> tuple[Standing, ...]:
    """All models, the best first; empty before the exam is complete.

    What the exam is held for, whether the run is better than its base or than a prompt, is judged as if nobody else
    took part. The more others are held beside the baseline, the clearer each of them has to be, see `holm`.
    """
    if exam.completed is None:
        return ()
    chosen = measure or measure_for([one.wanted for one in exam.predictions])
    wanted = measure if exam.scored else chosen  # else how likely things are would not be judged
    scores: dict[ModelUnderTest, list[float]] = {}
    for one in exam.predictions:
        scores.setdefault(one.model, []).append(score(chosen, one))
    found = []
    compared = {
        result.model: pair
        for result in exam.completed.results
        if result.model != baseline and (pair := compare(exam, baseline, result.model, wanted)) is not None
    }
    others = [model for model in compared if not (_is_own(model) and _is_own(baseline))]
    p = dict(zip(others, holm([p_value(compared[model]) for model in others]), strict=True))
    for result in exam.completed.results:
        given, pair = tuple(scores.get(result.model, ())), compared.get(result.model)
        judged = verdict(pair, p.get(result.model)) if pair is not None else None
        mean = fmean(given) if given else 0.0
        found.append(Standing(result, len(given), mean, interval_of(chosen, given), pair, judged))
    return tuple(sorted(found, key=lambda one: -one.score))


def _is_own(model: ModelUnderTest) -> bool:
    return model.kind in ("base", "run", "prompted")


def title_of(model: ModelUnderTest) -> Sentence:
    """What people call it: other runs and exports by the names of their folders."""
    match model.kind:
        case "base":
            return sentence(N_("Before training"))
        case "run":
            return sentence(N_("After training"))
        case "prompted":
            return sentence(N_("Before training, with examples in its prompt"))
        case "other_run":
            text = "{name}"
            return sentence(text, name=model.name)
        case "export":
            parts = model.name.replace("\\", "/").split("/")[-2:]
            return sentence(N_("Export {name}"), name="/".join(part for part in parts if part != "exports"))
