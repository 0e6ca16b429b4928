"""A chat never takes memory away from a training: where it answers is decided from what the driver says and what the
training has told."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio.core.events import DeviceChosen, ProcessStarted, StepDone
from studio.hardware.snapshot import Snapshot
from studio.hardware.system import SystemMemory
from studio.runs.chat.place import ChatPlace, place_for_chat
from studio.runs.project import create_project
from tests.fakes import nvml
from tests.runs.made_runs import make_run

GIB = 1 << 30
FIRST, SECOND = "GPU-11111111-0000-0000-0000-000000000001", "GPU-22222222-0000-0000-0000-000000000002"
LOOK = """
import sys
from pathlib import Path
from studio.runs.chat.place import place_for_chat
place = place_for_chat(None, Path(sys.argv[1]))
where, when = "processor" if place.on_processor else "card", "asks" if place.asks else "at once"
print(where, when, *[one.english() for one in place.why])
"""
Look = Callable[[str], str]


def card(uuid: str, total: int, used: int) -> str:
    return f"card Made up (demonstration)\n  uuid {uuid}\n  total {total}GiB\n  memory 0:{used}GiB\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A base model of two gigabytes, as far as the sizes of its files tell."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "model.safetensors").touch()
    os.truncate(folder / "model.safetensors", 2 * GIB)
    return folder


@pytest.fixture
def look(model: Path, tmp_path: Path) -> Look:
    """What is decided where the driver knows these cards."""

    def look(cards: str) -> str:
        script = tmp_path / "cards.txt"
        script.write_text(cards)
        try:
            variables = nvml.environment(str(script)) if cards else nvml.without_library(tmp_path)
        except nvml.CannotBuildError as error:
            pytest.skip(str(error))
        command = [sys.executable, "-c", LOOK, str(model)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "{" not in done.stdout
        return done.stdout.strip()

    return look


@contextlib.contextmanager
def training(home: Path, *, uuid: str = "", peak: int | None = None) -> Iterator[None]:
    """A run goes on meanwhile, on the card called `uuid` or on the processor, and held `peak` bytes at most so far."""
    run = make_run(create_project("Support"), "20260101-120000-made", losses=())
    run.events.unlink()
    with run.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=os.getpid(), started=0.0))
        writer.write(DeviceChosen(device="cuda" if uuid else "cpu", name="made up", dtype="bfloat16", uuid=uuid))
        for step in (1, 2, 3):
            told = {"step": step, "total_steps": 63, "epoch": 0.1, "loss": 1.0, "learning_rate": 1e-4}
            writer.write(StepDone.model_validate({**told, "seconds": 10.0, "peak_memory": peak}))
        yield


def test_while_a_card_is_trained_on_the_processor_answers_if_that_is_wanted(home: Path, look: Look) -> None:
    with training(home, uuid=FIRST, peak=9 * GIB):
        found = look(card(FIRST, 12, 9))
    assert found.startswith("processor asks A model is being trained on the graphics card")
    assert "(9.7 of 12.9 GB now)" in found
    assert "about 10 more minutes" in found


def test_a_card_is_shared_only_where_the_training_could_take_as_much_again(home: Path, look: Look) -> None:
    with training(home, uuid=FIRST, peak=9 * GIB):
        assert look(card(FIRST, 24, 9)) == "card at once"
        assert look(card(FIRST, 20, 9)).startswith("processor asks")


def test_a_training_that_has_not_made_a_step_may_need_all_of_its_card(home: Path, look: Look) -> None:
    with training(home, uuid=FIRST):
        assert look(card(FIRST, 80, 1)).startswith("processor asks")


def test_a_training_on_another_card_is_in_nobodys_way(home: Path, look: Look) -> None:
    with training(home, uuid=SECOND, peak=9 * GIB):
        assert look(card(FIRST, 12, 1) + card(SECOND, 12, 9)) == "card at once"


def test_where_the_processor_trains_both_become_slower_and_that_is_asked(home: Path, look: Look) -> None:
    with training(home):
        assert look("").startswith("processor asks A model is being trained on this computer's processor.")
        assert look(card(FIRST, 12, 1)) == "card at once"


def test_without_a_training_the_card_answers_unless_others_fill_it(home: Path, look: Look) -> None:
    assert look(card(FIRST, 12, 1)) == "card at once"
    assert look(card(FIRST, 12, 11)).startswith("processor at once The model needs about 2.8 GB, and 0.8 GB are free")
    assert look("") == "processor at once"


def test_without_room_in_the_computers_memory_it_says_when_there_will_be(home: Path, model: Path) -> None:
    full = Snapshot(cards=(), system=SystemMemory(total=8 * GIB, used=7 * GIB, available=GIB))
    with training(home):
        place = place_for_chat(None, model, lambda: full)
    assert place == ChatPlace(on_processor=True, why=place.why, asks=True, possible=False)
    told = " ".join(one.english() for one in place.why)
    assert "it can answer when the training is done" in told and "10 more minutes" in told
