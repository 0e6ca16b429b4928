"""Adds a run to the queue again and again, with a kill or a refusal of the disk at each call, in a process that has the
file layer: `python -m tests.faults.queue_path RUN RECORD KEPT`. The calls of one change are recorded in the file
RECORD, and what it wrote is kept in the folder KEPT, named by inode."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from studio.core.problems import ProblemError
from studio.core.run_folder import RunFolder
from studio.runs import queue
from studio.runs.queue_file import queue_file, queue_folder, read_queue
from tests.faults.file_layer import Do, FileLayer
from tests.faults.table import Tally

FAULTS = (
    ("queue: killed before a call", Do.kill, 0),
    ("queue: killed halfway through a write", Do.kill_halfway, 0),
    ("queue: disk full for one call", Do.fail_once, errno.ENOSPC),
    ("queue: EIO from a call on", Do.fail_on, errno.EIO),
)
REFUSED = 3


def main(words: list[str]) -> int:
    run, record, kept = RunFolder(Path(words[0])), Path(words[1]), Path(words[2])
    layer = FileLayer(queue_folder().path)
    whole = queue_file().read_bytes()
    waiting = [entry.run for entry in read_queue().entries]
    layer.watch(record=os.open(record, os.O_CREAT | os.O_WRONLY | os.O_APPEND))
    queue.add([run])
    calls = layer.rest()
    shutil.copy(queue_file(), kept / str(queue_file().stat().st_ino))
    tally = Tally()
    for name, do, error in FAULTS:
        for at in range(1, calls + 1):
            queue_file().write_bytes(whole)
            code = _add_with(layer, do, at, error, run)
            found = [entry.run for entry in read_queue().entries]
            allowed = [[*waiting, run.path]] if code == 0 else [waiting, [*waiting, run.path]]
            lost = [] if found in allowed else [f"at call {at}, exit {code}: {found}"]
            damaged = [one.english() for one in read_queue().set_aside]
            queue.move(waiting[0], 0)  # whoever comes next can change it, and finds nothing half written
            left = sorted(file.name for file in queue_folder().path.iterdir())
            damaged += [f"at call {at}: {left}"] if left != ["queue.jsonl", "queue.lock"] else []
            tally.note(name, lost=lost, damaged=damaged)
    print(json.dumps({"rows": [asdict(row) for row in tally.rows()], "wrong": tally.wrong}))  # noqa: T201 - the answer
    return 0


def _add_with(layer: FileLayer, do: Do, at: int, error: int, run: RunFolder) -> int:
    """The exit code of a process that adds the run and meets the fault: 0 added, 3 refused in words, else killed."""
    child = os.fork()
    if child == 0:
        layer.watch(do, at, error)
        try:
            queue.add([run])
        except ProblemError:
            os._exit(REFUSED)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
