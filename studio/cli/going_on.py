"""`studio runs continue`, `pause` and `extend`."""

from __future__ import annotations

import argparse
import sys
import time

from studio.cli.choosing import chosen_placement, chosen_run
from studio.cli.printing import print_json
from studio.cli.progress import run_as_json
from studio.cli.training import follow_training, print_trained
from studio.core.problems import problem
from studio.core.run_state import headline
from studio.core.translatable import N_
from studio.runs.command import pause
from studio.runs.follow import job_status
from studio.runs.resume import extend_run, resumable, resume_run

LONGEST_PAUSE = 600.0
"""Seconds to wait for a run that was asked to pause: a step, a look at the examples and a save point."""


def continue_run(arguments: argparse.Namespace) -> int:
    """Go on from the newest save point and follow to the end."""
    run = chosen_run(arguments.run)
    what = resumable(run)
    if what.problem is None and not arguments.json:
        print(what.sentence.english(), file=sys.stderr)
    where = chosen_placement(arguments)
    state = follow_training(run, lambda: resume_run(run, where), arguments.json)
    return print_trained(run, state, as_json=arguments.json)


def extend(arguments: argparse.Namespace) -> int:
    """Add passes over the data and follow to the end."""
    run = chosen_run(arguments.run)
    where = chosen_placement(arguments)
    state = follow_training(run, lambda: extend_run(run, arguments.epochs, where), arguments.json)
    return print_trained(run, state, as_json=arguments.json)


def pause_run(arguments: argparse.Namespace) -> int:
    """0 when it is paused now, 1 when nothing was running."""
    run = chosen_run(arguments.run)
    going = ("running", "silent")
    was_going = job_status(run) in going
    if was_going:
        pause(run)
        deadline = time.monotonic() + LONGEST_PAUSE
        while job_status(run) in going:
            if time.monotonic() > deadline:
                raise problem(
                    "run.does_not_pause",
                    N_("The run doesn't answer."),
                    N_("It was asked to pause and is still going on."),
                    N_("Wait a little longer, or end it with `studio runs stop`. The last save point is kept."),
                )
            time.sleep(0.2)
    if arguments.json:
        print_json({"paused": was_going, **run_as_json(run, run.state())})
    else:
        print(headline(run.state()).english() if was_going else "That run isn't going on.")
    return 0 if was_going else 1
