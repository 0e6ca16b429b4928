"""Opens very many inputs through the worker, as the program does, and keeps what should never have happened.

`python -m tests.dataset.readers.fuzz.campaign --seed 7 --inputs 100000` goes on by hand;
`--replay 7 1234` opens one input again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from studio.core import paths
from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import DataChoice
from studio.dataset.store import open_table_at
from studio.worker.client import WorkerClient, WorkerCrashed
from studio.worker.protocol import Opened, OpenTable
from tests.dataset.readers.fuzz.mutations import mutated

_CHUNK = 100
_ROWS = 300
_CRASHES = ("data.reader_died", "data.reader_killed", "data.took_too_long")


@dataclass(frozen=True)
class Answer:
    """`ended` is table, problem, error (a bug) or crash (also one that took too long); `detail` is the table's format,
    the problem's code or a traceback; `seconds` is what opening took."""

    number: int
    ended: str
    detail: str
    seconds: float

    @property
    def bad(self) -> bool:
        return self.ended not in ("table", "problem")


class Opener:
    """A worker that opens inputs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._worker = WorkerClient()

    def mutated(self, campaign: int, numbers: range) -> Iterator[Answer]:
        """One answer an input, in order."""
        for number in numbers:
            made = mutated(campaign, number)
            file = self._folder / made.name
            file.write_bytes(made.content)
            yield self.file(file, made.choice, number)
            file.unlink()

    def file(self, path: Path, choice: Mapping[str, object] | None = None, number: int = 0) -> Answer:
        """How opening it ends."""
        began = time.monotonic()
        try:
            request = OpenTable(choice=DataChoice.model_validate({"path": str(path), **(choice or {})}))
            ended, detail = "table", _looked_at(self._worker.ask(request, Opened))
        except ProblemError as error:
            found = error.problem
            ended, detail = "crash" if found.code in _CRASHES else "problem", found.code
            if not found.fix or not found.what:
                ended, detail = "error", f"{detail} doesn't say what to do"
        except WorkerCrashed as error:
            ended, detail = "error", str(error)
        return Answer(number, ended, detail, time.monotonic() - began)

    def close(self) -> None:
        """End the worker."""
        self._worker.close()


def _looked_at(opened: Opened) -> str:
    table = open_table_at(opened.table)
    for row in islice(iter(table.rows), _ROWS):
        assert tuple(row) == table.columns
    assert table.rows[len(table.rows) - 1]
    shutil.rmtree(opened.table)
    return table.format


@dataclass
class Tally:
    """What came of a campaign."""

    seed: int
    ends: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    bad: list[Answer] = field(default_factory=list)
    slowest: Answer = field(default_factory=lambda: Answer(-1, "", "", 0.0))

    def add(self, answer: Answer) -> None:
        self.ends[answer.ended] += 1
        if answer.bad:
            self.bad.append(answer)
        else:
            self.codes[answer.detail] += 1
        self.slowest = max(self.slowest, answer, key=lambda a: a.seconds)

    def lines(self) -> str:
        ends = ", ".join(f"{count} {ended}" for ended, count in self.ends.most_common())
        first = f"seed {self.seed}: {sum(self.ends.values())} inputs: {ends}; slowest {self.slowest.seconds:.2f} s"
        return "\n".join(
            [f"{first} (input {self.slowest.number})", *(f"  {a.number}: {a.detail}" for a in self.bad[:9])]
        )


def run(seed: int, inputs: int, processes: int, scratch: Path, failures: Path) -> Tally:
    """Open that many inputs of campaign `seed`; the content of every one that ended badly is kept in `failures`."""
    chunks: queue.SimpleQueue[range] = queue.SimpleQueue()
    for start in range(0, inputs, _CHUNK):
        chunks.put(range(start, min(start + _CHUNK, inputs)))
    tally, lock = Tally(seed), threading.Lock()
    troubles: list[BaseException] = []

    def work(number: int) -> None:
        opener = Opener(scratch / f"opener-{number}")
        try:
            with contextlib.suppress(queue.Empty):
                while True:
                    for answer in opener.mutated(seed, chunks.get_nowait()):
                        with lock:
                            tally.add(answer)
                        if answer.bad:
                            keep(failures, seed, answer)
        except BaseException as trouble:
            troubles.append(trouble)
        finally:
            opener.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if troubles:
        raise troubles[0]
    return tally


def keep(folder: Path, seed: int, answer: Answer) -> None:
    """Save an input for looking at, and how to open it again. Raises OSError."""
    made = mutated(seed, answer.number)
    place = folder / f"{seed}-{answer.number}"
    place.mkdir(parents=True, exist_ok=True)
    (place / Path(made.name).name).write_bytes(made.content)
    again = f"python -m tests.dataset.readers.fuzz.campaign --replay {seed} {answer.number}"
    (place / "how.txt").write_text(
        f"{again}\nchosen: {made.choice}\n{answer.ended}\n{answer.detail}\n", encoding="utf-8"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--failures", type=Path, default=Path(tempfile.gettempdir()) / "studio-fuzz")
    parser.add_argument("--replay", type=int, nargs=2, metavar=("SEED", "NUMBER"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ[paths.HOME_VARIABLE] = str(Path(scratch) / "home")
        if chosen.replay:
            opener = Opener(Path(scratch))
            answers = list(opener.mutated(chosen.replay[0], range(chosen.replay[1], chosen.replay[1] + 1)))
            opener.close()
            sys.stdout.write(f"{answers[0]}\n{answers[0].detail}\n")
            return
        tally = run(chosen.seed, chosen.inputs, chosen.processes, Path(scratch), chosen.failures)
    sys.stdout.write(f"{tally.lines()}\n{dict(tally.codes.most_common())}\n")


if __name__ == "__main__":
    main()
