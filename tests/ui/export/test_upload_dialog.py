"""Uploading from the window: a real job, to a fake of the Hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from studio.core.events import Exported
from studio.core.export_check import ExportCheck
from studio.core.job_states import UploadState
from studio.core.jobs import Upload
from studio.core.run_folder import RunFolder
from studio.runs.fetch import job_folder
from studio.runs.project import Project
from studio.runs.start import start_job
from studio.ui.export.upload_dialog import UploadDialog
from studio.ui.state.job_state import JobState
from tests.fakes.hub import Account, FakeHub, HubModel
from tests.fakes.keyring import FakeKeyring, fake_keyring
from tests.fakes.save_point import make_save_point
from tests.ui.conftest import LONG

TOKEN = "hf_typedByThePerson"
NAME = "person/support"


@pytest.fixture
def store() -> Iterator[FakeKeyring]:
    with fake_keyring() as made:
        yield made


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    for name in [n for n in os.environ if n.startswith(("HF_", "HUGGING")) or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with FakeHub({}, accounts={TOKEN: Account("person", owns=("person",))}) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.address)
        yield made


@pytest.fixture
def run(project: Project) -> RunFolder:
    """With an export that passed its check."""
    made = RunFolder(project.runs_folder / "20260101-120000-made")
    made.path.mkdir(parents=True)
    made.recipe.write_text("name: Support replies\n", encoding="utf-8")
    make_save_point(made.exports / "merged")
    (made.exports / "merged" / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    add_check(made, passed=True)
    return made


def add_check(run: RunFolder, *, passed: bool) -> None:
    check = ExportCheck(program="transformers", questions=20, same=20 if passed else 3, passed=passed)
    with run.job("merged").writer() as writer:
        writer.write(Exported(to="merged", folder=str(run.exports / "merged"), size=1, checks=(check,)))


@pytest.fixture
def open_dialog(run: RunFolder, qtbot: QtBot, store: FakeKeyring, hub: FakeHub) -> Iterator[Callable[[], UploadDialog]]:
    """Opens the dialog on one job, and waits until it knows what it can know."""
    window = QWidget()
    window.resize(800, 600)
    qtbot.addWidget(window)
    window.show()
    job = JobState(UploadState)

    def open_one() -> UploadDialog:
        made = UploadDialog(window, job, run, run.exports / "merged")
        qtbot.waitUntil(lambda: made._known is not None, timeout=LONG)
        return made

    yield open_one
    job.stop(keep=False)
    qtbot.waitUntil(lambda: not job.is_running(), timeout=LONG)
    job.leave()


def test_an_export_goes_up_and_the_token_is_kept_once_it_was_accepted(
    open_dialog: Callable[[], UploadDialog], hub: FakeHub, store: FakeKeyring, qtbot: QtBot
) -> None:
    dialog = open_dialog()
    assert dialog.token_row.isVisible() and not dialog.kept_row.isVisible() and not dialog.doubt.isVisible()
    assert not dialog.start.isEnabled() and dialog.repository.placeholderText() == "your name there/support-replies"
    dialog.repository.setText(NAME)
    dialog.token.setText(TOKEN)
    dialog.keep.setChecked(True)
    dialog.start.click()
    assert dialog.progress.isVisible() and dialog.going_on.isVisible() and not dialog.asking.isVisible()
    qtbot.waitUntil(dialog.done.isVisible, timeout=LONG)
    assert hub.models[NAME].private and "README.md" in hub.models[NAME].files
    assert "Only you" in dialog.seen_by.text()
    dialog.copy.click()
    assert QGuiApplication.clipboard().text() == f"{hub.address}/{NAME}"
    qtbot.waitUntil(lambda: list(store.passwords.values()) == [TOKEN], timeout=LONG)
    dialog.dismiss()
    again = open_dialog()
    assert again.kept_row.isVisible() and again.asking.isVisible(), "another export may go up"
    again.forget.click()
    qtbot.waitUntil(lambda: not store.passwords and again.token_row.isVisible(), timeout=LONG)


def test_a_wrong_token_is_told_and_isnt_kept(
    open_dialog: Callable[[], UploadDialog], store: FakeKeyring, qtbot: QtBot
) -> None:
    dialog = open_dialog()
    dialog.repository.setText(NAME)
    dialog.token.setText("hf_mistyped")
    dialog.keep.setChecked(True)
    dialog.start.click()
    qtbot.waitUntil(lambda: dialog._problem is not None, timeout=LONG)
    assert dialog._problem is not None and dialog._problem.problem.code == "hub.wrong_token"
    assert dialog.asking.isVisible() and dialog.repository.text() == NAME and not store.passwords


def test_a_name_that_cannot_be_and_one_that_is_taken_are_told(
    open_dialog: Callable[[], UploadDialog], hub: FakeHub, store: FakeKeyring, qtbot: QtBot
) -> None:
    store.set_password("Fine-Tuning Studio", "huggingface.co", TOKEN)
    hub.models["person/taken"] = HubModel({"README.md": b"mine"}, private=True)
    dialog = open_dialog()
    dialog.repository.setText("no slash")
    dialog.start.click()
    assert dialog._problem is not None and dialog._problem.problem.code == "hub.bad_repository"
    dialog.repository.setText("person/taken")
    dialog.start.click()
    qtbot.waitUntil(lambda: not dialog.job.is_running() and dialog._problem is not None, timeout=LONG)
    assert dialog._problem.problem.code == "hub.repository_exists"
    assert hub.models["person/taken"].files == {"README.md": b"mine"}


def test_what_failed_its_check_needs_a_second_word(
    open_dialog: Callable[[], UploadDialog], run: RunFolder, store: FakeKeyring
) -> None:
    store.set_password("Fine-Tuning Studio", "huggingface.co", TOKEN)
    add_check(run, passed=False)
    dialog = open_dialog()
    dialog.repository.setText(NAME)
    assert "failed its check" in dialog.doubt.text() and not dialog.start.isEnabled()
    dialog.anyway.setChecked(True)
    assert dialog.start.isEnabled()


def test_an_upload_that_an_earlier_window_began_is_shown(
    open_dialog: Callable[[], UploadDialog], run: RunFolder, hub: FakeHub, qtbot: QtBot
) -> None:
    (run.exports / "merged" / "more.safetensors").write_bytes(bytes(8 << 20))
    hub.pause = 0.3  # for 128 pieces
    upload = Upload(folder=run.exports / "merged", repository=NAME)
    process = start_job(job_folder("upload"), upload, secret=TOKEN)
    qtbot.waitUntil(process.folder.is_at_work, timeout=LONG)
    dialog = open_dialog()
    assert dialog.progress.isVisible() and not dialog.asking.isVisible()
    hub.pause = 0.0
    qtbot.waitUntil(dialog.done.isVisible, timeout=LONG)
    assert process.process.wait(20) == 0 and dialog.address.text().endswith(NAME)


def test_it_can_be_closed_meanwhile_and_shows_the_upload_when_it_is_opened_again(
    open_dialog: Callable[[], UploadDialog], hub: FakeHub, store: FakeKeyring, qtbot: QtBot
) -> None:
    store.set_password("Fine-Tuning Studio", "huggingface.co", TOKEN)
    hub.pause = 0.5
    dialog = open_dialog()
    dialog.repository.setText(NAME)
    dialog.start.click()
    qtbot.waitUntil(lambda: any(asked.received for asked in hub.asked), timeout=LONG)
    dialog.dismiss()
    again = open_dialog()
    assert again.progress.isVisible() and not again.asking.isVisible()
    again.progress.stop.click()
    qtbot.waitUntil(again.asking.isVisible, timeout=LONG)
    assert set(hub.models[NAME].files) == {".gitattributes"}
