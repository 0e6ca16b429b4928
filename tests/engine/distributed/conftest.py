"""Several processes of one training, forked from this one, which has the libraries loaded already."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.engine.distributed.ranks import STORE

InProcesses = Callable[[Callable[[int], int]], list[int]]


@pytest.fixture
def in_processes(tmp_path: Path) -> InProcesses:
    """Do something in two processes that meet each other as torchrun's do, with their ranks; gives their exit codes,
    negative for signals."""
    if sys.platform == "win32":
        pytest.skip("there is no fork under Windows")
    meetings = iter(range(100))

    def run(work: Callable[[int], int]) -> list[int]:
        store = tmp_path / f"store-{next(meetings)}"
        children = []
        for rank in range(2):
            child = os.fork()
            if child:
                children.append(child)
                continue
            code = 70
            try:
                os.environ.update({STORE: str(store), "RANK": str(rank), "WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"})
                code = work(rank)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    return run
