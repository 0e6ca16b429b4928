"""`studio runs`: what runs there are, how they stand, and stopping one."""

from __future__ import annotations

import argparse
import time

from studio.cli.choosing import chosen_run
from studio.cli.printing import Json, print_json, print_table
from studio.core.problems import problem
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState, headline
from studio.core.translatable import N_
from studio.runs.command import end_forcefully, stop
from studio.runs.follow import job_status
from studio.runs.project import projects
from studio.runs.summary import summarise


def list_runs(arguments: argparse.Namespace) -> int:
    """All runs of all projects."""
    found = [(project, summarise(run)) for project in projects() for run in project.runs()]
    if arguments.json:
        print_json([{"project": p.name, **run_as_json(s.run, s.state), "size": s.size} for p, s in found])
        return 0
    if not found:
        print("There are no runs yet. `studio demo` makes one.")
        return 0
    rows = [("run", "project", "how it stands", "error", "MB")]
    for project, one in found:
        best = f"{one.best_loss:.3f}" if one.best_loss is not None else "-"
        status = one.problem.what if one.problem is not None else _status_words(one.run)
        rows.append((one.run.path.name, project.name, status, best, f"{one.size / 1e6:.0f}"))
    print_table(rows)
    return 0


def show_run(arguments: argparse.Namespace) -> int:
    """One run: where it is, how it stands, what it learned from."""
    run = chosen_run(arguments.run)
    state = run.state()
    if arguments.json:
        print_json(run_as_json(run, state))
        return 0
    print(run.path)
    print(f"{_status_words(run)}: {headline(state).english()}")
    if state.prepared is not None:
        print(f"{state.prepared.examples} examples, {state.prepared.held_out} set aside")
    if state.last is not None:
        print(f"step {state.last.step} of {state.last.total_steps}, error {state.last.loss:.3f}")
    for point in state.checkpoints:
        print(f"save point: {run.path / point.folder}")
    return 0


def stop_run(arguments: argparse.Namespace) -> int:
    """0 when it ended, 1 when nothing was running."""
    run = chosen_run(arguments.run)
    if job_status(run) not in ("running", "silent"):
        if arguments.json:
            print_json({"run": str(run.path), "stopped": False, "status": job_status(run)})
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
        print_json({"run": str(run.path), "stopped": True, "status": job_status(run)})
    else:
        print(headline(run.state()).english())
    return 0


def _status_words(run: RunFolder) -> str:
    words = {
        "none": "not started",
        "running": "running",
        "silent": "running, but silent",
        "ended": "ended",
        "interrupted": "interrupted",
    }
    return words[job_status(run)]


def run_as_json(run: RunFolder, state: RunState) -> dict[str, Json]:
    """A run for `--json`: where it is, how it stands, its save points."""
    best = state.best_checkpoint
    return {
        "run": str(run.path),
        "status": job_status(run),
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
