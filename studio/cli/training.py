"""`studio train`, `demo` and `recipe`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from studio.cli.choosing import (
    absolute_data,
    chosen_placement,
    chosen_project,
    chosen_recipe,
    chosen_run,
    with_flags,
    word_for,
)
from studio.cli.exam import comparison_as_json, exam_state, run_exam
from studio.cli.export import run_export
from studio.cli.fetching import require_model
from studio.cli.following import follow_to_the_end
from studio.cli.preparing import Prepared, prepared
from studio.cli.printing import print_json, print_model
from studio.cli.progress import Progress, run_as_json
from studio.core.events import PROMPTED, Crashed, Event, Finished, Paused, StepDone, Stopped
from studio.core.jobs import HERE, IN_PROMPT, Exam, Placement, Train
from studio.core.paths import resources
from studio.core.problems import ProblemError
from studio.core.recipe.defaults import DefaultsContext, windows_driver
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_value
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState, headline
from studio.dataset.store import StoredExamples
from studio.evaluation.verdict import Comparison, compare, verdict, without_training
from studio.export.exporters import exporter_named
from studio.hardware.gauge import Gauge, cuda_card_present
from studio.memory.available import available_now
from studio.runs.create import chosen_for_memory, create_run, from_weights_of
from studio.runs.dry_run import first_batch
from studio.runs.measurements import record
from studio.runs.project import Project
from studio.runs.resume import resumable
from studio.runs.start import JobProcess, start_training
from studio.worker.client import WorkerClient


def train(arguments: argparse.Namespace) -> int:
    """Train as the recipe says; Ctrl-C once stops and keeps what was learned."""
    recipe = chosen_recipe(arguments)
    if arguments.parent:
        recipe = from_weights_of(chosen_run(arguments.parent), recipe)
    if arguments.dry_run:
        return dry_run(recipe, arguments)
    if arguments.baseline:
        return baseline(recipe, arguments)
    name = arguments.project or recipe.name or Path(arguments.recipe).stem
    where = chosen_placement(arguments) or HERE
    run, state = run_training(recipe, name, arguments.json, arguments.anyway, where)
    return print_trained(run, state, as_json=arguments.json)


def print_trained(run: RunFolder, state: RunState, *, as_json: bool) -> int:
    """How a training ended, with the exit code for that."""
    if as_json:
        print_json(run_as_json(run, state))
    else:
        print(headline(state).english())
        print(run.path)
        if isinstance(state.ending, Paused):
            print(f"To go on: studio runs continue {word_for(run)}", file=sys.stderr)
    return 0 if isinstance(state.ending, Finished | Stopped | Paused) else 2


def run_training(
    recipe: Recipe, project_name: str, quiet: bool, anyway: bool = False, where: Placement = HERE
) -> tuple[RunFolder, RunState]:
    """Fetch what is missing, freeze, train and follow to the end. Raises ProblemError."""
    data = examined(recipe, quiet, anyway)
    project, known = chosen_project(project_name), facts_for_memory(data, quiet) if where == HERE else facts()
    run = create_run(project, data.recipe, data.table, data.examples, known)
    return run, train_run(run, quiet, where)


def train_run(run: RunFolder, quiet: bool, where: Placement = HERE) -> RunState:
    """Train what is frozen in the run's folder and follow it to the end. Raises ProblemError."""
    return follow_training(run, lambda: start_training(run, Train(where=where)), quiet)


def follow_training(run: RunFolder, start: Callable[[], JobProcess], quiet: bool) -> RunState:
    """Start a training and follow it to the end; what its journal told before isn't shown. Raises ProblemError, which
    says how to go on where that can be done."""
    known = len(run.reader().read_new())
    process = start()
    try:
        state = follow_to_the_end(run, process, RunState, quiet=quiet, known=known)
    except ProblemError as error:
        told = run.reader().read_new()
        refused = not any(isinstance(event, Crashed | StepDone) for event in told[known:])
        if refused or resumable(run).problem is not None:
            raise
        fix = f"{error.problem.fix} To go on: `studio runs continue {word_for(run)}`".strip()
        raise ProblemError(replace(error.problem, fix=fix)) from error
    record(run)
    return state


def dry_run(recipe: Recipe, arguments: argparse.Namespace) -> int:
    """Show the first batch as the trainer makes it; nothing is learned and nothing is kept."""
    quiet = arguments.json
    data = examined(recipe, quiet, arguments.anyway)
    with TemporaryDirectory(prefix="studio-dry-run-") as scratch, Progress(quiet=quiet) as progress:
        run = create_run(Project(Path(scratch)), data.recipe, data.table, data.examples, facts())

        def tell(events: list[Event]) -> None:
            for event in events:
                progress.show(event)

        batch = first_batch(run, tell)
        numbers = _numbers(run, data.examples)
    examples = [numbers[one - 1] if one else 0 for one in batch.example_numbers]
    rows = [data.examples.rows[number - 1] if number else 0 for number in examples]
    if quiet:
        print_json({**batch.model_dump(mode="json"), "example_numbers": examples, "rows": rows})
        return 0
    if batch.rehearsal:
        print(f"{batch.rehearsal} answers of the base model itself are mixed in.")
    print(
        f"{batch.examples} to learn from, {batch.cut} cut, {batch.nothing_left} with nothing left, {batch.held_out} set"
    )
    print(f"aside; {batch.tokens:,} tokens, {batch.label_tokens:,} of them learned; {batch.total_steps} steps.")
    compares = data.recipe.objective.uses != "answers"
    for place, (number, row, labels) in enumerate(zip(examples, rows, batch.labels, strict=True)):
        learned = sum(label >= 0 for label in labels)
        name = f"example {number} (row {row})" if number else "an answer of the base model itself"
        if compares and place % 2:
            print(f"    compared with another answer of {learned} tokens")
        else:
            print(f"{name}: {len(labels)} tokens with padding, {learned} learned")
    for adaptation in batch.adaptations:
        print(adaptation.english())
    return 0


def baseline(recipe: Recipe, arguments: argparse.Namespace) -> int:
    """How far the base model gets on the examples that would be set aside, as it is and with examples in its prompt.
    Nothing is trained and nothing is kept."""
    quiet = arguments.json
    data = examined(recipe, quiet, arguments.anyway)
    with TemporaryDirectory(prefix="studio-baseline-") as scratch:
        run = create_run(Project(Path(scratch)), data.recipe, data.table, data.examples, facts())
        state = exam_state(run, Exam(run=run.path, in_prompt=IN_PROMPT, untrained=True), quiet=quiet)
    compared, found = compare(state, candidate=PROMPTED), without_training(state)
    assert compared is not None and found is not None
    if quiet:
        print_json({"in_prompt": IN_PROMPT, **comparison_as_json(compared)})
    else:
        print(found.english())
    return 0


def examined(recipe: Recipe, quiet: bool, anyway: bool) -> Prepared:
    """Raises ProblemError, unless `anyway` also for what the data check says would make training wrong."""
    require_model(recipe.model, quiet=quiet)
    with WorkerClient() as worker:
        data = prepared(recipe, worker, quiet=quiet)
    if data.report.stop is not None and not anyway:
        raise ProblemError(data.report.stop.as_problem())
    return data


def facts() -> DefaultsContext:
    return DefaultsContext(cuda=cuda_card_present(), windows=windows_driver())


def facts_for_memory(data: Prepared, quiet: bool) -> DefaultsContext:
    """The same for a run that starts now: with what is the fastest in the memory there is, which is told."""
    known = replace(facts(), examples=len(data.examples))
    with closing(Gauge()) as gauge:
        available = available_now(gauge.read(), windows=sys.platform == "win32")
    choice = chosen_for_memory(data.recipe, known, available) if (available.device == "cuda") == known.cuda else None
    if choice is None:
        return known
    if choice.why is not None and not quiet:
        print(choice.why.english())
    return choice.scenario.facts


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
        print_model(made)
    else:
        print(to_yaml(made), end="")
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """The whole journey with the sample: train, test, combine. 0 when the model became better, else 1."""
    began = time.monotonic()
    quiet = arguments.json
    samples = resources() / "samples"
    demo_recipe = absolute_data(load(samples / "support.yaml"), samples)
    run, state = run_training(demo_recipe, "Demo", quiet)
    trained = time.monotonic()
    if not isinstance(state.ending, Finished):
        print(headline(state).english(), file=sys.stderr)
        return 2
    compared = run_exam(run, quiet=quiet)
    merged = run_export(exporter_named("merged"), run, quiet=quiet)
    judged = verdict(compared)
    if arguments.json:
        print_json(
            {
                "run": str(run.path),
                "test": comparison_as_json(compared),
                "verdict": judged.outcome,
                "merged": merged.folder,
                "checks": [check.model_dump(mode="json") for check in merged.checks],
                "seconds_training": round(trained - began, 1),
            }
        )
    else:
        print()
        print(judged.text.english())
        for check in merged.checks:
            same, asked = check.same, check.questions
            print(f"The combined model gives the same answers as the trained one on {same} of {asked}.")
        print(exact_line(compared))
        print(f"combined model: {merged.folder}")
    return 0 if judged.outcome == "better" else 1


def exact_line(compared: Comparison) -> str:
    """One line that other programs can read."""
    return (
        f"exact matches: {compared.baseline.exact} of {compared.examples} before, "
        f"{compared.candidate.exact} of {compared.examples} after"
    )
