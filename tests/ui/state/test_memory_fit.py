"""Will it fit, behind the window: what is calculated, traced, tried, remembered and taken back, and when."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from studio.core import paths
from studio.core.jobs import Trace, read_job
from studio.core.problems import Problem
from studio.core.recipe.rehearsal import REHEARSAL_LONGEST
from studio.core.run_folder import JobFolder
from studio.memory.calibration import recall
from studio.ui.state import memory_fit as fitting_module
from studio.ui.state.app_state import AppState
from studio.ui.state.memory_fit import MemoryFit
from studio.ui.state.memory_scenario import after, on_card, plan
from tests.ui.fake_memory_fit import GIB
from tests.ui.train.fit_stage import card, no_card, sized_model


@pytest.fixture
def watched(fit_state: AppState) -> Iterator[MemoryFit]:
    """The memory fit of the app state, with somebody who looks at it."""
    eye = QObject()
    fit_state.memory_fit.watch(eye, True)
    yield fit_state.memory_fit
    fit_state.memory_fit.watch(eye, False)


def trace_soon(memory_fit: MemoryFit) -> None:
    """As if somebody had just come, with little patience."""
    memory_fit._pause.setInterval(20)
    eye = QObject(memory_fit)
    memory_fit.watch(eye, True)


def source_of(memory_fit: MemoryFit) -> str | None:
    return memory_fit.answer.source if memory_fit.answer is not None else None


def jobs(kind: str) -> list[Path]:
    return list((paths.home() / "jobs").glob(f"{kind}-*"))


def test_nothing_is_calculated_before_somebody_looks(fit_state: AppState) -> None:
    memory_fit = fit_state.memory_fit
    fit_state.set_value("method.rank", 32)
    assert memory_fit.answer is None
    found = memory_fit.current()
    assert found is not None and found.verdict == "fits" and found.source == "calculated"


def test_every_change_of_a_setting_changes_the_answer_at_once(fit_state: AppState, watched: MemoryFit) -> None:
    before = watched.answer
    assert before is not None and before.needed is not None
    fit_state.set_value("method.rank", 128)
    assert watched.answer is not None and watched.answer.needed is not None
    assert watched.answer.needed > before.needed


@pytest.mark.benchmarks
def test_an_answer_takes_less_than_fifty_milliseconds_of_the_window(fit_state: AppState, watched: MemoryFit) -> None:
    took = []
    for rank in range(8, 40, 2):
        fit_state.recipe = fit_state.recipe.model_copy(
            update={"method": fit_state.recipe.method.model_copy(update={"rank": rank})}
        )
        began = time.perf_counter()
        watched.refresh()
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.05


def test_the_longest_real_example_counts_where_all_are_measured(
    fit_state_with_data: AppState, watched: MemoryFit
) -> None:
    assert fit_state_with_data.data.lengths is not None and watched.key is not None
    assert (
        watched.key.work.length
        == fit_state_with_data.data.lengths.longest
        < fit_state_with_data.recipe.training.max_length
    )
    fit_state_with_data.set_value("training.rehearsal", True)
    assert watched.key.work.length == REHEARSAL_LONGEST, "an answer of the base model may be longer than these"
    fit_state_with_data.set_value("training.rehearsal", False)
    fit_state_with_data.set_value("training.max_length", 16)
    assert watched.key is not None and watched.key.work.length == min(16, fit_state_with_data.data.lengths.longest)


def test_without_a_card_it_is_the_computers_own_memory(fit_state: AppState, watched: MemoryFit) -> None:
    fit_state.take_snapshot(no_card())
    assert watched.draft is not None and watched.draft.usable.device == "cpu"
    assert watched.answer is not None and watched.answer.available == int(10 * GIB * 0.9)
    assert watched.key is not None and watched.key.work.device == "cpu"


def test_a_card_that_cannot_be_read_makes_it_unknown_and_never_a_number(
    fit_state: AppState, watched: MemoryFit
) -> None:
    fit_state.take_snapshot(card(8, 7, trouble=Problem(code="gone", what="The card doesn't answer.")))
    assert watched.answer is not None and watched.answer.verdict == "unknown" and watched.answer.available is None


def test_a_model_of_unusual_make_is_said_to_be_unknown_and_traced_all_the_same(
    fit_state: AppState, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = sized_model(tmp_path / "odd", model_type="doge")
    fit_state.set_value("model.name", str(folder))
    qtbot.waitUntil(lambda: fit_state.model.folder == folder)
    memory_fit = fit_state.memory_fit
    trace_soon(memory_fit)
    assert memory_fit.answer is None
    assert memory_fit.problem is not None and memory_fit.problem.code == "fit.unknown_architecture"
    qtbot.waitUntil(lambda: memory_fit.answer is not None, timeout=10_000)
    assert memory_fit.answer is not None and memory_fit.answer.source == "traced" and memory_fit.problem is None
    assert memory_fit.advice() is None


def test_own_code_of_a_model_is_a_reason_and_nothing_is_started_for_it(
    fit_state: AppState, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = sized_model(tmp_path / "own", model_type="strange", auto_map={"AutoModel": "a.B"})
    fit_state.set_value("model.name", str(folder))
    qtbot.waitUntil(lambda: not fit_state.model.looking)
    memory_fit = fit_state.memory_fit
    trace_soon(memory_fit)
    assert memory_fit.answer is None and memory_fit.problem is not None
    qtbot.wait(100)
    assert not memory_fit.tracing and not jobs("trace")


def test_the_traced_answer_comes_by_itself_and_leaves_nothing_behind(fit_state: AppState, qtbot: QtBot) -> None:
    left = paths.home() / "jobs" / "trace-killed"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    memory_fit = fit_state.memory_fit
    trace_soon(memory_fit)
    qtbot.waitUntil(lambda: memory_fit.answer is not None and memory_fit.answer.source == "traced", timeout=10_000)
    assert memory_fit.estimate is not None and memory_fit.estimate.of("weights") == GIB
    qtbot.waitUntil(lambda: not jobs("trace"))
    fit_state.set_value("method.rank", 8)
    assert source_of(memory_fit) == "calculated"
    fit_state.set_value("method.rank", 16)
    assert source_of(memory_fit) == "traced", "what was traced once is known"


def test_a_trace_is_made_for_the_generation_of_the_card_at_hand(
    fit_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "60")
    trace_soon(fit_state.memory_fit)
    qtbot.waitUntil(lambda: bool(children()), timeout=10_000)
    job = read_job(JobFolder(jobs("trace")[0]))
    assert isinstance(job, Trace) and job.work.card == (8, 9)
    fit_state.memory_fit.close()
    qtbot.waitUntil(lambda: not children(), timeout=10_000)


def test_ending_a_trace_ends_no_other_process_that_names_its_folder(
    fit_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "60")
    trace_soon(fit_state.memory_fit)
    qtbot.waitUntil(lambda: bool(children()), timeout=10_000)
    stranger = subprocess.Popen(["/bin/sh", "-c", "sleep 60", str(jobs("trace")[0])])
    try:
        fit_state.memory_fit.close()
        qtbot.waitUntil(lambda: not children(), timeout=10_000)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_trace_of_settings_that_were_changed_meanwhile_is_ended(
    fit_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "60")
    memory_fit = fit_state.memory_fit
    trace_soon(memory_fit)
    qtbot.waitUntil(lambda: bool(children()), timeout=10_000)
    first = children()[0]
    monkeypatch.setenv("STAND_IN_PAUSE", "0.01")
    fit_state.set_value("method.rank", 12)
    qtbot.waitUntil(lambda: memory_fit.answer is not None and memory_fit.answer.source == "traced", timeout=10_000)
    qtbot.waitUntil(lambda: not first.is_running() or first.status() == psutil.STATUS_ZOMBIE)
    qtbot.waitUntil(lambda: not jobs("trace"))
    assert memory_fit.key is not None and memory_fit.key.work.rank == 12


def test_nothing_is_traced_once_nobody_looks_any_more(
    fit_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "60")
    memory_fit = fit_state.memory_fit
    memory_fit._pause.setInterval(20)
    eye = QObject()
    memory_fit.watch(eye, True)
    qtbot.waitUntil(lambda: bool(children()), timeout=10_000)
    memory_fit.watch(eye, False)
    assert not memory_fit.tracing
    qtbot.waitUntil(lambda: not children(), timeout=10_000)
    fit_state.set_value("method.rank", 12)
    assert not memory_fit._pause.isActive()


def test_a_trial_proves_it_says_how_long_the_run_takes_and_is_written_down(
    fit_state_with_data: AppState, watched: MemoryFit, qtbot: QtBot
) -> None:
    watched.start_trial()
    assert watched.trial.key is not None
    qtbot.waitUntil(lambda: watched.trial.key is None, timeout=20_000)
    assert watched.trial.problem is None
    found = watched.answer
    assert found is not None and found.source == "proven" and found.verdict == "fits"
    assert found.needed == 2 * GIB + GIB // 2 and found.seconds == 600
    assert watched.estimate is not None and watched.estimate.allocated == 2 * GIB
    qtbot.waitUntil(lambda: len(recall()) == 1 and not jobs("memory_probe"), timeout=10_000)
    kept = recall()[0]
    assert kept.measured == 2 * GIB + GIB // 4 and kept.family == "llama" and kept.card.endswith("4070")
    fit_state_with_data.set_value("training.epochs", 7)
    assert source_of(watched) == "proven" and watched.answer is not None
    assert watched.answer.seconds != 600, "another number of passes takes another time"
    fit_state_with_data.set_value("method.rank", 64)
    assert source_of(watched) == "calculated"
    assert watched.answer.error_so_far is not None, "what was measured corrects what is calculated from now on"


def test_a_trial_that_runs_out_of_memory_means_that_it_does_not_fit(
    fit_state_with_data: AppState, watched: MemoryFit, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_RUNS_OUT", "1")
    watched.start_trial()
    qtbot.waitUntil(lambda: watched.trial.key is None, timeout=20_000)
    assert watched.answer is not None and watched.answer.verdict == "no" and watched.answer.source == "proven"
    scenario = watched.advice()
    assert scenario is not None and plan(scenario).together, "and something can be changed, whatever was calculated"


def test_what_a_trial_holds_itself_is_not_taken_from_the_run(
    fit_state_with_data: AppState, watched: MemoryFit, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.5")
    before = watched.answer
    watched.start_trial()
    fit_state_with_data.take_snapshot(card(8, 0.5))
    assert watched.answer is not None and before is not None and watched.answer.available == before.available
    qtbot.waitUntil(lambda: watched.trial.key is None, timeout=20_000)
    assert watched.answer.available == before.available, "the gauge hasn't looked since"
    monkeypatch.setattr(fitting_module, "SETTLING", 0.0)
    fit_state_with_data.take_snapshot(card(8, 6))
    assert watched.answer.available != before.available


def test_a_trial_can_be_cancelled_and_is_ended_by_a_run(
    fit_state_with_data: AppState, watched: MemoryFit, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "60")
    watched.start_trial()
    qtbot.waitUntil(lambda: bool(children()), timeout=10_000)
    watched.trial.cancel()
    assert watched.trial.key is None
    qtbot.waitUntil(lambda: not children() and not jobs("memory_probe"), timeout=10_000)
    assert not recall()


def test_changes_are_applied_together_and_taken_back(fit_state: AppState, watched: MemoryFit) -> None:
    fit_state.set_values({"training.max_length": 2048, "training.batch_size": 16, "method.kind": "lora"})
    fit_state.take_snapshot(card(6, 2.5))
    assert watched.answer is not None and watched.answer.verdict in ("no", "tight")
    case = watched.advice()
    assert case is not None
    found = plan(case)
    assert found.together
    promised = after(case, found.together)
    before = fit_state.recipe
    watched.apply(found.together)
    assert watched.answer.verdict == promised.verdict and watched.answer.needed == promised.needed
    assert fit_state.recipe != before and watched.can_undo
    watched.undo()
    assert fit_state.recipe == before and not watched.can_undo


def test_another_card_can_be_asked_about(fit_state: AppState, watched: MemoryFit) -> None:
    fit_state.take_snapshot(no_card())
    assert watched.scenario is not None
    small, large = on_card(watched.scenario, GIB), on_card(watched.scenario, 80 * GIB)
    assert small.verdict == "no" and large.verdict == "fits"


def test_it_warns_once_about_settings_that_do_not_fit(fit_state: AppState) -> None:
    memory_fit = fit_state.memory_fit
    assert not memory_fit.should_warn()
    fit_state.take_snapshot(card(8, 0.6))
    assert memory_fit.should_warn()
    memory_fit.warned()
    assert not memory_fit.should_warn()
    fit_state.set_value("method.rank", 64)
    assert memory_fit.should_warn()


def test_a_model_of_the_list_is_answered_for_without_being_here(app_state: AppState, qtbot: QtBot) -> None:
    app_state.set_values({"model.source": "hub", "model.name": "Qwen/Qwen2.5-7B-Instruct"})
    app_state.take_snapshot(card(8, 7))
    qtbot.waitUntil(lambda: not app_state.model.looking)
    assert app_state.model.folder is None
    found = app_state.memory_fit.current()
    assert found is not None and found.verdict == "fits"
    assert dict(app_state.facts().budget)["method.layer_streaming"] is True


@pytest.mark.slow
def test_the_real_engine_traces_a_model_of_the_list(app_state: AppState, qtbot: QtBot) -> None:
    app_state.set_values({"model.source": "hub", "model.name": "HuggingFaceTB/SmolLM2-135M-Instruct"})
    app_state.take_snapshot(card(8, 7))
    qtbot.waitUntil(lambda: not app_state.model.looking)
    memory_fit = app_state.memory_fit
    calculated = memory_fit.current()
    trace_soon(memory_fit)
    qtbot.waitUntil(lambda: memory_fit.answer is not None and memory_fit.answer.source == "traced", timeout=90_000)
    assert calculated is not None and calculated.needed and memory_fit.answer is not None and memory_fit.answer.needed
    assert memory_fit.answer.needed == pytest.approx(calculated.needed, rel=0.35)


def children() -> list[psutil.Process]:
    """Stand-in engines at work."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "studio.engine" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.Error:
            continue
    return found
