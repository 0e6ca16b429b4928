"""An exam computes answers together: faster, and the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_an_exam_gives_three_times_the_answers_a_minute_and_the_same_ones(home_with_starter: Path) -> None:
    (result,) = figures_of("exam_batching", home_with_starter)
    assert result["cpu_speedup"] >= 3 and result["speedup"] >= 3
    assert result["same"] == result["examples"]
