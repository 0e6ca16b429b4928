"""Bringing onto this computer what is missing before a verb can do its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.core.recipe.data_choice import DataChoice
from studio.core.recipe.model_choice import ModelChoice
from studio.dataset.readers.hub_dataset import fetched_path, is_hub_name

if TYPE_CHECKING:
    from studio.core.job_states import FetchState
    from studio.core.jobs import Job


def run_fetch(job: Job, *, quiet: bool = False) -> FetchState:
    """Do a download or conversion and wait for it. Raises ProblemError."""
    from studio.cli.following import follow_to_the_end  # with all events and jobs, while mostly nothing is missing
    from studio.core.job_states import FetchState
    from studio.runs.fetch import job_folder
    from studio.runs.start import start_job

    folder = job_folder(job.job)
    return follow_to_the_end(folder, start_job(folder, job), FetchState, quiet=quiet)


def require_model(choice: ModelChoice, *, quiet: bool = False) -> None:
    """Fetch the base model when it isn't here. Raises ProblemError when that can't be done."""
    from studio.models.base_model import locate
    from studio.runs.fetch import missing_model

    job = missing_model(choice)
    if job is not None:
        run_fetch(job, quiet=quiet)
    locate(choice)


def require_data(choice: DataChoice, *, quiet: bool = False) -> None:
    """Fetch a Hub data set when it isn't here. Raises ProblemError when that can't be done."""
    if is_hub_name(choice.path) and not fetched_path(choice.path, choice.split).exists():
        from studio.core.jobs import FetchData

        run_fetch(FetchData(name=choice.path, split=choice.split), quiet=quiet)
