"""The trainer's promises about its speed, measured beside what it is compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_teaching_keeps_up_with_a_bare_loop_and_beats_the_trl_command(home_with_starter: Path) -> None:
    result = figures_of("trainer_speed", home_with_starter)
    assert result["trainer_to_bare_loop"] >= 0.9
    assert result["examples_a_second_to_trl"] >= 2.0
