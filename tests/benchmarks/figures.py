"""A benchmark as a process of its own, and what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def figures_of(module: str, home: Path) -> Any:
    """The JSON that `python -m tests.benchmarks.MODULE --home HOME` writes as its last line; printed, too."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{module}", "--home", str(home)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    print(json.dumps(result))
    return result
