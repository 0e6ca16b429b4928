"""What keeps a model from forgetting keeps it, and what is shown while it learns costs next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(7200)
def test_answers_of_the_base_keep_what_it_knew_at_no_cost_to_what_it_learns(home_with_starter: Path) -> None:
    found = figures_of("rehearsal", home_with_starter)
    without, kept = found["0"], found["0.15"]
    assert without["verdict"] == kept["verdict"] == "better"
    after = {name: sum(one[1] for one in told["general"].values()) for name, told in found.items()}
    assert after["0.15"] > after["0"]


@pytest.mark.benchmarks
@pytest.mark.timeout(3600)
def test_all_that_is_shown_while_it_learns_costs_under_three_percent(home_with_starter: Path) -> None:
    assert figures_of("while_it_learns", home_with_starter)["together"] < 0.03
