"""Traced against calculated for the models of the catalogue: `python -m tests.benchmarks.catalogue_traced`.

QLoRA as this program does it on a card (recommended settings, two examples of 1,024 tokens), smallest model first, as
many as fit into `--seconds`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from studio.core.problems import ProblemError
from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.workload import Workload
from studio.memory.estimate import estimate
from studio.memory.workload import workload_of
from studio.models.catalogue import catalogue


def main(words: list[str]) -> int:
    """One line a model; what can't be traced says why."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3_600.0)
    options = parser.parse_args(words)
    from studio.engine.memory.trace import trace_step

    recipe = with_values(Recipe(), {"training.batch_size": 2, "training.max_length": 1024})
    end = time.monotonic() + options.seconds
    print(f"{'model':44} {'calculated':>12} {'traced':>12} {'off by':>8}   MiB")
    for model in catalogue():
        if time.monotonic() > end:
            break
        work = workload_of(recipe, DefaultsContext(parameters=model.parameters, cuda=True))
        said = estimate(model.shape, work).allocated
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch) / "config.json"
            place.write_text(json.dumps(model.config), encoding="utf-8")
            try:
                found = trace_step(place, Workload.model_validate(work.model_dump())).peak
            except ProblemError as error:
                print(f"{model.name:44} can't be traced: {error.problem.code}", flush=True)
                continue
        off = said / found - 1
        print(f"{model.name:44} {said / 2**20:12,.0f} {found / 2**20:12,.0f} {off:+8.1%}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
