"""Run folders as a training leaves them, without the training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from studio.core.events import (
    CheckpointCommitted,
    Ending,
    Evaluated,
    Event,
    Finished,
    ProcessStarted,
    StepDone,
)
from studio.core.recipe.recipe import Recipe, to_yaml, with_values
from studio.core.run_folder import RunFolder
from studio.core.storage import Manifest, listed, sha256_of, write_manifest
from studio.runs.project import Project

AT = 1_700_000_000.0


def make_run(
    project: Project,
    name: str,
    *,
    losses: Sequence[float] = (2.0, 1.0),
    ending: Ending | None = None,
    at: float = AT,
    train: str = '{"messages":[]}\n',
    **settings: object,
) -> RunFolder:
    """A run with a step, an evaluation and a save point for each of `losses`, five seconds apart. `settings` have `__`
    where a key has a dot. Without an `ending` it finished."""
    run = RunFolder(project.runs_folder / name)
    run.train_data.parent.mkdir(parents=True)
    keys = {key.replace("__", "."): value for key, value in settings.items()}
    recipe = with_values(Recipe(name=name), {"data.path": "/somewhere/letters.csv", **keys})
    run.recipe.write_text(to_yaml(recipe), encoding="utf-8")
    run.train_data.write_text(train, encoding="utf-8")
    run.held_out_data.write_text("", encoding="utf-8")
    hashes = {"train_sha256": sha256_of(run.train_data), "held_out_sha256": sha256_of(run.held_out_data)}
    run.fingerprint.write_text(json.dumps({**hashes, "examples": 1}), encoding="utf-8")
    write_events(run, steps(run, losses, at))
    write_events(run, [ending or Finished(at=at + 5 * len(losses) + 1)])
    return run


def steps(run: RunFolder, losses: Sequence[float], at: float = AT) -> list[Event]:
    """The events of a training with a save point after each step; the save points are there."""
    events: list[Event] = [
        ProcessStarted(at=at, job="train", pid=1, started=0.0, versions={"torch": "2.13.0", "peft": "0.21.2"})
    ]
    for step, loss in enumerate(losses, start=1):
        now = at + 5 * step
        point = make_checkpoint(run, step)
        size = sum(file.size for file in listed(point))
        events += [
            StepDone(at=now, step=step, total_steps=len(losses), epoch=1, loss=loss * 1.1, learning_rate=1e-4),
            Evaluated(at=now, step=step, loss=loss, examples=4),
            CheckpointCommitted(at=now, step=step, folder=f"checkpoints/{point.name}", size=size, loss=loss),
        ]
    return events


def write_events(run: RunFolder, events: Sequence[Event]) -> None:
    with run.writer() as writer:
        for event in events:
            writer.write(event)


def make_checkpoint(run: RunFolder, step: int) -> Path:
    """A save point with an add-on of a thousand bytes, whole."""
    folder = run.checkpoints / f"step-{step:06d}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(bytes([step % 256]) * 1000)
    (folder / "optimizer.pt").write_bytes(b"o" * 100)
    write_manifest(folder, Manifest(files=listed(folder), step=step))
    return folder
