"""How soon a training takes its first step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_the_first_step_comes_nearly_as_soon_as_a_bare_scripts_however_many_examples_there_are(
    home_with_starter: Path,
) -> None:
    result = figures_of("first_step", home_with_starter)
    assert result["ratio"] <= 1.3
    assert result["100000"] <= result["1000"] + 2.0
