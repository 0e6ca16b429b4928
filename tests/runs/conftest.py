"""Jobs whose process is a small script of our own: real processes and real journals, without a model."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio.core.run_folder import JobFolder
from studio.runs.start import JobProcess

SPEAKER = """
import os, sys, time, signal
from pathlib import Path
import psutil
from studio.core.events import *
from studio.core.command_queue import CommandQueue
from studio.core.run_folder import JobFolder
from studio.core.problems import Problem
from studio.core.translatable import sentence
folder = JobFolder(Path(sys.argv[1]))
writer = folder.writer()
folder.heartbeat.touch()
writer.write(ProcessStarted(job="train", pid=os.getpid(), started=psutil.Process().create_time()))
commands = CommandQueue(folder)
def wait_for_command():
    while not (taken := commands.take()):
        time.sleep(0.01)
    return taken[0]
def step(number):
    writer.write(StepDone(step=number, total_steps=100, epoch=1, loss=1.0, learning_rate=1e-4, tokens=9, seconds=0.1))
"""

StartJob = Callable[[str], JobProcess]


@pytest.fixture
def start_script(tmp_path: Path) -> Iterator[StartJob]:
    """Start a child that has `folder`, `writer` and `step(n)` and runs the given lines."""
    children: list[subprocess.Popen[bytes]] = []

    def start(lines: str) -> JobProcess:
        folder = JobFolder(tmp_path / f"job-{len(children)}")
        folder.path.mkdir()
        with open(folder.log, "ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-c", SPEAKER + textwrap.dedent(lines), str(folder.path)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        children.append(child)
        return JobProcess(folder, child)

    yield start
    for child in children:
        child.kill()
        child.wait()
