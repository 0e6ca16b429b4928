"""What save points and the journal cost of a training's time.

`python -m tests.benchmarks.save_point_cost [--home FOLDER]` trains the starter model for a few steps, with a save point
every ten, and prints one JSON object. Everything is timed within the same run, so the shares mean something on a busy
machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVERY = 10
"""Steps between two save points."""

DEFAULT_INTERVAL = 300.0
"""Seconds between two save points where nobody chose otherwise."""


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    def called(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            seconds.append(time.perf_counter() - began)

    return called


def measure() -> dict[str, float]:
    """Shares of the time, 0 to 1, and the seconds that they come from."""
    from studio.core.events import StepDone
    from studio.core.jobs import Train, write_job
    from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
    from studio.core.recipe.recipe import Recipe, to_yaml, with_values
    from studio.core.run_folder import RunFolder
    from studio.core.storage import size_of
    from studio.dataset.examples import write_frozen
    from studio.engine.__main__ import work_of
    from studio.engine.job_context import JobContext
    from studio.engine.training.checkpoint import CheckpointWriter
    from tests.benchmarks.trainer_speed import BATCH, examples

    saving: list[float] = []
    writing: list[float] = []
    CheckpointWriter.save = timed(CheckpointWriter.save, saving)  # type: ignore[method-assign]
    JobContext.write = timed(JobContext.write, writing)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(prefix="studio-bench-", dir=os.environ.get("BENCH_FOLDER")) as scratch:
        run = RunFolder(Path(scratch) / "run")
        run.train_data.parent.mkdir(parents=True)
        values = {"training.epochs": 5.0, "training.batch_size": BATCH, "training.save_steps": EVERY}
        known = DefaultsContext(examples=len(examples()), parameters=10**8)
        recipe = resolve_defaults(with_values(Recipe(), values), known)
        run.recipe.write_text(to_yaml(recipe), encoding="utf-8")
        write_frozen(run.train_data, examples())
        write_frozen(run.held_out_data, [])
        write_job(run, Train())
        context = JobContext(run, "train")
        if context.run(work_of(Train())) != 0:
            raise RuntimeError(run.log.read_text(encoding="utf-8") if run.log.exists() else "the training failed")
        steps = [e.seconds for e in run.reader().read_new() if isinstance(e, StepDone)]
        size = size_of(max(run.checkpoints.glob("step-*")))
    save, step = statistics.median(saving), statistics.median(steps)
    events = [seconds for seconds in writing if seconds < min(saving)]  # those of a save point wait for the disk
    return {
        "save_share_every_ten_steps": save / (save + EVERY * step),
        "save_share_at_the_default_interval": save / (save + DEFAULT_INTERVAL),
        "journal_share": sum(events) / (sum(steps) + sum(saving)),
        "save_seconds": save,
        "step_seconds": step,
        "event_microseconds": 1e6 * statistics.median(events),
        "save_point_megabytes": size / 1e6,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", default="", help="a data folder that has the starter model")
    chosen = options.parse_args()
    if chosen.home:
        os.environ["STUDIO_HOME"] = chosen.home
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    print(json.dumps({name: round(value, 6) for name, value in measure().items()}))


if __name__ == "__main__":
    main()
