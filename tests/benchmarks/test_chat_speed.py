"""The chat's own work costs little beside the model's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_the_first_token_comes_soon_the_others_as_fast_as_plainly_and_add_ons_are_switched_at_once(
    home_with_starter: Path,
) -> None:
    result = figures_of("chat_speed", home_with_starter)
    assert result["switch"]["busy_ms"] < 200  # processor time: other programs may be busy, too
    assert result["first_token"]["busy_s"] < 1.0
    again, before = result["first_token_of_its_next_turn"], result["first_token_of_a_long_conversation"]
    assert again["busy_s"] < 0.5 * before["busy_s"]
    for side in ("base", "trained"):
        assert result[side]["busy_share"] >= 0.8
