"""What nobody expected goes to one dialog and a log; what was expected is said in words where it happened."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QtMsgType
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot
from shiboken6 import delete

from studio.core.problems import Problem, ProblemError, Remedy
from studio.ui.controls import exception_dialog
from studio.ui.controls.notices import ProblemCard, remedy_words
from studio.ui.state.background import run_in_background


@pytest.fixture
def installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The hooks as the program installs them; the log's path."""
    hook, thread_hook = sys.excepthook, threading.excepthook
    monkeypatch.setattr(exception_dialog, "qInstallMessageHandler", lambda handler: None)  # pytest-qt listens there
    exception_dialog.install()
    yield home / "window.log"
    sys.excepthook, threading.excepthook = hook, thread_hook
    for handler in list(logging.getLogger("studio.window").handlers):
        logging.getLogger("studio.window").removeHandler(handler)
        handler.close()


def dialogs() -> list[exception_dialog.ReportDialog]:
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, exception_dialog.ReportDialog) and w.isVisible()]


SAID = "a screw is loose: My parcel is late"


def crash() -> None:
    raise RuntimeError(SAID)


def test_an_exception_in_a_thread_opens_one_dialog_with_versions_to_copy(installed: Path, qtbot: QtBot) -> None:
    for _ in range(2):
        thread = threading.Thread(target=crash)
        thread.start()
        thread.join()
    qtbot.waitUntil(lambda: bool(dialogs()))
    (dialog,) = dialogs()
    qtbot.waitUntil(lambda: dialog.details.toPlainText().count("RuntimeError: [left out]") == 2)
    assert "PySide6" in dialog.details.toPlainText()
    next(b for b in dialog.findChildren(QPushButton) if b.text() == "Copy").click()
    assert "in crash" in QGuiApplication.clipboard().text()
    dialog.accept()
    assert "in crash" in installed.read_text(encoding="utf-8")
    for told in (QGuiApplication.clipboard().text(), installed.read_text(encoding="utf-8")):
        assert "My parcel" not in told and str(Path.home()) not in told


def test_what_qt_says_goes_to_the_log(installed: Path) -> None:
    exception_dialog._on_qt_message(QtMsgType.QtWarningMsg, None, "a layout is unhappy")  # type: ignore[arg-type]
    assert "WARNING Qt: a layout is unhappy" in installed.read_text(encoding="utf-8")


def test_a_log_that_grew_large_starts_afresh_and_the_old_one_stays(home: Path) -> None:
    (home / "window.log").write_text("x" * (exception_dialog.LARGEST_LOG + 1), encoding="utf-8")
    exception_dialog._open_log()
    assert not (home / "window.log").exists()
    assert (home / "window.old.log").stat().st_size > exception_dialog.LARGEST_LOG


def test_background_work_brings_its_value_or_its_problem(qtbot: QtBot) -> None:
    owner, values, told = QObject(), list[int](), list[Problem]()
    run_in_background(owner, lambda: 6 * 7, values.append, told.append)
    qtbot.waitUntil(lambda: values == [42])

    def refuse() -> int:
        raise ProblemError(Problem(code="x.refused", what="No."))

    run_in_background(owner, refuse, values.append, told.append)
    qtbot.waitUntil(lambda: [p.code for p in told] == ["x.refused"])
    assert values == [42]


def test_a_bug_in_background_work_reaches_the_hook_and_the_page(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    told: list[Problem] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: seen.append(str(error)))
    owner = QObject()
    run_in_background(owner, crash, lambda value: None, told.append)
    qtbot.waitUntil(lambda: bool(seen))
    assert [p.code for p in told] == ["window.unexpected"]
    assert seen == [SAID]


def test_a_page_that_is_gone_is_not_told_but_a_bug_still_comes_out(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    told: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: seen.append(str(error)))
    owner = QObject()
    run_in_background(owner, lambda: 1, told.append, told.append)
    run_in_background(owner, crash, told.append, told.append)
    delete(owner)
    qtbot.waitUntil(lambda: seen == [SAID])
    assert told == []


def test_a_problem_card_says_it_all_and_offers_its_remedy(qtbot: QtBot) -> None:
    problem = Problem(
        code="x", what="{n} <b>rows</b>", why="Why.", fix="Fix.", values={"n": 3}, remedy=Remedy.try_again
    )
    card = ProblemCard(problem)
    qtbot.addWidget(card)
    assert card.accessibleName() == "3 <b>rows</b> Why. Fix."
    assert card.remedy_button is not None
    with qtbot.waitSignal(card.remedy_requested) as heard:
        card.remedy_button.click()
    assert heard.args == [Remedy.try_again]


def test_every_remedy_has_words() -> None:
    assert len({remedy_words(remedy) for remedy in Remedy}) == len(Remedy)
