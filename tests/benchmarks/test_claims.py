"""What is claimed of ways to fine-tune, held against the starter model; how that is judged, in the normal run."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.claim_trainings import Answered, Trainings, write_examples
from tests.benchmarks.claims import CLAIMS, Found, as_table, clearly_better, fewer_parameters
from tests.benchmarks.figures import ROOT


@pytest.mark.benchmarks
@pytest.mark.timeout(7200)
def test_claims_are_held_against_the_starter_model(home_with_starter: Path) -> None:
    words = [sys.executable, "-m", "tests.benchmarks.claims", "--home", str(home_with_starter), "--minutes", "600"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("\n| ") == 1 + len(CLAIMS), done.stdout


def test_the_parameters_of_gpt3_are_counted_as_its_paper_does(home: Path) -> None:
    found = fewer_parameters(Trainings(home, 0))
    assert found.outcome == "held"
    assert "rank 4 9,272 x" in found.here, "4.7 million for each rank"


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [
        (Answered((1.0,) * 10, (0.50, 0.51)), Answered((0.0,) * 10, (0.90, 0.91)), True),
        (Answered((0.0,) * 10, (0.90, 0.91)), Answered((1.0,) * 10, (0.50, 0.51)), False),
        (Answered((1.0, 0.0), (0.50, 0.60)), Answered((0.0, 1.0), (0.52, 0.62)), None),
        (Answered((1.0, 0.0), (0.50,)), Answered((0.0, 1.0), (0.52,)), None),
    ],
)
def test_a_difference_within_what_another_seed_changes_is_none(
    better: Answered, worse: Answered, expected: bool | None
) -> None:
    assert clearly_better(better, worse) is expected


def test_noise_exchanges_half_of_the_answers_and_a_clean_tenth_none(tmp_path: Path) -> None:
    sample = [(f"Question {number}?", f"Answer {number}.") for number in range(40)]
    assert write_examples(tmp_path / "noisy.csv", sample, noisy=True) == 40
    assert write_examples(tmp_path / "clean.csv", sample, noisy=False) == 4
    noisy, clean = (_rows(tmp_path / name) for name in ("noisy.csv", "clean.csv"))
    assert sum(row not in sample for row in noisy) == 20
    assert sorted(answer for _, answer in noisy) == sorted(answer for _, answer in sample)
    assert all(row in sample for row in clean)


def _rows(file: Path) -> list[tuple[str, str]]:
    with open(file, encoding="utf-8", newline="") as opened:
        return [(question, answer) for question, answer in list(csv.reader(opened))[1:]]


def test_the_table_has_the_claims_in_their_order() -> None:
    table = as_table({"rank": Found("held", "same"), "size": Found("didn't hold", "larger")})
    assert [line.split(" | ")[-1] for line in table.splitlines()[2:]] == ["didn't hold |", "held |"]
