"""The window's promise to whoever teaches on the machine they work on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_the_window_stays_smooth_beside_a_training_and_costs_it_little(home_with_starter: Path) -> None:
    result = figures_of("beside_training", home_with_starter)
    assert result["late_ms"]["window"]["p99"] < 16
    assert result["late_ms"]["window"]["worst"] < 100
    assert result["window_costs"] < 0.03
