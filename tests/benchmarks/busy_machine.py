"""A training on the processor beside programs that take all of it.

`python -m tests.benchmarks.busy_machine [--beside 2] [--rounds 2]` prints a line for each way in which threads may wait
for each other and each priority: steps a second, the share of what this session was given (the rest went to the
programs beside), and steps per second of processor time, which falls where waiting burns it. All of it runs in one
session, because Linux shares a desktop's processor among sessions first, whatever the priorities inside of each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import NamedTuple

from studio.engine.environment import prepare_environment
from tests.benchmarks.figures import ROOT

SECONDS = 9.0
_BUSY = """import time
end = time.perf_counter() + {seconds}
while time.perf_counter() < end:
    pass
print(time.process_time())"""


class Way(NamedTuple):
    """`spins`: as GNU's OpenMP does by itself, instead of as a job's environment says; `nice`: the priority."""

    spins: bool
    nice: int


WAYS = (Way(False, 0), Way(False, 2), Way(False, 10), Way(True, 10), Way(True, 0))


def main() -> None:
    """The command; with `--learn` the training that it starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--learn", nargs=2, type=int, metavar=("SPINS", "NICE"))
    chosen = parser.parse_args()
    if chosen.learn:
        print(json.dumps(learn(Way(bool(chosen.learn[0]), chosen.learn[1]))))
        return
    if sys.platform != "win32" and os.getpid() != os.getsid(0):
        os.setsid()
    for _ in range(chosen.rounds):
        for way in WAYS:
            told = measure(way, chosen.beside)
            how = "spinning" if way.spins else "as jobs wait"
            print(
                f"{how:<13}nice {way.nice:<3}{told['steps'] / told['seconds']:>6.2f} steps/s"
                f"{told['share']:>6.2f} of the processor{told['steps'] / told['cpu']:>6.2f} steps per second of it"
            )


def measure(way: Way, beside: int) -> dict[str, float]:
    """What `learn` told, and its `share` (0 to 1) of the processor time of all of this."""
    busy = [
        subprocess.Popen([sys.executable, "-c", _BUSY.format(seconds=SECONDS + 5)], stdout=subprocess.PIPE, text=True)
        for _ in range(beside)
    ]
    command = [sys.executable, "-m", "tests.benchmarks.busy_machine", "--learn", str(int(way.spins)), str(way.nice)]
    told: dict[str, float] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    theirs = sum(float(process.communicate()[0]) for process in busy) / (SECONDS + 5) * told["seconds"]
    return {**told, "share": told["cpu"] / (told["cpu"] + theirs)}


def learn(way: Way) -> dict[str, float]:
    """Steps of a small network on every core: how many `steps` in how many `seconds`, with how much `cpu` time."""
    if not way.spins:
        prepare_environment(online=False)
    if sys.platform != "win32":
        os.nice(way.nice)
    import torch

    width = 576
    layers = [
        torch.nn.Sequential(torch.nn.Linear(width, 1536), torch.nn.SiLU(), torch.nn.Linear(1536, width))
        for _ in range(8)
    ]
    network = torch.nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    numbers = torch.randn(512, width)

    def step() -> None:
        network(numbers).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    began, cpu, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < SECONDS:
        step()
        steps += 1
    return {"steps": steps, "seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    main()
