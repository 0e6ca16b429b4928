"""Polluted tables are read as well as by the best loader that Pollock measured, without being told the dialect."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.dataset.readers.polluted_tables import WEIGHTS, all_files, measures, score, some_files

BEST_SIMPLE, BEST_WEIGHTED = 9.96, 9.60
"""DuckDB 1.2, which was told each file's delimiter, quotation mark, escape and header."""
HARD = {"delimiter space", "header only", "two header rows", "three header rows", "second table as wide"}
"""Of which less than 9.5 is read: unquoted cells with the delimiter in them, nothing but names (refused as such), names
that come twice (once is enough), the same table twice (read as one)."""


def test_a_handful_of_each_kind_of_pollution_is_read(tmp_path: Path) -> None:
    found = score(some_files, tmp_path)
    assert found.kinds.keys() == WEIGHTS.keys()
    assert {kind for kind, mean in found.kinds.items() if mean < 9.5} == HARD
    assert found.weighted >= BEST_WEIGHTED
    assert not found.silent


@pytest.mark.benchmarks
def test_the_best_published_scores_are_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = score(all_files, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\n{found}\n")
    assert found.files == 2290
    assert (found.simple >= BEST_SIMPLE, found.weighted >= BEST_WEIGHTED) == (True, True)
    assert not found.silent


def test_the_measures_are_those_that_were_published() -> None:
    clean = [["day", "count"], ["1/2/2024", "07"], ["3/2/2024", "8"]]
    assert measures(clean, clean) == [1.0] * 9
    assert measures([], [["anything"]]) == [1.0] * 9
    assert measures(clean, []) == [0.0] * 9
    # A row short: header whole, of two records one, of six cells four; a number is its value as part of a record only.
    header, records, cells = [1.0] * 3, [0.5, 1.0, 2 / 3], [3 / 6, 3 / 4, 0.6]
    fewer_cells = [2 / 6, 2 / 4, 0.4]
    assert measures(clean, [["DAY", "count"], ["1/2/2024", "7"]]) == pytest.approx(header + records + fewer_cells)
    assert measures(clean, [["day", "COUNT"], ["1/2/2024", "07"]]) == pytest.approx(header + records + cells)
