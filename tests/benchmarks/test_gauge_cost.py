"""The gauge's promise: it may be looked at all day without being felt."""

from __future__ import annotations

import pytest

from tests.benchmarks.gauge_cost import Spent, figures, measure
from tests.fakes import nvml


@pytest.mark.benchmarks
@pytest.mark.timeout(900)
def test_the_gauge_costs_less_than_half_a_percent_of_a_core_and_a_millisecond_of_the_window_s_time_a_second() -> None:
    try:
        found = measure(pairs=6, seconds=10.0, script="busy-card")
    except nvml.CannotBuildError as error:
        pytest.skip(str(error))
    print(found)
    assert found["readings_per_second"] == pytest.approx(1.0, abs=0.15)
    assert found["core_percent"] < 0.5
    assert found["window_ms_per_second"] < 1.0


def test_the_figures_are_what_the_turns_with_the_gauge_took_over_those_without() -> None:
    on = [Spent(window=0.012, process=0.050, reading=0.020, readings=10)] * 3
    off = [Spent(window=0.002, process=0.010)] * 3
    found = figures(on, off, seconds=10.0)
    assert found["window_ms_per_second"] == pytest.approx(1.0)
    assert found["core_percent"] == pytest.approx(0.4)
    assert found["reading_ms_per_second"] == pytest.approx(2.0)
    assert found["readings_per_second"] == 1.0
