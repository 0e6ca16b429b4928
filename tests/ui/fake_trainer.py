"""Stands in for `python -m studio.engine KIND FOLDER`: a real process, journal and command queue, without a model.

It trains in steps of `STAND_IN_PAUSE` seconds until `STAND_IN_STEPS` are done or it is told to stop or pause, goes on
from the last save point where it is told to, and fetches a "model" in ten pieces.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil

from studio.core.command_queue import CommandQueue
from studio.core.commands import Pause, SaveNow, Stop
from studio.core.events import (
    BASE,
    CheckpointCommitted,
    CommandReceived,
    Continued,
    DeviceChosen,
    Evaluated,
    Extended,
    Failed,
    Fetched,
    Finished,
    Paused,
    PhaseChanged,
    Prepared,
    ProcessStarted,
    Progressed,
    StepDone,
    Stopped,
)
from studio.core.jobs import FetchModel, FetchStarter, Train, read_job
from studio.core.journal import JournalWriter
from studio.core.problems import Problem, Remedy
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.run_state import RunState
from studio.core.translatable import sentence
from studio.models.base_model import hub_folder
from tests.fakes.save_point import make_save_point

STEPS = int(os.environ.get("STAND_IN_STEPS", "1000"))
PAUSE = float(os.environ.get("STAND_IN_PAUSE", "0.02"))


def main() -> None:
    folder = JobFolder(Path(sys.argv[-1]))
    job = read_job(folder)
    with folder.writer() as writer:
        started = psutil.Process().create_time()
        writer.write(ProcessStarted(job=job.job, pid=os.getpid(), started=started))
        writer.write(PhaseChanged(phase="loading", text=sentence("Loading the base model."), long=True))
        match job:
            case Train():
                train(writer, RunFolder(folder.path), job)
            case FetchStarter():
                fetch(writer)
            case FetchModel():
                from tests.runs.foreign_folders import make_base  # brings a lot along: not for every training

                make_base(hub_folder(job.name))
                fetch(writer)
            case _:
                raise SystemExit(f"not played here: {job}")


def train(writer: JournalWriter, run: RunFolder, job: Train) -> None:
    queue = CommandQueue(run)
    before = run.state() if job.resume else RunState()
    begin = max((one.step for one in before.checkpoints), default=0)
    steps = STEPS + round(job.extra_epochs * STEPS / 2)
    if os.environ.get("STAND_IN_FAILS"):
        what = "The base model can't be loaded."
        writer.write(Failed(problem=Problem(code="stand_in.broken", what=what, remedy=Remedy.see_settings)))
        return
    writer.write(DeviceChosen(device="cpu", name="CPU", dtype="float32"))
    writer.write(
        Prepared(
            examples=36,
            held_out=4,
            tokens=4_000,
            label_tokens=1_000,
            cut=0,
            nothing_left=0,
            total_steps=steps,
            steps_per_epoch=STEPS / 2,
            batch_size=8,
            gradient_accumulation_steps=1,
            trainable_parameters=4_000_000,
            all_parameters=135_000_000,
            optimizer="adamw",
            learning_rate=5e-4,
            epochs=2,
        )
    )
    if job.resume:
        repeated = before.last.step - begin if before.last is not None else 0
        folder = f"checkpoints/step-{begin:06d}" if begin else ""
        writer.write(Continued(step=begin, folder=folder, repeated=repeated))
    else:
        writer.write(Evaluated(step=0, loss=3.0, examples=4, model=BASE))
    writer.write(PhaseChanged(phase="training", text=sentence("Training.")))
    if job.extra_epochs:
        writer.write(Extended(epochs=2 + job.extra_epochs, total_steps=steps))
    for step in range(begin + 1, steps + 1):
        time.sleep(PAUSE)
        writer.write(
            StepDone(
                step=step,
                total_steps=steps,
                epoch=2 * step / STEPS,
                loss=3.0 / step,
                learning_rate=5e-4,
                tokens=800,
                seconds=PAUSE or 0.001,
            )
        )
        for command in queue.take():
            writer.write(CommandReceived(id=command.id, command=command.type))
            if isinstance(command, SaveNow):
                save(writer, run, step)
            if isinstance(command, Pause):
                save(writer, run, step)
                writer.write(Paused(step=step))
                return
            if isinstance(command, Stop):
                if command.keep:
                    save(writer, run, step)
                writer.write(Stopped(step=step))
                return
    save(writer, run, steps)
    writer.write(Finished())


def save(writer: JournalWriter, run: RunFolder, step: int) -> None:
    loss = 0.5 + abs(step - 20) / 1000
    writer.write(Evaluated(step=step, loss=loss, examples=4))
    folder = f"checkpoints/step-{step:06d}"
    size = make_save_point(run.path / folder)
    writer.write(CheckpointCommitted(step=step, folder=folder, size=size, loss=loss))


def fetch(writer: JournalWriter) -> None:
    for part in range(1, 11):
        time.sleep(PAUSE)
        writer.write(Progressed(done=part * 1_000_000, total=10_000_000, unit="bytes", text=sentence("Downloading.")))
    writer.write(Fetched(folder="/nowhere", size=10_000_000))
    writer.write(Finished())


if __name__ == "__main__":
    main()
