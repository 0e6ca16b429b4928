"""`studio compare` refuses in words what can't be compared, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.cli import main
from studio.runs import queue
from studio.runs.project import create_project, projects
from studio.runs.queue_file import read_queue
from tests.runs.compare_methods.made_results import made_comparison
from tests.runs.conftest import MakeRun
from tests.ui.finished_run import make_model_folder

ROWS = "".join(f"What is number {n} of these?,It is {n}.\n" for n in range(40))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    base_model = make_model_folder(tmp_path / "base")
    (tmp_path / "numbers.csv").write_text("question,answer\n" + ROWS)
    file = tmp_path / "numbers.yaml"
    file.write_text(f"name: Numbers\ndata: {{path: numbers.csv}}\nmodel: {{source: folder, name: {base_model}}}\n")
    return file


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["compare", *words, "--json"]) == 2
    found = json.loads(capsys.readouterr().out)["problem"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--methods", "qlora"], "comparison.methods", "at least two"),
        (["--methods", "qlora,magic"], "comparison.methods", "magic is no method."),
        (["--methods", "qlora,lora", "--budget", "much"], "comparison.budget", "much is no budget."),
        (["--methods", "qlora,lora", "--budget", "0m"], "comparison.budget", "no budget"),
        (["--methods", "qlora,lora", "--out", "table.docx"], "comparison.no_format", "neither table nor plot"),
        (
            ["--methods", "qlora,lora", "--data.validation_split", "0"],
            "comparison.nothing_set_aside",
            "No examples are set aside",
        ),
    ],
)
def test_what_makes_no_comparison_is_said_and_nothing_is_left_of_it(
    recipe: Path, words: list[str], code: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = refused(capsys, str(recipe), *words)
    assert problem["code"] == code and said in problem["what"] and problem["fix"]
    assert not [run for project in projects() for run in project.runs()]
    assert not read_queue().entries


def test_a_run_that_was_made_alone_belongs_to_no_comparison(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run("alone")
    assert refused(capsys, "alone")["code"] == "comparison.none"


def test_a_comparison_that_is_measured_is_told_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_comparison(create_project("Support"), {"qlora": 36, "prompt": 10})
    monkeypatch.setattr(queue, "ensure_runner", lambda: False)
    monkeypatch.setattr("studio.cli.comparing.begin", lambda _: None)
    assert main(["compare", "last", "--out", str(tmp_path / "table.md")]) == 0
    told = capsys.readouterr().out
    assert "36 of 40 (77 to 96 %)" in told and "Use QLoRA" in told
    assert "| QLoRA | Done |" in (tmp_path / "table.md").read_text()
    assert main(["compare", folder.runs()[0].path.name, "--json"]) == 0
    assert [one["score"] for one in json.loads(capsys.readouterr().out)["methods"]] == [0.9, 0.25]
