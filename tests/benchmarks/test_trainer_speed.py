"""The trainer's promises about its speed, measured beside what it is compared with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_teaching_keeps_up_with_a_bare_loop_and_beats_the_trl_command(home_with_starter: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.trainer_speed", "--home", str(home_with_starter)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    print(json.dumps(result))
    assert result["trainer_to_bare_loop"] >= 0.9
    assert result["trainer_to_trl_sft"] >= 2.0
