"""Jobs whose process is a small script of our own: real processes and real journals, without a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio.core.events import Ending, Event, ProcessStarted
from studio.core.jobs import Train
from studio.core.journal import JournalWriter
from studio.core.recipe.recipe import Recipe, to_yaml, with_values
from studio.core.run_folder import JobFolder, RunFolder
from studio.runs.project import create_project
from studio.runs.start import JobProcess
from tests.models.test_base_model import LLAMA, write_weights

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


class Trainings:
    """Stands in for the engine where the order of runs is what is tested: a training goes on for as long as its
    journal's lock is held, here by the test itself. `started` are the runs in the order of their starts."""

    def __init__(self) -> None:
        self.started: list[tuple[str, bool, str]] = []
        self._writers: dict[Path, JournalWriter] = {}

    def start(self, run: RunFolder, job: Train) -> JobProcess:
        """What the queue's runner calls. The process that it gets is one that has ended."""
        assert run.path not in self._writers, f"{run.path.name} was started twice"
        self.started.append((run.path.name, job.resume, ",".join(job.where.cards)))
        self._writers[run.path] = run.writer()
        self._writers[run.path].write(ProcessStarted(job="train", pid=os.getpid(), started=0.0))
        return JobProcess(run, ENDED)

    def tell(self, run: RunFolder, event: Event) -> None:
        self._writers[run.path].write(event)

    def end(self, run: RunFolder, ending: Ending) -> None:
        self.tell(run, ending)
        self.kill(run)

    def kill(self, run: RunFolder) -> None:
        """Gone without a word, as when the computer is switched off."""
        self._writers.pop(run.path).close()

    def going(self) -> list[Path]:
        return list(self._writers)

    def names(self) -> list[str]:
        return [name for name, _, _ in self.started]


ENDED = subprocess.Popen([sys.executable, "-c", ""])


@pytest.fixture
def trainings() -> Iterator[Trainings]:
    made = Trainings()
    yield made
    for path in made.going():
        made.kill(RunFolder(path))


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model's folder that is found and can be read, with weights of a few bytes."""
    folder = tmp_path_factory.mktemp("base") / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    (folder / "tokenizer.json").write_text("{}")
    write_weights(folder / "model.safetensors", {"a": [10, 20]})
    return folder


MakeRun = Callable[[str], RunFolder]


@pytest.fixture
def make_run(base_model: Path) -> MakeRun:
    """A run of a project in the program's home, created and not started."""
    project = create_project("Night")

    def make(name: str) -> RunFolder:
        run = RunFolder(project.runs_folder / name)
        run.train_data.parent.mkdir(parents=True)
        run.train_data.write_text('{"messages": []}\n')
        run.fingerprint.write_text('{"examples": 1, "held_out": 0}\n')
        values = {"name": name, "model.source": "folder", "model.name": str(base_model)}
        run.recipe.write_text(to_yaml(with_values(Recipe(), values)))
        return run

    return make
