"""How long the history takes with five thousand runs: made anew, listed, searched, and with one run changed."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable

import pytest

from studio.core import paths
from studio.core.events import ProcessStarted, StepDone
from studio.core.run_folder import RunFolder
from studio.runs.history import list_runs
from studio.runs.project import create_project
from tests.runs.made_runs import AT, make_run, write_events

RUNS = 5_000
PROJECTS = 20
STEPS = 300


def seconds(function: Callable[[], object], times: int = 7) -> float:
    """The median of processor time: nothing here waits for anything but the processor."""
    took = []
    for _ in range(times):
        began = time.process_time()
        function()
        took.append(time.process_time() - began)
    return statistics.median(took)


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_five_thousand_runs_are_listed_in_half_a_second_and_searched_in_a_tenth() -> None:
    projects = [create_project(f"Project {number}") for number in range(PROJECTS)]
    first = make_run(projects[0], "first", losses=[2.0 - n / 10 for n in range(3)])
    steps = [
        StepDone(at=AT + n, step=n, total_steps=STEPS, epoch=1, loss=2 - n / STEPS, learning_rate=1e-4, tokens=900)
        for n in range(1, STEPS + 1)
    ]
    write_events(first, steps)
    recipe = first.recipe.read_text(encoding="utf-8")
    for number in range(1, RUNS):
        run = RunFolder(projects[number % PROJECTS].runs_folder / f"run-{number:05d}")
        shutil.copytree(first.path, run.path)
        changed = recipe.replace("name: first", f"name: Letters {number}").replace(
            "rank: 16", f"rank: {1 + number % 64}"
        )
        run.recipe.write_text(changed, encoding="utf-8")
    anew = seconds(list_runs, 1)
    assert len(list_runs()) == RUNS
    listed = seconds(list_runs)
    sorted_ = seconds(lambda: list_runs(sort_by="best_loss", descending=False))
    searched = seconds(lambda: list_runs("rank=63 letters", refresh=False))
    assert len(list_runs("rank=63 letters")) == RUNS // 64

    def one_changed() -> None:
        write_events(first, [ProcessStarted(job="train", pid=1, started=0)])
        assert len(list_runs()) == RUNS

    changed_ = seconds(one_changed, 3)
    size = (paths.home() / "history.sqlite").stat().st_size
    print(
        f"\n{RUNS} runs of {STEPS} steps: made anew {anew:.1f} s, listed {listed:.2f} s, sorted {sorted_:.2f} s, "
        f"searched {searched:.3f} s, one changed {changed_:.2f} s; {size / 1e6:.0f} MB"
    )
    assert listed < 0.5
    assert searched < 0.1
