"""The first batch of a run as its trainer makes it, without learning from it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pydantic import ValidationError

from studio.core.events import Crashed, Event, Failed
from studio.core.first_batch import FirstBatch, read_first_batch
from studio.core.jobs import DryRun
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.runs.follow import follow
from studio.runs.start import start_job


def first_batch(
    run: RunFolder, tell: Callable[[list[Event]], None] = lambda events: None, seconds: float = 900.0
) -> FirstBatch:
    """Make and read it. A child process does the work in a folder of its own inside of the run's, whose recipe and
    data are frozen already; `tell` is given its events on the way.

    Raises `ProblemError` as the training itself would, or when nothing has come of it within `seconds`.
    """
    folder = run.job("dry_run")
    process = start_job(folder, DryRun(run=run.path))
    enough = threading.Event()
    timer = threading.Timer(seconds, enough.set)
    timer.daemon = True
    timer.start()
    last: Event | None = None
    try:
        for events in follow(folder, process, stop=enough):
            tell(events)
            last = events[-1] if events else last
    finally:
        timer.cancel()
        if process.poll() is None:
            process.process.kill()
        process.process.wait()
    if isinstance(last, Failed | Crashed):
        raise ProblemError(last.problem)
    try:
        return read_first_batch(folder.path)
    except (OSError, ValidationError) as error:
        raise problem(
            "dry_run.nothing",
            N_("The first batch wasn't made."),
            N_("The work took too long or was ended from outside."),
            N_("Try again with fewer examples."),
            remedy=Remedy.try_again,
        ) from error
