"""Downloading a model from a fake of the Hugging Face Hub, by real child processes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio.core.command_queue import new_id, send
from studio.core.commands import Stop
from studio.core.events import Failed, Fetched, Finished, PhaseChanged, Progressed, Stopped
from studio.core.job_states import FetchState
from studio.core.jobs import FetchModel, Job
from studio.core.problems import Problem
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.run_folder import JobFolder
from studio.core.storage import is_intact, size_of
from studio.models.base_model import hub_folder, locate
from tests.engine.conftest import Child
from tests.fakes.hub import BreakOff, FakeHub, HubModel

Start = Callable[[JobFolder, Job], Child]
NAME = "owner/model"
NEVER_TAKEN = {
    "pytorch_model.bin": b"a pickle" * 100,
    "modeling_own.py": b"print('code of a stranger')",
    "onnx/model.safetensors": b"a copy in another format",
    "onnx/config.json": b"{}",
}


@pytest.fixture
def files(tiny_model: Path) -> dict[str, bytes]:
    """A model as its makers would have put it there."""
    return {**{p.name: p.read_bytes() for p in tiny_model.iterdir()}, "LICENSE": b"Do what you like.\n"}


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Children look for the Hub here, and neither read nor write anything of the person's own."""
    for name in [n for n in os.environ if n.startswith(("HF_", "HUGGING")) or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    with FakeHub({NAME: HubModel({**files, **NEVER_TAKEN})}) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.address)
        yield made


@pytest.fixture
def download(start: Start, tmp_path: Path, hub: FakeHub) -> Callable[..., Child]:
    """`download()` starts a job and waits for its end."""

    def begin(name: str = NAME, revision: str = "", *, wait: bool = True) -> Child:
        folder = JobFolder(tmp_path / "jobs" / new_id())
        child = start(folder, FetchModel(name=name, revision=revision))
        if wait:
            child.wait(60)
        return child

    return begin


def problem_of(child: Child) -> Problem:
    ending = child.events()[-1]
    assert isinstance(ending, Failed), child.folder.log.read_text(errors="replace")[-3000:]
    assert child.process.returncode == 2
    return ending.problem


def assert_complete(child: Child, files: dict[str, bytes]) -> Path:
    """It ended well, and its folder holds exactly what was served. Returns the folder."""
    ending = child.events()[-1]
    assert isinstance(ending, Finished), child.folder.log.read_text(errors="replace")[-3000:]
    fetched = child.folder.fold(FetchState()).fetched
    assert fetched is not None
    folder = Path(fetched.folder)
    arrived = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    arrived.pop("manifest.json")
    assert arrived == files
    assert is_intact(folder, fully=True)
    return folder


def leftovers() -> list[str]:
    """Files of downloads that aren't finished, in folders that may go on."""
    return sorted(p.name for p in hub_folder(NAME).parent.rglob("*") if p.is_file())


def test_a_model_is_downloaded_without_code_pickles_or_folders_of_copies(
    download: Callable[..., Child], hub: FakeHub, files: dict[str, bytes]
) -> None:
    hub.pause = 0.5  # long enough to be told of on the way
    child = download()
    folder = assert_complete(child, files)
    assert folder == hub_folder(NAME) == locate(ModelChoice(source=Source.hub, name=NAME))
    assert sorted(asked.file for asked in hub.fetched()) == sorted(files)
    total = sum(len(data) for data in files.values())
    told = [event for event in child.events() if isinstance(event, Progressed)]
    assert told and all(event.unit == "bytes" and event.total == total for event in told)
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert told[-1].done == total
    fetched = [event for event in child.events() if isinstance(event, Fetched)]
    assert [event.size for event in fetched] == [size_of(folder)]


def test_another_revision_is_kept_apart(download: Callable[..., Child], hub: FakeHub, files: dict[str, bytes]) -> None:
    hub.models[NAME].revisions = ("main", "refs/pr/3")
    folder = assert_complete(download(revision="refs/pr/3"), files)
    assert folder == locate(ModelChoice(source=Source.hub, name=NAME, revision="refs/pr/3")) != hub_folder(NAME)


def test_a_connection_that_breaks_for_a_moment_is_taken_up_where_it_stopped(
    download: Callable[..., Child], hub: FakeHub, files: dict[str, bytes]
) -> None:
    # The library writes in blocks of 10 MiB.
    hub.models[NAME].files["merges.txt"] = files["merges.txt"] = os.urandom(1 << 20) * 12
    hub.breaks["merges.txt"] = BreakOff(after=11 << 20, times=1)
    assert_complete(download(), files)
    parts = [asked.range for asked in hub.fetched() if asked.file == "merges.txt"]
    assert parts == ["", f"bytes={10 << 20}-"]


def test_a_download_that_breaks_off_says_so_and_goes_on_at_the_next_try(
    download: Callable[..., Child], hub: FakeHub, files: dict[str, bytes]
) -> None:
    hub.breaks["model.safetensors"] = BreakOff(after=100_000)
    broken = problem_of(download())
    assert broken.code == "hub.no_network"
    assert "\n" not in broken.what + broken.why + broken.fix
    assert not hub_folder(NAME).exists()  # nothing that looks like a model
    assert not [name for name in leftovers() if name.endswith(".incomplete")]
    hub.breaks.clear()
    whole = {asked.file for asked in hub.fetched() if asked.sent == len(files[asked.file])}
    assert "config.json" in whole
    before = len(hub.fetched())
    assert_complete(download(), files)
    assert {asked.file for asked in hub.fetched()[before:]} == set(files) - whole
    assert not [name for name in leftovers() if name.endswith((".incomplete", ".metadata"))]


def test_a_download_whose_process_was_killed_goes_on_and_leaves_no_halves_behind(
    download: Callable[..., Child], hub: FakeHub, files: dict[str, bytes]
) -> None:
    hub.models[NAME].files["merges.txt"] = files["merges.txt"] = os.urandom(1 << 20) * 11
    hub.breaks["merges.txt"] = BreakOff(after=0)
    child = download(wait=False)
    child.wait_for(PhaseChanged)
    until = time.monotonic() + 30
    while not any(asked.file == "merges.txt" for asked in hub.fetched()):
        assert time.monotonic() < until
        time.sleep(0.05)
    child.process.kill()
    child.wait()
    assert any(name.endswith(".incomplete") for name in leftovers())
    staging = next(path for path in hub_folder(NAME).parent.iterdir() if path.name.startswith("."))
    (staging / "config.json").write_bytes(b"")  # as after a power cut
    (staging / "model-00001-of-00002.safetensors").write_bytes(b"of an earlier revision")
    hub.breaks.clear()
    assert_complete(download(), files)
    assert not any(name.endswith(".incomplete") for name in leftovers())


def test_a_download_can_be_stopped_in_the_middle_of_a_file(
    download: Callable[..., Child], hub: FakeHub, files: dict[str, bytes]
) -> None:
    hub.models[NAME].files["merges.txt"] = os.urandom(1 << 20) * 40
    hub.pause = 0.2  # the whole file would take two minutes
    child = download(wait=False)
    child.wait_for(Progressed, seconds=30)
    send(child.folder, Stop(id=new_id(), keep=False))
    assert child.wait(10) == 0
    assert isinstance(child.events()[-1], Stopped)
    assert not any(name.endswith(".incomplete") for name in leftovers())
    assert not hub_folder(NAME).exists()


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_names_the_page_where_its_terms_are(
    download: Callable[..., Child], hub: FakeHub, status: int
) -> None:
    hub.models[NAME].gated, hub.models[NAME].gate_status = True, status
    gated = problem_of(download())
    assert gated.code == "hub.gated"
    assert "https://huggingface.co/owner/model" in gated.fix.format(**gated.values)
    assert not hub.fetched() and not hub_folder(NAME).exists()


def test_a_name_that_is_not_there_is_told_apart_from_a_revision_that_is_not(download: Callable[..., Child]) -> None:
    unknown = problem_of(download("owner/no-such-model"))
    assert (unknown.code, unknown.values["name"]) == ("hub.no_such_model", "owner/no-such-model")
    assert problem_of(download(revision="no-such-branch")).code == "hub.no_such_revision"


def test_a_model_of_pickles_only_is_refused_before_anything_is_downloaded(
    download: Callable[..., Child], hub: FakeHub, files: dict[str, bytes]
) -> None:
    del files["model.safetensors"]
    hub.models[NAME] = HubModel({**files, **NEVER_TAKEN})
    assert problem_of(download()).code == "hub.no_safetensors"
    assert not hub.fetched() and not leftovers()


def test_without_a_network_it_says_so_soon(download: Callable[..., Child], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets the number meanwhile
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        began = time.monotonic()
        assert problem_of(download()).code == "hub.no_network"
    assert time.monotonic() - began < 20
    assert not leftovers()
