"""Files of many rows: all of them in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dataset.readers.large_files import write_large_csv, write_large_parquet

ROOT = Path(__file__).parents[3]
WRITERS = {"csv": write_large_csv, "parquet": write_large_parquet}

IMPORTED = """
import json, sys
from pathlib import Path
from studio.core.recipe.data_choice import ColumnMapping, DataChoice
from studio.dataset.columns.apply_mapping import iterate_examples
from studio.dataset.examples import Example
from studio.dataset.readers import read_table as reading
from studio.dataset.store import open_table_at, write_table

choice, folder = DataChoice(path=sys.argv[1]), Path(sys.argv[2])
reading.LARGE = 1_000
first = reading.read_first_rows(choice, 50)
ids = [row["id"] for batch in first.batches for row in batch.to_pylist()][:50]
write_table(reading.read_table(choice), folder, lambda done, total: None)
table = open_table_at(folder)
made = 0
for _, example in iterate_examples(table, ColumnMapping(question="question", answer="answer")):
    made += isinstance(example, Example)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
mapped = next(line for line in open("/proc/self/status") if line.startswith("RssFile")).split()[1]
print(json.dumps({"ids": ids, "rows": made, "own": (int(peak) - int(mapped)) * 1024}))
"""
"""A child that does what the worker does: every row to the disk, and an example of each. Mapped pages count for its
memory only as long as nobody else needs that."""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("kind", WRITERS)
def test_thirty_thousand_rows_take_little_memory(tmp_path: Path, kind: str) -> None:
    _import(tmp_path, kind, 30_000, 400 << 20)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", WRITERS)
def test_more_than_a_million_rows_take_no_more(tmp_path: Path, kind: str) -> None:
    _import(tmp_path, kind, 1_200_000, 700 << 20)


def _import(folder: Path, kind: str, rows: int, most: int) -> None:
    file = folder / f"large.{kind}"
    WRITERS[kind](file, rows)
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, str(file), str(folder / "stored")], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["ids"] == [str(number) for number in range(1, 51)]
    assert told["rows"] == rows
    assert told["own"] < most, told
