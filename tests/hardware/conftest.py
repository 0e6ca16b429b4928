"""Plays a script of the NVML stand-in in a child process, where the real pynvml loads it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import nvml
from tests.hardware.play import PLAYED, Played

ROOT = Path(__file__).resolve().parents[2]
Play = Callable[..., Played]


@pytest.fixture
def calls_file(tmp_path: Path) -> Path:
    """Where the stand-in notes every function that is called."""
    return tmp_path / "calls.txt"


@pytest.fixture
def calls(calls_file: Path) -> Callable[[], Counter[str]]:
    """How often each function was called."""
    return lambda: Counter(calls_file.read_text().split())


@pytest.fixture
def play(tmp_path: Path, calls_file: Path) -> Play:
    """`play("two-cards", "--at", "0", "1")`, or a script's text; without a script the library is missing."""

    def _play(script: str | None, *options: str) -> Played:
        name = script
        if script is not None and "\n" in script:
            own = tmp_path / "script.txt"
            own.write_text(script, encoding="utf-8")
            name = str(own)
        try:
            environment = nvml.without_library(tmp_path) if name is None else nvml.environment(name, calls_file)
        except nvml.CannotBuildError as error:
            pytest.skip(str(error))
        command = [sys.executable, "-m", "tests.hardware.play", *options]
        outcome = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stderr == ""
        return PLAYED.validate_json(outcome.stdout)

    return _play
