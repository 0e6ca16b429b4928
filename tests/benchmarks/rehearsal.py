"""Whether "Keep what it knew" helps: the sample trained with and without it, the same seed, and both tested.

`python -m tests.benchmarks.rehearsal [--home FOLDER] [--shares 0,0.15]` prints one JSON object: for each share how many
of the examples set aside were right, and how many of the general questions before and after, group by group. On two
cores that takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.starter_home import starter_home

ROOT = Path(__file__).resolve().parents[2]


def told_by(*words: str) -> Any:
    """What a verb of the command line prints as JSON. A test that isn't better ends with 1, and that is an answer."""
    done = subprocess.run([sys.executable, "-m", "studio", *words, "--json"], capture_output=True, text=True, cwd=ROOT)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout)


def measure(share: float) -> dict[str, object]:
    flags = ["--training.rehearsal", "true", "--training.rehearsal_share", str(share)] if share else []
    trained = told_by("train", "resources/samples/support.yaml", "--project", f"share {share:g}", *flags)
    tested = told_by("test", trained["run"], "--general", "--memorised")
    after = tested["models"]["run"]
    return {
        "verdict": tested["verdict"],
        "right": after["exact"],
        "of": tested["examples"],
        "loss": round(after["loss"], 4),
        "general": {one["group"]: [one["before"], one["after"], one["total"]] for one in tested["retention"]},
        "train_loss": round(tested["memorised"]["train_loss"], 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", help="a data folder that has the starter model")
    parser.add_argument("--shares", default="0,0.15")
    arguments = parser.parse_args()
    with starter_home(arguments.home):
        print(json.dumps({share: measure(float(share)) for share in arguments.shares.split(",")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
