"""`studio export`: make what another program opens, check it, and hand it over where that program is here."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from studio.cli.choosing import run_at_step
from studio.cli.following import follow_to_the_end
from studio.cli.printing import Json, print_json, print_table
from studio.cli.progress import Progress
from studio.core.events import Exported, Progressed
from studio.core.job_states import ExportState
from studio.core.jobs import Job
from studio.core.problems import problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_, sentence
from studio.evaluation.export_outcome import measured, outcome
from studio.export.destinations import DESTINATIONS, destination_named
from studio.export.exporters import COMPARED, Exporter, export_now, finish, options, require_possible
from studio.export.made import made_before, record_handover
from studio.export.programs.program import HandedOver, Handover, Line, Program
from studio.runs.start import start_job


def export(arguments: argparse.Namespace) -> int:
    """Make the folder, or hand the model over; 1 when what was made doesn't answer as the run's own model does."""
    if arguments.list:
        return _list(run_at_step(arguments) if arguments.run else None, as_json=arguments.json)
    if not arguments.run:
        raise problem("run.missing", N_("It isn't said which run."), fix=N_("Give its folder, or: last"))
    run, destination = run_at_step(arguments), destination_named(arguments.to)
    exporter, quality = destination.exporter, arguments.quality or destination.exporter.recommended
    if quality and exporter.quality(quality) is None:
        names = ", ".join(one.name for one in exporter.qualities)
        raise problem(
            "export.no_such_quality",
            N_("There is no quality called {quality} for {name}."),
            fix=N_("Choose one of these: {names}") if names else N_("Leave --quality out."),
            quality=quality,
            name=destination.name,
            names=names,
        )
    program, quiet = destination.program, arguments.json
    out = Path(arguments.out).expanduser().absolute() if arguments.out else None
    made = made_before(run, exporter, quality) if program is not None and out is None else None
    there = made.folder if made is not None else out or exporter.folder(run, quality)
    handover = None
    if program is not None:  # what stands in the way there is told before minutes of work
        recipe = load(run.recipe)
        size = made.exported.size if made is not None else exporter.size(run, recipe, quality) or 0
        handover = Handover(run, there, arguments.name or program.offer(recipe.name), size)
        for step in program.plan(handover):
            print(step.english(), file=sys.stderr)
    if made is None:
        compare = 0 if arguments.no_check else COMPARED
        exported = run_export(exporter, run, there, quality=quality, compare=compare, quiet=quiet)
    else:
        exported = made.exported
    handed, notices = None, [] if made is not None else [*finish(exporter, run, exported)]
    if program is not None and handover is not None and exported.passed:
        handed = _hand_over(program, replace(handover, size=exported.size), quiet=quiet)
        notices = [*handed.notices]
    lines = handed.lines if handed is not None else destination.lines(run, Path(exported.folder))
    if arguments.json:
        print_json(_as_json(exported, exporter, handed, lines))
        return 0 if exported.passed else 1
    for said in (*outcome(exported, exporter.quality(quality)), *notices):
        print(said.english())
    for figure in measured(exported):
        print(figure.english(), file=sys.stderr)
    if program is not None and not exported.passed:
        print(f"It wasn't put into {program.title}.")
    print(exported.folder)
    for line in lines:
        print(f"\n{line.title}\n{line.text}")
    return 0 if exported.passed else 1


def run_export(
    exporter: Exporter,
    run: RunFolder,
    out: Path | None = None,
    *,
    quality: str = "",
    compare: int = COMPARED,
    quiet: bool = False,
) -> Exported:
    """Export to `out`, or to a free folder among the run's exports, and compare the answers to so many questions.
    Raises ProblemError."""
    target = out or exporter.folder(run, quality)
    require_possible(exporter, run, quality)
    if exporter.job is None:
        copied = export_now(exporter, run, target)
        if exporter.check is None or not compare:
            return copied
        return _do(exporter, run, exporter.check(run, target, compare), quiet=quiet)
    return _do(exporter, run, exporter.job(run, target, quality, compare), quiet=quiet)


def _do(exporter: Exporter, run: RunFolder, job: Job, *, quiet: bool) -> Exported:
    folder = exporter.job_folder(run)
    state = follow_to_the_end(folder, start_job(folder, job), ExportState, quiet=quiet)
    if state.exported is None:
        raise problem("export.stopped", N_("The export was stopped before it was done."), fix=N_("Start it again."))
    return state.exported


def _hand_over(program: Program, handover: Handover, *, quiet: bool) -> HandedOver:
    """Whoever asks for it on the command line has confirmed it. Raises ProblemError."""
    text = sentence(program.title)
    with Progress(quiet=quiet) as progress:
        handed = program.hand_over(
            handover, lambda done, total: progress.show(Progressed(done=done, total=total, unit="bytes", text=text))
        )
    record_handover(handover.run, handed)
    return handed


def _as_json(
    exported: Exported, exporter: Exporter, handed: HandedOver | None, lines: tuple[Line, ...]
) -> dict[str, Json]:
    told: dict[str, Json] = exported.model_dump(mode="json")
    return {
        **told,
        "passed": exported.passed,
        "outcome": [said.english() for said in outcome(exported, exporter.quality(exported.quality))],
        "handed_over": handed.model_dump(mode="json") if handed is not None else None,
        "lines": [line.model_dump(mode="json") for line in lines],
    }


def _list(run: RunFolder | None, *, as_json: bool) -> int:
    """Every destination: what it would take of this run, and whether its program is here."""
    recipe = load(run.recipe) if run is not None else None
    told: list[dict[str, Json]] = []
    rows = [["to", "what", "quality", "size", "program"]]
    for one in DESTINATIONS:
        found = one.program.find() if one.program is not None else None
        here = "" if one.program is None else str(found.place) if found is not None else "not found"
        known = options(one.exporter, run, recipe) if run is not None and recipe is not None else ()
        for option in known or (None,):
            size, refusal, name = None, "", ""
            if option is not None:
                size, name = option.size, option.name
                refusal = option.refusal.english() if option.refusal is not None else ""
            told.append(
                {
                    "to": one.name,
                    "quality": name,
                    "size": size,
                    "refusal": refusal,
                    "program": str(found.place) if found is not None else None,
                }
            )
            shown = refusal or ("" if size is None else f"{size / 1e6:,.0f} MB")
            first = option in (None, *known[:1])
            rows.append([*((one.name, one.title.english()) if first else ("", "")), name, shown, here if first else ""])
    print_json(told) if as_json else print_table(rows)
    return 0
