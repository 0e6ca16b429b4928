"""Stands in for `python -m studio.engine train FOLDER`: each attempt does what the lines in `attempts/<number>.py` of
the run's folder say, the last of them again and again. `attempts/begun` gets the job of each. SLOW_START is how many
seconds pass before anything else."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from tests.runs.conftest import SPEAKER

if __name__ == "__main__":
    run = Path(sys.argv[-1])
    begun = run / "attempts" / "begun"
    with open(begun, "a", encoding="utf-8") as file:
        file.write(json.dumps(json.loads((run / "job.json").read_text(encoding="utf-8"))) + "\n")
    time.sleep(float(os.environ.get("SLOW_START", "0")))  # as libraries take to be imported
    number = len(begun.read_text(encoding="utf-8").splitlines())
    files = sorted((run / "attempts").glob("*.py"))
    sys.argv = ["", str(run)]
    exec(SPEAKER + files[min(number, len(files)) - 1].read_text(encoding="utf-8"))  # noqa: S102 - lines of our own tests
