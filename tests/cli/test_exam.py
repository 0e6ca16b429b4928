"""`studio test`: the verdict, the table of all models, and what can't take part, on an engine that plays its part."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest

from studio.cli import main
from studio.core.problems import ProblemError
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import RunFolder
from studio.dataset.samples import sample
from studio.runs.project import Project, create_project
from tests.ui.finished_run import fine_tuned_run, stand_in_interpreter


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = create_project("Support")
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    return made


@pytest.fixture
def run(project: Project) -> RunFolder:
    recipe = with_values(Recipe(), {"data.path": str(sample("en"))})
    fine_tuned_run(project, recipe, name="20260102-second")
    return fine_tuned_run(project, recipe, name="20260101-first")


def test_all_models_stand_in_one_table_the_best_first(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "20260101", "--against", "20260102"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Better: 12 of 16 right, was 0.")
    table = said[said.index("\nmodel") :].strip().splitlines()
    assert [line.split("  ")[0] for line in table[1:]] == ["After training", "20260102-second", "Before training"]
    assert "12 of 16" in table[1] and "better (p 0.00049)" in table[1]


def test_all_are_held_against_the_one_that_was_chosen(
    run: RunFolder, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.set_own_questions(["Who are you?"])
    assert (
        main(
            ["test", "20260101", "--against", str(project.runs_folder / "20260102-second"), "--beside", "run", "--json"]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    rows = {one["name"] or one["model"]: one for one in told["standings"]}
    assert rows["run"]["verdict"] is None and rows["base"]["verdict"] == "worse"
    assert rows["20260102-second"]["score"] == 0.5 and rows["20260102-second"]["p"] > 0.05


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "nobody"], "There is neither a run nor a file or folder called nobody."),
        (["--beside", "nobody"], "nobody isn't one of the models in this test."),
    ],
)
def test_who_is_not_there_is_said(
    run: RunFolder, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", "20260101", *words]) == 2
    assert said in capsys.readouterr().err


def test_own_questions_that_cannot_be_kept_leave_those_from_before(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set_own_questions(["One?"])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("studio.runs.project.write_text", full)
    with pytest.raises(ProblemError):
        project.set_own_questions(["One?", "Two?"])
    assert project.own_questions() == ("One?",)
