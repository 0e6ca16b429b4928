"""`studio runs`: what is listed, compared, passed on and cleared away, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from studio.cli import main
from studio.core.events import Failed
from studio.core.problems import Problem
from studio.runs.project import Project, create_project
from tests.runs.foreign_folders import make_base, make_folder
from tests.runs.made_runs import AT, make_run


@pytest.fixture
def project() -> Project:
    project = create_project("Letters")
    make_run(project, "20260101-first", losses=(3.0, 1.0, 2.0), method__rank=8, at=AT)
    no_room = Failed(at=AT + 100, problem=Problem(code="x", what="No room."))
    make_run(project, "20260102-second", losses=(2.5, 2.0), at=AT + 90, ending=no_room)
    return project


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["runs", *words]) == code
    return capsys.readouterr().out


def test_runs_are_listed_searched_and_sorted(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "list").splitlines()
    assert lines[0].split()[:2] == ["run", "project"]
    assert [line.split()[0] for line in lines[1:]] == ["20260102-second", "20260101-first"]
    assert "finished" in lines[2] and "1.000" in lines[2] and "Letters" in lines[2]
    assert "20260102" not in said(capsys, "list", "--search", "rank=8")
    by_error = json.loads(said(capsys, "list", "--sort", "best_loss", "--ascending", "--json"))
    assert [one["best_loss"] for one in by_error] == [1.0, 2.0]
    assert by_error[0]["run"] == str(project.runs_folder / "20260101-first")
    assert said(capsys, "list", "--search", "nowhere") == "No run has these words.\n"


def test_a_run_that_cannot_be_read_is_listed_with_the_reason(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.runs_folder / "20260101-first" / "events.jsonl").write_text('{"format":999}\n')
    assert "can't be read: This was written by a newer version" in said(capsys, "list")


def test_runs_are_compared_by_what_differs(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "compare", "20260101", "20260102").splitlines()
    table = {line.split("  ")[0]: line.split()[-2:] for line in lines}
    assert table["lowest error"] == ["1.000", "2.000"]
    assert table["method.rank"] == ["8", "16"]
    assert "training.epochs" not in table
    told = json.loads(said(capsys, "compare", "20260101", "20260102", "--json"))
    assert told["differences"] == [{"key": "method.rank", "label": "Room for new knowledge", "values": [8, 16]}]
    assert told["runs"][0]["held_out_losses"] == [[1, 3.0], [2, 1.0], [3, 2.0]]
    assert main(["runs", "compare", "20260101"]) == 2


def test_a_recipe_of_a_run_can_be_trained_again(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    printed = yaml.safe_load(said(capsys, "recipe", "20260101"))
    assert printed["method"]["rank"] == 8


def test_what_nothing_needs_is_cleared(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert "20260101-first" in said(capsys, "clean")
    assert said(capsys, "clean", code=1).startswith("0.0 MB are free now.")
    left = project.runs_folder / "20260101-first" / "checkpoints"
    assert sorted(p.name for p in left.iterdir()) == ["step-000002", "step-000003"]
    assert main(["runs", "clean", "20260102"]) == 2
    assert "can still be continued" in capsys.readouterr().err


def test_a_run_is_deleted_for_ever_where_asked(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is deleted" in said(capsys, "delete", "20260102", "--forever")
    assert [run.path.name for run in project.runs()] == ["20260101-first"]


def test_a_run_goes_to_another_computer_and_back(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "first.zip"
    assert str(out) in said(capsys, "bundle", "20260101", "--with-data", "--out", str(out))
    assert main(["runs", "bundle", "20260101", "--out", str(out)]) == 2
    capsys.readouterr()
    opened = json.loads(said(capsys, "open-bundle", str(out), "--project", "From elsewhere", "--json"))
    assert Path(opened["run"]).is_dir()
    assert "From elsewhere" in said(capsys, "list")
    assert "--model FOLDER" in said(capsys, "open-bundle", str(out))
    assert main(["runs", "repeat", opened["run"]]) == 2
    assert "starter model isn't on this computer" in capsys.readouterr().err


def test_the_journal_becomes_a_sheet(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "11 rows" in said(capsys, "export-journal", "20260101", "--csv", str(tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_text(encoding="utf-8-sig").startswith("time,event,step")


def test_an_add_on_from_another_program_is_opened_with_questions_to_test_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "lora_model", str(make_base(tmp_path / "tiny-chat")))
    questions = tmp_path / "questions.csv"
    questions.write_text("question,answer\nWhat is one?,It is 1.\nWhat is two?,It is 2.\n")
    words = ("open-adapter", str(folder), "--method", "qlora", "--data", str(questions))
    told = json.loads(said(capsys, *words, "--json"))
    assert told["new"] and told["questions"] == 2
    again = said(capsys, *words)
    assert "It was opened before, and is this run." in again and "studio test" in again
    shown = said(capsys, "show", told["run"])
    assert "It was made with peft, and opened from the folder lora_model." in shown
    assert main(["runs", "open-adapter", str(tmp_path / "tiny-chat")]) == 2
    assert "holds a whole model, not an add-on" in capsys.readouterr().err
