"""A real training by the real commands: killed in the middle, continued from the command line. On its way it opens no
socket, and neither a token nor a word of the data gets into a log, a journal or a command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from studio.core.conversation import Message
from studio.core.events import CheckpointCommitted, Continued, Finished, ProcessStarted
from studio.core.jobs import Train
from studio.core.run_folder import RunFolder
from studio.dataset.examples import Example, write_frozen
from studio.runs.start import start_training
from tests.engine.conftest import make_run as make_run
from tests.engine.conftest import tiny_model as tiny_model
from tests.faults.save_points import look
from tests.faults.table import Record, Tally, report

Make = Callable[..., RunFolder]

WORD = "CANARYWORD"
TOKEN = "hf_CANARYTOKEN"
INTERVAL = 2


def family_of(process: psutil.Process) -> Iterator[psutil.Process]:
    try:
        yield process
        yield from process.children(recursive=True)
    except psutil.Error:
        return


def listening(process: psutil.Process) -> list[str]:
    """Sockets on which the process or a child of it waits for anybody."""
    found: list[str] = []
    for one in family_of(process):
        try:
            connections = one.net_connections(kind="inet")
        except psutil.Error:
            continue
        found += [f"{one.name()} {c.laddr}" for c in connections if c.status == psutil.CONN_LISTEN or c.laddr]
    return found


def command_lines(process: psutil.Process) -> str:
    lines = []
    for one in family_of(process):
        try:
            lines.append(" ".join(one.cmdline()))
        except psutil.Error:
            continue
    return "\n".join(lines)


class Witness:
    """Looks at a process again and again until it has ended or `until` says so."""

    def __init__(self) -> None:
        self.sockets: list[str] = []
        self.lines: set[str] = set()

    def watch(self, pid: int, is_over: Callable[[], bool], seconds: float = 240) -> None:
        process, deadline = psutil.Process(pid), time.monotonic() + seconds
        while not is_over():
            assert time.monotonic() < deadline, "it takes too long"
            self.sockets += listening(process)
            self.lines.add(command_lines(process))
            time.sleep(0.2)


def test_a_training_killed_and_continued_tells_nobody_anything(
    make_run: Make, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = make_run(**{"training.save_steps": INTERVAL, "training.epochs": 10.0})
    said = [Message(role="user", content=f"{WORD}?"), Message(role="assistant", content=f"{WORD}!")]
    write_frozen(run.train_data, [Example(messages=tuple(said))] * 8)
    tally, witness = Tally(), Witness()

    def saved() -> int:
        return len([e for e in run.reader().read_new() if isinstance(e, CheckpointCommitted)])

    supervisor = start_training(run, Train())
    witness.watch(supervisor.pid, lambda: saved() >= 3 or supervisor.poll() is not None)
    assert supervisor.poll() is None, run.log.read_text(errors="replace")[-3000:]
    engine = next(e.pid for e in run.reader().read_new() if isinstance(e, ProcessStarted) and e.job == "train")
    os.kill(engine, 9)
    supervisor.process.wait(60)
    found, state = look(run), run.state()
    tally.note(
        "engine killed under its supervisor", lost=found.lost(sorted(found.told)[-2:], None), damaged=found.damaged()
    )
    assert state.ending is not None
    assert state.ending.type == "crashed"

    command = [sys.executable, "-m", "studio", "runs", "continue", str(run.path), "--json"]
    going_on = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    witness.watch(going_on.pid, lambda: going_on.poll() is not None)
    output, errors = going_on.communicate()
    assert going_on.returncode == 0, errors
    assert isinstance(run.state().ending, Finished)
    continued = next(e for e in run.reader().read_new() if isinstance(e, Continued))
    assert continued.repeated <= INTERVAL

    assert not witness.sockets
    everything = {"command lines": "\n".join(witness.lines), "output": output, "errors": errors}
    for file in run.path.rglob("*"):
        if file.is_file() and file.parent.name != "data":
            everything[file.relative_to(run.path).as_posix()] = file.read_bytes().decode("latin-1")
    assert {"log.txt", "events.jsonl", "job.json", "recipe.yaml"} <= everything.keys()
    assert not [name for name, text in everything.items() if WORD in text or TOKEN in text]
    report(tally.rows(), record_property)
    assert not tally.wrong, tally.wrong
