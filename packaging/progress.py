"""What the set-up says while it works: one line a step, in plain words."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

QUIET_SECONDS = 30.0
"""Without a terminal, a step that lasts says so this often, so that nobody takes it for stuck."""


class SetupError(Exception):
    """The set-up can't go on. Its text says what happened and what to do, and is all that a person sees."""


def say(text: str) -> None:
    print(text, flush=True)


def warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Step:
    """One line such as "Installing PyTorch (about 200 MB)... 34 s", counting on a terminal while it lasts."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = time.monotonic()
        self._live = sys.stdout.isatty()
        self._now = ""
        self._width = 0
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Step:
        self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._ticker.join()
        self._show("stopped" if kind is not None else "", end="\n")

    def now(self, detail: str) -> None:
        """What is being worked on at this moment, shown on a terminal only."""
        self._now = detail[:48]

    def _tick(self) -> None:
        while not self._over.wait(1.0 if self._live else QUIET_SECONDS):
            if self._live:
                self._show(self._now, end="")
            else:
                say(f"{self._text}... {self._seconds()} s so far")

    def _show(self, detail: str, end: str) -> None:
        line = f"{self._text}... {self._seconds()} s" + (f" ({detail})" if detail else "")
        print(f"\r{line:<{self._width}}" if self._live else line, end=end, flush=True)
        self._width = len(line)  # the next, shorter one has to cover this one

    def _seconds(self) -> int:
        return round(time.monotonic() - self._start)


def run_quietly(
    command: Sequence[str | Path], step: Step, log: Path, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run `command` with its output in `log` (appended). Exit status and what it wrote."""
    written: list[str] = []
    with (
        subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            written.append(line)
            if line.lstrip().startswith(("Downloading", "Collecting", "Installing", "Unpacking", "Get:")):
                step.now(line.strip())
    output = "".join(written)
    with suppress(OSError):  # on a full disk, what was written says so
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as file:
            file.write(output)
    return process.returncode, output
