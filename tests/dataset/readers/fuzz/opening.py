"""`python -m tests.dataset.readers.fuzz.opening FOLDER` opens inputs, one after another, in a process that may break.

Each line of its input is a JSON list: `["mutated", campaign, first, stop]`, `["file", path, choice]`, or `["shrinks",
path, way]` and `["vanishes", path, way]` for a file to which that happens between opening and reading, where `way` is
table or stream. Each answer is a line of JSON, one for every input: its number, how it ended, the problem's code or a
traceback, and how long it took.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import DataChoice
from studio.dataset.columns.detection.detect import detect
from studio.dataset.readers.open import first_rows, open_table, stream_table
from studio.dataset.table import Table, cell_text
from tests.dataset.readers.fuzz.mutations import mutated

MEMORY = 1 << 30
"""Bytes that one process may take on top of what Python and the libraries need before the first file is opened."""

_ROWS = 300
_OTHER_WAYS = 3
"""One input in so many is read as a stream and by its beginning too."""


def main(folder: Path) -> None:
    """Answer until there are no more lines."""
    faulthandler.enable()
    _load_all()
    _limit_memory()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints mustn't stand among the answers
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request[0] == "file":
            answer = [0, *opened(Path(request[1]), request[2])]
            print(json.dumps(answer), file=answers, flush=True)
            continue
        if request[0] in ("shrinks", "vanishes"):
            answer = [0, *_ended(partial(_changing, Path(request[1]), request[0], request[2]))]
            print(json.dumps(answer), file=answers, flush=True)
            continue
        _, campaign, first, stop = request
        for number in range(first, stop):
            made = mutated(campaign, number)
            file = folder / made.name
            file.write_bytes(made.content)
            answer = [number, *opened(file, made.choice)]
            file.unlink()
            print(json.dumps(answer), file=answers, flush=True)


def opened(file: Path, choice: Mapping[str, object]) -> tuple[str, str, float]:
    """table, problem or error; the table's format, the problem's code or the traceback; seconds."""
    return _ended(partial(_tried, file, choice))


def _ended(action: Callable[[], str]) -> tuple[str, str, float]:
    began = time.perf_counter()
    try:
        ended, detail = "table", action()
    except ProblemError as error:
        ended, detail = "problem", error.problem.code
        if not error.problem.fix or not error.problem.what:
            ended, detail = "error", f"{detail} doesn't say what to do"
    except BaseException:
        ended, detail = "error", traceback.format_exc(limit=-8)
    return ended, detail, time.perf_counter() - began


def _tried(file: Path, choice: Mapping[str, object]) -> str:
    chosen = DataChoice.model_validate({"path": str(file), **choice})
    table = open_table(chosen)
    for row in islice(iter(table.rows), _ROWS):
        for name in table.columns:
            cell_text(row.get(name)).encode("utf-8")  # a lone surrogate would break whatever is written of it
    if len(table.rows):
        table.rows[len(table.rows) - 1]
    detect(table)
    if file.is_file() and file.stat().st_size % _OTHER_WAYS == 0:
        _agreeing(chosen, table)
    return table.format


def _agreeing(choice: DataChoice, table: Table) -> None:
    """The other two ways of reading the same file."""
    with suppress(ProblemError):  # a beginning may be unreadable by itself
        first_rows(choice, 20)
    try:
        stream = stream_table(choice)
        count = sum(batch.num_rows for batch in stream.batches)
    except ProblemError as error:
        raise AssertionError(f"a table of {len(table.rows)} rows, but no stream: {error}") from error
    assert (stream.columns, count) == (table.columns, len(table.rows)), "table and stream differ"


def _changing(file: Path, how: str, way: str) -> str:
    """All rows have to come, or a problem: not a part of them as if it were the whole."""
    choice = DataChoice(path=str(file))
    opened = open_table(choice) if way == "table" else stream_table(choice)
    if how == "shrinks":
        os.truncate(file, file.stat().st_size // 3)
    else:
        file.unlink()
    if isinstance(opened, Table):
        count, last = 0, ""
        for row in opened.rows:
            count, last = count + 1, cell_text(row.get(opened.columns[-1]))
        wanted = len(opened.rows)
    else:
        batches = [batch for batch in opened.batches if batch.num_rows]
        count, wanted = sum(batch.num_rows for batch in batches), opened.count
        last = str(batches[-1].column(len(opened.columns) - 1)[-1])
    if count != wanted or not last.startswith("last"):
        raise AssertionError(f"{count} of {wanted} rows came, the last with {last[:40]!r}")
    return opened.format


def _load_all() -> None:
    """What readers import when they are first needed, so that it doesn't count as an input's memory."""
    from tests.dataset.readers.fuzz.corpus import samples

    scratch = Path(sys.argv[1])
    for sample in samples():
        file = scratch / sample.name
        file.write_bytes(sample.content)
        opened(file, {})
        file.unlink()


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
