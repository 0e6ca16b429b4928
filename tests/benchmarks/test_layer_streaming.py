"""Layers that come to be computed take the same memory however many there are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_is_flat_as_layers_are_added_and_gradients_are_equal_bit_for_bit(tmp_path: Path) -> None:
    rows = figures_of("layer_streaming", tmp_path)
    for row in rows.values():
        assert row["streamed"]["gradients"] == row["resident"]["gradients"]
    most, least = (rows[count]["streamed"] for count in ("48", "12"))
    learned = 2 * (most["learned_bytes"] - least["learned_bytes"])  # numbers and gradients
    assert most["peak_over_idle"] - least["peak_over_idle"] < learned + 0.1 * least["peak_over_idle"]
    assert most["loading_over_idle"] < 1.1 * least["loading_over_idle"]
