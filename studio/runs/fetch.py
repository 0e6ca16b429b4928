"""Where downloads and conversions do their work, and which one a recipe needs."""

from __future__ import annotations

import uuid

from studio.core import paths
from studio.core.jobs import FetchModel, FetchStarter, Job
from studio.core.problems import ProblemError
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.run_folder import JobFolder
from studio.models.base_model import locate


def job_folder(kind: str) -> JobFolder:
    """A fresh folder for a job that belongs to no run."""
    return JobFolder(paths.home() / "jobs" / f"{kind}-{uuid.uuid4().hex[:8]}")


def going_on(kind: str) -> JobFolder | None:
    """A job of that kind that belongs to no run and is at work now, maybe begun by a window that was closed since."""
    folders = map(JobFolder, (paths.home() / "jobs").glob(f"{kind}-*"))
    return next((folder for folder in folders if folder.is_at_work()), None)


def missing_model(choice: ModelChoice) -> Job | None:
    """The job that would bring this base model onto this computer; None when it is here or can't be fetched."""
    try:
        locate(choice)
    except ProblemError:
        if choice.source is Source.starter:
            return FetchStarter()
        if choice.source is Source.hub and choice.name:
            return FetchModel(name=choice.name, revision=choice.revision)
    return None
