"""Two processes with a core each learn the same as one, in little more than half the time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.figures import figures_of


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="processes are pinned with taskset")
def test_two_processes_are_at_least_1_6_times_as_fast_as_one(tmp_path: Path) -> None:
    found = figures_of("processes", tmp_path)
    assert found["ratio"] >= 1.6
    assert found["loss_differs_at_most"] < 1e-5
