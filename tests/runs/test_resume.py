"""Whether a run can go on is said in a sentence, and from the command line it does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.cli import main
from studio.cli.training import follow_training
from studio.core import versions
from studio.core.events import Crashed, Event, Extended, Failed, Finished, Paused, StepDone, Stopped
from studio.core.jobs import Train
from studio.core.problems import Problem, ProblemError
from studio.core.run_folder import RunFolder, chosen_step
from studio.runs.resume import extendable, resumable
from studio.runs.start import JobProcess
from tests.engine.conftest import do_here, make_run, tiny_model

Make = Callable[..., RunFolder]

__all__ = ["make_run", "tiny_model"]


def code_of(run: RunFolder) -> str | None:
    found = resumable(run).problem
    return found.code if found is not None else None


def test_why_a_run_cannot_be_continued_is_said(make_run: Make, tmp_path: Path) -> None:
    run = make_run()
    assert code_of(run) is None and resumable(run).step == 0
    assert "from the beginning" in resumable(run).sentence.english()
    with run.writer():
        assert code_of(run) == "run.already_going"
    with run.writer() as writer:
        writer.write(Paused(step=3))
    assert code_of(run) is None
    with run.writer() as writer:
        writer.write(Finished())
    assert code_of(run) == "run.finished" and extendable(run) is None
    assert "Train longer" in resumable(run).problem.english()  # type: ignore[union-attr]
    with run.writer() as writer:
        writer.write(Stopped(step=3))
    data = run.train_data.read_bytes()
    run.train_data.unlink()
    assert code_of(run) == "run.data_gone"
    run.train_data.write_bytes(data)
    model = RunFolder(make_run("other", **{"model.name": str(tmp_path / "gone")}).path)
    assert code_of(model) == "model.folder_missing"
    assert code_of(RunFolder(tmp_path / "nowhere")) == "run.gone"
    recipe = run.recipe.read_text(encoding="utf-8")
    run.recipe.write_text(recipe.replace("version: 1", "version: 9"))
    assert code_of(run) == "recipe.newer"


def test_a_run_of_other_library_versions_is_refused_before_any_process_is_started(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(**{"training.save_steps": 1})
    assert do_here(run, Train()) == 0
    assert code_of(run) == "run.finished" and extendable(run) is None
    monkeypatch.setattr(versions, "library_versions", lambda: {"torch": "2.99.0"})
    refused = extendable(run)
    assert refused is not None and refused.code == code_of(run) == "checkpoint.other_versions"
    assert "torch" in str(refused.values["changed"]) and "Continue from these weights" in refused.english()


def test_from_the_command_line_a_run_is_trained_longer_and_a_save_point_chosen(
    make_run: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(**{"training.save_steps": 1})
    assert do_here(run, Train()) == 0
    name = str(run.path)
    assert main(["runs", "continue", name]) == 2
    assert "finished" in capsys.readouterr().err
    assert main(["runs", "extend", name, "--epochs", "0"]) == 2
    assert main(["runs", "pause", name]) == 1
    capsys.readouterr()
    assert main(["runs", "extend", name, "--epochs", "1.5"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("Reading the examples.") == 1 and "step 2 of" not in shown  # nothing of what it did before
    assert [(e.epochs, e.total_steps) for e in run.reader().read_new() if isinstance(e, Extended)] == [(3.5, 7)]
    assert main(["runs", "show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 7
    for wrong in ("99", "first"):
        assert main(["export", name, "--to", "adapter", "--step", wrong]) == 2
    assert main(["export", name, "--to", "adapter", "--no-check", "--step", "7"]) == 0
    assert chosen_step(run) == 7
    assert main(["export", name, "--to", "adapter", "--no-check", "--step", "best"]) == 0
    assert chosen_step(run) is None


def test_what_ended_in_the_middle_says_how_to_go_on_and_what_was_refused_does_not(make_run: Make) -> None:
    run = make_run()
    broken = Problem(code="engine.unexpected", what="It broke.", fix="Try again.")

    def told(*events: Event) -> str:
        def start() -> JobProcess:
            with run.writer() as writer:
                for event in events:
                    writer.write(event)
            process = subprocess.Popen([sys.executable, "-c", ""])
            process.wait()
            return JobProcess(run, process)

        with pytest.raises(ProblemError) as raised:
            follow_training(run, start, quiet=True)
        return raised.value.problem.english()

    step = StepDone(step=1, total_steps=4, epoch=0.5, loss=1.0, learning_rate=1e-4)
    crash = Crashed(exit_code=1, signal=None, log_end="", problem=broken)
    assert "studio runs continue" in told(step, Failed(problem=broken))
    assert "studio runs continue" in told(crash)
    assert told(Failed(problem=broken)) == "It broke. Try again."
