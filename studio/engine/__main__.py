"""`python -m studio.engine KIND FOLDER`: one job in a process of its own.

Nothing heavy is imported before the journal has its first line, so that whoever follows sees at once that the job
lives, and before the environment is set, because torch and the Hub's library read it only while they are imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from pydantic import ValidationError

from studio.core.events import Ending
from studio.core.jobs import (
    Chat,
    DryRun,
    Exam,
    FetchData,
    FetchModel,
    FetchStarter,
    Job,
    MemoryProbe,
    Merge,
    Trace,
    Train,
    read_job,
)
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder
from studio.engine.environment import prepare_environment
from studio.engine.job_context import JobContext


def main(arguments: list[str]) -> int:
    """Exit codes: 0 done or stopped, 2 a problem, which the journal tells unless there is none to write to."""
    if len(arguments) != 2:
        print("usage: python -m studio.engine KIND FOLDER", file=sys.stderr)  # noqa: T201 - no journal yet
        return 2
    kind, folder = arguments[0], JobFolder(Path(arguments[1]).absolute())
    try:
        job = read_job(folder)
        if job.job != kind:
            raise ValueError(f"{folder.path} holds a {job.job} job, not a {kind} job")
        context = JobContext(folder, kind)
    except (OSError, ValidationError, ValueError, ProblemError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - no journal to write to
        return 2
    if isinstance(job, DryRun | Trace | MemoryProbe):
        context.end_with_parent()  # nobody else would ever ask for what these find
    prepare_environment(online=isinstance(job, FetchModel | FetchData))
    if hasattr(os, "nice"):
        # The window must stay smooth beside a job that computes on every core; on an idle machine it costs nothing.
        with contextlib.suppress(OSError):
            os.nice(10)
    return context.run(work_of(job, folder))


def work_of(job: Job, folder: JobFolder) -> Callable[[JobContext], Ending | None]:
    """The function that does `job`, imported when it is called."""

    def work(context: JobContext) -> Ending | None:
        match job:
            case Train():
                from studio.engine.training.job import train

                return train(context, folder)
            case DryRun():
                from studio.engine.training.dry_run import dry_run

                return dry_run(context, job)
            case Exam():
                from studio.engine.evaluation.exam import exam

                return exam(context, job)
            case Chat():
                from studio.engine.chat import chat

                return chat(context, job)
            case Merge():
                from studio.engine.export.merge import merge

                return merge(context, job)
            case FetchStarter():
                from studio.engine.hub.starter_model import fetch_starter

                return fetch_starter(context, job)
            case FetchModel() | FetchData():
                from studio.engine.hub.models import fetch

                return fetch(context, job)
            case Trace():
                from studio.engine.memory.trace import trace

                return trace(context, job)
            case MemoryProbe():
                from studio.engine.training.memory_probe import memory_probe

                return memory_probe(context, job)
            case _:
                assert_never(job)

    return work


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
