"""What is known before an upload: whether it is an export, what its check said, whose token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.core import load_keyring

from studio.core.events import Exported
from studio.core.export_check import ExportCheck
from studio.core.problems import ProblemError
from studio.core.run_folder import RunFolder
from studio.export.exporters import export_now, exporter_named
from studio.export.hub_upload import (
    doubt,
    export_in,
    forget_token,
    keep_token,
    kept_token,
    known_token,
    require_export,
)
from tests.fakes.keyring import FakeKeyring, fake_keyring


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKeyring]:
    """In place of this system's own."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with fake_keyring() as made:
        yield made


def exported(*passed: bool) -> Exported:
    checks = tuple(ExportCheck(program="transformers", questions=20, same=20, passed=one) for one in passed)
    return Exported(to="merged", folder="/x", size=1, checks=checks)


def test_a_token_is_kept_found_again_and_forgotten(store: FakeKeyring) -> None:
    assert known_token() == ""
    keep_token("hf_mine")
    assert known_token() == kept_token() == "hf_mine" and list(store.passwords.values()) == ["hf_mine"]
    forget_token()
    forget_token()  # one that is gone is forgotten already
    assert known_token() == "" and not store.passwords


def test_the_environment_comes_first(store: FakeKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_token("hf_kept")
    monkeypatch.setenv("HF_TOKEN", " hf_of_the_environment\n")
    assert known_token() == "hf_of_the_environment"


def test_a_store_that_takes_nothing_is_told_without_the_token(store: FakeKeyring) -> None:
    store.locked = True
    with pytest.raises(ProblemError) as caught:
        keep_token("hf_mine")
    assert caught.value.problem.code == "hub.token_not_kept" and "hf_mine" not in caught.value.problem.english()


def test_a_computer_without_a_store_has_no_token(store: FakeKeyring) -> None:
    keyring.set_keyring(load_keyring("keyring.backends.fail.Keyring"))
    assert kept_token() == ""
    forget_token()
    with pytest.raises(ProblemError):
        keep_token("hf_mine")


def test_only_what_passed_its_check_goes_up_without_a_question() -> None:
    assert doubt(exported(True, True)) is None
    failed, unchecked = doubt(exported(True, False)), doubt(exported())
    assert failed is not None and "failed its check" in failed.what
    assert unchecked is not None and unchecked == doubt(None)


def test_the_check_of_an_export_is_found_by_its_folder(run: RunFolder, tmp_path: Path) -> None:
    inside = export_now(exporter_named("adapter"), run, run.exports / "adapter")
    found = export_in(Path(inside.folder), [])
    assert found is not None and found.to == "adapter"
    with run.job("merged").writer() as writer:
        (tmp_path / "elsewhere").mkdir()
        writer.write(exported(True).model_copy(update={"folder": str(tmp_path / "elsewhere")}))
    found = export_in(tmp_path / "elsewhere", [run])
    assert found is not None and found.passed
    assert export_in(tmp_path, [run]) is None


def test_only_an_export_is_uploaded(run: RunFolder, tmp_path: Path) -> None:
    made = export_now(exporter_named("adapter"), run, tmp_path / "adapter")
    require_export(Path(made.folder))
    for folder in (run.path, run.checkpoints / "step-000020", tmp_path / "nothing", tmp_path):
        with pytest.raises(ProblemError) as caught:
            require_export(folder)
        assert caught.value.problem.code == "upload.not_an_export"
