"""`studio export`: what is made, what is said of it, and with which exit code, on an engine that plays its part."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from studio.cli import main
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import RunFolder
from studio.core.storage import Manifest, listed, write_manifest
from studio.dataset.samples import sample
from studio.runs.project import create_project
from tests.fakes.ollama import FakeOllama, install_ollama
from tests.ui.finished_run import fine_tuned_run, make_model_folder, stand_in_interpreter


@pytest.fixture
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeOllama:
    """To be asked for before the run, whose engine takes Python's place."""
    made = install_ollama(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.executable.parent}{os.pathsep}{os.environ['PATH']}")
    return made


@pytest.fixture
def run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    project, base = create_project("Support"), make_model_folder(tmp_path / "base")
    values = {"data.path": str(sample("en")), "model.source": "folder", "model.name": str(base), "name": "Support"}
    made = fine_tuned_run(project, with_values(Recipe(), values))
    checkpoint = made.checkpoints / "step-000040"
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(base / name, checkpoint / name)
    write_manifest(checkpoint, Manifest(files=listed(checkpoint), step=40))
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    return made


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["export", *words]) == code
    return capsys.readouterr().out


def test_what_was_made_is_told_with_its_check_and_where_it_is(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "last", "--to", "merged").splitlines()
    assert lines[:2] == ["Answers the same on 20 of 20.", str(run.exports / "merged")]
    assert any(line.startswith("vllm serve ") for line in lines)


def test_what_answers_otherwise_gives_exit_code_1_and_is_kept_aside(
    run: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_SAME", "14")
    told = json.loads(said(capsys, "last", "--to", "merged", "--json", code=1))
    assert not told["passed"] and told["folder"] == str(run.exports / "merged.failed")
    assert "differs on 6 of 20." in told["outcome"][0]


def test_a_check_can_be_left_out(run: RunFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("last", "--to", "merged", "--no-check", "--out", str(tmp_path / "mine"))
    assert said(capsys, *words).splitlines()[:2] == ["Its answers were not compared.", str(tmp_path / "mine")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--to", "merged"), "It isn't said which run."),
        (("last", "--to", "adapter", "--quality", "best"), "There is no quality called best for adapter."),
    ],
)
def test_what_makes_no_sense_is_a_problem_with_exit_code_2(
    words: tuple[str, ...], told: str, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_model_is_put_into_a_program_and_not_made_again_for_that(
    ollama: FakeOllama, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "last", "--to", "gguf").splitlines()
    assert lines[0] == "Answers the same on 20 of 20." and str(run.exports / "gguf-best") in lines
    assert (run.exports / "gguf-best" / "Modelfile").is_file(), "for a computer that has Ollama"
    assert "ollama run helper" in said(capsys, "last", "--to", "ollama", "--name", "helper")
    assert list(ollama.models) == ["helper:latest"] and len(run.jobs("gguf")) == 1


def test_a_name_that_a_program_has_given_already_is_told_before_anything_is_made(
    ollama: FakeOllama, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    ollama.take("helper")
    assert main(["export", "last", "--to", "ollama", "--name", "helper"]) == 2
    assert "helper-2" in capsys.readouterr().err and run.jobs("gguf") == []


def test_a_program_that_is_not_here_is_told_before_anything_is_made(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "last", "--to", "ollama"]) == 2
    assert "Ollama wasn't found on this computer." in capsys.readouterr().err and run.jobs("gguf") == []


def test_where_it_can_go_is_listed_with_sizes(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    told = {one["to"]: one for one in json.loads(said(capsys, "last", "--list", "--json"))}
    assert told["merged"]["size"] > 0 and told["merged"]["refusal"] == ""
    assert "Just the add-on" in said(capsys, "--list")
