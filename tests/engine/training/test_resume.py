"""A run that was interrupted, paused or extended goes on, and becomes what it would have become without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from studio.core.events import (
    Event,
    StepDone,
)
from studio.core.jobs import Train, write_job
from studio.core.run_folder import RunFolder
from studio.engine.__main__ import work_of
from studio.engine.job_context import JobContext
from studio.engine.training.callback import TrainingCallback
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]

SETTINGS = {
    "method.kind": "lora",
    "method.compute_dtype": "float32",
    "training.batch_size": 2,
    "training.gradient_accumulation_steps": 4,
    "training.epochs": 3.0,
    "training.learning_rate": 1e-2,
    "training.save_steps": 3,
}
"""With 77 examples: ten steps an epoch, the last batch of each short."""


class Killed(BaseException):
    """Ends a training as a kill does: without a word."""


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Ends every training after the step that it is given, before anything is saved there."""
    at: list[int | None] = [None]
    told = TrainingCallback._tell

    def tell(self: TrainingCallback, state: Any, now: float) -> None:
        told(self, state, now)
        if state.global_step == at[0]:
            raise Killed

    monkeypatch.setattr(TrainingCallback, "_tell", tell)

    def set_step(step: int | None) -> None:
        at[0] = step

    return set_step


def kill(run: RunFolder, job: Train) -> None:
    write_job(run, job)
    context = JobContext(run, job.job)
    with pytest.raises(Killed):
        context.run(work_of(job))
    context._writer.close()  # as the system does when a process ends


def adapter(run: RunFolder, step: int) -> dict[str, torch.Tensor]:
    return load_file(run.checkpoints / f"step-{step:06d}" / "adapter_model.safetensors")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def events_of(run: RunFolder) -> list[Event]:
    return run.reader().read_new()


def test_a_killed_run_goes_on(make_run: Make, kill_after) -> None:
    whole = make_run("whole", learned=77, **SETTINGS)
    assert do_here(whole, Train()) == 0
    run = make_run("run", learned=77, **SETTINGS)
    kill_after(14)
    kill(run, Train())
    kill_after(None)
    assert do_here(run, Train(resume=True)) == 0
    assert equal(adapter(run, 30), adapter(whole, 30))
    counts = Counter(p for e in events_of(whole) if isinstance(e, StepDone) for p in e.examples)
    assert counts == dict.fromkeys(range(77), 3)
