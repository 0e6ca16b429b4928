"""Plays `trace` and `trial` as `python -m studio.engine` would, in a real process, and leaves trainings to the other
stand-in. A trace says 3 GiB, a trial 2 GiB; with `STAND_IN_RUNS_OUT` memory runs out in it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil

from studio.core.events import DeviceChosen, Failed, Finished, MemoryProbed, PhaseChanged, ProcessStarted, Traced
from studio.core.jobs import MemoryProbe, Trace, read_job
from studio.core.journal import JournalWriter
from studio.core.problems import Problem
from studio.core.run_folder import JobFolder
from studio.core.translatable import sentence
from tests.ui import fake_trainer

GIB = 1 << 30
PAUSE = float(os.environ.get("STAND_IN_PAUSE", "0.02"))
CARD = "NVIDIA GeForce RTX 4070"


def main() -> None:
    folder = JobFolder(Path(sys.argv[-1]))
    job = read_job(folder)
    if not isinstance(job, Trace | MemoryProbe):
        fake_trainer.main()
        return
    with folder.writer() as writer:
        started = psutil.Process().create_time()
        writer.write(ProcessStarted(job=job.job, pid=os.getpid(), started=started))
        writer.write(PhaseChanged(phase="preparing", text=sentence("Trying the longest examples.")))
        time.sleep(PAUSE)
        if isinstance(job, Trace):
            parts = {"weights": GIB, "activations": 2 * GIB}
            writer.write(Traced(peak=3 * GIB, parts=parts, reserved=3 * GIB, seconds=PAUSE))
            writer.write(Finished())
        else:
            attempt(writer)


def attempt(writer: JournalWriter) -> None:
    writer.write(DeviceChosen(device="cuda", name=CARD, dtype="bfloat16"))
    if os.environ.get("STAND_IN_RUNS_OUT"):
        what = "The longest examples of this run don't fit into memory."
        writer.write(Failed(problem=Problem(code="memory.trial_failed", what=what)))
        return
    done = MemoryProbed(
        device="cuda",
        peak=2 * GIB,
        reserved=2 * GIB + GIB // 4,
        process=2 * GIB + GIB // 2,
        step_seconds=2.0,
        run_seconds=600.0,
        tokens=72,
    )
    writer.write(done)
    writer.write(Finished())


if __name__ == "__main__":
    main()
