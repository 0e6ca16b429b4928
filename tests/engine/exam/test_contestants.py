"""Other runs and exports in an exam: they are asked as they would answer, what they have studied is left out and said,
and nobody is asked twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from studio.core.events import BASE, THIS_RUN, Failed, ModelUnderTest, Prediction
from studio.core.job_states import ExamState
from studio.core.jobs import Contestant, Exam, Merge, Train
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import listed, read_manifest, write_manifest
from studio.dataset.examples import read_frozen, write_frozen
from studio.engine.evaluation.generate import compute_exactly, of_run, speed_up
from studio.engine.exam import contestants
from studio.engine.job_context import JobContext
from studio.evaluation.standings import standings
from tests.engine.conftest import do_here, examples, frozen_run, save_tiny_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> RunFolder:
    values: dict[str, Any] = {"training.learning_rate": 2e-2, "training.epochs": 2.0}
    run = frozen_run(tmp_path_factory.mktemp("runs") / "first", tiny_model, held_out=4, **values)
    assert do_here(run, Train()) == 0
    return run


@pytest.fixture
def run(trained: RunFolder, tmp_path: Path) -> RunFolder:
    return copied(trained, tmp_path / "first")


def copied(run: RunFolder, folder: Path, factor: float = 1.0) -> RunFolder:
    """Another run that learned the same, `factor` times as strongly."""
    shutil.copytree(run.path, folder, ignore=shutil.ignore_patterns("jobs"))
    made = RunFolder(folder)
    for checkpoint in made.checkpoints.iterdir():
        weights = load_file(checkpoint / "adapter_model.safetensors")
        scaled = {name: one * (factor if "lora_B" in name else 1.0) for name, one in weights.items()}
        save_file(scaled, checkpoint / "adapter_model.safetensors", metadata={"format": "pt"})
        manifest = read_manifest(checkpoint)
        assert manifest is not None
        write_manifest(checkpoint, replace(manifest, files=listed(checkpoint)))
    return made


def examined(run: RunFolder, *against: Path, code: int = 0, own: tuple[str, ...] = ()) -> ExamState:
    folder = run.job("exam")
    contestants = tuple(Contestant(path=one, run=run.path if "export" in one.name else None) for one in against)
    assert do_here(folder, Exam(run=run.path, max_tokens=12, against=contestants, own_questions=own)) == code
    return folder.fold(ExamState())


def answers(state: ExamState, model: ModelUnderTest) -> dict[int, str]:
    return {one.index: one.answer for one in state.predictions if one.model == model}


def codes(state: ExamState) -> list[str]:
    return [notice.code for notice in state.notices]


def test_other_runs_and_exports_answer_beside_the_run_and_nobody_is_asked_twice(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copied(run, tmp_path / "second", factor=0.2)
    merged, add_on = tmp_path / "export-merged", tmp_path / "export-adapter"
    assert do_here(run.job("merged"), Merge(run=run.path, out=merged, compare=0)) == 0
    shutil.copytree(choose_checkpoint(run), add_on)
    state = examined(run, other.path, merged, add_on)
    assert state.completed is not None
    models = [result.model for result in state.completed.results]
    assert [model.kind for model in models] == ["base", "run", "other_run", "export", "export"]
    assert models[2].name == "second" and models[3].name == str(merged)
    losses = {one.model: one.loss for one in state.completed.results}
    assert losses[models[4]] == pytest.approx(losses[THIS_RUN], rel=0.02), "the same add-on"
    assert answers(state, models[4]) == answers(state, THIS_RUN)
    assert losses[models[2]] != losses[THIS_RUN] != losses[BASE]
    table = standings(state)
    assert {one.model for one in table} == set(models) and all(one.examples == 4 for one in table)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was asked before")

    for name in ("of_run", "load_export"):
        monkeypatch.setattr(contestants, name, never)
    again = examined(run, other.path, merged, add_on)
    assert again.completed is not None and again.completed.results == state.completed.results
    key = [(one.model, one.index, one.answer, one.exact) for one in state.predictions]
    assert sorted(key, key=repr) == sorted(
        ((one.model, one.index, one.answer, one.exact) for one in again.predictions), key=repr
    )
    of_other = examined(other, run.path)  # the other run's exam knows all of it too
    assert answers(of_other, ModelUnderTest(kind="other_run", name="first")) == answers(state, THIS_RUN)


def test_what_another_run_was_trained_on_is_not_asked_of_it_and_that_is_said(run: RunFolder, tmp_path: Path) -> None:
    other = copied(run, tmp_path / "second")
    held_out = read_frozen(run.held_out_data)
    write_frozen(other.train_data, [*examples(2), held_out[1]])
    state = examined(run, other.path)
    second = ModelUnderTest(kind="other_run", name="second")
    assert set(answers(state, second)) == {0, 2, 3} and set(answers(state, THIS_RUN)) == {0, 1, 2, 3}
    (told,) = [notice.text.english() for notice in state.notices if notice.code == "exam.studied"]
    assert told.startswith("second was trained on 1 of these 4 examples")
    assert next(one for one in standings(state) if one.model == second).examples == 3
    write_frozen(other.train_data, held_out)
    ending = examined(run, other.path, code=2).ending
    assert isinstance(ending, Failed) and ending.problem.code == "exam.studied_all"


def test_a_run_that_went_on_from_one_that_studied_them_is_found_out(run: RunFolder, tmp_path: Path) -> None:
    before = copied(run, tmp_path / "before")
    write_frozen(before.train_data, [read_frozen(run.held_out_data)[0]])
    text = run.recipe.read_text(encoding="utf-8")
    assert "  parent: ''" in text
    run.recipe.write_text(text.replace("  parent: ''", f"  parent: '{before.path}'"), encoding="utf-8")
    state = examined(run)
    assert set(answers(state, THIS_RUN)) == {1, 2, 3} and "exam.studied" in codes(state)


def test_what_is_gone_or_no_model_is_said_before_anybody_is_asked(run: RunFolder, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(40))
    wanted = {"gone": "exam.gone", "nothing": "exam.no_model", "broken.gguf": "exam.not_loaded"}
    for name, code in wanted.items():
        state = examined(run, tmp_path / name, code=2)
        assert isinstance(state.ending, Failed) and state.ending.problem.code == code
        assert not state.predictions and "{" not in state.ending.problem.english()


def test_a_damaged_export_is_left_out_and_the_others_are_asked(run: RunFolder, tmp_path: Path) -> None:
    damaged = tmp_path / "export-damaged"
    shutil.copytree(choose_checkpoint(run), damaged)
    weights = damaged / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    state = examined(run, damaged)
    assert state.completed is not None and [one.model for one in state.completed.results] == [BASE, THIS_RUN]
    told = " ".join(notice.text.english() for notice in state.notices if notice.code == "exam.left_out")
    assert "export-damaged takes no part" in told and "can't be loaded" in told


def test_a_run_of_another_base_is_asked_and_its_error_is_not_compared(run: RunFolder, tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "another", width=32, seed=3)
    values: dict[str, Any] = {"training.epochs": 1.0}
    other = frozen_run(tmp_path / "second", base, held_out=4, **values)
    assert do_here(other, Train()) == 0
    state = examined(run, other.path)
    assert state.completed is not None
    second = next(one for one in state.completed.results if one.model.kind == "other_run")
    assert len(answers(state, second.model)) == 4 and second.loss is None


def test_questions_of_ones_own_are_answered_by_both_models(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    state = examined(run, own=("Who are you?",))
    assert [(one.model, one.question) for one in state.own] == [(BASE, "Who are you?"), (THIS_RUN, "Who are you?")]
    asked: list[int] = []
    original = contestants.Networks.answers

    def listens(self: object, model: object, given: list[object], most: int | None) -> object:
        asked.append(len(given))
        return original(self, model, given, most)  # type: ignore[arg-type]

    monkeypatch.setattr(contestants.Networks, "answers", listens)
    more = examined(run, own=("Who are you?", "And now?"))
    assert {one.question for one in more.own} == {"Who are you?", "And now?"}
    assert asked == [1, 1], "only the new question, of each model"


def test_answers_that_are_computed_together_are_those_of_one_by_one(run: RunFolder, context: JobContext) -> None:
    generator, _ = of_run(context, run)
    speed_up(generator)
    compute_exactly(generator)
    asked = examples(40)
    together: dict[int, str] = {}
    for batch in generator.in_batches(asked, THIS_RUN, 16):
        together |= {place: answer.text for place, answer in batch}
    alone = {n: generator.answer_all([one], THIS_RUN, 16)[0].text for n, one in enumerate(asked)}
    assert together == alone


def test_a_stopped_exam_loses_no_answer(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    full = examined(run)
    (folder,) = run.jobs("exam")
    lines = folder.events.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b'"exam_completed"' not in line and b'"finished"' not in line]
    folder.events.write_bytes(b"".join(kept[:-1]) + kept[-1][:30])  # torn in the middle of the last answer
    again = examined(run)
    assert again.completed is not None and full.completed is not None
    assert again.completed.results == full.completed.results
    assert isinstance(again.predictions[0], Prediction)
