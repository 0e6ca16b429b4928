"""One byte flipped or missing in any file of a save point is seen before torch reads it, and the one before is used."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.core.events import CheckpointRemoved
from studio.core.jobs import Train
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.engine.job_context import JobContext
from studio.engine.training.resume import resume_point
from tests.engine.conftest import do_here
from tests.engine.conftest import make_run as make_run
from tests.engine.conftest import tiny_model as tiny_model
from tests.faults.table import Record, Tally, report

Make = Callable[..., RunFolder]


def damages(file: Path, dice: random.Random) -> Iterator[tuple[str, bytes | None]]:
    """What may become of a file: bits flipped at its ends and in between, cut, filled with zeros, gone."""
    whole = file.read_bytes()
    for place in sorted({0, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(3))}):
        flipped = bytes([whole[place] ^ (1 << dice.randrange(8))])
        yield "byte flipped", whole[:place] + flipped + whole[place + 1 :]
    for length in sorted({0, len(whole) // 2, len(whole) - 1}):
        yield "file cut", whole[:length]
    yield "tail of zeros", whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)
    yield "file gone", None


def test_every_damage_to_a_save_point_is_seen_and_the_one_before_is_used(
    make_run: Make, record_property: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(**{"training.save_steps": 1})
    assert do_here(run, Train()) == 0
    *_, before, newest = sorted(run.checkpoints.glob("step-*"))
    aside, journal = run.path / "aside", run.events.read_bytes()
    shutil.copytree(run.checkpoints, aside)

    def nobody_loads(*_: Any, **__: Any) -> None:
        raise AssertionError("a damaged save point was loaded")

    monkeypatch.setattr(torch, "load", nobody_loads)
    tally, dice = Tally(), random.Random(6)
    for name in sorted(file.name for file in newest.iterdir()):
        for fault, contents in damages(newest / name, dice):
            place = newest / name
            place.unlink() if contents is None else place.write_bytes(contents)
            lost = [] if choose_checkpoint(run) != newest else [f"{fault}: {name} would be used for answers"]
            with run.writer():
                pass
            context = JobContext(run, "train")
            point = resume_point(context, run)
            context._writer.close()
            if point.folder != before:
                lost.append(f"{fault} in {name}: goes on from {point.folder}")
            removed = [e for e in run.reader().read_new() if isinstance(e, CheckpointRemoved)]
            if [e.reason for e in removed if e.step == point.step + 1] != ["damaged"]:
                lost.append(f"{fault} in {name}: the journal doesn't tell")
            tally.note(fault, lost=lost)
            shutil.rmtree(run.checkpoints)
            shutil.copytree(aside, run.checkpoints)
            run.events.write_bytes(journal)
    report(tally.rows(), record_property)
    assert len(tally.rows()) == 4
    assert not tally.wrong, "\n".join(tally.wrong)
