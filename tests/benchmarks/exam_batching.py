"""Answers a minute in an exam, computed together and one by one, and whether they are the same.

`python -m tests.benchmarks.exam_batching --home HOME [--run RUN] [--examples N] [--rounds N]`: the starter model in
HOME on the questions of the sample, or with a run's folder both of its models on the examples that it set aside. Both
ways take turns, as the machine may be busy with other things; seconds of the processor are told beside those of the
clock. The last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from studio.core.conversation import Message
from studio.core.events import ModelUnderTest
from studio.core.run_folder import JobFolder, RunFolder
from studio.dataset.examples import Example, read_frozen
from studio.dataset.samples import sample
from studio.engine.environment import prepare_environment
from studio.engine.evaluation.generate import (
    Answer,
    Generator,
    compute_exactly,
    longest_useful,
    of_folder,
    of_run,
    speed_up,
)
from studio.engine.job_context import JobContext


@dataclass(frozen=True)
class Measured:
    """Of one model: seconds by the clock and of the processor for all examples, summed over the rounds."""

    model: str
    examples: int
    same: int
    alone: float
    together: float
    alone_cpu: float
    together_cpu: float

    @property
    def speedup(self) -> float:
        return self.alone / self.together

    @property
    def cpu_speedup(self) -> float:
        return self.alone_cpu / self.together_cpu


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--home", required=True)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--examples", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args(words)
    os.environ["STUDIO_HOME"] = options.home
    prepare_environment(online=False)
    generator, asked = _of_run(options.run) if options.run else _of_sample()
    speed_up(generator)
    compute_exactly(generator)
    asked = asked[: options.examples]
    found = [measure(generator, model, asked, options.rounds) for model in generator.models]
    for one in found:
        minute = 60 * options.rounds * one.examples
        print(
            f"{one.model}: {minute / one.alone:.1f} answers a minute one by one, {minute / one.together:.1f} together: "
            f"{one.speedup:.1f} x by the clock, {one.cpu_speedup:.1f} x by the processor; "
            f"{one.same} of {one.examples} are the same"
        )
    print(json.dumps([{**asdict(one), "speedup": one.speedup, "cpu_speedup": one.cpu_speedup} for one in found]))
    return 0


def measure(generator: Generator, model: ModelUnderTest, asked: Sequence[Example], rounds: int) -> Measured:
    """Both ways take turns, `rounds` times."""
    limit = longest_useful(generator.encoder, asked)
    spent: dict[str, list[float]] = {"alone": [0.0, 0.0], "together": [0.0, 0.0]}
    given: dict[str, list[Answer]] = {}

    def alone() -> list[Answer]:
        return [generator.answer_all([one], model, limit)[0] for one in asked]

    def together() -> list[Answer]:
        found = dict(pair for batch in generator.in_batches(asked, model, limit) for pair in batch)
        return [found[place] for place in range(len(asked))]

    ways: dict[str, Callable[[], list[Answer]]] = {"alone": alone, "together": together}
    for _ in range(rounds):
        for name, way in ways.items():
            clock, processor = time.perf_counter(), time.process_time()
            given[name] = way()
            spent[name][0] += time.perf_counter() - clock
            spent[name][1] += time.process_time() - processor
    same = sum(one.tokens == other.tokens for one, other in zip(given["alone"], given["together"], strict=True))
    return Measured(
        model=model.kind,
        examples=len(asked),
        same=same,
        alone=spent["alone"][0],
        together=spent["together"][0],
        alone_cpu=spent["alone"][1],
        together_cpu=spent["together"][1],
    )


def _of_run(folder: Path) -> tuple[Generator, list[Example]]:
    run = RunFolder(folder)
    with tempfile.TemporaryDirectory() as scratch:
        generator, _ = of_run(JobContext(JobFolder(Path(scratch)), "exam"), run)
    return generator, read_frozen(run.held_out_data)


def _of_sample() -> tuple[Generator, list[Example]]:
    from studio.core import paths

    with open(sample("en"), encoding="utf-8-sig", newline="") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    asked = [
        Example(messages=(Message(role="user", content=row[0]), Message(role="assistant", content=row[-1])))
        for row in rows
    ]
    return of_folder(paths.starter_model()), asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
