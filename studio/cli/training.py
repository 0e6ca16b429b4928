"""`studio train`, `demo`, `recipe` and `runs`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from studio.cli.choosing import absolute_data, chosen_project, chosen_recipe, chosen_run, with_flags
from studio.cli.following import follow_to_the_end, require_model
from studio.cli.jobs import run_check, run_merge
from studio.cli.preparing import Prepared, prepared
from studio.cli.printing import Progress, print_json, print_table
from studio.core.events import Checked, Event, Finished, Stopped
from studio.core.jobs import Train
from studio.core.paths import resources
from studio.core.problems import ProblemError, problem
from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_value
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState, headline
from studio.core.translatable import N_
from studio.dataset.store import StoredExamples
from studio.evaluation.verdict import verdict
from studio.hardware.gauge import cuda_card_present
from studio.runs.command import end_forcefully, stop
from studio.runs.create import create_run
from studio.runs.dry_run import first_batch
from studio.runs.follow import job_status
from studio.runs.measurements import record
from studio.runs.project import Project, projects
from studio.runs.start import start_job
from studio.runs.summary import summarise
from studio.worker.client import WorkerClient


def train(arguments: argparse.Namespace) -> int:
    """Train as the recipe says; Ctrl-C once stops and keeps what was learned."""
    recipe = chosen_recipe(arguments)
    if arguments.dry_run:
        return dry_run(recipe, arguments)
    name = arguments.project or recipe.name or Path(arguments.recipe).stem
    run, state = run_training(recipe, name, arguments.json, arguments.anyway)
    if arguments.json:
        print_json(_as_json(run, state))
    else:
        print(headline(state).english())
        print(run.path)
    return 0 if isinstance(state.ending, Finished | Stopped) else 2


def run_training(recipe: Recipe, project_name: str, quiet: bool, anyway: bool = False) -> tuple[RunFolder, RunState]:
    """Fetch what is missing, freeze, train and follow to the end. Raises ProblemError."""
    data = _examined(recipe, quiet, anyway)
    run = create_run(chosen_project(project_name), data.recipe, data.table, data.made, _facts())
    state = follow_to_the_end(run, start_job(run, Train()), quiet=quiet)
    record(run)
    return run, state


def dry_run(recipe: Recipe, arguments: argparse.Namespace) -> int:
    """Show the first batch as the trainer makes it; nothing is learned and nothing is kept."""
    quiet = arguments.json
    data = _examined(recipe, quiet, arguments.anyway)
    with TemporaryDirectory(prefix="studio-dry-run-") as scratch, Progress(quiet=quiet) as progress:
        run = create_run(Project(Path(scratch)), data.recipe, data.table, data.made, _facts())

        def tell(events: list[Event]) -> None:
            for event in events:
                progress.show(event)

        batch = first_batch(run, tell)
        numbers = _numbers(run, data.made)
    examples = [numbers[one - 1] for one in batch.examples]
    rows = [data.made.rows[number - 1] for number in examples]
    if quiet:
        print_json({**batch.model_dump(mode="json"), "example_numbers": examples, "rows": rows})
        return 0
    print(
        f"{batch.lessons} to learn from, {batch.cut} cut, {batch.nothing_left} with nothing left, {batch.held_out} set"
    )
    print(f"aside; {batch.tokens:,} tokens, {batch.label_tokens:,} of them learned; {batch.total_steps} steps.")
    for number, row, ids, labels in zip(examples, rows, batch.input_ids, batch.labels, strict=True):
        learned = sum(label >= 0 for label in labels)
        print(f"example {number} (row {row}): {len(ids)} tokens with padding, {learned} learned")
    for adaptation in batch.adaptations:
        print(adaptation.english())
    return 0


def _examined(recipe: Recipe, quiet: bool, anyway: bool) -> Prepared:
    """Raises ProblemError, unless `anyway` also for what the doctor says would make training wrong."""
    require_model(recipe.model, quiet=quiet)
    with WorkerClient() as desk:
        data = prepared(recipe, desk, quiet=quiet)
    if data.report.stop is not None and not anyway:
        raise ProblemError(data.report.stop.as_problem())
    return data


def _facts() -> DefaultsContext:
    return DefaultsContext(cuda=cuda_card_present(), windows=sys.platform == "win32")


def _numbers(run: RunFolder, made: StoredExamples) -> list[int]:
    """For each example to learn from, its number among all examples of the file, counted from 1. Equal examples
    are never on both sides of the split, so going along both lists finds it."""
    with open(run.train_data, encoding="utf-8", newline="\n") as file:
        wanted = (line.rstrip("\n") for line in file)
        line = next(wanted, None)
        numbers = []
        for number, (_, stored) in enumerate(made.lines(), start=1):
            if stored == line:
                numbers.append(number)
                line = next(wanted, None)
    return numbers


def recipe(arguments: argparse.Namespace) -> int:
    """Print a recipe, so that `studio recipe data.csv > my.yaml` and `studio train my.yaml` work at once."""
    made = with_flags(Recipe(), arguments)
    if arguments.data:
        made = absolute_data(with_value(made, "data.path", arguments.data), Path.cwd())
    if arguments.json:
        print_json(made)
    else:
        print(to_yaml(made), end="")
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """The whole journey with the sample: teach, check, combine. 0 when the model became better, else 1."""
    began = time.monotonic()
    quiet = arguments.json
    samples = resources() / "samples"
    demo_recipe = absolute_data(load(samples / "support.yaml"), samples)
    run, state = run_training(demo_recipe, "Demo", quiet)
    trained = time.monotonic()
    if not isinstance(state.ending, Finished):
        print(headline(state).english(), file=sys.stderr)
        return 2
    checked = run_check(run, quiet=quiet)
    merged = run_merge(run, None, quiet=quiet)
    judged = verdict(checked)
    if arguments.json:
        print_json(
            {
                "run": str(run.path),
                "checked": checked.model_dump(mode="json"),
                "verdict": judged.outcome,
                "merged": merged.folder,
                "compared": merged.compared,
                "same": merged.same,
                "seconds_training": round(trained - began, 1),
            }
        )
    else:
        print()
        print(judged.text.english())
        print(f"The combined model gives the same answers as the taught one on {merged.same} of {merged.compared}.")
        print(exact_line(checked))
        print(f"combined model: {merged.folder}")
    return 0 if judged.outcome == "better" else 1


def exact_line(checked: Checked) -> str:
    """One line that other programs can read."""
    return (
        f"exact matches: {checked.exact_before} of {checked.examples} before, "
        f"{checked.exact_after} of {checked.examples} after"
    )


def list_runs(arguments: argparse.Namespace) -> int:
    """All runs of all projects."""
    found = [(project, summarise(run)) for project in projects() for run in project.runs()]
    if arguments.json:
        print_json([{"project": p.name, **_as_json(s.run, s.state), "size": s.size} for p, s in found])
        return 0
    if not found:
        print("There are no runs yet. `studio demo` makes one.")
        return 0
    rows = [("run", "project", "how it stands", "mistakes", "MB")]
    for project, one in found:
        best = f"{one.best_loss:.3f}" if one.best_loss is not None else "-"
        rows.append((one.run.path.name, project.name, _standing_words(one.run), best, f"{one.size / 1e6:.0f}"))
    print_table(rows)
    return 0


def show_run(arguments: argparse.Namespace) -> int:
    """One run: where it is, how it stands, what it learned from."""
    run = chosen_run(arguments.run)
    state = run.state()
    if arguments.json:
        print_json(_as_json(run, state))
        return 0
    print(run.path)
    print(f"{_standing_words(run)}: {headline(state).english()}")
    if state.prepared is not None:
        print(f"{state.prepared.examples} examples, {state.prepared.held_out} set aside")
    if state.last is not None:
        print(f"step {state.last.step} of {state.last.total_steps}, mistakes {state.last.loss:.3f}")
    for point in state.checkpoints:
        print(f"save point: {run.path / point.folder}")
    return 0


def stop_run(arguments: argparse.Namespace) -> int:
    """0 when it ended, 1 when nothing was running."""
    run = chosen_run(arguments.run)
    if job_status(run) not in ("running", "silent"):
        if arguments.json:
            print_json({"run": str(run.path), "stopped": False, "standing": job_status(run)})
        else:
            print("That run isn't going on.")
        return 1
    stop(run, keep=not arguments.discard)
    deadline = time.monotonic() + 60
    while job_status(run) in ("running", "silent") and time.monotonic() < deadline:
        time.sleep(0.2)
    ended = job_status(run) not in ("running", "silent") or end_forcefully(run)
    if not ended:
        raise problem(
            "run.will_not_end",
            N_("The run doesn't end."),
            N_("Its process doesn't answer and the system wouldn't end it either."),
            N_("Restart the computer. The last save point is kept."),
        )
    if arguments.json:
        print_json({"run": str(run.path), "stopped": True, "standing": job_status(run)})
    else:
        print(headline(run.state()).english())
    return 0


def _standing_words(run: RunFolder) -> str:
    words = {
        "none": "not started",
        "running": "running",
        "silent": "running, but silent",
        "ended": "ended",
        "interrupted": "interrupted",
    }
    return words[job_status(run)]


def _as_json(run: RunFolder, state: RunState) -> dict[str, str | int | float | list[str] | None]:
    best = state.best_checkpoint
    return {
        "run": str(run.path),
        "standing": job_status(run),
        "headline": headline(state).english(),
        "ending": state.ending.type if state.ending else None,
        "step": state.last.step if state.last else 0,
        "total_steps": state.last.total_steps if state.last else None,
        "loss": state.last.loss if state.last else None,
        "held_out_loss": state.held_out_losses[-1][1] if state.held_out_losses else None,
        "tokens_per_second": state.tokens_per_second,
        "save_points": [str(run.path / c.folder) for c in state.checkpoints],
        "best": str(run.path / best.folder) if best else None,
    }
