"""`studio runs`: one run and how it stands, ending it, and making room."""

from __future__ import annotations

import argparse
from pathlib import Path

from studio.cli.choosing import chosen_run
from studio.cli.printing import print_json, print_model
from studio.cli.progress import run_as_json
from studio.core.origin import Origin
from studio.core.problems import problem
from studio.core.quantities import counted
from studio.core.recipe.recipe import load, to_yaml
from studio.core.run_folder import RunFolder
from studio.core.run_state import headline
from studio.core.translatable import N_
from studio.runs.command import end
from studio.runs.delete import clear_checkpoints, delete_run
from studio.runs.follow import job_status
from studio.runs.history import list_runs


def delete(arguments: argparse.Namespace) -> int:
    """Into the bin, or with `--forever` off the disk."""
    run = chosen_run(arguments.run)
    size = delete_run(run, forever=arguments.forever)
    if arguments.json:
        print_json({"run": str(run.path), "size": size, "forever": arguments.forever})
    elif arguments.forever:
        print(f"{run.path.name} is deleted. {size / 1e6:,.1f} MB are free now.")
    else:
        print(f"{run.path.name} is in the bin. {size / 1e6:,.1f} MB are free when you empty it.")
    return 0


def clean(arguments: argparse.Namespace) -> int:
    """Old save points of one run, or of all that are over. 1 when there were none."""
    runs = [chosen_run(arguments.run)] if arguments.run else [one.run for one in list_runs() if one.clearable]
    freed = {str(run.path): clear_checkpoints(run) for run in runs}
    if arguments.json:
        print_json({"freed": freed})
    else:
        for path, size in freed.items():
            print(f"{Path(path).name}: {size / 1e6:,.1f} MB")
        print(f"{sum(freed.values()) / 1e6:,.1f} MB are free now. The best and the newest save point of each run stay.")
    return 0 if sum(freed.values()) else 1


def recipe(arguments: argparse.Namespace) -> int:
    """Print a run's recipe, so that it can be changed and trained again."""
    found = load(chosen_run(arguments.run).recipe)
    if arguments.json:
        print_model(found)
    else:
        print(to_yaml(found), end="")
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
    if run.parent:
        print(f"began with what {run.parent} learned")
    origin = Origin.read(run)
    for told in origin.told if origin is not None else ():
        print(told.english())
    if state.prepared is not None:
        mixed = f", {state.prepared.rehearsal} of the base's own answers mixed in" if state.prepared.rehearsal else ""
        print(f"{counted(state.prepared.examples, 'example')}, {state.prepared.held_out} set aside{mixed}")
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
    if not end(run, keep=not arguments.discard):
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
