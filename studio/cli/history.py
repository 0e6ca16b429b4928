"""`studio runs list` and `compare`: what the index over all runs knows of them."""

from __future__ import annotations

import argparse
from dataclasses import fields

from studio.cli.printing import Json, print_json, print_table
from studio.core.translatable import fill
from studio.runs.history import list_runs
from studio.runs.summary import OUTCOME_TEXT, RunSummary


def list_all(arguments: argparse.Namespace) -> int:
    """All runs of all projects in which the words of `--search` stand."""
    found = list_runs(arguments.search, sort_by=arguments.sort, descending=not arguments.ascending)
    if arguments.json:
        print_json([_summary_as_json(one) for one in found])
        return 0
    if not found:
        print("No run has these words." if arguments.search else "There are no runs yet. `studio demo` makes one.")
        return 0
    rows = [("run", "project", "how it stands", "error", "MB")]
    for one in found:
        best = f"{one.best_loss:.3f}" if one.best_loss is not None else "-"
        status = OUTCOME_TEXT[one.outcome].lower()
        if one.problem is not None:
            status = f"{status}: {fill(one.problem.what, one.problem.values)}"
        rows.append((one.run.path.name, one.project_name, status, best, f"{one.size / 1e6:.0f}"))
    print_table(rows)
    return 0


def _summary_as_json(one: RunSummary) -> dict[str, Json]:
    known = {f.name: getattr(one, f.name) for f in fields(one)}
    return {**known, "run": str(one.run.path), "problem": one.problem.english() if one.problem is not None else None}


def compare(arguments: argparse.Namespace) -> int:
    """Two or more runs: how they ended, and what differs between them."""
    from studio.cli.choosing import chosen_run
    from studio.runs.comparison import compare_runs

    found = compare_runs([chosen_run(word) for word in arguments.run])
    if arguments.json:
        runs: list[Json] = [
            {**_summary_as_json(one), "losses": details.losses, "held_out_losses": details.held_out_losses}
            for one, details in zip(found.summaries, found.details, strict=True)
        ]
        differences: list[Json] = [
            {"key": one.key, "label": one.label, "values": one.values} for one in found.differences
        ]
        print_json({"runs": runs, "differences": differences})
        return 0
    rows = [["", *(one.run.path.name for one in found.summaries)]]
    rows.append(["how it stands", *(OUTCOME_TEXT[one.outcome].lower() for one in found.summaries)])
    rows.append(["steps", *(f"{one.step} of {one.total_steps}" for one in found.summaries)])
    rows.append(["lowest error", *(_number(one.best_loss) for one in found.summaries)])
    rows.append(["last error", *(_number(one.losses[-1][1] if one.losses else None) for one in found.details)])
    rows += [[one.key, *("-" if value is None else str(value) for value in one.values)] for one in found.differences]
    print_table(rows)
    if not found.differences:
        print("These runs have the same settings, data and versions.")
    return 0


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
