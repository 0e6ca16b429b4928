"""What all that is shown while a model learns costs: journal, answers to the same questions, curve, strip and gauge.

`python -m tests.benchmarks.while_it_learns [--home FOLDER] [--steps 30]` prints one JSON object. A training of the
starter model goes on as ever, in a process that counts the processor time of what it tells and answers; beside it
stands the window with the Train page. Processor time is counted and not the clock's, as other programs disturb that:
`journal` and `answers` are shares of the training's processor time, `window` is the part of all cores that the window
uses, gauge included; `together` is their sum.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.starter_home import starter_home

BATCH = 8


def train_counted(run: Path) -> None:
    """Train in this process; as its last line print the seconds of processor time, in all and of each part."""
    from studio.core.jobs import Train, write_job
    from studio.core.run_folder import RunFolder
    from studio.engine.__main__ import work_of
    from studio.engine.job_context import JobContext
    from studio.engine.training.callback import TrainingCallback
    from studio.engine.training.samples import SampleAnswers

    spent: defaultdict[str, float] = defaultdict(float)

    def counted(owner: Any, method: str, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, method)

        @functools.wraps(original)
        def call(*given: Any, **named: Any) -> Any:
            before = time.process_time()
            try:
                return original(*given, **named)
            finally:
                spent[name] += time.process_time() - before

        setattr(owner, method, call)

    counted(TrainingCallback, "_tell", "journal")
    counted(SampleAnswers, "ask", "answers")
    folder = RunFolder(run)
    write_job(folder, Train())
    began = time.process_time()
    code = JobContext(folder, "train").run(work_of(Train()))
    spent["training"] = time.process_time() - began
    print(json.dumps({**spent, "code": code}))


def measure(steps: int, scratch: Path) -> dict[str, object]:
    from studio.cli.preparing import prepared
    from studio.core.recipe.defaults import DefaultsContext
    from studio.core.recipe.recipe import Recipe, with_values
    from studio.runs.create import create_run
    from studio.runs.project import create_project
    from studio.worker.client import WorkerClient
    from tests.benchmarks.beside_training import equal_examples

    project = create_project("While it learns")
    values = {
        "data.path": str(equal_examples(scratch / "equal.csv")),
        "training.batch_size": BATCH,
        "training.epochs": steps * BATCH / 144,  # of 160 examples 16 are set aside
    }
    with WorkerClient() as worker:
        data = prepared(with_values(Recipe(), values), worker, quiet=True)
    run = create_run(project, data.recipe, data.table, data.examples, DefaultsContext())
    ourselves = [sys.executable, "-m", "tests.benchmarks.while_it_learns"]
    engine = subprocess.Popen([*ourselves, "--engine", str(run.path)], stdout=subprocess.PIPE, text=True)
    while len(run.state().losses) < 2:
        if engine.poll() is not None:
            raise RuntimeError("the training ended before it began")
        time.sleep(0.5)
    beside = [sys.executable, "-m", "tests.benchmarks.beside_training", "--show", "window"]
    window = subprocess.run([*beside, "--project", str(project.folder)], capture_output=True, text=True, check=True)
    core = float(json.loads(window.stdout.splitlines()[-1])["core"])
    told = json.loads((engine.communicate()[0]).splitlines()[-1])
    assert told["code"] == 0
    shares = {name: told.get(name, 0.0) / told["training"] for name in ("journal", "answers")}
    shares["window"] = core / (os.cpu_count() or 1)
    return {
        "steps": len(run.state().losses),
        "training_seconds": round(told["training"], 1),
        **{name: round(share, 4) for name, share in shares.items()},
        "together": round(sum(shares.values()), 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", help="a data folder that has the starter model")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--engine", type=Path)
    arguments = parser.parse_args()
    if arguments.engine is not None:
        train_counted(arguments.engine)
        return 0
    if "DISPLAY" not in os.environ:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with starter_home(arguments.home) as scratch:
        print(json.dumps(measure(arguments.steps, scratch)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
