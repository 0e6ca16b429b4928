"""Making room: into the bin where there is one, and old save points only where nothing needs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from studio.core.events import CheckpointRemoved, Finished, Paused, Stopped
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint, choose_step
from studio.core.storage import is_intact
from studio.runs.delete import clear_checkpoints, delete_run
from studio.runs.follow import job_status
from studio.runs.history import list_runs
from studio.runs.project import Project, create_project
from tests.runs.made_runs import AT, make_run, write_events


@pytest.fixture
def project() -> Project:
    return create_project("P")


def test_a_run_goes_into_the_bin_of_the_system(project: Project, tmp_path: Path) -> None:
    run = make_run(project, "run")
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "share")}
    words = [sys.executable, "-m", "studio", "runs", "delete", "run"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "in the bin" in done.stdout
    assert not run.path.exists()
    if sys.platform == "linux":
        assert (tmp_path / "share" / "Trash" / "files" / "run" / "recipe.yaml").is_file()
        assert "Path=" in (tmp_path / "share" / "Trash" / "info" / "run.trashinfo").read_text()


def test_where_there_is_no_bin_nothing_is_deleted_unless_for_ever(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_bin(path: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("studio.runs.delete.send2trash", no_bin)
    run = make_run(project, "run")
    size = list_runs()[0].size
    with pytest.raises(ProblemError, match="--forever") as caught:
        delete_run(run)
    assert caught.value.problem.code == "run.no_bin"
    assert run.state().ending is not None
    assert delete_run(run, forever=True) == size
    assert list(project.runs_folder.iterdir()) == []


def test_a_run_that_is_going_on_or_in_use_is_not_deleted(project: Project) -> None:
    run = make_run(project, "run")
    with run.writer(), pytest.raises(ProblemError) as caught:
        delete_run(run, forever=True)
    assert caught.value.problem.code == "run.delete_running"
    exam = JobFolder(run.path / "jobs" / "exam-1")
    exam.path.mkdir(parents=True)
    with exam.writer(), pytest.raises(ProblemError) as caught:
        delete_run(run, forever=True)
    assert caught.value.problem.code == "run.delete_in_use"
    assert run.recipe.is_file()


def points(run: RunFolder) -> list[str]:
    return sorted(p.name for p in run.checkpoints.iterdir())


def test_clearing_leaves_the_best_and_the_newest_and_says_so_in_the_journal(project: Project) -> None:
    run = make_run(project, "run", losses=(3.0, 1.0, 2.0, 2.5))
    told = list_runs()[0].clearable
    assert told == 2 * 1100
    assert clear_checkpoints(run) >= told
    assert points(run) == ["step-000002", "step-000004"]
    assert [c.step for c in run.state().checkpoints] == [2, 4]
    removed = [e for e in run.reader().read_new() if isinstance(e, CheckpointRemoved)]
    assert [(e.step, e.reason) for e in removed] == [(1, "cleared"), (3, "cleared")]
    assert job_status(run) == "ended"
    assert isinstance(run.state().ending, Finished)
    assert choose_checkpoint(run).name == "step-000002"
    (one,) = list_runs()
    assert (one.outcome, one.clearable, one.problem, one.seconds) == ("finished", 0, None, 21.0)
    assert clear_checkpoints(run) == 0


def test_clearing_leaves_the_save_point_that_a_person_chose(project: Project) -> None:
    run = make_run(project, "run", losses=(3.0, 1.0, 2.0, 2.5))
    choose_step(run, 1)
    clear_checkpoints(run)
    assert points(run) == ["step-000001", "step-000002", "step-000004"]
    assert choose_checkpoint(run).name == "step-000001"


def test_a_run_that_can_go_on_keeps_all_its_save_points(project: Project) -> None:
    run = make_run(project, "run", losses=(3.0, 2.0, 1.0), ending=Paused(at=AT + 20, step=3))
    with pytest.raises(ProblemError) as caught:
        clear_checkpoints(run)
    assert caught.value.problem.code == "run.not_over"
    with run.writer(), pytest.raises(ProblemError):
        clear_checkpoints(run)
    assert len(points(run)) == 3


def test_a_damaged_save_point_that_would_stay_keeps_all(project: Project) -> None:
    run = make_run(project, "run", losses=(3.0, 1.0, 2.0), ending=Stopped(at=AT + 20, step=3))
    weights = run.checkpoints / "step-000002" / "adapter_model.safetensors"
    weights.write_bytes(b"x" + weights.read_bytes()[1:])
    with pytest.raises(ProblemError, match="step 2 is damaged"):
        clear_checkpoints(run)
    assert len(points(run)) == 3
    assert is_intact(run.checkpoints / "step-000001", fully=True)


def test_clearing_that_was_cut_short_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(project, "run", losses=(3.0, 2.5, 1.0, 2.0))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("studio.runs.delete.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            clear_checkpoints(run)
    assert choose_checkpoint(run).name == "step-000003"
    clear_checkpoints(run)
    assert points(run) == ["step-000003", "step-000004"]


def test_a_save_point_that_is_gone_already_is_only_told(project: Project) -> None:
    run = make_run(project, "run", losses=(3.0, 1.0, 2.0))
    write_events(run, [CheckpointRemoved(step=1, reason="rotated")])
    assert clear_checkpoints(run) == 0
