"""A night of queued runs with the computer switched off in the middle: everything is killed at once, and the next start
goes on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from studio.core.events import Continued, Finished, ProcessStarted, StepDone
from studio.core.run_folder import RunFolder
from studio.runs import queue
from studio.runs.queue_file import read_queue
from tests.scenarios.conftest import kill_everything, numbers_recipe, wait_for_a_save_point
from tests.scenarios.test_journey import studio

pytestmark = [pytest.mark.trains, pytest.mark.timeout(900)]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return numbers_recipe(tmp_path, "{rank: 4}")


def test_a_night_with_a_power_failure_ends_with_every_run_finished(recipe: Path) -> None:
    added = studio("queue", "add", str(recipe), "--variants", "training.learning_rate=1e-4,2e-4")
    first, second = (RunFolder(Path(entry["run"])) for entry in added["entries"])
    wait_for_a_save_point(first)
    kill_everything()
    assert [queue.status_of(entry) for entry in read_queue().entries] == ["interrupted", "waiting"]

    done = studio("queue", "run")
    assert [(one["run"], one["outcome"]) for one in done["runs"]] == [
        (str(first.path), "finished"),
        (str(second.path), "finished"),
    ]
    assert studio("queue", "list")["entries"] == []
    assert queue.take_result() is None, "it was told on the command line"
    events = first.reader().read_new()
    (continued,) = (event for event in events if isinstance(event, Continued))
    assert continued.step % 9 == 0 and continued.step > 0
    steps = [event.step for event in events if isinstance(event, StepDone)]
    assert len(steps) == 72 + continued.repeated, "nothing is computed twice but what was lost"
    for run, starts in ((first, 2), (second, 1)):
        state = run.state()
        assert isinstance(state.ending, Finished)
        assert state.last is not None and state.last.step == 72
        engines = [e for e in run.reader().read_new() if isinstance(e, ProcessStarted) and e.job == "train"]
        assert len(engines) == starts
    compared = studio("runs", "compare", first.path.name, second.path.name)
    assert "training.learning_rate" in json.dumps(compared)
    assert first.train_data.stat().st_ino == second.train_data.stat().st_ino
    _wait_for_the_runner_to_end()
    assert not queue.ensure_runner(), "nothing is left to start"


def _wait_for_the_runner_to_end() -> None:
    """It looks once more, two seconds later, at a queue that somebody else has found empty."""
    until = time.monotonic() + 120
    while queue.runner_is_going():
        assert time.monotonic() < until
        time.sleep(0.1)
