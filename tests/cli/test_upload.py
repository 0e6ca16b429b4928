"""`studio upload`: to a fake of the Hub, with the token of the environment or of the system's store."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.cli import main
from studio.core.events import Exported
from studio.core.export_check import ExportCheck
from studio.core.run_folder import RunFolder
from studio.runs.project import create_project
from tests.fakes.hub import Account, FakeHub
from tests.fakes.keyring import FakeKeyring, fake_keyring
from tests.fakes.save_point import make_save_point
from tests.runs.made_runs import make_run

TOKEN = "hf_ofThePerson"
NAME = "person/letters"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    for name in [n for n in os.environ if n.startswith(("HF_", "HUGGING")) or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with FakeHub({}, accounts={TOKEN: Account("person", owns=("person",))}) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.address)
        yield made


@pytest.fixture
def store() -> Iterator[FakeKeyring]:
    with fake_keyring() as made:
        yield made


@pytest.fixture
def run() -> RunFolder:
    """With an export that nobody has checked yet."""
    made = make_run(create_project("Letters"), "20260101-letters", losses=(3.0, 1.0))
    make_save_point(made.exports / "merged")
    (made.exports / "merged" / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    return made


def pass_check(run: RunFolder) -> None:
    check = ExportCheck(program="transformers", questions=20, same=20)
    with run.job("merged").writer() as writer:
        writer.write(Exported(to="merged", folder=str(run.exports / "merged"), size=1, checks=(check,)))


def test_a_checked_export_goes_up(
    run: RunFolder,
    hub: FakeHub,
    store: FakeKeyring,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pass_check(run)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["upload", str(run.exports / "merged"), NAME, "--public", "--keep-token", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["address"] == f"{hub.address}/{NAME}" and told["private"] is False
    assert "adapter_model.safetensors" in hub.models[NAME].files and not hub.models[NAME].private
    assert list(store.passwords.values()) == [TOKEN]


def test_an_unchecked_export_goes_up_only_with_a_second_word(
    run: RunFolder, hub: FakeHub, store: FakeKeyring, capsys: pytest.CaptureFixture[str]
) -> None:
    store.set_password("Fine-Tuning Studio", "huggingface.co", TOKEN)
    assert main(["upload", str(run.exports / "merged"), NAME]) == 2
    assert "--anyway" in capsys.readouterr().err and not hub.asked
    assert main(["upload", str(run.exports / "merged"), NAME, "--anyway"]) == 0
    assert "Only you can see it." in capsys.readouterr().out and hub.models[NAME].private


def test_a_runs_folder_and_a_wrong_name_are_refused_before_anything_is_asked(
    run: RunFolder, hub: FakeHub, store: FakeKeyring, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upload", str(run.path), NAME]) == 2
    assert "lest your examples go along" in capsys.readouterr().err
    assert main(["upload", str(run.exports / "merged"), "letters"]) == 2
    assert "owner/name" in capsys.readouterr().err and not hub.asked


def test_without_a_token_and_a_terminal_it_says_where_to_get_one(
    run: RunFolder,
    hub: FakeHub,
    store: FakeKeyring,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pass_check(run)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(["upload", str(run.exports / "merged"), NAME]) == 2
    assert "huggingface.co/settings/tokens" in capsys.readouterr().err and not hub.asked


def test_a_token_is_asked_for_in_a_terminal(
    run: RunFolder, hub: FakeHub, store: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_check(run)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("studio.cli.upload.getpass", lambda prompt: TOKEN)
    assert main(["upload", str(run.exports / "merged"), NAME]) == 0
    assert NAME in hub.models and not store.passwords
