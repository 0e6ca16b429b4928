"""A run that is killed in its middle and continued, beside two that never were: how far they are from each other, and
where the optimizer's states lie when it goes on."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from studio.core.jobs import Train
from studio.core.run_folder import RunFolder
from studio.engine.training.job import TrainingJob
from tests.engine.conftest import do_here
from tests.engine.training.test_resume import steps_that_count, train_until

IS_MANAGED = 8
"""CU_POINTER_ATTRIBUTE_IS_MANAGED of the driver's cuPointerGetAttribute."""

SETTINGS: dict[str, Any] = {
    "method.dropout": 0.1,
    "training.optimizer": "paged_adamw_8bit",
    "training.learning_rate": 1e-3,
    "training.batch_size": 2,
    "training.gradient_accumulation_steps": 4,
    "training.epochs": 3.0,
    "training.save_steps": 3,
}


@dataclass
class Interrupted:
    """Losses by step of a run, of the same run once more, and of one that went on after a kill; `states` are the large
    optimizer states of the latter before its first step."""

    whole: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    continued: list[float] = field(default_factory=list)
    states: list[torch.Tensor] = field(default_factory=list)

    @property
    def noise(self) -> float:
        """The largest difference between two runs that nobody interrupted."""
        return furthest(self.whole, self.again)

    @property
    def difference(self) -> float:
        return furthest(self.whole, self.continued)


def furthest(a: list[float], b: list[float]) -> float:
    assert len(a) == len(b)
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def interrupt_and_continue(make_run: Callable[..., RunFolder], kill_after: int, **values: object) -> Interrupted:
    """Four trainings of the same recipe, one of them killed after step `kill_after` and then continued."""
    found = Interrupted()
    settings = {**SETTINGS, **values}
    for name, losses in (("whole", found.whole), ("again", found.again)):
        run = make_run(name, learned=40, **settings)
        assert do_here(run, Train()) == 0
        losses += [step.loss for step in steps_that_count(run)]
    run = make_run("continued", learned=40, **settings)
    train_until(run, kill_after, Train())
    begin = TrainingJob._begin

    def note_states(job: TrainingJob) -> None:
        inner: Any = getattr(job.trainer.optimizer, "optimizer", job.trainer.optimizer)
        every = [v for state in inner.state.values() for v in state.values() if torch.is_tensor(v)]
        found.states += [value for value in every if value.numel() >= 100_000]
        begin(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingJob, "_begin", note_states)
        assert do_here(run, Train(resume=True)) == 0
    found.continued += [step.loss for step in steps_that_count(run)]
    return found


def is_managed(tensor: torch.Tensor) -> bool:
    """Whether the driver may move a tensor's memory between the card and the computer."""
    answer = ctypes.c_uint(0)
    driver = ctypes.CDLL("nvcuda.dll" if hasattr(ctypes, "WinDLL") else "libcuda.so.1")
    code = driver.cuPointerGetAttribute(ctypes.byref(answer), IS_MANAGED, ctypes.c_uint64(tensor.data_ptr()))
    return code == 0 and answer.value == 1
