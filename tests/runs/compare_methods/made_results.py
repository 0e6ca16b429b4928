"""Rows of a comparison as they would have been measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from studio.core.events import (
    BASE,
    THIS_RUN,
    AnswerSpeedMeasured,
    Event,
    ExamCompleted,
    Finished,
    GeneralAnswer,
    MemoryProbed,
    ModelResult,
    ModelUnderTest,
    Prediction,
    ProcessStarted,
    StepDone,
)
from studio.core.problems import Problem
from studio.core.recipe.method import METHODS
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.storage import write_text
from studio.evaluation.forgetting import Retention
from studio.evaluation.measures import EXACT
from studio.evaluation.verdict import Comparison, verdict
from studio.runs.compare_methods.comparison import ComparedMethod, ComparisonFolder, MethodComparison
from studio.runs.compare_methods.results import MethodResult
from studio.runs.project import Project
from studio.runs.variants import RunGroup
from tests.runs.made_runs import make_run, write_events
from tests.ui.finished_run import prepared

EXAMPLES = 40


def measured(method: str, right: int, *, before: int = 0, memory: float = 2.0, forgot: int = 0) -> MethodResult:
    """A method with so many of 40 examples right, the first ones, and so many of 20 general questions forgotten."""
    compared = Comparison(
        ModelResult(model=BASE, exact=before, loss=3.0),
        ModelResult(model=THIS_RUN, exact=right, loss=2.0 - right / EXAMPLES),
        EXACT,
        _scores(before),
        _scores(right),
        answers=tuple((str(place), "no", "yes") for place in range(EXAMPLES)),
    )
    merged = None if METHODS[method].cannot_merge or method == "full" else 30.0
    return MethodResult(
        method=method,
        title=METHODS[method].title,
        status="measured",
        share_done=1.0,
        trainable=1_000_000,
        size=4_000_000,
        peak_memory=round(memory * (1 << 30)),
        tokens_per_second=250.0,
        loss=compared.candidate.loss,
        compared=compared,
        verdict=verdict(compared),
        retention=(Retention("knowledge", 20, 15, 15 - forgot, forgot, 0),),
        answer_speed=AnswerSpeedMeasured(base=30.0, apart=24.0, merged=merged, rounds=7),
    )


def _scores(right: int) -> tuple[float, ...]:
    return tuple(1.0 if place < right else 0.0 for place in range(EXAMPLES))


def failed(method: str) -> MethodResult:
    why = Problem(code="x", what="Memory ran out at {size} GB.", fix="Take less.", values={"size": 4})
    return MethodResult(method, METHODS[method].title, "failed", why)


def made_comparison(
    project: Project, right: Mapping[str, int], *, refused: Mapping[str, Problem] | None = None
) -> ComparisonFolder:
    """A comparison whose runs have ended and are measured, with so many of 40 examples right by each method, in the
    folders as they would be."""
    runs = {method: _measured_run(project, method, count) for method, count in right.items()}
    methods = [ComparedMethod(method=method, run=run.path.name) for method, run in runs.items()]
    methods += [ComparedMethod(method=method, refused=why) for method, why in (refused or {}).items()]
    group = RunGroup(id="c0ffee", keys=("method.kind",))
    for run in runs.values():
        (run.path / "group.json").write_text(group.model_dump_json())
    compared = MethodComparison(id=group.id, name="Support", created=1.7e9, methods=tuple(methods))
    folder = ComparisonFolder(project.folder / "comparisons" / group.id)
    write_text(folder.path / "comparison.json", compared.model_dump_json())
    return folder


def _measured_run(project: Project, method: str, right: int) -> RunFolder:
    run = make_run(project, f"20261128-100000-{method}", method__kind=method)
    write_events(run, [ProcessStarted(job="train", pid=1, started=0.0), prepared(120, EXAMPLES)])
    write_events(run, [MemoryProbed(device="cpu", peak=3 << 29, step_seconds=1.0, run_seconds=9.0, tokens=900)])
    timed = StepDone(step=3, total_steps=3, epoch=1, loss=0.5, learning_rate=1e-4, tokens=500, seconds=2.0)
    write_events(run, [timed, Finished()])
    exam = run.job("exam")
    events: list[Event] = [ProcessStarted(job="exam", pid=1, started=0.0)]
    for model, count in ((BASE, 0), (THIS_RUN, right)):
        events += [_answered(model, place, right=place < count) for place in range(EXAMPLES)]
        asked = "Capital of France?"
        events.append(
            GeneralAnswer(index=0, model=model, group="knowledge", question=asked, answer="Paris.", right=True)
        )
    results = (ModelResult(model=BASE, exact=0, loss=3.0), ModelResult(model=THIS_RUN, exact=right, loss=1.0))
    events += [ExamCompleted(examples=EXAMPLES, results=results), Finished()]
    _write_job(exam, events)
    _write_job(run.job("answer_speed"), [AnswerSpeedMeasured(base=30.0, apart=25.0, merged=None, rounds=7), Finished()])
    return run


def _answered(model: ModelUnderTest, place: int, *, right: bool) -> Event:
    answer = "Yes." if right else "No."
    return Prediction(
        index=place, model=model, question=f"Question {place}?", wanted="Yes.", answer=answer, exact=right
    )


def _write_job(job: JobFolder, events: Sequence[Event]) -> None:
    job.path.mkdir(parents=True)
    with job.writer() as writer:
        for event in events:
            writer.write(event)
