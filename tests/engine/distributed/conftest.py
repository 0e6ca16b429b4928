"""Several processes of one training, forked from one that has the libraries loaded and has computed nothing yet: what a
process that did compute has in threads, its forks can't use."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.engine.distributed.ranks import STORE

LOADED = ("studio.engine.training.job", "studio.engine.methods.registry", "studio.engine.objectives.registry")
PATIENCE = 240.0

InProcesses = Callable[..., list[int]]


@pytest.fixture
def in_processes(tmp_path: Path) -> InProcesses:
    """`in_processes(work, *arguments)` calls `work(rank, *arguments)`, a function of a module, in two processes that
    meet each other as torchrun's do; gives their exit codes, negative for signals."""
    if sys.platform == "win32":
        pytest.skip("there is no fork under Windows")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    meetings = iter(range(100))

    def run(work: Callable[..., int], *arguments: Any) -> list[int]:
        store = str(tmp_path / f"store-{next(meetings)}")
        started = [context.Process(target=_work, args=(rank, store, work, arguments)) for rank in range(2)]
        for process in started:
            process.start()
        for process in started:
            process.join(PATIENCE)
            process.kill()  # where it hangs
            process.join()
        return [process.exitcode if process.exitcode is not None else 70 for process in started]

    return run


def _work(rank: int, store: str, work: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    meeting = {STORE: store, "RANK": str(rank), "WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    os.environ.update(meeting)
    code = work(rank, *arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
