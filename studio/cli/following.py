"""Following a child process from a terminal, and fetching what is missing before it can start."""

from __future__ import annotations

import sys
from collections.abc import Callable

from studio.cli.progress import Progress
from studio.core.events import Crashed, Failed
from studio.core.job_states import FetchState
from studio.core.jobs import FetchData, Job
from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import DataChoice
from studio.core.recipe.model_choice import ModelChoice
from studio.core.run_folder import JobFolder, StateT
from studio.dataset.readers.hub_dataset import fetched_path, is_hub_name
from studio.models.base_model import locate
from studio.runs.command import end_forcefully, stop
from studio.runs.fetch import job_folder, missing_model
from studio.runs.follow import follow
from studio.runs.start import JobProcess, start_job


def follow_to_the_end(
    folder: JobFolder, process: JobProcess, new_state: Callable[[], StateT], *, quiet: bool = False, known: int = 0
) -> StateT:
    """Show a job until it ends, folded into a state of its kind. Raises ProblemError for a job that failed or crashed.

    The first `known` events of its journal, from before it went on, aren't shown again. Ctrl-C once asks it to stop and
    keep what it has; twice ends it by force.
    """
    state = new_state()
    asked, seen = False, 0
    batches = follow(folder, process)
    with Progress(quiet=quiet) as progress:
        while True:
            try:
                for batch in batches:
                    for event in batch:
                        state.apply(event)
                        seen += 1
                        if seen > known:
                            progress.show(event)
                break
            except KeyboardInterrupt:
                if asked:
                    end_forcefully(folder)
                else:
                    print("Stopping; what was learned is kept. Press Ctrl-C again to end at once.", file=sys.stderr)
                    stop(folder)
                asked = True
                batches = follow(folder, process)
                state = new_state()
                progress = Progress(quiet=True)
    if isinstance(state.ending, Failed | Crashed):
        raise ProblemError(state.ending.problem)
    return state


def run_fetch(job: Job, *, quiet: bool = False) -> FetchState:
    """Do a download or conversion and wait for it. Raises ProblemError."""
    folder = job_folder(job.job)
    return follow_to_the_end(folder, start_job(folder, job), FetchState, quiet=quiet)


def require_model(choice: ModelChoice, *, quiet: bool = False) -> None:
    """Fetch the base model when it isn't here. Raises ProblemError when that can't be done."""
    job = missing_model(choice)
    if job is not None:
        run_fetch(job, quiet=quiet)
    locate(choice)


def require_data(choice: DataChoice, *, quiet: bool = False) -> None:
    """Fetch a Hub data set when it isn't here. Raises ProblemError when that can't be done."""
    if is_hub_name(choice.path) and not fetched_path(choice.path, choice.split).exists():
        run_fetch(FetchData(name=choice.path, split=choice.split), quiet=quiet)
