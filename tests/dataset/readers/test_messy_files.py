"""Forty files as messy as people make them: nearly all are read right without a question, none silently wrong."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.dataset.readers.messy.generate import all_messy, write_all
from tests.dataset.readers.messy.judging import judge
from tests.dataset.readers.messy.writing import FILES

WANTED = 36
"""Of the forty files, read right without a question."""


def test_messy_files_are_read_right_or_ask(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [judge(messy, FILES / messy.name) for messy in all_messy()]
    counts = Counter(outcome.verdict for outcome in outcomes)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    lines = [f"\nmessy files: {told}", *("  " + o.line() for o in outcomes if o.verdict != "right")]
    with capsys.disabled():
        sys.stdout.write("\n".join(lines) + "\n")
    assert len(outcomes) == 40
    assert not [outcome.line() for outcome in outcomes if outcome.verdict == "wrong"]
    assert counts["right"] >= WANTED


@pytest.mark.parametrize("seed", ["spring", "summer"])
def test_other_texts_in_the_same_mess_are_read_as_well(tmp_path: Path, seed: str) -> None:
    _read_others(tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_many_other_texts_in_the_same_mess_are_read_as_well(tmp_path: Path, seed: int) -> None:
    _read_others(tmp_path, str(seed))


def _read_others(folder: Path, seed: str) -> None:
    outcomes = []
    for messy in all_messy(seed):
        (folder / messy.name).write_bytes(messy.content)
        outcomes.append(judge(messy, folder / messy.name))
    told = [outcome.line() for outcome in outcomes if outcome.verdict != "right"]
    assert not [outcome for outcome in outcomes if outcome.verdict == "wrong"], told
    assert len(outcomes) - len(told) >= WANTED, told


def test_the_generator_makes_the_files_that_are_checked_in(tmp_path: Path) -> None:
    write_all(tmp_path / "made")
    assert {path.name for path in FILES.iterdir()} == {path.name for path in (tmp_path / "made").iterdir()}
    for made in (tmp_path / "made").iterdir():
        kept = FILES / made.name
        if made.suffix == ".parquet":  # the library's version stands in it
            assert pq.read_table(made).equals(pq.read_table(kept))
        elif made.suffix == ".arrow":
            assert pa.ipc.open_file(made).read_all().equals(pa.ipc.open_file(kept).read_all())
        else:
            assert made.read_bytes() == kept.read_bytes(), made.name
        assert kept.stat().st_size < 30_000
