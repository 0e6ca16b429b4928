"""Stands in for `python -m studio.engine KIND FOLDER`: a real process, journal and command queue, without a model.

It trains in steps of `STAND_IN_PAUSE` seconds until `STAND_IN_STEPS` are done or it is told to stop, and fetches a
"model" in ten pieces.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil

from studio.core.command_queue import CommandQueue
from studio.core.events import (
    BASE,
    CheckpointCommitted,
    CommandReceived,
    DeviceChosen,
    Evaluated,
    Failed,
    Fetched,
    Finished,
    PhaseChanged,
    Prepared,
    ProcessStarted,
    Progressed,
    SaveNow,
    StepDone,
    Stop,
    Stopped,
)
from studio.core.jobs import FetchStarter, Train, read_job
from studio.core.journal import JournalWriter
from studio.core.problems import Problem, Remedy
from studio.core.run_folder import JobFolder
from studio.core.translatable import sentence

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
                train(writer, CommandQueue(folder))
            case FetchStarter():
                fetch(writer)
            case _:
                raise SystemExit(f"not played here: {job}")


def train(writer: JournalWriter, queue: CommandQueue) -> None:
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
            total_steps=STEPS,
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
    writer.write(Evaluated(step=0, loss=3.0, examples=4, model=BASE))
    for step in range(1, STEPS + 1):
        time.sleep(PAUSE)
        writer.write(
            StepDone(
                step=step,
                total_steps=STEPS,
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
                save(writer, step)
            if isinstance(command, Stop):
                if command.keep:
                    save(writer, step)
                writer.write(Stopped(step=step))
                return
    save(writer, STEPS)
    writer.write(Finished())


def save(writer: JournalWriter, step: int) -> None:
    writer.write(Evaluated(step=step, loss=0.5, examples=4))
    writer.write(CheckpointCommitted(step=step, folder=f"checkpoints/step-{step:06d}", size=1_000_000, loss=0.5))


def fetch(writer: JournalWriter) -> None:
    for part in range(1, 11):
        time.sleep(PAUSE)
        writer.write(Progressed(done=part * 1_000_000, total=10_000_000, unit="bytes", text=sentence("Downloading.")))
    writer.write(Fetched(folder="/nowhere", size=10_000_000))
    writer.write(Finished())


if __name__ == "__main__":
    main()
