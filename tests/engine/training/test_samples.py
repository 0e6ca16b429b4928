"""Answers while it learns: told, few, within their time, and without any influence on what is learned."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from studio.core.events import Continued, Evaluated, NoticeLogged, SampleAnswered
from studio.core.jobs import Train
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.run_state import RunState
from studio.engine.evaluation.generate import Generator
from studio.engine.training import samples
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]
SHORT = {"training.epochs": 3.0, "training.save_steps": 2, "training.sample_answers": True}


def told(run: RunFolder) -> list[SampleAnswered]:
    return [event for event in run.reader().read_new() if isinstance(event, SampleAnswered)]


def test_examples_set_aside_are_answered_before_between_and_after(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "SHARE", 1000.0)
    run = make_run(held_out=5, **SHORT)
    assert do_here(run, Train()) == 0
    answers = told(run)
    assert {(one.step, one.index) for one in answers} == {(step, index) for step in (0, 2, 4, 6) for index in range(3)}
    assert len({one.question for one in answers}) == 3
    before, after = (["", "", ""], ["", "", ""])
    for one in answers:
        (before if one.step == 0 else after)[one.index] = one.answer
    assert before != after, "it learned something meanwhile"
    assert run.state().samples == answers


def test_a_persons_own_questions_come_first_and_three_are_enough(make_run: Make) -> None:
    own = "Where is my parcel?\n\n Who are you?\nWhat is 2?\nAnd 3?"
    run = make_run(held_out=0, **{**SHORT, "training.sample_questions": own})
    assert do_here(run, Train()) == 0
    assert {one.question for one in told(run)} == {"Where is my parcel?", "Who are you?", "What is 2?"}


@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_what_is_learned_is_the_same_bit_for_bit(make_run: Make, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SHARE", 1000.0)
    learned = []
    for asks in (True, False):
        values = {**SHORT, "training.sample_answers": asks, "method.kind": kind, "method.dropout": 0.1}
        run = make_run(f"asks-{asks}", **values)
        assert do_here(run, Train()) == 0
        assert bool(told(run)) is asks
        learned.append(load_file(choose_checkpoint(run) / "adapter_model.safetensors"))
    assert learned[0].keys() == learned[1].keys()
    assert all(torch.equal(learned[0][name], learned[1][name]) for name in learned[0])


def test_where_there_is_no_time_only_both_ends_are_asked(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SHARE", 0.0)
    run = make_run(**SHORT)
    assert do_here(run, Train()) == 0
    assert {one.step for one in told(run)} == {0, 6}
    looks = {event.step for event in run.reader().read_new() if isinstance(event, Evaluated)}
    assert looks == {0, 2, 4, 6}


def test_memory_that_runs_out_ends_the_answers_and_not_the_training(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs_out(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Generator, "answer_all", runs_out)
    run = make_run(**SHORT)
    assert do_here(run, Train()) == 0
    notices = [event.code for event in run.reader().read_new() if isinstance(event, NoticeLogged)]
    assert notices.count("samples.no_memory") == 1 and told(run) == []


def test_answers_are_cut_off_when_their_time_is_over(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SHARE", 0.0)
    monkeypatch.setattr(samples, "AT_LEAST", 1e-9)
    run = make_run(**SHORT)
    assert do_here(run, Train()) == 0
    assert told(run) and all(len(one.answer) <= 4 and not one.ended for one in told(run)), "one token each"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seconds", [30.0, 116.0, 3600.0])
def test_all_answers_together_take_two_percent_of_the_time_and_a_third_is_kept_for_the_last(
    seconds: float, known: bool
) -> None:
    """Told what it may, each time takes all of that."""
    answering, spent = samples.AnswerTime(100), []
    answering.run_seconds = seconds if known else 0.0
    for step in range(101):
        allowed = answering.allowed(step, seconds * step / 100)
        if allowed:
            answering.spend(allowed)
            spent.append(allowed)
    assert sum(spent) <= max(samples.SHARE * seconds, 2 * samples.AT_LEAST) + 0.01
    assert spent[-1] >= samples.AT_LEAST
    if seconds > 100:
        assert spent[-1] >= samples.SHARE * seconds / 3 and len(spent) > 2, "and there was time in between"


def test_who_learns_to_end_its_answers_is_asked_more_often() -> None:
    answering, asked = samples.AnswerTime(100), []
    answering.run_seconds = 1200.0
    for step in range(0, 101, 5):
        if allowed := answering.allowed(step, 12.0 * step):
            asked.append(step)
            answering.spend(min(allowed, 8.0 if step < 40 else 1.0))
    assert asked[0] == 0 and asked[-1] == 100 and len(asked) >= 6


def test_what_was_answered_after_the_save_point_that_a_run_goes_on_from_is_forgotten() -> None:
    state = RunState()
    for step in (0, 2, 4):
        state.apply(SampleAnswered(step=step, index=0, question="?", answer=str(step)))
    state.apply(Continued(step=2, folder="checkpoints/step-000002"))
    assert [one.step for one in state.samples] == [0, 2]
