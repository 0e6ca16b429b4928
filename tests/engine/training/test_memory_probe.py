"""The trial before a run: it measures, it changes nothing, and it says in words when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from studio.core.events import Evaluated, Failed, MemoryProbed, StepDone
from studio.core.job_states import MemoryProbeState
from studio.core.jobs import MemoryProbe, Train
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.engine.job_context import JobContext
from studio.engine.training import job, memory_probe
from studio.engine.training.batch_layout import BatchLayout
from studio.engine.training.plan import plan_of
from studio.engine.training.trainer import StudioTrainer
from tests.engine.conftest import Child, do_here


def losses(run: RunFolder) -> list[float]:
    return [event.loss for event in run.reader().read_new() if isinstance(event, StepDone)]


def test_a_run_learns_bit_for_bit_the_same_with_and_without_a_trial(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"method.compute_dtype": "float32", "method.dropout": 0.2, "training.gradient_accumulation_steps": 2}
    plain = make_run("plain", learned=18, **settings)
    assert do_here(plain, Train()) == 0
    tried = make_run("tried", learned=18, **settings)
    monkeypatch.setattr(job, "is_tried_first", lambda _: True)
    assert do_here(tried, Train()) == 0
    for run, first, second in ((tried, MemoryProbed, StepDone), (plain, StepDone, MemoryProbed)):
        kinds = [type(event) for event in run.reader().read_new()]
        assert kinds.index(first) < kinds.index(second) and kinds.count(MemoryProbed) == 1
    assert len(losses(tried)) >= 4
    assert losses(tried) == losses(plain)
    ends = [sorted(run.checkpoints.glob("*/adapter_model.safetensors"))[-1].read_bytes() for run in (tried, plain)]
    assert ends[0] == ends[1]


def test_on_a_processor_the_first_step_is_the_trial(make_run: Callable[..., RunFolder]) -> None:
    run = make_run()
    assert do_here(run, Train()) == 0
    events = run.reader().read_new()
    kinds = [type(event) for event in events]
    assert kinds.index(StepDone) < kinds.index(MemoryProbed) < kinds.index(Evaluated)
    done = next(event for event in events if isinstance(event, MemoryProbed))
    assert done.device == "cpu"
    assert done.reserved is None
    assert done.peak > 50 << 20  # the whole process, which holds torch
    assert 0 < done.step_seconds <= done.run_seconds


@pytest.mark.parametrize("kind", ["lora", "qlora", "bottleneck", "full", "prompt"])
def test_the_model_as_it_began_is_looked_at_after_the_first_step_where_that_is_the_same(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def looks(name: str) -> tuple[list[Evaluated], list[float], list[type]]:
        run = make_run(name, **{"method.kind": kind, "method.compute_dtype": "float32"})
        assert do_here(run, Train()) == 0
        events = run.reader().read_new()
        found = [event for event in events if isinstance(event, Evaluated)]
        return found, losses(run), [type(event) for event in events]

    after, learned, kinds = looks("after")
    later = kind not in ("full", "prompt")  # of which the beginning is gone with the first step
    assert (kinds.index(StepDone) < kinds.index(Evaluated)) is later
    monkeypatch.setattr(job.TrainingJob, "_keeps_beginning", lambda _: False)
    before, same, kinds = looks("before")
    assert kinds.index(Evaluated) < kinds.index(StepDone)
    assert [(one.step, one.loss, one.model) for one in after] == [(one.step, one.loss, one.model) for one in before]
    assert after[0].step == 0 and learned == same


def test_a_trial_of_its_own_ends_with_the_figures_and_leaves_the_run_alone(
    make_run: Callable[..., RunFolder], start: Callable[..., Child]
) -> None:
    run = make_run()
    before = sorted(str(path) for path in run.path.rglob("*"))
    job = run.job("memory_probe")
    child = start(job, MemoryProbe(run=run.path))
    assert child.wait() == 0, job.log.read_text()
    state = job.fold(RunState())
    assert state.probed is not None
    assert state.probed.tokens > 0
    assert not state.losses
    assert not run.events.exists()
    after = sorted(str(path) for path in run.path.rglob("*") if "jobs" not in path.parts)
    assert after == before


@pytest.mark.parametrize("kind", [Train, MemoryProbe])
def test_running_out_of_memory_in_the_trial_is_said_in_words(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(StudioTrainer, "compute_loss", full)
    run = make_run()
    folder = run if kind is Train else run.job("memory_probe")
    assert do_here(folder, Train() if kind is Train else MemoryProbe(run=run.path)) == 2
    ending = folder.fold(MemoryProbeState()).ending
    assert isinstance(ending, Failed)
    assert ending.problem.code == ("training.out_of_memory" if kind is Train else "memory.trial_failed")
    assert kind is Train or "Examples at once" in ending.problem.fix
    assert not list(run.checkpoints.glob("*"))


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"training.batch_size": 4}, "Examples at once"),
        ({"training.batch_size": 1}, "Compute twice"),
        ({"training.batch_size": 1, "training.activation_checkpointing": True, "method.kind": "lora"}, "Memory saver"),
        ({"training.batch_size": 1, "training.activation_checkpointing": True}, "smaller base model"),
    ],
)
def test_what_would_help_depends_on_the_settings(
    make_run: Callable[..., RunFolder], context: JobContext, settings: dict[str, object], advice: str
) -> None:
    plan, _ = plan_of(context, make_run(**settings))
    inputs = plan.objective.collate(memory_probe.longest_rows(plan))
    assert advice in memory_probe.out_of_memory(plan, inputs).problem.fix


def test_a_slow_processor_takes_one_step_only(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[memory_probe.Round] = []
    one_round = memory_probe.one_round

    def slow(*arguments: Any) -> memory_probe.Round:
        one_round(*arguments)
        rounds.append(memory_probe.Round(learning=20.0, optimizing=0.5))
        return rounds[-1]

    monkeypatch.setattr(memory_probe, "one_round", slow)
    run = make_run(**{"training.gradient_accumulation_steps": 1})
    job = run.job("memory_probe")
    assert do_here(job, MemoryProbe(run=run.path)) == 0
    assert len(rounds) == 1
    done = job.fold(MemoryProbeState()).probed
    assert done is not None
    assert done.step_seconds == 20.5
    assert done.run_seconds > 4 * 0.5 + 20.0  # four steps, none longer than the one tried
    assert done.run_seconds <= 4 * 20.5


def test_the_longest_batch_holds_the_longest_examples(make_run: Callable[..., RunFolder], context: JobContext) -> None:
    plan, _ = plan_of(context, make_run(learned=12, held_out=0))
    inputs = plan.objective.collate(memory_probe.longest_rows(plan))
    assert inputs["input_ids"].shape == (plan.batch, max(plan.dataset.lengths))
    assert int(inputs["attention_mask"].sum()) == sum(sorted(plan.dataset.lengths)[-plan.batch :])
    padded = memory_probe.computed_tokens(plan, BatchLayout.padded)
    assert padded >= memory_probe.computed_tokens(plan, BatchLayout.packed) == plan.dataset.counts.tokens
