"""Opens very many inputs in a few processes that may break, and keeps what should never have happened.

`python -m tests.dataset.readers.fuzz.campaign --seed 7 --inputs 100000` goes on by hand;
`--replay 7 1234` opens one input again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.dataset.readers.fuzz.mutations import mutated

SECONDS = 30.0
"""How long one input may take."""

_CHUNK = 100
_INPUTS_PER_PROCESS = 4_000


@dataclass(frozen=True)
class Answer:
    """`ended` is table, problem, error (another exception), crash or hang; `seconds` is what opening took."""

    number: int
    ended: str
    detail: str
    seconds: float

    @property
    def bad(self) -> bool:
        return self.ended not in ("table", "problem")


class Opener:
    """One process that opens inputs; a new one takes its place when it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting = b""
        self._answered = 0

    def mutated(self, campaign: int, numbers: range) -> Iterator[Answer]:
        """One answer an input, in order."""
        at = numbers.start
        while at < numbers.stop:
            self._send(["mutated", campaign, at, numbers.stop])
            for number in range(at, numbers.stop):
                answer = self._next(number)
                at = number + 1
                yield answer
                if answer.ended in ("crash", "hang"):
                    break

    def file(self, path: Path, choice: dict[str, object] | None = None) -> Answer:
        self._send(["file", str(path), choice or {}])
        return self._next(0)

    def changing(self, path: Path, how: str, way: str) -> Answer:
        """`how` is shrinks or vanishes, `way` table or stream."""
        self._send([how, str(path), way])
        return self._next(0)

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None

    def _send(self, request: list[object]) -> None:
        if self._process is None or self._answered > _INPUTS_PER_PROCESS:
            self._start()
        assert self._process and self._process.stdin
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def _start(self) -> None:
        self.close()
        self._waiting, self._answered = b"", 0
        # Arrow's own allocator reserves a gigabyte of addresses at once, which the limit would count.
        environment = {
            **os.environ,
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "PYTHONWARNINGS": "ignore",
            "RUST_BACKTRACE": "0",
        }
        with open(self._folder / "said.log", "wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.dataset.readers.fuzz.opening", str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment,
                cwd=Path(__file__).parents[4],
            )
        if self._line(120) != b'"ready"':
            raise RuntimeError((self._folder / "said.log").read_text(errors="replace")[-2000:])

    def _next(self, number: int) -> Answer:
        began = time.monotonic()
        line = self._line(SECONDS)
        self._answered += 1
        if line:
            told, ended, detail, seconds = json.loads(line)
            assert told == number
            return Answer(number, ended, detail, seconds)
        assert self._process
        if line is None:
            self.close()
            return Answer(number, "hang", f"no answer within {SECONDS:.0f} s", time.monotonic() - began)
        status = self._process.wait()
        said = (self._folder / "said.log").read_text(errors="replace").rpartition("Extension modules:")[0][-1200:]
        self.close()
        return Answer(number, "crash", f"exit {status}: {said}", time.monotonic() - began)

    def _line(self, seconds: float) -> bytes | None:
        """The next line of answers; b"" when the process has ended, None when nothing came in time."""
        assert self._process and self._process.stdout
        handle = self._process.stdout.fileno()
        end = time.monotonic() + seconds
        while b"\n" not in self._waiting:
            ready, _, _ = select.select([handle], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return None
            block = os.read(handle, 1 << 16)
            if not block:
                return b""
            self._waiting += block
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line


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
