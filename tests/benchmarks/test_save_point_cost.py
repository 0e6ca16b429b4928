"""Save points and the journal cost a run little of its time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_save_points_and_journal_cost_their_part_of_the_time_at_most(home_with_starter: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.save_point_cost", "--home", str(home_with_starter)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    print(json.dumps(result))
    assert result["save_share_at_the_default_interval"] <= 0.035
    assert result["save_share_every_ten_steps"] <= 0.10
    assert result["journal_share"] <= 0.01
