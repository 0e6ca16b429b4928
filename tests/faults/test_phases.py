"""What goes wrong beside the steps of a training costs that part of it and not the run."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.core.events import CheckpointCommitted, Evaluated, Event, Finished, NoticeLogged
from studio.core.jobs import Train
from studio.core.journal import JournalWriter
from studio.core.run_folder import RunFolder
from studio.core.storage import staged_export
from studio.engine.objectives import objective
from studio.engine.training.checkpoint import CheckpointWriter
from tests.engine.conftest import do_here
from tests.engine.conftest import make_run as make_run
from tests.engine.conftest import tiny_model as tiny_model
from tests.faults.save_points import look

Make = Callable[..., RunFolder]


def told(run: RunFolder, code: str) -> list[Event]:
    return [e for e in run.reader().read_new() if isinstance(e, NoticeLogged) and e.code == code]


def out_of_memory(*_: Any, **__: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_without_memory_for_the_examples_set_aside_training_goes_on(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(**{"training.save_steps": 2})
    monkeypatch.setattr(objective, "held_out_loss", out_of_memory)
    assert do_here(run, Train()) == 0
    assert isinstance(run.state().ending, Finished)
    assert len(told(run, "evaluation.no_memory")) == 1
    assert not any(isinstance(event, Evaluated) for event in run.reader().read_new())
    assert look(run).whole


def test_without_memory_for_a_save_point_training_goes_on_to_the_next(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(**{"training.save_steps": 1})
    save, times = CheckpointWriter.save, 0

    def fails_twice(writer: CheckpointWriter, *arguments: Any) -> None:
        nonlocal times
        times += 1
        out_of_memory() if times <= 2 else save(writer, *arguments)

    monkeypatch.setattr(CheckpointWriter, "save", fails_twice)
    assert do_here(run, Train()) == 0
    assert isinstance(run.state().ending, Finished)
    assert len(told(run, "saving.failed")) == 2
    assert look(run).whole == (3, 4)


def test_nothing_is_removed_before_the_journal_tells_of_the_new_one(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(**{"training.save_steps": 1})
    refused: list[Event] = []
    write, remove = JournalWriter.write, CheckpointWriter._remove

    def write_but_for_one(writer: JournalWriter, event: Event, **named: bool) -> None:
        if isinstance(event, CheckpointCommitted) and event.step == 3 and not refused:
            refused.append(event)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(writer, event, **named)

    def remove_what_may_go(writer: CheckpointWriter, step: int) -> bool:
        found = look(run)
        assert found.whole[-1] in found.told
        return remove(writer, step)

    monkeypatch.setattr(JournalWriter, "write", write_but_for_one)
    monkeypatch.setattr(CheckpointWriter, "_remove", remove_what_may_go)
    assert do_here(run, Train()) == 0
    assert refused
    assert isinstance(run.state().ending, Finished)
    assert (look(run).whole, look(run).told) == ((3, 4), (1, 2, 3, 4))


def test_an_export_that_fails_in_the_middle_never_appears(tmp_path: Path) -> None:
    place = tmp_path / "model"
    for error in (KeyboardInterrupt(), SystemExit(), MemoryError(), RuntimeError("half written")):
        with pytest.raises(type(error)), staged_export(place) as folder:
            (folder / "model.safetensors").write_bytes(bytes(100))
            assert not place.exists()
            raise error
        assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == []
