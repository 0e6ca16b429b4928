"""`studio test` and `chat`: what is asked of a run after its training."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from statistics import fmean

from studio.cli.choosing import run_at_step
from studio.cli.following import follow_to_the_end
from studio.cli.printing import Json, print_json
from studio.core.events import (
    PROMPTED,
)
from studio.core.job_states import ExamState
from studio.core.jobs import Exam
from studio.core.problems import problem
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.translatable import N_
from studio.evaluation.forgetting import forgetting, retention
from studio.evaluation.measures import Measure, measure_named
from studio.evaluation.verdict import Comparison, compare, interval_of, verdict, without_training
from studio.runs.start import start_job


def test(arguments: argparse.Namespace) -> int:
    """0 when better, 1 when not."""
    run = run_at_step(arguments)
    measure = measure_named(arguments.measure) if arguments.measure else None
    choose_checkpoint(run, fully=False)  # its absence is told without starting a process
    job = Exam(run=run.path, in_prompt=arguments.in_prompt, general=arguments.general)
    state = exam_state(run, job, quiet=arguments.json)
    compared = compare(state, measure=measure)
    assert compared is not None
    judged, alone, kept = verdict(compared), without_training(state, measure), retention(state.general)
    if arguments.json:
        more: dict[str, Json] = {"retention": [asdict(one) for one in kept]} if kept else {}
        if (prompted := compare(state, PROMPTED, measure=measure)) is not None:
            more["in_prompt"] = {"score": fmean(prompted.before), "examples": arguments.in_prompt}
        head: dict[str, Json] = {"run": str(run.path), "verdict": judged.outcome, "p": judged.p}
        print_json({**head, **comparison_as_json(compared), **more})
    else:
        print(judged.text.english())
        for one in (*((alone,) if alone is not None else ()), *forgetting(kept)):
            print(one.english())
        print(f"Judged by {compared.measure.term}: {compared.measure.why} (--measure chooses another)")
        before, after = compared.baseline.loss, compared.candidate.loss
        if before is not None and after is not None:
            print(f"Error (loss): {before:.3f} before, {after:.3f} after.")
    return 0 if judged.outcome == "better" else 1


def run_exam(run: RunFolder, measure: Measure | None = None, *, quiet: bool) -> Comparison:
    """Compare the base and the run's own model on the examples set aside, by `measure` or the one that fits. Raises
    ProblemError."""
    choose_checkpoint(run, fully=False)
    compared = compare(exam_state(run, Exam(run=run.path), quiet=quiet), measure=measure)
    assert compared is not None
    return compared


def exam_state(run: RunFolder, job: Exam, *, quiet: bool) -> ExamState:
    """Let the exam take place, to its end. Raises ProblemError when it didn't come to it."""
    folder = run.job("exam")
    state = follow_to_the_end(folder, start_job(folder, job), ExamState, quiet=quiet)
    if state.completed is None:
        raise problem("exam.stopped", N_("The test was stopped before it was done."), fix=N_("Start it again."))
    return state


def comparison_as_json(compared: Comparison) -> dict[str, Json]:
    """Each model's counts, mean score with its interval, and loss by its name, and how many answers improved and
    regressed."""
    results: dict[str, Json] = {}
    for one, scores in ((compared.baseline, compared.before), (compared.candidate, compared.after)):
        interval = interval_of(compared.measure, scores)
        results[one.model.kind] = {
            "exact": one.exact,
            "score": fmean(scores) if scores else None,
            "interval": [interval.low, interval.high],
            "loss": one.loss,
        }
    return {
        "examples": compared.examples,
        "measure": compared.measure.name,
        "models": results,
        "improved": compared.improved,
        "regressed": compared.regressed,
    }
