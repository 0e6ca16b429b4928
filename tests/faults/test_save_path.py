"""A process ended, a disk that refuses, a power cut at every call with which a save point is written: what was saved
before stays whole, and at most one interval is lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from studio.core.run_folder import RunFolder
from tests.engine.conftest import ROOT
from tests.engine.conftest import make_run as make_run
from tests.engine.conftest import tiny_model as tiny_model
from tests.faults.disk import Disk, Rest, safe_names
from tests.faults.file_layer import MARK, Call, CannotBuildError, library, read_record
from tests.faults.save_path import kept_of, record_of
from tests.faults.save_points import look
from tests.faults.table import Record, Row, Tally, report

Make = Callable[..., RunFolder]

SETTINGS = {"training.save_steps": 1, "training.epochs": 3.0, "method.compute_dtype": "float32"}


def with_file_layer(module: str, *words: object) -> str:
    """Run a module of these tests in a process with the file layer, and return the last line that it prints."""
    try:
        layer = library()
    except CannotBuildError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", f"tests.faults.{module}", *map(str, words)]
    environment = {**os.environ, "LD_PRELOAD": str(layer), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip().rpartition("\n")[2]


def campaign(run: RunFolder, kills: int, errors: int) -> tuple[list[Row], list[str]]:
    """Train `run` in a process with the file layer, with kills at every so many calls of the save path, and errors."""
    answer = json.loads(with_file_layer("save_path", run.path, kills, errors))
    assert answer["code"] == 0, run.log.read_text(errors="replace")[-4000:]
    return [Row(**row) for row in answer["rows"]], answer["wrong"]


def power_cuts(run: RunFolder, stride: int, place: Path, calls: list[Call]) -> Tally:
    """Cut the power after every so many `calls`, those of the run's save points, and look at what the disk has."""
    dice = random.Random(20261127)
    tally = Tally()
    for at in range(1, len(calls) + 1, stride):
        before = calls[:at]
        saved = [int(call.path) for call in before if call.name == MARK]
        safe = safe_names(before)
        kinds: tuple[tuple[str, int, Rest], ...] = (
            ("power cut: only what was synced is there", safe, "gone"),
            ("power cut: all names, contents gone", at, "gone"),
            ("power cut: all names, contents zeros", at, "zeros"),
            ("power cut: some names, some contents", dice.randint(safe, at), "half"),
        )
        for name, names, rest in kinds:
            disk = Disk(kept_of(run))
            disk.replay(before, names)
            disk.write(place, rest)
            found = look(RunFolder(place))
            lost = found.lost([step for step in saved if step in (1, *saved[-2:])], best=1 if saved else None)
            damaged = [f"after call {at}: step {step} is torn" for step in found.torn if step in saved]
            tally.note(name, lost=(f"after call {at}: {text}" for text in lost), damaged=damaged)
            shutil.rmtree(place)
    return tally


@pytest.mark.parametrize(
    ("kills", "errors", "cuts"),
    [
        pytest.param(9, 30, 20, id="short"),
        pytest.param(1, 1, 1, id="long", marks=[pytest.mark.faults, pytest.mark.timeout(3600)]),
    ],
)
def test_a_fault_while_a_save_point_is_written_costs_at_most_that_one(
    make_run: Make, record_property: Record, tmp_path: Path, kills: int, errors: int, cuts: int
) -> None:
    run = make_run(**SETTINGS)
    rows, wrong = campaign(run, kills, errors)
    calls = read_record(record_of(run), run.path)
    cut = power_cuts(run, cuts, tmp_path / "disk", calls)
    report([*rows, *cut.rows()], record_property)
    assert sum(row.injected for row in rows) > 0
    assert cut.rows()
    assert not wrong + cut.wrong, "\n".join(wrong + cut.wrong)
    careless = [replace(call, name="write") if call.name == "sync" else call for call in calls]
    assert power_cuts(run, len(calls) // 4, tmp_path / "disk", careless).wrong, "nobody would notice a missing fsync"


@pytest.mark.parametrize(
    "examples",
    [pytest.param(8, id="short"), pytest.param(500, id="long", marks=[pytest.mark.faults, pytest.mark.timeout(3600)])],
)
def test_rotation_keeps_the_best_and_the_newest_whatever_the_process_and_the_clock_do(examples: int) -> None:
    with_file_layer("rotation", examples)
