"""Near duplicates in 100,000 examples: recall at least 0.95 at a share of 0.8, in under a minute on two cores."""

from __future__ import annotations

import pytest

from tests.benchmarks.near_duplicates import in_a_process

pytestmark = pytest.mark.benchmarks


@pytest.mark.parametrize("seed", [7, 8])
def test_near_duplicates_are_found_in_a_large_set(seed: int) -> None:
    outcome = in_a_process(100_000, seed)
    print(outcome, f"recall {outcome.recall:.4f}, precision {outcome.precision:.4f}")
    assert outcome.planted > 10_000 and outcome.at_the_edge > 2_000
    assert outcome.recall >= 0.95
    assert outcome.found_at_the_edge >= 0.95 * outcome.at_the_edge
    assert outcome.precision >= 0.99
    assert outcome.seconds < 60
    assert outcome.megabytes < 500
