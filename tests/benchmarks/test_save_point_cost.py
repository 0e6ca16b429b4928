"""Save points and the journal cost a run little of its time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_save_points_and_journal_cost_their_part_of_the_time_at_most(home_with_starter: Path) -> None:
    result = figures_of("save_point_cost", home_with_starter)
    assert result["save_share_at_the_default_interval"] <= 0.035
    assert result["save_share_every_ten_steps"] <= 0.10
    assert result["journal_share"] <= 0.01
