"""Keep what it knew: the base is asked once, its answers are frozen and counted apart, the training repeats exactly."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from studio.core.events import NoticeLogged, PhaseChanged, Prepared, StepDone
from studio.core.first_batch import read_first_batch
from studio.core.jobs import DryRun, Train
from studio.core.paths import home
from studio.core.problems import ProblemError
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.dataset.examples import Example, read_frozen
from studio.dataset.freeze import require_as_frozen
from studio.engine.evaluation.generate import Answer, Generator
from studio.engine.training import rehearsal
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]
KEEP: dict[str, object] = {"training.rehearsal": True, "training.rehearsal_share": 0.2, "training.epochs": 2.0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many prompts were answered at once, each time; the tiny model itself never comes to an end."""
    times: list[int] = []

    def answer_all(self: Generator, examples: Sequence[Example], *_: Any, **__: Any) -> list[Answer]:
        times.append(len(examples))
        return [Answer(f"About {one.question[:8]}", (1,), ended=n % 4 > 0) for n, one in enumerate(examples)]

    monkeypatch.setattr(Generator, "answer_all", answer_all)
    yield times


def prepared(run: RunFolder) -> Prepared:
    found = run.state().prepared
    assert found is not None
    return found


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return dict(load_file(choose_checkpoint(run) / "adapter_model.safetensors"))


def test_the_base_is_asked_once_and_its_answers_are_counted_apart(make_run: Make, asked: list[int]) -> None:
    run = make_run(learned=8, **KEEP)
    own = run.train_data.read_bytes()
    assert do_here(run, Train()) == 0
    told = prepared(run)
    assert (told.examples, told.rehearsal, told.held_out) == (8, 2, 2)
    assert told.total_steps == 6, "two passes over ten, four at once"
    assert run.train_data.read_bytes() == own and len(read_frozen(run.rehearsal_data)) == 2
    read = [place for event in run.reader().read_new() if isinstance(event, StepDone) for place in event.examples]
    assert sorted(read) == sorted([*range(10), *range(10)]), "each once a pass, the base's last"
    assert sum(asked) == rehearsal.BATCH, "no more than it takes"

    again = make_run("again", learned=8, **KEEP)
    assert do_here(again, Train()) == 0
    assert sum(asked) == rehearsal.BATCH, "the second run doesn't ask"
    phases = [event.phase for event in again.reader().read_new() if isinstance(event, PhaseChanged)]
    assert "answering" not in phases
    assert again.rehearsal_data.read_bytes() == run.rehearsal_data.read_bytes()
    first, second = weights(run), weights(again)
    assert all(torch.equal(first[name], second[name]) for name in first), "asking leaves no trace in the training"


def test_without_it_nothing_is_asked_and_nothing_lies_there(make_run: Make, asked: list[int]) -> None:
    run = make_run()
    assert do_here(run, Train()) == 0
    assert not asked and not run.rehearsal_data.exists() and prepared(run).rehearsal == 0


def test_it_goes_on_with_the_very_answers_that_were_frozen(make_run: Make, asked: list[int]) -> None:
    whole = make_run("whole", **KEEP)
    assert do_here(whole, Train()) == 0
    run = make_run("stopped", **{**KEEP, "training.save_steps": 2})
    assert do_here(run, Train()) == 0
    frozen = run.rehearsal_data.read_bytes()
    for step in (4, 6):
        for file in sorted((run.checkpoints / f"step-{step:06d}").glob("*")):
            file.unlink()
    asked.clear()
    shutil.rmtree(home() / "rehearsal")
    assert do_here(run, Train(resume=True)) == 0
    assert not asked and run.rehearsal_data.read_bytes() == frozen
    first, second = weights(whole), weights(run)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_answers_that_were_changed_are_another_run(make_run: Make, asked: list[int]) -> None:
    run = make_run(**KEEP)
    assert do_here(run, Train()) == 0
    run.rehearsal_data.write_text(run.rehearsal_data.read_text().replace("About", "Above"))
    with pytest.raises(ProblemError) as caught:
        require_as_frozen(run)
    assert caught.value.problem.code == "run.data_changed"


def test_a_base_that_never_comes_to_an_end_is_said_and_trained_without(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = Answer("and so on and so on", (1,), ended=False)
    monkeypatch.setattr(Generator, "answer_all", lambda _, examples, *__: [endless] * len(examples))
    run = make_run(**{**KEEP, "training.epochs": 1.0})
    assert do_here(run, Train()) == 0
    codes = [event.code for event in run.reader().read_new() if isinstance(event, NoticeLogged)]
    assert "rehearsal.no_answers" in codes and prepared(run).rehearsal == 0
    assert prepared(run).total_steps == 2


def test_questions_are_never_learned_where_everything_else_is(make_run: Make, asked: list[int]) -> None:
    run = make_run(**{**KEEP, "training.loss_on": "everything", "training.batch_size": 16})
    dry = RunFolder(run.path.with_name("dry"))
    assert do_here(dry, DryRun(run=run.path)) == 0
    batch = read_first_batch(dry.path)
    assert sorted(batch.example_numbers) == [0, 0, *range(1, 9)] and batch.rehearsal == 2
    for number, labels, mask in zip(batch.example_numbers, batch.labels, batch.attention_mask, strict=True):
        unlearned = sum(label < 0 for label, is_there in zip(labels, mask, strict=True) if is_there)
        assert (unlearned > 10) == (number == 0)
