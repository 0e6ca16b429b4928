"""A training killed at random instants, again and again, becomes the run that was never killed."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from studio.core.events import Finished
from studio.core.run_folder import RunFolder
from studio.runs.follow import job_status
from tests.engine.conftest import make_run as make_run
from tests.engine.conftest import tiny_model as tiny_model
from tests.faults.save_points import look
from tests.faults.table import Record, Tally, report
from tests.faults.trainer_process import server, start_trainer

Make = Callable[..., RunFolder]

INTERVAL = 2
SETTINGS = {
    "method.compute_dtype": "float32",
    "training.batch_size": 2,
    "training.gradient_accumulation_steps": 2,
    "training.epochs": 3.0,
    "training.learning_rate": 1e-2,
    "training.save_steps": INTERVAL,
}
MOST_KILLS = 6
"""So often one run is killed at most, before it is left to end."""


def kills_wanted(default: int) -> int:
    """How many kills the long form makes: `STUDIO_KILLS=1000 pytest -m faults tests/faults/test_random_kills.py`."""
    return int(os.environ.get("STUDIO_KILLS", default))


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.checkpoints / f"step-{max(look(run).whole):06d}" / "adapter_model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Killer:
    """Trains copies of one run, and kills them. `seconds` is how long the whole training takes."""

    def __init__(self, fresh: RunFolder, seed: int) -> None:
        self.tally = Tally()
        self._fresh = fresh
        self._dice = random.Random(seed)
        self._server = server()
        self._whole = self._copy("whole")
        self._run_to_end(self._whole, resume=False)
        began = time.monotonic()  # the first one also starts the process that the others are forked from
        self._run_to_end(self._copy("timed"), resume=False)
        self.seconds = time.monotonic() - began
        self._wanted = weights(self._whole)

    def kill_one_run(self, number: int, most: int) -> int:
        """Kill one run up to `most` times, let it end, and compare. Returns how often it was killed."""
        run = self._copy(f"run-{number}")
        kills = 0
        while kills < most and self._kill(run, resume=kills > 0):
            kills += 1
        if not isinstance(run.state().ending, Finished):
            self._run_to_end(run, resume=True)
        state = run.state()
        last = state.last.step if state.last is not None else 0
        if not isinstance(state.ending, Finished):
            self.tally.note("run that was killed, at its end", lost=[f"run {number} ended with {state.ending}"])
        elif not same(weights(run), self._wanted):
            self.tally.note("run that was killed, at its end", damaged=[f"run {number}: other weights at step {last}"])
        else:
            self.tally.note("run that was killed, at its end")
        shutil.rmtree(run.path)
        return kills

    def _kill(self, run: RunFolder, *, resume: bool) -> bool:
        """Start a trainer and kill it at a random instant. False when it had ended before."""
        process = start_trainer(self._server, run, resume=resume)
        process.join(self._dice.uniform(0.0, self.seconds))
        if process.exitcode is not None:
            return False
        process.kill()
        process.join()
        found = look(run)
        told = run.state() if run.events.exists() else None
        saved = [c.step for c in told.checkpoints] if told is not None else []
        best = told.best_checkpoint.step if told is not None and told.best_checkpoint is not None else None
        newest = max(found.whole, default=0)
        lost = found.lost([step for step in saved if step in (best, *sorted(saved)[-2:])], best)
        done = told.last.step if told is not None and told.last is not None else 0
        if done - newest > INTERVAL:
            lost.append(f"{done - newest} steps would be repeated")
        over = told is not None and isinstance(told.ending, Finished)  # killed after its last word
        if not over and job_status(run) not in ("interrupted", "none"):
            lost.append(f"a killed run shows as {job_status(run)}")
        self.tally.note("trainer killed at a random instant", lost=lost, damaged=found.damaged())
        return True

    def _run_to_end(self, run: RunFolder, *, resume: bool) -> None:
        process = start_trainer(self._server, run, resume=resume)
        process.join(240)
        if process.exitcode != 0:
            process.kill()
            raise AssertionError(run.log.read_text(errors="replace")[-3000:])

    def _copy(self, name: str) -> RunFolder:
        return RunFolder(shutil.copytree(self._fresh.path, self._fresh.path.parent / name))


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(3, id="short"),
        pytest.param(kills_wanted(200), id="long", marks=[pytest.mark.faults, pytest.mark.timeout(6 * 3600)]),
    ],
)
def test_a_training_killed_at_random_instants_becomes_the_run_that_never_was(
    make_run: Make, record_property: Record, kills: int
) -> None:
    killer = Killer(make_run(learned=11, **SETTINGS), seed=int(os.environ.get("STUDIO_SEED", "12")))
    done = number = 0
    while done < kills and number < 20 + kills:
        number += 1
        done += killer.kill_one_run(number, min(MOST_KILLS, kills - done))
    report(killer.tally.rows(), record_property)
    assert done >= kills
    assert not killer.tally.wrong, "\n".join(killer.tally.wrong)
