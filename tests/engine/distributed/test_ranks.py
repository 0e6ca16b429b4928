"""Two processes learn what one does, and end together."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from studio.core.events import (
    BatchChanged,
    CheckpointCommitted,
    Crashed,
    Event,
    Failed,
    Finished,
    Paused,
    ProcessStarted,
    StepDone,
)
from studio.core.jobs import FRESH_START, Placement, Train, write_job
from studio.core.problems import Problem
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.engine.__main__ import main
from studio.engine.distributed.launch import meaning, refused
from studio.engine.distributed.ranks import buckets, join
from studio.engine.job_context import FreshStart
from studio.runs.follow import follow, processes_of
from studio.runs.resume import resume_run
from studio.runs.start import JobProcess, start_training
from tests.engine.conftest import do_here
from tests.engine.distributed.conftest import InProcesses
from tests.engine.objectives.test_preference import frozen_pairs

SETTINGS: dict[str, object] = {
    "method.kind": "lora",
    "method.compute_dtype": "float32",
    "training.batch_size": 4,
    "training.gradient_accumulation_steps": 2,
    "training.epochs": 3.0,
    "training.learning_rate": 5e-3,
}
TWO = Placement(processes=2)
TOLERANCE = 1e-5
"""Relative, of a step's loss in float32: the same sums in another order."""


def steps(run: RunFolder) -> dict[int, StepDone]:
    """The last telling of each step."""
    return {event.step: event for event in run.reader().read_new() if isinstance(event, StepDone)}


def assert_same_course(run: RunFolder, other: RunFolder) -> None:
    ours, theirs = steps(run), steps(other)
    assert list(ours) == list(theirs)
    for step, done in ours.items():
        assert done.loss == pytest.approx(theirs[step].loss, rel=TOLERANCE)
        assert done.gradient_norm == pytest.approx(theirs[step].gradient_norm, rel=1e-3)
        assert (done.tokens, sorted(done.examples)) == (theirs[step].tokens, sorted(theirs[step].examples))


def trained(rank: int, path: Path) -> int:
    return main(["train", str(path)])


@pytest.mark.parametrize(
    "values",
    [{}, {"training.batch_size": 1, "training.gradient_accumulation_steps": 3}, {"method.kind": "qlora"}],
    ids=["batches", "uneven-shares", "nf4"],
)
def test_two_processes_learn_what_one_does(
    values: dict[str, object], make_run: Callable[..., RunFolder], in_processes: InProcesses
) -> None:
    one, two = (make_run(name, 13, 3, **{**SETTINGS, **values}) for name in ("one", "two"))
    assert do_here(one, Train()) == 0
    write_job(two, Train(where=TWO))
    assert in_processes(trained, two.path) == [0, 0]
    assert_same_course(one, two)
    weights = [torch_file(choose_checkpoint(run)) for run in (one, two)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-3, atol=1e-5)


def torch_file(checkpoint: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(checkpoint / "adapter_model.safetensors")


def test_pairs_are_divided_too(make_run: Callable[..., RunFolder], in_processes: InProcesses) -> None:
    settings = {
        **SETTINGS,
        "objective.kind": "dpo",
        "training.batch_size": 1,
        "training.gradient_accumulation_steps": 3,
    }
    one, two = (frozen_pairs(make_run(name, 10, 3, **settings), 10, 3) for name in ("one", "two"))
    assert do_here(one, Train()) == 0
    write_job(two, Train(where=TWO))
    assert in_processes(trained, two.path) == [0, 0]
    assert_same_course(one, two)
    for step, done in steps(two).items():
        expected = steps(one)[step].preference
        assert done.preference is not None and expected is not None
        assert done.preference.margin == pytest.approx(expected.margin, abs=1e-5)


def summed(rank: int) -> int:
    ranks = join()
    parameters = [torch.nn.Parameter(torch.ones(3)) for _ in range(3)]
    parameters[0].grad = torch.full((3,), float(rank + 1))
    if rank:
        parameters[1].grad = torch.full((3,), 5.0)
    ranks.sum_gradients(parameters)
    found = [None if p.grad is None else float(p.grad.sum()) for p in parameters]
    ranks.wait()
    return 0 if found == [9.0, 15.0, None] else 1


def test_gradients_are_summed_also_where_one_process_has_none(in_processes: InProcesses) -> None:
    assert in_processes(summed) == [0, 0]


def test_gradients_are_summed_in_groups_of_one_format() -> None:
    few = [torch.nn.Parameter(torch.zeros(4, dtype=dtype)) for dtype in (torch.float32, torch.bfloat16)]
    many = [torch.nn.Parameter(torch.zeros(10)) for _ in range(4)]
    assert [len(bucket) for bucket in buckets([*few, *many], most=100)] == [1, 1, 2, 2]


def released(rank: int) -> int:
    ranks = join()
    if rank:
        ranks.wait()  # it never comes
        return 1
    ranks.release()
    time.sleep(1.0)
    return 0


def test_when_the_first_is_done_the_others_end_whatever_they_wait_for(in_processes: InProcesses) -> None:
    assert in_processes(released) == [0, 0]


def killed(rank: int) -> int:
    ranks = join()
    if rank:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        ranks.wait()
    except FreshStart:
        return FRESH_START
    return 1


def test_when_one_is_killed_the_others_go_on_in_a_fresh_start(in_processes: InProcesses) -> None:
    assert in_processes(killed) == [FRESH_START, -signal.SIGKILL]


def ended(process: JobProcess, until: Callable[[list[Event]], bool] = lambda _: False) -> list[Event]:
    """Follow a training until its ending, or `until` what was told is enough."""
    told: list[Event] = []
    for events in follow(process.folder, process):
        told += events
        if until(told):
            break
    return told


@pytest.mark.faults
def test_one_of_two_is_killed_in_the_middle_and_the_run_goes_on_as_if_nothing_had_been(
    make_run: Callable[..., RunFolder],
) -> None:
    settings = {**SETTINGS, "training.epochs": 40.0, "training.save_steps": 10}
    one, two = (make_run(name, 13, 3, **settings) for name in ("one", "two"))
    assert do_here(one, Train()) == 0
    supervisor = start_training(two, Train(where=TWO))
    try:
        ended(supervisor, lambda told: any(isinstance(event, CheckpointCommitted) for event in told))
        first = {event.pid for event in two.reader().read_new() if isinstance(event, ProcessStarted)}
        below = psutil.Process(supervisor.pid).children(recursive=True)
        (other,) = (one for one in below if one.pid not in first and not one.children())
        other.kill()
        told = ended(supervisor)
    finally:
        for process in processes_of(two):
            process.kill()
    assert supervisor.process.wait(60) == 0
    assert isinstance(told[-1], Finished)
    assert "processes.one_lost" in [notice.code for notice in two.state().notices]
    assert not any(isinstance(event, Crashed) for event in told)
    assert_same_course(one, two)


@pytest.mark.slow
def test_a_pause_is_obeyed_by_all_and_one_process_goes_on_where_two_were(
    make_run: Callable[..., RunFolder],
) -> None:
    from studio.runs.command import pause

    settings = {**SETTINGS, "training.epochs": 50.0}
    one, two = (make_run(name, 13, 3, **settings) for name in ("one", "two"))
    assert do_here(one, Train()) == 0
    supervisor = start_training(two, Train(where=TWO))
    ended(supervisor, lambda told: sum(isinstance(event, StepDone) for event in told) > 5)
    pause(two)
    told = ended(supervisor)
    assert isinstance(told[-1], Paused)
    assert supervisor.process.wait(60) == 0
    assert not processes_of(two)
    assert isinstance(ended(resume_run(two, Placement()))[-1], Finished)
    assert_same_course(one, two)


def told_aside(run: RunFolder, *events: Event) -> None:
    """What the second process of the run met."""
    with run.rank(1).writer() as writer:
        for event in (ProcessStarted(job="train", pid=1, started=0.0), *events):
            writer.write(event)


def test_a_process_that_is_killed_means_a_fresh_start_which_is_told(make_run: Callable[..., RunFolder]) -> None:
    run = make_run()
    told_aside(run, BatchChanged(batch_size=2, gradient_accumulation_steps=2))
    assert meaning(run, Train(where=TWO), {0: FRESH_START, 1: -signal.SIGKILL}) == FRESH_START
    assert [notice.code for notice in run.state().notices] == ["processes.one_lost"]
    assert run.state().batch is not None, "with less at once for all of them"


def test_what_ends_another_process_than_the_first_ends_the_run_in_its_words(make_run: Callable[..., RunFolder]) -> None:
    run = make_run()
    told_aside(run, Failed(problem=Problem(code="training.out_of_memory", what="Too large.")))
    assert meaning(run, Train(where=TWO), {0: FRESH_START, 1: 2}) == 2
    ending = run.state().ending
    assert isinstance(ending, Failed) and ending.problem.code == "training.out_of_memory"


def test_what_the_first_process_told_stands_as_it_is(make_run: Callable[..., RunFolder]) -> None:
    run = make_run()
    told_aside(run, Failed(problem=Problem(code="other", what="Later.")))
    assert meaning(run, Train(where=TWO), {0: 2, 1: 2}) == 2
    assert meaning(run, Train(where=TWO), {0: 1}) == 1, "a card's error, which the end of the log explains"
    assert not run.events.exists()


def test_more_cards_than_there_are_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = refused(Train(where=Placement.on_cards(["0", "1"])))
    assert found is not None
    assert found.problem.code == "processes.too_few_cards"


def test_a_torch_without_gloo_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_gloo_available", lambda: False)
    found = refused(Train(where=TWO))
    assert found is not None
    assert found.problem.code == "processes.no_gloo"
