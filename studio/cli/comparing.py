"""`studio compare`: the same data trained with several methods, and one table of what came of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from studio.cli.choosing import chosen_project, chosen_recipe, chosen_run
from studio.cli.fit import scenario_of
from studio.cli.printing import Json, print_json, print_table
from studio.cli.training import examined, facts
from studio.core.problems import ProblemError, problem
from studio.core.recipe.method import METHODS
from studio.core.recipe.recipe import Recipe
from studio.core.storage import cannot_write, write_text
from studio.core.translatable import N_
from studio.hardware.gauge import Gauge
from studio.memory.available import available_now
from studio.memory.fit import Fit
from studio.runs import queue
from studio.runs.compare_methods.advice import advice
from studio.runs.compare_methods.comparison import (
    ComparisonFolder,
    MethodComparison,
    comparison_of,
    comparisons,
    create_comparison,
)
from studio.runs.compare_methods.measuring import begin
from studio.runs.compare_methods.plot import as_svg
from studio.runs.compare_methods.results import ComparisonResults, MethodResult
from studio.runs.compare_methods.table import as_csv, as_lines, as_markdown, as_numbers, problems_of, status_of
from studio.runs.project import projects

Writer = Callable[[ComparisonResults], str]

LOOK_EVERY = 1.0
"""Seconds between two looks at a comparison that is waited for."""


def compare(arguments: argparse.Namespace) -> int:
    """Begin a comparison, or go on with one, and wait for it. 0 when at least two methods were measured, else 1. Ctrl-C
    leaves all of it at work."""
    writers = [(Path(file).expanduser(), _writer(Path(file))) for file in arguments.out]
    word = Path(arguments.recipe).expanduser()
    if word.is_dir() or not (word.exists() or word.suffix):
        folder = _chosen(arguments.recipe)
    else:
        folder = _created(arguments, word)
    begin(folder)
    results = ComparisonResults(folder)
    if not arguments.detach:
        _wait(results, quiet=arguments.json)
    for file, write in writers:
        try:
            write_text(file, write(results))
        except OSError as error:
            raise cannot_write(file, error) from error
    _print(results, as_json=arguments.json)
    measured = sum(row.score is not None for row in results.rows)
    return 0 if arguments.detach or measured > 1 else 1


def _created(arguments: argparse.Namespace, word: Path) -> ComparisonFolder:
    recipe = chosen_recipe(arguments)
    methods = [one.strip() for one in arguments.methods.split(",") if one.strip()]
    if methods == ["all"]:
        methods = list(METHODS)
    minutes = _minutes(arguments.budget)
    data = examined(recipe, arguments.json, arguments.anyway)
    folder = create_comparison(
        chosen_project(arguments.project or recipe.name or word.stem),
        data.recipe,
        methods,
        data.table,
        data.examples,
        facts(),
        minutes=minutes,
        fit_of=_fit if not arguments.anyway else lambda _: None,
    )
    if not arguments.json:
        _print_problems(ComparisonResults(folder).rows)
    return folder


def _fit(recipe: Recipe) -> Fit | None:
    """None where it can't be told."""
    with closing(Gauge()) as gauge:
        usable = available_now(gauge.read(), windows=sys.platform == "win32")
    try:
        return scenario_of(recipe, usable)[0].fit
    except ProblemError:
        return None


def _minutes(budget: str) -> float | None:
    if budget == "examples":
        return None
    try:
        minutes = float(budget.strip().removesuffix("m"))
        if not 0 < minutes < float("inf"):
            raise ValueError(budget)
    except ValueError:
        raise problem(
            "comparison.budget",
            N_("{budget} is no budget."),
            fix=N_("Write examples, or minutes of training for each method, such as 10m."),
            budget=budget,
        ) from None
    return minutes


def _chosen(word: str) -> ComparisonFolder:
    """By one of its runs, or the last one of all. Raises ProblemError."""
    if word == "last":
        every = [one for project in projects() for one in comparisons(project).items()]
        if every:
            return max(every, key=lambda one: one[1])[0]
    found = comparison_of(chosen_run(word))
    if found is None:
        raise problem(
            "comparison.none",
            N_("{word} belongs to no comparison of methods."),
            fix=N_("Begin one: studio compare RECIPE --methods qlora,lora"),
            word=word,
        )
    return found


def _wait(results: ComparisonResults, *, quiet: bool) -> None:
    """Tell what changes until nobody is at work any more."""
    known: dict[str, str] = {}
    while True:
        going = results.is_at_work  # asked before, so that the last results aren't missed
        for row in results.look():
            if known.get(row.method) != row.status and not quiet:
                known[row.method] = row.status
                print(f"{row.title}: {status_of(row).english().lower()}", file=sys.stderr, flush=True)
        if not going:
            return
        queue.ensure_runner()
        time.sleep(LOOK_EVERY)


def _writer(file: Path) -> Writer:
    """What is written into a file of that name. Raises ProblemError for one that nothing is known of."""
    found = _WRITERS.get(file.suffix.lower())
    if found is None:
        raise problem(
            "comparison.no_format",
            N_("{name} says neither table nor plot."),
            fix=N_("Give it a name that ends in .csv, .md or .svg."),
            name=file.name,
        )
    return found


def _about(compared: MethodComparison) -> str:
    if compared.minutes is not None:
        return f"{compared.name}: each method was trained for {compared.minutes:g} minutes at most."
    return f"{compared.name}: each method read the same examples equally often."


_WRITERS: dict[str, Writer] = {
    ".csv": lambda results: as_csv(results.rows),
    ".md": lambda results: as_markdown(results.rows, _about(results.comparison)),
    ".svg": lambda results: as_svg(results.rows),
}


def _print(results: ComparisonResults, *, as_json: bool) -> None:
    rows, told = results.rows, [one.english() for one in advice(results.rows)]
    if as_json:
        print_json(
            {
                "comparison": str(results.folder.path),
                "minutes": results.comparison.minutes,
                "methods": [_row_as_json(row) for row in rows],
                "advice": told,
            }
        )
        return
    print_table(as_lines(rows))
    _print_problems(rows)
    for text in told:
        print(text)


def _print_problems(rows: Sequence[MethodResult]) -> None:
    for name, parts in problems_of(rows):
        print(f"{name}: {' '.join(part.english() for part in parts)}", file=sys.stderr)


def _row_as_json(row: MethodResult) -> dict[str, Json]:
    why = {"code": row.problem.code, "text": row.problem.english()} if row.problem is not None else None
    run = str(row.run.path) if row.run is not None else None
    return {"method": row.method, "status": row.status, "run": run, **as_numbers(row), "problem": why}
