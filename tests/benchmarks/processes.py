"""Two processes against one, each pinned to a core: `python -m tests.benchmarks.processes --home FOLDER`.

A compute-bound step, 16 examples of 128 tokens through a model of random weights; the same recipe, so the same examples
and, within rounding, the same losses. Both take turns, so that what else the machine does meets both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from studio.core.conversation import Message
from studio.core.events import StepDone
from studio.core.jobs import Placement, Train, write_job
from studio.core.paths import python_environment
from studio.core.run_folder import RunFolder
from studio.dataset.examples import Example, write_frozen
from studio.engine.distributed.ranks import STORE
from tests.engine.conftest import frozen_run, save_tiny_model

ROUNDS = 3
STEPS = 8
EXAMPLES = 16
SETTINGS: dict[str, object] = {
    "method.kind": "lora",
    "method.compute_dtype": "float32",
    "training.batch_size": 8,
    "training.gradient_accumulation_steps": 2,
    "training.epochs": float(STEPS),
    "training.save_minutes": 60.0,
    "training.save_steps": 1000,
    "training.max_length": 256,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args().home
    with tempfile.TemporaryDirectory(dir=home) as folder:
        model = save_tiny_model(Path(folder) / "model", width=512)
        pace: dict[int, list[float]] = {1: [], 2: []}
        losses: dict[int, list[float]] = {}
        for number in range(ROUNDS):
            for processes in (1, 2):
                done = trained(Path(folder) / f"run-{number}-{processes}", model, processes)
                losses[processes] = [step.loss for step in done]
                pace[processes] += [EXAMPLES / step.seconds for step in done[1:]]
    one, two = (statistics.median(pace[count]) for count in (1, 2))
    most = max(abs(a - b) / a for a, b in zip(losses[1], losses[2], strict=True))
    found = {"one": one, "two": two, "ratio": two / one, "loss_differs_at_most": most, "load": os.getloadavg()[0]}
    print(json.dumps(found))


def trained(place: Path, model: Path, processes: int) -> list[StepDone]:
    """The steps of a training whose processes have a core each."""
    run = frozen_run(place, model, EXAMPLES, 0, **SETTINGS)
    write_frozen(run.train_data, [_long_example(number) for number in range(EXAMPLES)])
    write_job(run, Train(where=Placement(processes=processes)))
    cores = sorted(os.sched_getaffinity(0))
    environment = {**python_environment(), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    if processes > 1:
        environment |= {STORE: str(place / "store"), "WORLD_SIZE": str(processes)}
    started = []
    for rank in range(processes):
        with open(run.log, "ab") as log:
            command = ["taskset", "-c", str(cores[rank]), sys.executable, "-m", "studio.engine", "train", str(run.path)]
            own = {**environment, "RANK": str(rank)}
            started.append(subprocess.Popen(command, env=own, stdout=log, stderr=log))
    for process in started:
        if process.wait(900):
            raise RuntimeError(run.log.read_text(errors="replace")[-2000:])
    return [event for event in RunFolder(place).reader().read_new() if isinstance(event, StepDone)]


def _long_example(number: int) -> Example:
    words = f"What is number {number}? " * 5
    return Example(messages=(Message(role="user", content=words[:70]), Message(role="assistant", content=words[:40])))


if __name__ == "__main__":
    main()
