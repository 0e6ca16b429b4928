"""The journal for other programs: a sheet that computes nothing, and curves that TensorBoard's own reader reads."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from studio.core.events import Continued, NoticeLogged, ProcessStarted, StepDone
from studio.core.problems import ProblemError
from studio.core.run_folder import RunFolder
from studio.core.translatable import sentence
from studio.runs.journal_export import export_csv, export_tensorboard
from studio.runs.project import create_project
from tests.runs.made_runs import AT, make_run, write_events


@pytest.fixture
def run() -> RunFolder:
    return make_run(create_project("P"), "run", losses=(2.0, 0.5))


def step(number: int, loss: float) -> StepDone:
    return StepDone(
        at=AT + 500, step=number, total_steps=2, epoch=1, loss=loss, learning_rate=1e-4, tokens=50, seconds=0.5
    )


def rows(file: Path) -> list[dict[str, str]]:
    with open(file, encoding="utf-8-sig", newline="") as opened:
        return list(csv.DictReader(opened))


def test_every_event_is_a_row_with_its_numbers(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "journal.csv"
    assert export_csv(run, out) == 8
    written = rows(out)
    assert [row["event"] for row in written[:4]] == [
        "process_started",
        "step_done",
        "evaluated",
        "checkpoint_committed",
    ]
    assert (written[1]["step"], written[1]["loss"], written[1]["held_out_loss"]) == ("1", "2.2", "")
    assert (written[2]["loss"], written[2]["held_out_loss"]) == ("", "2.0")
    assert written[0]["time"].startswith("2023-11-1")


@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t", "\r"])
def test_a_sentence_that_looks_like_a_formula_is_text(run: RunFolder, tmp_path: Path, mark: str) -> None:
    text = sentence("{reason}", reason=f"{mark}HYPERLINK(1)")
    write_events(run, [NoticeLogged(code="x", text=text)])
    export_csv(run, tmp_path / "journal.csv")
    assert rows(tmp_path / "journal.csv")[-1]["text"] == f"'{mark}HYPERLINK(1)"


def test_an_existing_file_stays_as_it_is(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "journal.csv").write_text("mine")
    with pytest.raises(ProblemError, match="already something"):
        export_csv(run, tmp_path / "journal.csv")
    with pytest.raises(ProblemError, match="can't be written"):
        export_csv(run, tmp_path / "journal.csv" / "inside")


def test_tensorboard_reads_the_curves_back(run: RunFolder, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    again = ProcessStarted(at=AT + 400, job="train", pid=1, started=0)
    write_events(run, [again, Continued(step=1, folder="checkpoints/step-000001", repeated=1), step(2, 0.25)])
    assert export_tensorboard(run, tmp_path / "curves") == 6
    read = accumulator.EventAccumulator(str(tmp_path / "curves" / "run"))
    read.Reload()
    told = {tag: [(one.step, one.value, one.wall_time) for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    assert told["loss/train"] == [(1, pytest.approx(2.2), AT + 5), (2, 0.25, AT + 500)]
    assert told["loss/held_out"] == [(1, 2.0, AT + 5)], "what was computed again counts as it was the last time"
    assert told["tokens_per_second"] == [(2, 100.0, AT + 500)]
    with pytest.raises(ProblemError, match="already something"):
        export_tensorboard(run, tmp_path / "curves")


def test_without_tensorboard_it_says_how_to_get_it(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(ProblemError, match="pip install tensorboard"):
        export_tensorboard(run, tmp_path / "curves")
    assert not (tmp_path / "curves").exists()
