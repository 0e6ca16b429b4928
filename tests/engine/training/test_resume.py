"""A run that was killed, paused or extended goes on, and becomes what it would have become without."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from studio.core import versions as core_versions
from studio.core.events import (
    CheckpointCommitted,
    CheckpointRemoved,
    Continued,
    Evaluated,
    Event,
    Extended,
    Failed,
    Finished,
    MemoryProbed,
    NoticeLogged,
    Paused,
    StepDone,
)
from studio.core.jobs import Train, write_job
from studio.core.recipe.recipe import load, to_yaml, with_value
from studio.core.recipe.training import Optimizer
from studio.core.run_folder import RunFolder, choose_step
from studio.core.versions import library_versions
from studio.engine.__main__ import work_of
from studio.engine.job_context import JobContext
from studio.engine.methods.registry import method_of
from studio.engine.training import job as jobs
from studio.engine.training import plan as plans
from studio.engine.training.callback import TrainingCallback, UntoldStep
from studio.engine.training.job import TrainingJob
from studio.engine.training.trainer import StudioTrainer
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]

EXAMPLES = 77
SETTINGS = {
    "method.kind": "lora",
    "method.compute_dtype": "float32",
    "training.batch_size": 2,
    "training.gradient_accumulation_steps": 4,  # ten steps an epoch, the last batch of each short
    "training.epochs": 3.0,
    "training.learning_rate": 1e-2,
    "training.save_steps": 3,
}
SHORT = {**SETTINGS, "training.epochs": 2.0, "training.gradient_accumulation_steps": 2, "training.save_steps": 2}
"""With 15 examples: four steps an epoch."""


class Killed(BaseException):
    """Ends a training as a kill does: without a word."""


def train_until(run: RunFolder, step: int, job: Train) -> None:
    """Do the job and kill it after `step`, before anything is saved there."""
    computed = TrainingCallback._computed

    def compute(self: TrainingCallback, *arguments: Any) -> UntoldStep:
        made = computed(self, *arguments)
        if self.done == step:
            self._untold.append(made)
            self.tell()
            raise Killed
        return made

    write_job(run, job)
    context = JobContext(run, job.job)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(TrainingCallback, "_computed", compute)
        context.run(work_of(job))
    context._writer.close()  # as the system does when a process ends


@contextmanager
def a_signal_in_step(step: int) -> Iterator[None]:
    """SIGTERM in the middle of `step`, when its first batch is computed."""
    compute = StudioTrainer.training_step

    def training_step(self: StudioTrainer, *arguments: Any) -> Any:
        loss = compute(self, *arguments)
        if self.state.global_step + 1 == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudioTrainer, "training_step", training_step)
        yield


def adapter(run: RunFolder, step: int) -> dict[str, torch.Tensor]:
    (file,) = (run.checkpoints / f"step-{step:06d}").glob("*.safetensors")
    return load_file(file)


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def told(run: RunFolder, kind: type[Event]) -> list[Any]:
    return [event for event in run.reader().read_new() if isinstance(event, kind)]


def steps_that_count(run: RunFolder) -> list[StepDone]:
    """The steps of a run without those that were computed again after an interruption."""
    kept: list[StepDone] = []
    for event in run.reader().read_new():
        if isinstance(event, Continued):
            kept = [step for step in kept if step.step <= event.step]
        elif isinstance(event, StepDone):
            kept.append(event)
    return kept


def assert_each_example_once_an_epoch(run: RunFolder, examples: int, epoch_steps: int) -> None:
    steps = steps_that_count(run)
    assert [one.step for one in steps] == list(range(1, len(steps) + 1))
    for begin in range(0, len(steps), epoch_steps):
        read = Counter(position for step in steps[begin : begin + epoch_steps] for position in step.examples)
        assert read == dict.fromkeys(range(examples), 1)


def assert_the_same(run: RunFolder, whole: RunFolder, step: int) -> None:
    assert equal(adapter(run, step), adapter(whole, step))
    assert [(s.step, s.loss, s.learning_rate, s.examples) for s in steps_that_count(run)] == [
        (s.step, s.loss, s.learning_rate, s.examples) for s in steps_that_count(whole)
    ]
    assert run.state().held_out_losses == whole.state().held_out_losses


def interrupted_at(make_run: Make, steps: range | tuple[int, ...], **values: object) -> None:
    """Interrupts a run at each of `steps` and compares what becomes of it with the run that never was."""
    settings = {**SETTINGS, **values}
    whole = make_run("whole", learned=EXAMPLES, **settings)
    assert do_here(whole, Train()) == 0
    assert_each_example_once_an_epoch(whole, EXAMPLES, 10)
    for step in steps:
        run = make_run(f"until-{step}", learned=EXAMPLES, **settings)
        train_until(run, step, Train())
        assert do_here(run, Train(resume=True)) == 0, step
        assert_the_same(run, whole, 30)
        assert_each_example_once_an_epoch(run, EXAMPLES, 10)
        saved = (step - 1) // 3 * 3
        continued = told(run, Continued)[0]
        assert (continued.step, continued.repeated) == (saved, step - saved)
        # measured when it began and, where nothing was saved yet, when it began again
        assert len(told(run, MemoryProbed)) == (1 if saved else 2)
        assert [e.step for e in told(run, Evaluated)].count(0) == 1


def test_interrupted_at_some_steps_it_becomes_the_same_run_bit_for_bit(make_run: Make) -> None:
    interrupted_at(make_run, (10, 25))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_interrupted_at_every_step_it_becomes_the_same_run_bit_for_bit(make_run: Make) -> None:
    interrupted_at(make_run, range(1, 31))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_with_dropout_and_every_optimizer_it_becomes_the_same_run(
    make_run: Make, optimizer: Optimizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "optimizer_for", lambda *_: optimizer)  # a processor can do all of them, unpaged
    interrupted_at(make_run, range(1, 31), **{"method.dropout": 0.1})


@pytest.mark.parametrize("optimizer", [Optimizer.adamw, Optimizer.paged_adamw_8bit])
def test_a_pause_in_the_middle_of_a_step_loses_nothing(
    make_run: Make, optimizer: Optimizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "optimizer_for", lambda *_: optimizer)
    settings = {**SHORT, "method.dropout": 0.1}
    whole = make_run("whole", learned=15, **settings)
    assert do_here(whole, Train()) == 0
    run = make_run("run", learned=15, **settings)
    for job, step in ((Train(), 4), (Train(resume=True), 5), (Train(resume=True), 8)):
        with a_signal_in_step(step):  # within an epoch, at its beginning, in the last step
            assert do_here(run, job) == 0
        ending = run.state().ending
        assert isinstance(ending, Paused) and ending.step == step - 1
        assert run.state().checkpoints[-1].step == step - 1
    assert do_here(run, Train(resume=True)) == 0
    assert [(e.step, e.repeated) for e in told(run, Continued)] == [(3, 0), (4, 0), (7, 0)]
    assert equal(adapter(run, 8), adapter(whole, 8))
    assert [(s.loss, s.examples) for s in steps_that_count(run)] == [
        (s.loss, s.examples) for s in steps_that_count(whole)
    ]


def test_stopped_while_it_gets_ready_it_says_from_where_it_will_go_on(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(learned=15, **SHORT)
    train_until(run, 5, Train())

    def with_a_signal(settings: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return method_of(settings)

    monkeypatch.setattr(jobs, "method_of", with_a_signal)
    assert do_here(run, Train(resume=True)) == 0
    assert isinstance(run.state().ending, Paused) and run.state().ending.step == 4  # type: ignore[union-attr]
    assert [c.step for c in run.state().checkpoints] == [2, 4]


def test_a_damaged_save_point_is_set_aside_and_the_one_before_is_used(make_run: Make) -> None:
    whole = make_run("whole", learned=15, **SHORT)
    assert do_here(whole, Train()) == 0
    run = make_run("run", learned=15, **SHORT)
    train_until(run, 7, Train())
    damaged = run.checkpoints / "step-000006" / "optimizer.pt"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert do_here(run, Train(resume=True)) == 0
    assert [(e.step, e.folder, e.repeated) for e in told(run, Continued)] == [(4, "checkpoints/step-000004", 3)]
    assert [e.step for e in told(run, CheckpointRemoved) if e.reason == "damaged"] == [6]
    assert (run.checkpoints / "damaged-step-000006" / "optimizer.pt").read_bytes() == content
    assert_the_same(run, whole, 8)


def test_with_every_save_point_damaged_it_starts_again_from_the_beginning_and_says_so(make_run: Make) -> None:
    run = make_run(learned=15, **SHORT)
    train_until(run, 5, Train())
    for folder in run.checkpoints.glob("step-*"):
        (folder / "adapter_model.safetensors").write_bytes(b"\0" * 100)
    assert do_here(run, Train(resume=True)) == 0
    assert [(e.step, e.folder, e.repeated) for e in told(run, Continued)] == [(0, "", 5)]
    assert "resume.from_the_beginning" in {e.code for e in told(run, NoticeLogged)}
    assert [e.step for e in told(run, Evaluated)].count(0) == 1
    assert len(steps_that_count(run)) == 8


def test_a_save_point_whose_line_in_the_journal_is_missing_counts(make_run: Make) -> None:
    run = make_run(learned=15, **SHORT)
    train_until(run, 5, Train())
    lines = run.events.read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"checkpoint_committed","step":4,' not in line]
    assert len(kept) == len(lines) - 1
    run.events.write_text("".join(kept))
    assert do_here(run, Train(resume=True)) == 0
    assert [e.step for e in told(run, Continued)] == [4]
    assert [e.step for e in told(run, CheckpointCommitted)] == [2, 4, 6, 8]


def test_rotation_goes_on_with_what_earlier_processes_saved(make_run: Make) -> None:
    run = make_run(learned=15, **{**SHORT, "training.save_steps": 1})
    train_until(run, 5, Train())
    choose_step(run, 3)  # by a person, for tests and chats
    assert do_here(run, Train(resume=True)) == 0
    state = run.state()
    kept = {folder.name for folder in run.checkpoints.iterdir()}
    assert state.best_checkpoint is not None
    best = state.best_checkpoint.folder.removeprefix("checkpoints/")
    assert kept == {"step-000003", "step-000007", "step-000008", best}
    assert {c.folder.removeprefix("checkpoints/") for c in state.checkpoints} == kept
    losses = [e.loss for e in told(run, CheckpointCommitted)]
    assert state.best_checkpoint.loss == min(losses)


def test_a_run_that_ended_after_its_last_save_point_is_finished_without_another_step(make_run: Make) -> None:
    run = make_run(learned=15, **SHORT)
    assert do_here(run, Train()) == 0
    steps = len(told(run, StepDone))
    assert do_here(run, Train(resume=True)) == 0
    assert isinstance(run.state().ending, Finished)
    assert len(told(run, StepDone)) == steps


def test_more_passes_have_a_course_of_their_own_and_the_order_that_they_always_would_have_had(make_run: Make) -> None:
    always = make_run("always", learned=15, **{**SHORT, "training.epochs": 4.0})
    assert do_here(always, Train()) == 0
    run = make_run("run", learned=15, **SHORT)
    assert do_here(run, Train()) == 0
    assert do_here(run, Train(resume=True, extra_epochs=2.0)) == 0
    assert [(e.epochs, e.total_steps) for e in told(run, Extended)] == [(4.0, 16)]
    assert run.state().prepared.total_steps == 16 and run.state().prepared.epochs == 4.0  # type: ignore[union-attr]
    steps = steps_that_count(run)
    assert [s.examples for s in steps] == [s.examples for s in steps_that_count(always)]
    rates = [s.learning_rate for s in steps]
    assert rates[8:] == rates[:8] and rates[0] < rates[1] > rates[7] > 0

    again = make_run("again", learned=15, **SHORT)
    train_until(again, 5, Train())
    train_until(again, 7, Train(resume=True, extra_epochs=2.0))  # asked for while the first part wasn't done
    train_until(again, 11, Train(resume=True))
    assert do_here(again, Train(resume=True)) == 0
    assert_the_same(again, run, 16)


def test_it_ends_early_when_nothing_becomes_better_and_more_passes_have_new_patience(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = {0: 5.0, 1: 4.0, 2: 4.5, 3: 4.1, 4: 4.2, 5: 4.2, 6: 3.9, 7: 4.0, 8: 4.0, 9: 4.0}

    def score(self: TrainingJob, step: int) -> float:
        self.context.write(Evaluated(step=step, loss=losses[step], examples=2))
        return losses[step]

    monkeypatch.setattr(TrainingJob, "score", score)
    run = make_run(learned=15, **{**SHORT, "training.save_steps": 1, "training.patience": 3, "training.epochs": 1.5})
    run.recipe.write_text(to_yaml(with_value(load(run.recipe), "training.epochs", 2.0)))
    assert do_here(run, Train()) == 0
    state = run.state()
    assert isinstance(state.ending, Finished) and state.last is not None and state.last.step == 4
    assert state.best_checkpoint is not None and state.best_checkpoint.step == 1
    enough = [e for e in told(run, NoticeLogged) if e.code == "training.enough"]
    assert [(e.text.values["best"], e.text.values["step"]) for e in enough] == [(1, 4)]
    assert do_here(run, Train(resume=True, extra_epochs=1.0)) == 0
    state = run.state()
    assert state.last is not None and state.last.step == 9
    assert state.best_checkpoint is not None and state.best_checkpoint.step == 6


def test_other_libraries_another_form_and_another_optimizer_are_refused_in_words(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(learned=15, **SHORT)
    train_until(run, 5, Train())

    def refusal() -> str:
        assert do_here(run, Train(resume=True)) == 2
        ending = run.state().ending
        assert isinstance(ending, Failed)
        assert "--from RUN" in ending.problem.english()
        return ending.problem.code

    with pytest.MonkeyPatch.context() as patch:
        versions = library_versions()
        patch.setattr(
            core_versions, "library_versions", lambda: {**versions, "torch": "2.99.0", "peft": versions["peft"] + ".1"}
        )
        assert refusal() == "checkpoint.other_versions"
        ending = run.state().ending
        assert isinstance(ending, Failed)
        assert str(ending.problem.values["changed"]).startswith("torch ")
        assert "peft" not in str(ending.problem.values["changed"])  # a repair of the same version
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "optimizer_for", lambda *_: Optimizer.paged_adamw_8bit)
        assert refusal() == "checkpoint.other_optimizer"
    recipe = load(run.recipe)
    run.recipe.write_text(to_yaml(with_value(recipe, "method.rank", 8)))
    assert refusal() == "checkpoint.other_model"
    run.recipe.write_text(to_yaml(recipe))
    assert do_here(run, Train(resume=True)) == 0
    assert isinstance(run.state().ending, Finished)
