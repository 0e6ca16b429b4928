"""A kill, a refusal of the disk, a power cut at every call with which the queue is changed: the change is there or it
isn't, and what waited before waits still."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from studio.core import paths
from studio.runs import queue
from studio.runs.queue_file import queue_file, queue_folder, read_queue
from tests.faults.disk import Disk, Rest, safe_names
from tests.faults.file_layer import Call, read_record
from tests.faults.table import Record, Row, Tally, report
from tests.faults.test_save_path import with_file_layer
from tests.runs.conftest import MakeRun
from tests.runs.conftest import base_model as base_model
from tests.runs.conftest import make_run as make_run


def test_a_fault_while_the_queue_is_changed_costs_at_most_that_change(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    one, two, added = (make_run(name) for name in ("one", "two", "added"))
    queue.add([one, two])
    waiting = [one.path, two.path]
    kept = tmp_path / "kept"
    kept.mkdir()
    old = queue_file().stat()
    shutil.copy(queue_file(), kept / str(old.st_ino))
    answer = json.loads(with_file_layer("queue_path", added.path, tmp_path / "record", kept))

    there = [Call(name, queue_file().name, size=old.st_size, inode=old.st_ino) for name in ("create", "sync")]
    calls = [*there, Call("sync", ""), *read_record(tmp_path / "record", queue_folder().path)]
    place = tmp_path / "after"
    monkeypatch.setenv(paths.HOME_VARIABLE, str(place))
    tally = Tally()
    rests: tuple[Rest, ...] = ("gone", "zeros", "half")
    for at in range(3, len(calls) + 1):
        safe = safe_names(calls[:at])
        for names in range(safe, at + 1):
            for rest in rests:
                disk = Disk(kept)
                disk.replay(calls[:at], names)
                place.mkdir()
                disk.write(place / "queue", rest)
                found = [entry.run for entry in read_queue().entries]
                allowed = [[*waiting, added.path]] if at == len(calls) else [waiting, [*waiting, added.path]]
                lost = [] if found in allowed else [f"after call {at}, {names} names, {rest}: {found}"]
                tally.note("queue: power cut", lost=lost)
                shutil.rmtree(place)
    report([*(Row(**row) for row in answer["rows"]), *tally.rows()], record_property)
    assert not answer["wrong"] + tally.wrong, "\n".join(answer["wrong"] + tally.wrong)
    assert len(answer["rows"]) == 4
