"""What goes wrong in the middle of a training and needs no person: memory, numbers, the disk."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.optim.optimizer import register_optimizer_step_pre_hook

from studio.core.command_queue import new_id, send
from studio.core.commands import Pause
from studio.core.events import (
    BatchChanged,
    CheckpointCommitted,
    Continued,
    Failed,
    Finished,
    NoticeLogged,
    Paused,
    StepDone,
)
from studio.core.jobs import FRESH_START, Train
from studio.core.journal import JournalWriter
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.core.run_state import smaller_batch
from studio.core.writer_lock import WriterLock
from studio.engine.job_context import JobContext
from studio.engine.training import recovery
from studio.engine.training.checkpoint import CheckpointWriter
from studio.engine.training.recovery import save_patiently
from studio.engine.training.trainer import StudioTrainer
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]

EXACT = {
    "training.batch_size": 4,
    "training.gradient_accumulation_steps": 2,
    "training.epochs": 3.0,
    "training.save_steps": 2,
    "method.compute_dtype": "float32",
    "method.dropout": 0.0,
}
"""Six steps of eight examples each, in which nothing is left to chance."""


def run_out(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def fails_backward(loss: Any) -> Any:
    """The same loss, whose gradients run out of memory on their way."""
    loss.register_hook(run_out)
    return loss


@dataclass(frozen=True)
class Outcome:
    """What a run has learned, and from which examples in each of its steps."""

    losses: list[float]
    adapter: dict[str, torch.Tensor]
    ledger: list[tuple[int, ...]]
    tokens: int

    @classmethod
    def of(cls, run: RunFolder) -> Outcome:
        steps = {e.step: e for e in run.reader().read_new() if isinstance(e, StepDone)}
        return cls(
            [e.loss for e in steps.values()],
            load_file(choose_checkpoint(run) / "adapter_model.safetensors"),
            [e.examples for e in steps.values()],
            sum(e.tokens for e in steps.values()),
        )

    def is_close_to(self, other: Outcome) -> bool:
        same = self.losses == pytest.approx(other.losses, abs=1e-5)
        return same and all(torch.allclose(self.adapter[n], other.adapter[n], atol=1e-5) for n in self.adapter)


_undisturbed: list[Outcome] = []


@pytest.fixture
def undisturbed(make_run: Make) -> Outcome:
    """What the run comes to when nothing happens to it; trained once for all tests."""
    if not _undisturbed:
        run = make_run("undisturbed", learned=16, held_out=0, **EXACT)
        assert do_here(run, Train()) == 0
        _undisturbed.append(Outcome.of(run))
    return _undisturbed[0]


@pytest.fixture
def supervised(make_run: Make) -> Iterator[RunFolder]:
    """A run whose supervisor's lock is held, as if one would start another process."""
    run = make_run(learned=16, held_out=0, **EXACT)
    lock = WriterLock(run.supervisor_lock)
    assert lock.acquire()
    yield run
    lock.release()


def memory_for(rows: int, monkeypatch: pytest.MonkeyPatch, *, step: int = 1, backward: bool = False) -> None:
    """From `step` on, no more than so many rows fit, in the forward or in the backward pass of a step's second half."""
    compute = StudioTrainer.compute_loss

    def limited(self: StudioTrainer, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        full = len(inputs["input_ids"]) > rows and self.state.global_step + 1 >= step
        if full and len(self.step.batches) > 1:
            if not backward:
                run_out()
            return fails_backward(compute(self, model, inputs, *rest, **named))
        return compute(self, model, inputs, *rest, **named)

    monkeypatch.setattr(StudioTrainer, "compute_loss", limited)


def codes(run: RunFolder) -> list[str]:
    return [notice.code for notice in run.state().notices]


@pytest.mark.parametrize("backward", [False, True])
def test_out_of_memory_in_a_step_goes_on_with_half_at_once_and_learns_the_same(
    make_run: Make, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch, backward: bool
) -> None:
    began_so = make_run("began-so", learned=16, held_out=0, **EXACT)
    with began_so.writer() as writer:
        writer.write(BatchChanged(batch_size=1, gradient_accumulation_steps=8))
    assert do_here(began_so, Train(resume=True)) == 0
    run = make_run("run", learned=16, held_out=0, **EXACT)
    memory_for(1, monkeypatch, step=3, backward=backward)
    assert do_here(run, Train()) == 0
    events = run.reader().read_new()
    changes = [(e.batch_size, e.gradient_accumulation_steps) for e in events if isinstance(e, BatchChanged)]
    assert changes == [(2, 4), (1, 8)]
    assert codes(run) == ["memory.smaller_batch", "memory.smaller_batch"]
    outcome = Outcome.of(run)
    assert outcome.is_close_to(undisturbed) and outcome.is_close_to(Outcome.of(began_so))
    assert (outcome.ledger, outcome.tokens) == (undisturbed.ledger, undisturbed.tokens)


def test_one_example_at_once_and_still_too_much_turns_on_checkpointing(
    make_run: Make, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = StudioTrainer.compute_loss

    def limited(self: StudioTrainer, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        if self.state.global_step >= 2 and not self.model.is_activation_checkpointing:
            run_out()
        return compute(self, model, inputs, *rest, **named)

    monkeypatch.setattr(StudioTrainer, "compute_loss", limited)
    run = make_run("run", learned=16, held_out=0, **EXACT, **{"training.activation_checkpointing": False})
    assert do_here(run, Train()) == 0
    assert codes(run)[-1] == "memory.checkpointing"
    batch = run.state().batch
    assert batch is not None and batch.activation_checkpointing
    assert Outcome.of(run).is_close_to(undisturbed)


def test_where_nothing_is_left_to_shrink_it_is_said_what_to_do(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_for(0, monkeypatch, step=3)
    run = make_run(learned=16, held_out=0, **EXACT)
    assert do_here(run, Train()) == 2
    ending = run.state().ending
    assert isinstance(ending, Failed) and ending.problem.code == "training.out_of_memory"
    assert "Longest example kept whole" in ending.problem.fix
    assert run.state().checkpoints, "what was saved before is kept"


def test_a_trial_that_doesnt_fit_begins_with_less_at_once(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = StudioTrainer.compute_loss

    def limited(self: StudioTrainer, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        if len(inputs["input_ids"]) > 3:
            run_out()
        return compute(self, model, inputs, *rest, **named)

    monkeypatch.setattr(StudioTrainer, "compute_loss", limited)
    run = make_run(learned=16, held_out=2, **EXACT)
    assert do_here(run, Train()) == 0
    assert codes(run) == ["memory.smaller_batch"]
    assert run.state().probed is not None


def test_out_of_memory_in_the_optimizer_goes_on_in_a_fresh_process(
    supervised: RunFolder, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def full(optimizer: Any, *_: Any) -> None:
        steps.append(optimizer)
        if len(steps) == 4 + 2 * torch.cuda.is_available():  # on a card two of them are the trial's
            run_out()

    hook = register_optimizer_step_pre_hook(full)
    try:
        assert do_here(supervised, Train()) == FRESH_START
        state = supervised.state()
        assert state.ending is None and state.batch is not None and state.batch.batch_size == 2
        assert do_here(supervised, Train(resume=True)) == 0
    finally:
        hook.remove()
    events = supervised.reader().read_new()
    assert [(e.step, e.repeated) for e in events if isinstance(e, Continued)] == [(2, 1)]
    assert isinstance(events[-1], Finished)
    assert Outcome.of(supervised).is_close_to(undisturbed)


def test_without_a_supervisor_it_is_a_problem_in_words(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = StudioTrainer._clip_grad_norm
    monkeypatch.setattr(
        StudioTrainer,
        "_clip_grad_norm",
        lambda self, model: run_out() if self.state.global_step == 2 else clip(self, model),
    )
    run = make_run(learned=16, held_out=0, **EXACT)
    assert do_here(run, Train()) == 2
    ending = run.state().ending
    assert isinstance(ending, Failed) and ending.problem.code == "engine.out_of_memory"


def lose_numbers(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    compute = StudioTrainer.compute_loss

    def lost(self: StudioTrainer, *arguments: Any, **named: Any) -> Any:
        loss = compute(self, *arguments, **named)
        return loss * math.nan if self.step.batches and self.state.global_step + 1 in steps else loss

    monkeypatch.setattr(StudioTrainer, "compute_loss", lost)


def test_three_steps_without_numbers_go_back_to_the_last_save_point_once(
    supervised: RunFolder, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        lose_numbers(patch, {3, 4, 5})
        patch.setattr(CheckpointWriter, "is_due", False)
        assert do_here(supervised, Train()) == FRESH_START
    assert codes(supervised)[-1] == "training.went_back"
    assert do_here(supervised, Train(resume=True)) == 0
    assert Outcome.of(supervised).is_close_to(undisturbed)


def test_where_the_numbers_are_lost_there_again_the_run_ends_in_words(
    supervised: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_numbers(monkeypatch, {3, 4, 5, 6})
    assert do_here(supervised, Train()) == FRESH_START
    assert do_here(supervised, Train(resume=True)) == 2
    ending = supervised.state().ending
    assert isinstance(ending, Failed) and ending.problem.code == "training.not_finite"
    assert codes(supervised).count("training.went_back") == 1


class FullDisk:
    """A save point that doesn't fit the first so many times."""

    def __init__(self, times: float, number: int = errno.ENOSPC) -> None:
        self.times = times
        self.number = number
        self.tries = 0

    def save(self) -> None:
        self.tries += 1
        if self.tries <= self.times:
            raise OSError(self.number, os.strerror(self.number), "somewhere")


def test_a_full_disk_is_waited_for_and_the_megabytes_are_named(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "LOOK_FOR_ROOM", 0.01)
    disk = FullDisk(3)
    assert save_patiently(context, disk.save, needed=7_500_000) is None
    assert disk.tries == 4
    (told,) = [e for e in context.folder.reader().read_new() if isinstance(e, NoticeLogged)]
    assert told.code == "disk.full"
    assert told.text.values["needed"] == 8


def test_a_disk_that_refuses_costs_that_save_point_and_nothing_else(context: JobContext) -> None:
    disk = FullDisk(1, errno.EIO)
    found = save_patiently(context, disk.save, needed=1)
    assert found is not None and found.code == "storage.cannot_write"
    assert disk.tries == 1
    (told,) = [e for e in context.folder.reader().read_new() if isinstance(e, NoticeLogged)]
    assert told.code == "saving.failed" and "error" in str(told.text.values["reason"])


def test_pause_is_obeyed_while_the_disk_is_full(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(learned=16, held_out=0, **EXACT)
    save = CheckpointWriter.save

    def full(self: CheckpointWriter, trainer: StudioTrainer, loss: float | None) -> None:
        if trainer.state.global_step > 2:
            if trainer.state.global_step == 4:
                send(run, Pause(id=new_id()))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(self, trainer, loss)

    monkeypatch.setattr(CheckpointWriter, "save", full)
    assert do_here(run, Train()) == 0
    ending = run.state().ending
    assert isinstance(ending, Paused) and ending.step == 2
    assert [c.step for c in run.state().checkpoints] == [2]


def test_a_run_whose_end_cant_be_saved_doesnt_say_that_it_has_finished(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(learned=16, held_out=0, **EXACT)
    save = CheckpointWriter.save

    def broken(self: CheckpointWriter, trainer: StudioTrainer, loss: float | None) -> None:
        if trainer.state.global_step > 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        save(self, trainer, loss)

    monkeypatch.setattr(CheckpointWriter, "save", broken)
    assert do_here(run, Train()) == 2
    ending = run.state().ending
    assert isinstance(ending, Failed) and ending.problem.code == "storage.cannot_write"
    assert [c.step for c in run.state().checkpoints] == [2]
    assert len(run.state().losses) == 6


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_events_that_cant_be_written_wait_in_their_order(
    make_run: Make, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    run = make_run(learned=16, held_out=0, **EXACT)
    write, full = JournalWriter.write, threading.Event()

    def refuses(self: JournalWriter, event: Any, *, durable: bool = False) -> None:
        if isinstance(event, StepDone) and event.step in (2, 3) and not full.is_set():
            if event.step == 3:
                full.set()
            raise OSError(number, os.strerror(number))
        write(self, event, durable=durable)

    monkeypatch.setattr(JournalWriter, "write", refuses)
    timer = threading.Timer(1.0, full.set)
    timer.start()
    assert do_here(run, Train()) == 0
    timer.join()
    events = run.reader().read_new()
    assert [e.step for e in events if isinstance(e, StepDone)] == [1, 2, 3, 4, 5, 6]
    told = [e.step for e in events if isinstance(e, StepDone | CheckpointCommitted)]
    assert told == sorted(told)
    assert isinstance(events[-1], Finished)


def test_a_card_whose_state_cant_be_trusted_is_left_at_once(tmp_path: Path) -> None:
    lines = """
        import pathlib, sys
        from studio.core.run_folder import JobFolder
        from studio.engine.job_context import JobContext
        def work(context):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        JobContext(JobFolder(pathlib.Path(sys.argv[1])), "train").run(work)
        print("still here")
        """
    command = [sys.executable, "-c", textwrap.dedent(lines), str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 1 and "still here" not in child.stdout
    assert "illegal memory access" in child.stderr
    assert [event.type for event in JobFolder(tmp_path).reader().read_new()] == ["process_started"]


def test_halving_ends_at_one_example_with_checkpointing() -> None:
    found, now = [], None
    while (now := smaller_batch(5, 3, False, now)) is not None:
        found.append((now.batch_size, now.gradient_accumulation_steps, now.activation_checkpointing))
    assert found == [(3, 6, False), (2, 9, False), (1, 15, False), (1, 15, True)]
