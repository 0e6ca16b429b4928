"""What is known of the runs of a comparison, folded from their folders: as they go on, and when all is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Literal

from studio.core.events import (
    AnswerSpeedMeasured,
    Crashed,
    Ending,
    Failed,
    Finished,
    Paused,
    StepDone,
    Stopped,
)
from studio.core.job_states import AnswerSpeedState, ExamState
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.method import METHODS
from studio.core.run_folder import TRAINING_STATE, JobFolder, RunFolder, choose_checkpoint
from studio.core.run_state import RunState
from studio.core.storage import listed
from studio.core.translatable import N_
from studio.evaluation.forgetting import Retention, retention
from studio.evaluation.held_out import compare_scores
from studio.evaluation.intervals import Interval
from studio.evaluation.verdict import Comparison, Verdict, compare, interval_of, verdict
from studio.runs.compare_methods.comparison import ComparedMethod, ComparisonFolder, MethodComparison

Status = Literal["refused", "gone", "waiting", "training", "trained", "testing", "measured", "failed", "paused"]
"""`trained` isn't measured yet; `measured` is, as far as that could be done."""

STATUS_TEXT: dict[Status, str] = {
    "refused": N_("Can't work here"),
    "gone": N_("Deleted"),
    "waiting": N_("Waiting"),
    "training": N_("Training"),
    "trained": N_("Trained, not tested yet"),
    "testing": N_("Being tested"),
    "measured": N_("Done"),
    "failed": N_("Failed"),
    "paused": N_("Paused"),
}


@dataclass
class RunResults:
    """One run, read as it grows: `look` takes in what is new in its folder."""

    run: RunFolder
    state: RunState = field(default_factory=RunState)
    tokens: int = 0
    seconds: float = 0.0
    """Of all steps together, those that were computed twice counted twice."""
    exam: ExamState | None = None
    """The newest that came to its end."""
    answer_speed: AnswerSpeedMeasured | None = None
    test_problem: Problem | None = None
    """Why the newest job that measures it failed."""
    is_being_tested: bool = False

    def __post_init__(self) -> None:
        self._reader = self.run.reader()
        self._known: set[Path] = set()
        self._failed: dict[Path, Problem] = {}
        self._size: tuple[str, int] = ("", 0)
        self.look()

    def look(self) -> None:
        """Raises OSError and `ProblemError` for a folder that can't be read."""
        for event in self._reader.read_new():
            self.state.apply(event)
            if isinstance(event, StepDone):
                self.tokens += event.tokens
                self.seconds += event.seconds
        jobs = [*self.run.jobs("exam"), *self.run.jobs("answer_speed")]
        self.is_being_tested = any(self._look_at(job) for job in jobs if job.path not in self._known)
        self.test_problem = next((self._failed[job.path] for job in reversed(jobs) if job.path in self._failed), None)
        if self.exam is not None and self.answer_speed is not None:
            self.test_problem = None

    def _look_at(self, job: JobFolder) -> bool:
        """Whether it is at work; one that isn't is looked at once."""
        if job.is_at_work():
            return True
        if job.path.name.startswith("exam-"):
            found = job.fold(ExamState())
            self.exam = found if found.completed is not None else self.exam
            ending: Ending | None = found.ending
        else:
            speed = job.fold(AnswerSpeedState())
            self.answer_speed = speed.measured or self.answer_speed
            ending = speed.ending
        if ending is not None:
            self._known.add(job.path)
        if isinstance(ending, Failed | Crashed):
            self._failed[job.path] = ending.problem
        return False

    @property
    def peak_memory(self) -> int | None:
        """Bytes that others couldn't have: on a card what PyTorch reserved, on a processor the process's own."""
        probed = self.state.probed
        found = [probed.reserved or probed.peak] if probed is not None else []
        found += [self.state.peak_memory] if self.state.peak_memory is not None else []
        return max(found, default=None)

    @property
    def size(self) -> int | None:
        """Bytes of what was learned, without what only going on with the training needs."""
        last = self.state.checkpoints[-1].folder if self.state.checkpoints else ""
        if last != self._size[0]:
            try:
                files = listed(choose_checkpoint(self.run, fully=False))
            except (OSError, ProblemError):
                return None
            self._size = last, sum(one.size for one in files if one.name not in TRAINING_STATE)
        return self._size[1] if last else None


@dataclass(frozen=True)
class MethodResult:
    """One row. Bytes, tokens a second and counts; None where something isn't known (yet). `score` is between 0 and 1
    over `examples`, `right` says that it counts exact answers; `compared` holds the answers of base and run, `verdict`
    what that comes to. `share_done` is that of the training."""

    method: str
    title: str
    status: Status
    problem: Problem | None = None
    run: RunFolder | None = None
    share_done: float = 0.0
    trainable: int | None = None
    size: int | None = None
    peak_memory: int | None = None
    tokens_per_second: float | None = None
    loss: float | None = None
    compared: Comparison | None = None
    verdict: Verdict | None = None
    retention: tuple[Retention, ...] = ()
    answer_speed: AnswerSpeedMeasured | None = None

    @property
    def score(self) -> float | None:
        """Of pairs, marks and texts the share that went the way it should."""
        if self.compared is None:
            return None
        if self.compared.scored is not None:
            return self.compared.scored.gained / max(1, self.compared.scored.examples)
        return fmean(self.compared.after) if self.compared.after else None

    @property
    def examples(self) -> int:
        if self.compared is None:
            return 0
        return self.compared.scored.examples if self.compared.scored is not None else self.compared.examples

    @property
    def is_count(self) -> bool:
        """Whether `score` is a share of the examples, and not a mean likeness."""
        return self.compared is not None and (self.compared.scored is not None or self.compared.measure.is_count)

    @property
    def interval(self) -> Interval | None:
        if self.compared is None or self.score is None:
            return None
        if self.compared.scored is not None:
            return self.compared.scored.interval
        return interval_of(self.compared.measure, self.compared.after)

    @property
    def kept(self) -> tuple[int, int, int] | None:
        """General questions answered rightly before and after, of so many; None where none were asked."""
        if not self.retention:
            return None
        return (
            sum(one.before for one in self.retention),
            sum(one.after for one in self.retention),
            sum(one.total for one in self.retention),
        )

    @property
    def forgot(self) -> bool:
        """Whether it forgot more of some group of questions than chance would have it."""
        return any(one.is_forgotten for one in self.retention)

    @property
    def cannot_merge(self) -> str:
        """Why what was learned can't become one model with its base, in an English sentence; "" where it can."""
        known = METHODS.get(self.method)
        return known.cannot_merge if known is not None else ""


class ComparisonResults:
    """Of the comparison in `folder`. Raises `ProblemError` where that can't be read."""

    def __init__(self, folder: ComparisonFolder) -> None:
        self.folder = folder
        self.comparison: MethodComparison = folder.read()
        self._runs: dict[str, RunResults] = {}
        self._judged: dict[str, tuple[ExamState, Comparison | None, Verdict | None, tuple[Retention, ...]]] = {}
        self.rows: tuple[MethodResult, ...] = ()
        self.look()

    def look(self) -> tuple[MethodResult, ...]:
        """The rows as they are now, in the order of the methods."""
        self.rows = tuple(self._row(one) for one in self.comparison.methods)
        return self.rows

    @property
    def is_at_work(self) -> bool:
        """Whether somebody waits for the runs or measures them."""
        return self.folder.job.is_at_work()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left that could be done."""
        return all(row.status in ("refused", "gone", "failed", "measured") for row in self.rows)

    def _row(self, one: ComparedMethod) -> MethodResult:
        if one.refused is not None:
            return MethodResult(one.method, one.title, "refused", one.refused)
        run = RunFolder(self.folder.project.runs_folder / one.run)
        if not run.recipe.is_file():
            return MethodResult(one.method, one.title, "gone", run=run)
        try:
            found = self._runs.get(one.run)
            if found is None:
                found = self._runs[one.run] = RunResults(run)
            else:
                found.look()
        except (OSError, ProblemError):
            return MethodResult(one.method, one.title, "gone", run=run)
        state, (compared, judged, kept) = found.state, self._judge(one.run, found.exam)
        status, why = _status(found)
        losses = [loss for step, loss in state.held_out_losses if step]
        return MethodResult(
            method=one.method,
            title=one.title,
            status=status,
            problem=why,
            run=run,
            share_done=state.share_done,
            trainable=state.prepared.trainable_parameters if state.prepared is not None else None,
            size=found.size,
            peak_memory=found.peak_memory,
            tokens_per_second=found.tokens / found.seconds if found.seconds else None,
            loss=compared.candidate.loss if compared is not None else min(losses, default=None),
            compared=compared,
            verdict=judged,
            retention=kept,
            answer_speed=found.answer_speed,
        )

    def _judge(
        self, name: str, exam: ExamState | None
    ) -> tuple[Comparison | None, Verdict | None, tuple[Retention, ...]]:
        if exam is None:
            return None, None, ()
        known = self._judged.get(name)
        if known is None or known[0] is not exam:
            compared = compare(exam)
            judged = verdict(compared) if compared is not None else None
            known = self._judged[name] = exam, compared, judged, retention(exam.general)
        return known[1:]


def _status(found: RunResults) -> tuple[Status, Problem | None]:
    ending = found.state.ending
    if found.run.is_at_work():
        return "training", None
    match ending:
        case None:
            return "waiting", None
        case Finished() | Stopped():
            if found.is_being_tested:
                return "testing", None
            done = found.exam is not None and found.answer_speed is not None
            return "measured" if done or found.test_problem is not None else "trained", found.test_problem
        case Paused():
            return "paused", None
        case Crashed(problem=why) if why.code == "crashed.interrupted":
            return "waiting", None
        case Failed(problem=why) | Crashed(problem=why):
            return "failed", why


def between(one: Comparison, other: Comparison) -> Comparison:
    """What the two trained models of two exams over the same examples are beside each other; both of the same base."""
    scored = None
    if one.scored is not None and other.scored is not None:
        scored = compare_scores(one.scored.after, other.scored.after)
    return Comparison(
        baseline=one.candidate,
        candidate=other.candidate,
        measure=one.measure,
        before=one.after,
        after=other.after,
        answers=tuple((wanted, a, b) for (wanted, _, a), (_, _, b) in zip(one.answers, other.answers, strict=True)),
        scored=scored,
    )


def ranked(rows: Sequence[MethodResult]) -> list[MethodResult]:
    """Those with a score, the best first; of equal ones the one with the lower loss."""
    scored = [row for row in rows if row.score is not None]
    return sorted(scored, key=lambda row: (-(row.score or 0.0), row.loss if row.loss is not None else float("inf")))
