"""The window's promise to whoever teaches on the machine they work on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_the_window_stays_smooth_beside_a_training_and_costs_it_little(home_with_starter: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.beside_training", "--home", str(home_with_starter)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(result))
    assert result["late_ms"]["window"]["p99"] < 16
    assert result["late_ms"]["window"]["worst"] < 100
    assert result["window_costs"] < 0.03
