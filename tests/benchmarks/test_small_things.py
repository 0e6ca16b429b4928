"""Small things stay small: nearly all that they take is imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(900)
def test_small_things_take_a_few_times_what_loading_pydantic_takes(tmp_path: Path) -> None:
    found = {name: figures["ratio"] for name, figures in figures_of("small_things", tmp_path).items()}
    assert found["help"] <= 1.0
    assert found["runs_list"] <= 1.5
    assert found["data_check_again"] <= 6.0 and found["data_check"] <= 8.0
    assert found["first_rows"] <= 3.0 and found["first_rows_dragged"] <= 3.0
