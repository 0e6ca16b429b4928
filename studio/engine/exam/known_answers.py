"""Answers that an earlier exam was given by the same model to the same questions: nobody is asked twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from studio.core.events import (
    THIS_RUN,
    GeneralAnswer,
    HeldOutScored,
    MemorisationChecked,
    ModelAsked,
    ModelUnderTest,
    OwnQuestionAnswered,
    Prediction,
)
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder, RunFolder


@dataclass
class KnownAnswers:
    """What is known of one model, see `ModelAsked.key`: `asked` is None where no exam came to ask it. Held-out and
    general answers by the number of the question, those to a person's own questions by the question."""

    asked: ModelAsked | None = None
    held_out: dict[int, Prediction] = field(default_factory=dict)
    general: dict[int, GeneralAnswer] = field(default_factory=dict)
    own: dict[str, OwnQuestionAnswered] = field(default_factory=dict)
    memorised: MemorisationChecked | None = None
    scored: HeldOutScored | None = None


def known_answers(runs: Iterable[RunFolder], now: JobFolder) -> Mapping[str, KnownAnswers]:
    """By the keys of the models, from all exams of `runs` but the one that goes on `now`, also those that were stopped
    or failed. Journals that can't be read tell nothing."""
    found: dict[str, KnownAnswers] = {}
    for run in runs:
        for job in run.jobs("exam"):
            if job.path != now.path:
                _read(job, found)
    return found


def _read(job: JobFolder, found: dict[str, KnownAnswers]) -> None:
    try:
        events = job.reader().read_new()
    except (OSError, ValueError, ProblemError):
        return
    current: dict[ModelUnderTest, KnownAnswers] = {}
    for event in events:
        if isinstance(event, ModelAsked):
            current[event.model] = found.setdefault(event.key, KnownAnswers())
            current[event.model].asked = event
        elif isinstance(event, MemorisationChecked) and THIS_RUN in current:
            current[THIS_RUN].memorised = event
        elif isinstance(event, HeldOutScored) and event.model in current:
            current[event.model].scored = event
        elif isinstance(event, Prediction | GeneralAnswer | OwnQuestionAnswered) and event.model in current:
            known = current[event.model]
            match event:
                case Prediction():
                    known.held_out[event.index] = event
                case GeneralAnswer():
                    known.general[event.index] = event
                case OwnQuestionAnswered():
                    known.own[event.question] = event
