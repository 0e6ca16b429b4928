"""Trainers as processes of their own that needn't load the libraries first: forked from a process that has, so that a
thousand of them can be killed. What they then do is what `python -m studio.engine train RUN` does."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.jobs import Train, write_job
from studio.core.run_folder import RunFolder

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, ForkServerProcess


def server() -> ForkServerContext:
    """The process that has loaded the libraries; it is there from the first trainer on."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.loaded_trainer"])
    return context


def start_trainer(server: ForkServerContext, run: RunFolder, *, resume: bool) -> ForkServerProcess:
    write_job(run, Train(resume=resume))
    process = server.Process(target=_train, args=(str(run.path),))
    process.start()
    return process


def _train(folder: str) -> None:
    from studio.engine.__main__ import main

    os.setsid()
    log = os.open(Path(folder) / "log.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.exit(main(["train", folder]))
