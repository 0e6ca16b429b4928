"""`studio test`: the examples set aside, answered by the base, by what a run learned, and by others beside them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from studio.cli.choosing import chosen_run, run_at_step
from studio.cli.following import follow_to_the_end
from studio.cli.printing import Json, print_json
from studio.core.events import BASE, PROMPTED, THIS_RUN, ModelUnderTest
from studio.core.job_states import ExamState
from studio.core.jobs import Contestant, Exam
from studio.core.problems import ProblemError, problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.translatable import N_
from studio.evaluation.forgetting import against_forgetting, forgetting, retention
from studio.evaluation.measures import Measure, measure_named
from studio.evaluation.memorised import memorised_sentences
from studio.evaluation.standings import Standing, standings, title_of
from studio.evaluation.verdict import Comparison, compare, interval_of, verdict, without_training
from studio.export.made import contestant_at
from studio.runs.project import project_of
from studio.runs.start import start_job


def test(arguments: argparse.Namespace) -> int:
    """0 when better, 1 when not."""
    run = run_at_step(arguments)
    measure = measure_named(arguments.measure) if arguments.measure else None
    choose_checkpoint(run, fully=False)  # its absence is told without starting a process
    against = tuple(_contestant(word, run) for word in arguments.against)
    job = Exam(
        run=run.path,
        in_prompt=arguments.in_prompt,
        general=arguments.general,
        memorised=arguments.memorised,
        against=against,
        own_questions=project_of(run).own_questions(),
    )
    state = exam_state(run, job, quiet=arguments.json)
    compared = compare(state, measure=measure)
    assert compared is not None
    judged, alone, kept = verdict(compared), without_training(state, measure), retention(state.general)
    table = standings(state, _beside(arguments.beside, state), measure)
    if arguments.json:
        more: dict[str, Json] = {"retention": [asdict(one) for one in kept]} if kept else {}
        if (prompted := compare(state, PROMPTED, measure=measure)) is not None:
            more["in_prompt"] = {"score": fmean(prompted.before), "examples": arguments.in_prompt}
        if state.memorised is not None:
            more["memorised"] = state.memorised.model_dump(mode="json", exclude={"type", "at"})
        head: dict[str, Json] = {"run": str(run.path), "verdict": judged.outcome, "p": judged.p}
        rows: list[Json] = [_standing_as_json(one) for one in table]
        print_json({**head, **comparison_as_json(compared), **more, "standings": rows})
    else:
        print(judged.text.english())
        hint = against_forgetting(kept, rehearsed=load(run.recipe).training.rehearsal)
        for one in (alone, *forgetting(kept), hint, *memorised_sentences(state.memorised)):
            if one is not None:
                print(one.english())
        print(f"Judged by {compared.measure.term}: {compared.measure.why} (--measure chooses another)")
        before, after = compared.baseline.loss, compared.candidate.loss
        if before is not None and after is not None:
            print(f"Error (loss): {before:.3f} before, {after:.3f} after.")
        if len(table) > 2:
            print_standings(table, compared.measure)
    return 0 if judged.outcome == "better" else 1


def print_standings(table: Sequence[Standing], measure: Measure) -> None:
    """All models, the best first, with their intervals and what each is beside the chosen one."""
    baseline = next(one.model for one in table if one.verdict is None)
    rows = [("model", measure.title.lower(), "95 %", "error", f"beside: {title_of(baseline).english()}")]
    for one in table:
        count, low, high = one.examples, one.interval.low, one.interval.high
        if measure.is_count:
            reached, between = f"{round(one.score * count)} of {count}", f"{low * count:.0f} to {high * count:.0f}"
        else:
            reached, between = f"{100 * one.score:.0f} %", f"{100 * low:.0f} to {100 * high:.0f} %"
        loss = "-" if one.result.loss is None else f"{one.result.loss:.3f}"
        judged = "" if one.verdict is None else f"{_OUTCOMES[one.verdict.outcome]} (p {one.verdict.p:.2g})"
        rows.append((title_of(one.model).english(), reached, between, loss, judged))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


_OUTCOMES = {"better": "better", "worse": "worse", "no_clear_difference": "no clear difference"}


def _contestant(word: str, run: RunFolder) -> Contestant:
    """A run, as `chosen_run` understands it, or an export or another model by its place. Raises ProblemError."""
    place = Path(word).expanduser()
    if place.exists() and not (place / "recipe.yaml").is_file():
        return contestant_at(place.absolute(), run)
    try:
        return Contestant(path=chosen_run(word).path)
    except ProblemError as error:
        if error.problem.code != "run.unknown":
            raise
        raise problem(
            "exam.unknown",
            N_("There is neither a run nor a file or folder called {word}."),
            fix=N_("Give a run that `studio runs list` shows, or the place of an export."),
            word=word,
        ) from error


_BESIDE = {"base": BASE, "run": THIS_RUN, "prompted": PROMPTED}


def _beside(word: str, state: ExamState) -> ModelUnderTest:
    """The model that all others are held against: the base, or one that took part. Raises ProblemError."""
    if not word:
        return BASE
    assert state.completed is not None
    took_part = [result.model for result in state.completed.results]
    named = _BESIDE.get(word)
    found = [model for model in took_part if model == named or (named is None and word in model.name)]
    if len(found) != 1:
        raise problem(
            "exam.no_such_model",
            N_("{word} isn't one of the models in this test."),
            fix=N_("Give base, run, prompted, or a part of the name of another one: {names}"),
            word=word,
            names=", ".join(model.name for model in took_part if model.name) or "-",
        )
    return found[0]


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


def _standing_as_json(one: Standing) -> dict[str, Json]:
    return {
        "model": one.model.kind,
        "name": one.model.name,
        "examples": one.examples,
        "exact": one.result.exact,
        "score": one.score,
        "interval": [one.interval.low, one.interval.high],
        "loss": one.result.loss,
        "verdict": one.verdict.outcome if one.verdict is not None else None,
        "p": one.verdict.p if one.verdict is not None else None,
    }
