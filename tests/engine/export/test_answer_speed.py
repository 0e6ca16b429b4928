"""How fast a trained model writes, beside its base and merged into it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from studio.core.events import AnswerSpeedMeasured
from studio.core.job_states import AnswerSpeedState
from studio.core.jobs import MeasureAnswerSpeed, Train
from studio.core.run_folder import JobFolder, RunFolder
from studio.engine.export.answer_speed import in_turns
from tests.engine.conftest import do_here


@pytest.mark.parametrize(("kind", "merges"), [("qlora", True), ("prompt", False), ("full", False)])
def test_a_model_is_timed_beside_its_base_and_merged_where_that_can_be(
    kind: str, merges: bool, make_run: Callable[..., RunFolder]
) -> None:
    run = make_run(**{"method.kind": kind, "training.epochs": 1.0})
    assert do_here(run, Train()) == 0
    job = run.job("answer_speed")
    measured = _measured(job, run)
    assert measured.base > 0 and measured.apart > 0 and measured.rounds == 7
    assert (measured.merged is not None) is merges
    assert not (job.path / "merged").exists(), "nothing is kept of it"


def _measured(job: JobFolder, run: RunFolder) -> AnswerSpeedMeasured:
    assert do_here(job, MeasureAnswerSpeed(run=run.path)) == 0
    measured = job.fold(AnswerSpeedState()).measured
    assert measured is not None
    return measured


def test_whoever_is_timed_takes_turns_in_coming_first() -> None:
    order: list[str] = []
    clock = iter(range(1000))
    taken = in_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, clock=lambda: float(next(clock))
    )
    assert "".join(order) == "abbaabba"
    assert taken == {"a": [1.0, 1.0, 1.0], "b": [1.0, 1.0, 1.0]}, "the first round only warms up"


def test_no_further_round_begins_after_enough_time() -> None:
    taken = in_turns({"a": lambda: None}, 100, enough=-1.0)
    assert len(taken["a"]) == 1
