"""A merge tensor by tensor holds little memory, however large the model is, and is quicker than peft's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.figures import figures_of
from tests.benchmarks.merging import ROOT, WIDTH, make_adapter, make_model

SHARD = 1_000_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_merge_takes_the_memory_that_was_stated_and_a_part_of_the_models(tmp_path: Path) -> None:
    """The short form: a small model, in one process whose libraries are counted before."""
    make_model(tmp_path / "base", 12, width=WIDTH // 4, inner=WIDTH)
    make_adapter(tmp_path / "base", tmp_path / "adapter")
    command = [sys.executable, "-m", "tests.benchmarks.merging", "--way", "both", "base", "adapter", "out"]
    places = [str(tmp_path / one) for one in command[-3:]]
    done = subprocess.run([*command[:-3], *places], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    written = sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert found["stated_bytes"] == written
    assert found["peak_over_idle"] < written / 2
    assert found["peak"] < 1.05 * (found["peak"] - found["peak_over_idle"] + found["stated_memory"])


@pytest.mark.benchmarks
@pytest.mark.timeout(3600)
def test_memory_is_flat_and_time_and_numbers_are_peft_s_or_better(tmp_path: Path) -> None:
    rows = figures_of("merging", tmp_path)
    for row in rows.values():
        merge = row["streamed"]
        assert merge["peak_over_idle"] <= SHARD + 4 * merge["largest"]
        assert row["bytes"] == merge["stated_bytes"]
        if "compared" in row:
            assert row["compared"]["units_in_the_last_place"] <= 1
    assert rows["1.5"]["memory_share"] <= 1 / 3
    assert rows["1.5"]["time_share"] <= 0.8
    adapter = rows["3.0"]["adapter"] - rows["0.1"]["adapter"]
    assert rows["3.0"]["streamed"]["peak_over_idle"] - rows["0.1"]["streamed"]["peak_over_idle"] < 1.5 * adapter + 4e7


@pytest.mark.benchmarks
@pytest.mark.timeout(1800)
def test_a_merged_model_is_as_fast_as_its_base(home_with_starter: Path) -> None:
    result = figures_of("merged_speed", home_with_starter)
    assert 0.97 <= result["merged"] <= 1.03
