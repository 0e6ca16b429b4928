"""The exam over tiny models: who takes part, what they are asked, and what is known from before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    PROMPTED,
    THIS_RUN,
    Evaluated,
    ExamCompleted,
    Failed,
    Finished,
    ModelUnderTest,
    Prediction,
)
from studio.core.job_states import ExamState, ProcessState
from studio.core.jobs import Exam, Train
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import listed, read_manifest, write_manifest
from studio.dataset.examples import Example
from studio.engine.evaluation.generate import Answer, Generator
from studio.engine.exam import exam as exams
from studio.evaluation.forgetting import GROUPS, forgetting, general_questions, retention
from studio.evaluation.verdict import compare, verdict
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]


@pytest.fixture
def fine_tuned(make_run: Make) -> RunFolder:
    """A short finished run over the tiny model."""
    run = make_run(held_out=3, **{"training.learning_rate": 2e-2, "training.epochs": 3.0})
    assert do_here(run, Train()) == 0
    return run


def test_an_exam_answers_every_held_out_example_as_both_models(fine_tuned: RunFolder) -> None:
    job = fine_tuned.job("exam")
    assert do_here(job, Exam(run=fine_tuned.path, max_tokens=12)) == 0
    events = job.reader().read_new()
    answers = [e for e in events if isinstance(e, Prediction)]
    assert [e.model for e in answers] == [BASE] * 3 + [THIS_RUN] * 3
    assert sorted((e.model.kind, e.index) for e in answers) == [(m, i) for m in ("base", "run") for i in range(3)]
    assert {e.wanted for e in answers} == {"It is 8.", "It is 9.", "It is 10."}
    completed = next(e for e in events if isinstance(e, ExamCompleted))
    before, after = completed.results
    assert completed.examples == 3
    assert (before.model, after.model) == (BASE, THIS_RUN)
    assert after.exact == sum(e.exact for e in answers if e.model == THIS_RUN)
    assert before.loss is not None and after.loss is not None
    assert after.loss < before.loss
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("truncation", ["cut", "leave_out", "split"])
def test_an_exam_measures_the_losses_that_the_training_measured(make_run: Make, truncation: str) -> None:
    values = {"training.max_length": 58, "data.truncation": truncation, "training.epochs": 1.0}
    run = make_run(held_out=6, **values)
    assert do_here(run, Train()) == 0
    in_training = {e.model: e.loss for e in run.reader().read_new() if isinstance(e, Evaluated)}
    job = run.job("exam")
    assert do_here(job, Exam(run=run.path, max_tokens=4)) == 0
    completed = job.fold(ExamState()).completed
    assert completed is not None
    assert {one.model: one.loss for one in completed.results} == pytest.approx(in_training, rel=1e-6)


def test_the_base_can_be_asked_with_examples_in_its_prompt_and_both_with_general_questions(
    fine_tuned: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exams, "general_questions", lambda: general_questions()[::15])
    prompts: list[tuple[Message, ...]] = []
    original = Generator.answer_all

    def listens(self: Generator, asked: list[Example], model: ModelUnderTest, limit: int) -> list[Answer]:
        prompts.extend(one.prompt for one in asked if model == PROMPTED)
        return original(self, asked, model, limit)

    monkeypatch.setattr(Generator, "answer_all", listens)
    job = fine_tuned.job("exam")
    assert do_here(job, Exam(run=fine_tuned.path, max_tokens=8, in_prompt=2, general=True)) == 0
    state = job.fold(ExamState())
    assert state.completed is not None
    assert [one.model for one in state.completed.results] == [BASE, THIS_RUN, PROMPTED]
    assert {one.wanted for one in state.predictions if one.model == PROMPTED} == {"It is 8.", "It is 9.", "It is 10."}
    assert len(prompts) == 3
    for prompt in prompts:  # two questions of the training part with their answers, then the one that is asked
        assert [message.role for message in prompt] == ["user", "assistant", "user", "assistant", "user"]
    assert compare(state) is not None and compare(state, candidate=PROMPTED) is not None
    assert len(state.general) == 2 * 8 and {one.group for one in state.general} == set(GROUPS)
    assert sum(one.total for one in retention(state.general)) == 8 and forgetting(retention(state.general))


def test_what_a_run_knows_by_heart_is_looked_for_once(fine_tuned: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fine_tuned.job("exam")
    assert do_here(first, Exam(run=fine_tuned.path, max_tokens=8)) == 0
    assert first.fold(ExamState()).memorised is None
    second = fine_tuned.job("exam")
    assert do_here(second, Exam(run=fine_tuned.path, max_tokens=8, memorised=True)) == 0
    state = second.fold(ExamState())
    assert state.memorised is not None and state.completed is not None
    losses = {one.model: one.loss for one in state.completed.results}
    assert state.memorised.held_out_loss == losses[THIS_RUN] and state.memorised.answers == 3
    assert state.memorised.train_loss is not None and state.memorised.numbers == 0
    monkeypatch.setattr(exams, "check_memorised", None)
    third = fine_tuned.job("exam")
    assert do_here(third, Exam(run=fine_tuned.path, max_tokens=8, memorised=True)) == 0
    again = third.fold(ExamState()).memorised
    assert again is not None and again.train_loss == state.memorised.train_loss


@pytest.mark.parametrize("learning_rate", [1e-12, 1e-7])
def test_a_learning_rate_that_is_too_small_is_told_as_a_run_that_changed_nothing(
    make_run: Make, learning_rate: float
) -> None:
    run = make_run(held_out=3, **{"training.learning_rate": learning_rate, "training.epochs": 1.0})
    assert do_here(run, Train()) == 0
    job = run.job("exam")
    assert do_here(job, Exam(run=run.path, max_tokens=8)) == 0
    compared = compare(job.fold(ExamState()))
    assert compared is not None and verdict(compared).text.english().startswith("Nothing changed:")


def test_an_adapter_of_zeros_is_told_as_a_run_that_changed_nothing(fine_tuned: RunFolder) -> None:
    folder = choose_checkpoint(fine_tuned)
    manifest = read_manifest(folder)
    assert manifest is not None
    file = folder / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(value) for name, value in load_file(file).items()}, file)
    write_manifest(folder, replace(manifest, files=listed(folder)))
    job = fine_tuned.job("exam")
    assert do_here(job, Exam(run=fine_tuned.path, max_tokens=8)) == 0
    state = job.fold(ExamState())
    compared = compare(state)
    assert compared is not None and verdict(compared).text.english().startswith("Nothing changed:")
    assert [notice.code for notice in state.notices] == ["run.nothing_changed"]


def test_whether_training_is_needed_is_asked_before_there_is_any(make_run: Make) -> None:
    run = make_run(held_out=3)
    job = run.job("exam")
    assert do_here(job, Exam(run=run.path, max_tokens=8, in_prompt=2, untrained=True)) == 0
    completed = job.fold(ExamState()).completed
    assert completed is not None and [one.model for one in completed.results] == [BASE, PROMPTED]


def test_examples_that_do_not_fit_into_the_prompt_are_left_out(
    fine_tuned: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    original = Generator.answer_all

    def listens(self: Generator, asked: list[Example], model: ModelUnderTest, limit: int) -> list[Answer]:
        lengths.extend(len(self.encoder.prompt_ids(one.prompt)) + limit - self.context_length for one in asked)
        return original(self, asked, model, limit)

    monkeypatch.setattr(Generator, "answer_all", listens)
    job = fine_tuned.job("exam")
    assert do_here(job, Exam(run=fine_tuned.path, max_tokens=64, in_prompt=32)) == 0
    assert max(lengths) <= 0


def test_an_exam_without_held_out_examples_says_so(make_run: Make) -> None:
    run = make_run(held_out=0)
    job = run.job("exam")
    assert do_here(job, Exam(run=run.path)) == 2
    ending = job.fold(ProcessState()).ending
    assert isinstance(ending, Failed)
    assert ending.problem.code == "exam.no_examples"
