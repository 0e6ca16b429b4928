"""`python -m studio.engine KIND FOLDER`: one job in a process of its own.

Nothing heavy is imported before the journal has its first line, so that whoever follows sees at once that the job
lives, and before the environment is set, because torch and the Hub's library read it only while they are imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from pydantic import ValidationError

from studio.core.events import Ending
from studio.core.jobs import Chat, DryRun, FetchData, FetchModel, Job, MemoryProbe, Trace, Train, Upload, read_job
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder, RunFolder
from studio.engine.environment import prepare_environment, rank_of_process
from studio.engine.job_context import JobContext
from studio.engine.training.tokenize_ahead import start_ahead

WORK = {
    "train": "training.job:train",
    "dry_run": "training.dry_run:dry_run",
    "exam": "exam.exam:exam",
    "chat": "chat:chat",
    "merge": "export.merge:merge",
    "check_adapter": "export.check:check_adapter",
    "gguf": "export.gguf:export_gguf",
    "gguf_adapter": "export.gguf:export_gguf_adapter",
    "fetch_starter": "hub.starter_model:fetch_starter",
    "fetch_llama_cpp": "export.llama_cpp:fetch",
    "fetch_model": "hub.models:fetch",
    "fetch_data": "hub.models:fetch",
    "upload": "hub.upload:upload",
    "trace": "memory.trace:trace",
    "answer_speed": "export.answer_speed:measure_answer_speed",
    "memory_probe": "training.memory_probe:memory_probe",
}
"""The module of this package and its function that does each kind of job, called with the context and the job."""


def main(arguments: list[str]) -> int:
    """Exit codes: 0 done or stopped, 2 a problem, which the journal tells unless there is none to write to, and
    `FRESH_START` of a training that another process has to go on with."""
    if len(arguments) != 2:
        print("usage: python -m studio.engine KIND FOLDER", file=sys.stderr)  # noqa: T201 - no journal yet
        return 2
    kind, folder = arguments[0], JobFolder(Path(arguments[1]).absolute())
    try:
        job = read_job(folder)
        if job.job != kind:
            raise ValueError(f"{folder.path} holds a {job.job} job, not a {kind} job")
        rank = rank_of_process()
        if isinstance(job, Train) and job.where.processes > 1 and not job.where.cluster and rank is None:
            return launch_processes(RunFolder(folder.path), job)
        context = JobContext(folder, kind, aside=RunFolder(folder.path).rank(rank) if rank else None)
    except (OSError, ValidationError, ValueError, ProblemError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - no journal to write to
        return 2
    if isinstance(job, DryRun | Trace | MemoryProbe):
        context.end_with_parent()  # nobody else would ever ask for what these find
    prepare_environment(
        online=isinstance(job, FetchModel | FetchData | Upload), found_token=isinstance(job, FetchModel | FetchData)
    )
    if isinstance(job, Chat) and job.on_processor:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # not even its context: a training may need all of the card
    if isinstance(job, Train) and not rank and not job.where.cluster:
        start_ahead(RunFolder(folder.path))
    if hasattr(os, "nice"):
        # The window must stay smooth beside a job that computes on every core; on an idle machine it costs nothing. No
        # lower: where the system goes by it (in a container; a desktop shares among sessions first), 10 leaves a tenth
        # of a core that another program wants, too.
        with contextlib.suppress(OSError):
            os.nice(2)
    return context.run(work_of(job))


def launch_processes(run: RunFolder, job: Train) -> int:
    """Have other processes like this one do the training, and wait for them."""
    prepare_environment(online=False)
    from studio.engine.distributed.launch import launch

    return launch(run, job)


def work_of(job: Job) -> Callable[[JobContext], Ending | None]:
    """The function that does `job`, imported when it is called."""

    def work(context: JobContext) -> Ending | None:
        there = isinstance(job, Train) and job.where.cluster
        module, _, name = ("distributed.cluster:train" if there else WORK[job.job]).partition(":")
        done: Ending | None = getattr(import_module(f"studio.engine.{module}"), name)(context, job)
        return done

    return work


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # All is done and told. Taking torch apart takes seconds, for which a person who pressed Stop would wait, and it can
    # hang on a card that has failed.
    os._exit(code)
