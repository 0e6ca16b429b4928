"""The Export page: real copies of the add-on, and a child process that combines as it was told to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from studio.core.problems import Problem
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import RunFolder
from studio.core.translatable import Sentence, sentence
from studio.dataset.samples import sample
from studio.export.destinations import DESTINATIONS, Destination, into_program
from studio.export.exporters import exporter_named
from studio.export.programs.program import Found, HandedOver, Handover, Line, OnProgress, Program
from studio.runs.project import Project, create_project
from studio.ui.export.made_view import MadeView
from studio.ui.export.page import ExportPage
from studio.ui.export.report_dialog import ReportDialog
from studio.ui.export.upload_dialog import UploadDialog
from studio.ui.main_window import MainWindow
from studio.ui.state.app_state import AppState
from studio.ui.state.export_queue import Wish
from tests.ui.conftest import LONG
from tests.ui.finished_run import fine_tuned_run, make_model_folder, opened, stand_in_interpreter
from tests.ui.test_main_window import ShownWindows


class Talker:
    """A program that takes models, as far as the page sees of it."""

    def __init__(self, *, here: bool) -> None:
        self.here = here
        self.has: list[Handover] = []
        self.waits = False
        """Whether it takes for ever to take one in."""
        self.program = Program(
            name="talker",
            title="Talker",
            website="https://example.org",
            missing=Problem(code="talker.missing", what="Talker isn't on this computer.", fix="Install it."),
            find=self._find,
            offer=lambda title: title.lower(),
            plan=self._plan,
            hand_over=self._hand_over,
            takes="merged",
        )

    def _find(self) -> Found | None:
        return Found(Path("/opt/talker"), "1.2") if self.here else None

    def _plan(self, handover: Handover) -> tuple[Sentence, ...]:
        return (sentence("It is copied to /opt/talker/{name}.", name=handover.name),)

    def _hand_over(self, handover: Handover, progress: OnProgress) -> HandedOver:
        progress(0, 100)
        while self.waits:
            progress(50, 100)
        self.has.append(handover)
        lines = (Line(title="Ask it", text=f"talker {handover.name}"),)
        return HandedOver(program="talker", name=handover.name, export=str(handover.export), lines=lines)


@pytest.fixture
def project(home: Path, tmp_path: Path) -> Project:
    made = create_project("Support")
    base = make_model_folder(tmp_path / "base")
    values = {"data.path": str(sample("en")), "model.source": "folder", "model.name": str(base), "name": "Support"}
    made.save_recipe(with_values(Recipe(), values))
    return made


@pytest.fixture
def run(project: Project) -> RunFolder:
    return fine_tuned_run(project, project.load_recipe())


@pytest.fixture
def app_state(
    project: Project, run: RunFolder, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AppState]:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    with opened(project) as made:
        qtbot.waitUntil(lambda: bool(made.state.checkpoints) and not made.is_training(), timeout=LONG)
        yield made


@pytest.fixture
def talker() -> Talker:
    return Talker(here=True)


@pytest.fixture
def destinations(talker: Talker) -> tuple[Destination, ...]:
    """A program that takes the combined model, then that model and the add-on as folders."""
    plain = tuple(one for one in DESTINATIONS if one.name in ("merged", "adapter", "gguf-adapter"))
    return (into_program(talker.program, exporter_named("merged")), *plain)


Open = Callable[[AppState], ExportPage]


@pytest.fixture
def open_page(destinations: tuple[Destination, ...], qtbot: QtBot) -> Open:
    def open_one(app_state: AppState) -> ExportPage:
        page = ExportPage(app_state, destinations)
        qtbot.addWidget(page)
        page.resize(1000, 700)
        page.show()
        qtbot.waitUntil(lambda: any(card.is_open() for card in page.cards.values()), timeout=LONG)
        return page

    return open_one


@pytest.fixture
def page(app_state: AppState, open_page: Open) -> ExportPage:
    return open_page(app_state)


def wait_for(qtbot: QtBot, page: ExportPage, name: str) -> MadeView:
    """What is shown as made on that card, once nothing goes on any more."""
    card = page.cards[name]
    qtbot.waitUntil(lambda: not page._app_state.exports.is_running() and card.made is not None, timeout=LONG)
    assert card.made is not None
    return card.made


def test_without_a_trained_model_nothing_can_be_exported_and_it_says_why(home: Path, qtbot: QtBot) -> None:
    with opened(create_project("Empty")) as app_state:
        page = ExportPage(app_state)
        qtbot.addWidget(page)
        page.show()
        assert page.missing is not None and page.missing.isVisible()
        assert not any(card.isVisible() for card in page.cards.values())


def test_one_card_is_open_at_a_time_and_has_the_one_primary_button(page: ExportPage, qtbot: QtBot) -> None:
    assert page.cards["talker"].is_open(), "a program that is here comes first"
    for name, card in page.cards.items():
        if not card.is_open():
            QTest.keyClick(card.heading, Qt.Key.Key_Return)
        above = [card.destination.under] if card.destination.under else []
        assert [other for other, one in page.cards.items() if one.is_open()] == [*above, name]
        primary = [other for other, one in page.cards.items() if one.start.property("kind") == "primary"]
        assert primary == [name]
    for name in ("gguf-adapter", "adapter"):
        assert page.cards[name].is_open()
        page.cards[name].heading.click()
    assert not any(card.is_open() for card in page.cards.values())


def test_the_keyboard_goes_through_an_open_card_from_top_to_bottom(page: ExportPage, qtbot: QtBot) -> None:
    card = page.cards["merged"]
    card.heading.click()
    card.start.click()
    made = wait_for(qtbot, page, "merged")
    qtbot.waitUntil(made.open.isVisible, timeout=LONG)
    order: list[QWidget] = [card.heading]
    while (here := _after(order[-1])) is not page.cards["adapter"].heading and len(order) < 20:
        order.append(here)
    copied = [line.copy for line in made.lines]
    assert order == [card.heading, card.change, card.start, made.open, made.copy, made.upload, made.details, *copied]
    assert all(one.accessibleName() for one in copied)


def _after(widget: QWidget) -> QWidget:
    """Where the Tab key leads from there."""
    here = widget.nextInFocusChain()
    while here is not None and not (here.isVisible() and here.focusPolicy() & Qt.FocusPolicy.TabFocus):
        here = here.nextInFocusChain()
    assert here is not None
    return here


def test_the_add_on_is_exported_into_the_runs_folder(page: ExportPage, run: RunFolder, qtbot: QtBot) -> None:
    page.cards["adapter"].heading.click()
    page.cards["adapter"].start.click()
    done = wait_for(qtbot, page, "adapter")
    exported = run.exports / "adapter"
    original = run.checkpoints / "step-000040" / "adapter_model.safetensors"
    assert (exported / "adapter_model.safetensors").read_bytes() == original.read_bytes()
    done.copy.click()
    assert QGuiApplication.clipboard().text() == str(exported)
    assert page.cards["adapter"].place.text() == str(run.exports / "adapter-2")


def test_the_add_on_is_there_at_once_and_is_checked_afterwards(
    page: ExportPage, app_state: AppState, run: RunFolder, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.5")
    monkeypatch.setenv("STAND_IN_SAME", "13")
    card = page.cards["adapter"]
    card.start.click()
    qtbot.waitUntil(lambda: card.made is not None, timeout=LONG)
    assert card.made is not None and card.made.words.text() == "Its answers were not compared."
    assert app_state.exports.stage == "checking" and not card.progress.isHidden()
    qtbot.waitUntil(lambda: card.summary.text() == "failed its check", timeout=LONG)
    assert card.made.words.text() == "Python (base model in 16 bits) differs on 7 of 20."
    assert card.made.made.folder == run.exports / "adapter"


def test_combining_shows_progress_in_bytes_and_then_how_many_answers_are_the_same(
    page: ExportPage, app_state: AppState, run: RunFolder, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.2")
    card = page.cards["merged"]
    card.heading.click()
    card.start.click()
    assert card.progress.isVisible() and not card.start.isEnabled()
    qtbot.waitUntil(lambda: "of 1 MB" in card.progress.words.text(), timeout=LONG)
    words = wait_for(qtbot, page, "merged").words.text()
    assert words == "Answers the same on 20 of 20."
    assert (run.exports / "merged" / "model.safetensors").is_file()
    assert card.start.isEnabled() and not card.progress.isVisible()


def test_what_answers_otherwise_is_marked_as_failed_and_kept_aside(
    page: ExportPage, run: RunFolder, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_SAME", "14")
    card = page.cards["merged"]
    card.start.click()
    made = wait_for(qtbot, page, "merged")
    assert not made.passed and "differs on 6 of 20" in made.words.text()
    assert made.made.folder == run.exports / "merged.failed"
    assert card.summary.text() == "failed its check" and card.mark.shape == "cross"


def test_combining_can_be_cancelled(page: ExportPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.5")
    card = page.cards["merged"]
    card.heading.click()
    card.start.setFocus()
    card.start.click()
    qtbot.waitUntil(page._app_state.exports.job.is_running, timeout=LONG)
    assert page.window().focusWidget() is card.progress.stop, "the keyboard stays on the card"
    card.progress.stop.click()
    qtbot.waitUntil(card.start.isEnabled, timeout=LONG)
    assert page.window().focusWidget() is card.heading
    assert card.made is None and card.problem is None and not card.progress.isVisible()


def test_a_second_export_waits_for_the_first_and_can_be_taken_back(
    page: ExportPage, app_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.3")
    page.cards["merged"].start.click()
    page.cards["adapter"].start.click()
    card = page.cards["adapter"]
    assert card.summary.text() == "waits"
    assert card.progress.words.text() == "Waits until “For Python: one combined model” is done."
    card.progress.stop.click()
    assert app_state.exports.waiting == [] and card.start.isEnabled()
    card.start.click()
    wait_for(qtbot, page, "merged")
    wait_for(qtbot, page, "adapter")


def test_a_folder_with_something_in_it_is_never_written_over(page: ExportPage, qtbot: QtBot, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine", encoding="utf-8")
    for name in ("merged", "adapter"):
        card = page.cards[name]
        page.targets[name] = taken
        card.start.click()
        qtbot.waitUntil(lambda card=card: card.problem is not None, timeout=LONG)  # type: ignore[misc]
        assert card.problem is not None and card.problem.problem.code == "storage.exists"
    assert [p.name for p in taken.iterdir()] == ["mine.txt"]


def test_another_folder_can_be_chosen(page: ExportPage, qtbot: QtBot, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    page.choose_place("merged", place)
    assert page.cards["merged"].place.text() == str(place / "support-merged")
    page.cards["merged"].start.click()
    wait_for(qtbot, page, "merged")
    assert (place / "support-merged" / "model.safetensors").is_file()


def test_a_failed_combination_is_explained_on_its_card_until_it_is_dismissed(
    page: ExportPage, app_state: AppState, open_page: Open, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    page.cards["merged"].start.click()
    qtbot.waitUntil(lambda: page.cards["merged"].problem is not None, timeout=LONG)
    again = open_page(app_state).cards["merged"].problem
    assert again is not None and again.problem.code == "stand_in.broken"
    again.dismissed.emit()
    assert open_page(app_state).cards["merged"].problem is None


def test_a_base_model_that_was_moved_away_stands_in_the_way_of_all_but_the_add_on(
    app_state: AppState, project: Project, open_page: Open
) -> None:
    base = Path(project.load_recipe().model.name)
    base.rename(base.with_name("moved"))
    page = open_page(app_state)
    problem = page.cards["merged"].problem
    assert problem is not None and problem.problem.code == "model.folder_missing"
    assert "Put it back there" in problem.problem.fix and problem.remedy_button is None
    assert page.cards["merged"].controls.isHidden() and not page.cards["adapter"].controls.isHidden()
    assert page.cards["merged"].summary.text() == "not possible; open it to see why"


def test_earlier_exports_are_there_when_the_page_opens(
    page: ExportPage, app_state: AppState, open_page: Open, qtbot: QtBot, qapp: QApplication
) -> None:
    page.cards["merged"].start.click()
    page.cards["adapter"].start.click()
    qtbot.waitUntil(lambda: all(page.cards[name].made is not None for name in ("adapter", "merged")), timeout=LONG)
    qtbot.waitUntil(lambda: not app_state.exports.is_running(), timeout=LONG)
    watcher = ShownWindows()
    qapp.installEventFilter(watcher)
    again = open_page(app_state)
    assert again.cards["adapter"].is_open(), "what was exported last"
    assert wait_for(qtbot, again, "merged").words.text() == "Answers the same on 20 of 20."
    assert wait_for(qtbot, again, "adapter").words.text() == "Answers the same on 20 of 20."
    qapp.removeEventFilter(watcher)
    assert [one for one in watcher.shown if one is not again] == [], "nothing flashes up as a window of its own"


def test_an_export_goes_on_without_the_page_and_is_found_again_by_another_window(
    project: Project,
    app_state: AppState,
    run: RunFolder,
    open_page: Open,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "1")
    page = open_page(app_state)
    page.cards["merged"].start.click()
    qtbot.waitUntil(lambda: app_state.exports.job.state.progress is not None, timeout=LONG)
    rebuilt = open_page(app_state).cards["merged"]
    assert rebuilt.progress.isVisible() and rebuilt.summary.text() == "under way"
    app_state.exports.leave()
    with opened(project) as later:
        qtbot.waitUntil(lambda: bool(later.state.checkpoints), timeout=LONG)
        found = open_page(later)
        qtbot.waitUntil(lambda: found.cards["merged"].progress.isVisible(), timeout=LONG)
        found.cards["merged"].progress.stop.click()
        qtbot.waitUntil(lambda: not later.exports.is_running(), timeout=LONG)


def test_sizes_are_known_before_anything_is_exported(page: ExportPage) -> None:
    assert page.cards["adapter"].needs.text() == "102 KB."
    assert page.cards["merged"].needs.text().startswith("About ")


def test_a_model_is_made_and_put_into_a_program_after_asking_once(
    page: ExportPage, app_state: AppState, talker: Talker, run: RunFolder, open_page: Open, qtbot: QtBot
) -> None:
    card = page.cards["talker"]
    assert "Talker 1.2 is here" in card.availability.text() and card.program_name.text() == "support"
    card.program_name.setText("helper")
    card.start.click()
    qtbot.waitUntil(lambda: page.confirmation is not None, timeout=LONG)
    assert page.confirmation is not None and not app_state.exports.is_running()
    page.confirmation.buttons[0].click()
    qtbot.waitUntil(lambda: bool(talker.has) and not app_state.exports.is_running(), timeout=LONG)
    assert [(one.name, one.export) for one in talker.has] == [("helper", run.exports / "merged")]
    again = open_page(app_state).cards["talker"]
    assert again.is_open() and again.summary.text() == "in Talker as helper"
    assert again.handed is not None
    again.handed.lines[0].copy.click()
    assert QGuiApplication.clipboard().text() == "talker helper"


def test_what_was_made_of_the_same_save_point_is_handed_over_without_making_it_again(
    page: ExportPage, app_state: AppState, talker: Talker, run: RunFolder, qtbot: QtBot
) -> None:
    page.cards["merged"].start.click()
    wait_for(qtbot, page, "merged")
    page.cards["talker"].start.click()
    qtbot.waitUntil(lambda: page.confirmation is not None, timeout=LONG)
    assert page.confirmation is not None
    page.confirmation.buttons[0].click()
    qtbot.waitUntil(lambda: bool(talker.has) and not app_state.exports.is_running(), timeout=LONG)
    assert len(run.jobs("merged")) == 1 and talker.has[0].export == run.exports / "merged"


def test_what_failed_its_check_is_not_put_into_a_program(
    page: ExportPage, app_state: AppState, talker: Talker, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_SAME", "3")
    page.cards["talker"].start.click()
    qtbot.waitUntil(lambda: page.confirmation is not None, timeout=LONG)
    assert page.confirmation is not None
    page.confirmation.buttons[0].click()
    made = wait_for(qtbot, page, "talker")
    assert not made.passed and talker.has == []


def test_handing_over_can_be_cancelled(page: ExportPage, app_state: AppState, talker: Talker, qtbot: QtBot) -> None:
    talker.waits = True
    page.cards["talker"].start.click()
    qtbot.waitUntil(lambda: page.confirmation is not None, timeout=LONG)
    assert page.confirmation is not None
    page.confirmation.buttons[0].click()
    qtbot.waitUntil(lambda: app_state.exports.stage == "handing_over", timeout=LONG)
    page.cards["talker"].progress.stop.click()
    qtbot.waitUntil(lambda: not app_state.exports.is_running(), timeout=LONG)
    assert talker.has == [] and page.cards["talker"].summary.text().startswith("found")


def test_a_program_that_is_not_here_is_explained_and_the_file_can_be_made_all_the_same(
    page: ExportPage, talker: Talker, app_state: AppState, run: RunFolder, qtbot: QtBot
) -> None:
    talker.here = False
    page._find_programs()
    card = page.cards["talker"]
    qtbot.waitUntil(lambda: card.start.text() == "Export the file", timeout=LONG)
    assert card.availability.text() == "Talker isn't on this computer. Install it."
    assert card.website.isVisible() and not card.program_name.isVisible()
    card.start.click()
    wait_for(qtbot, page, "talker")
    assert (run.exports / "merged").is_dir() and talker.has == []
    talker.here = True
    card.look_again.click()
    qtbot.waitUntil(lambda: card.start.text() == "Export and put it there", timeout=LONG)


def test_exports_of_a_run_go_on_when_another_one_is_shown(
    page: ExportPage, app_state: AppState, run: RunFolder, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.3")
    page.cards["merged"].start.click()
    page.cards["adapter"].start.click()
    app_state.new_run()
    assert page.missing is not None
    qtbot.waitUntil(lambda: not app_state.exports.is_running(), timeout=LONG)
    assert (run.exports / "merged").is_dir() and (run.exports / "adapter").is_dir()


def test_an_export_is_uploaded_and_reported_from_where_it_stands(
    page: ExportPage, app_state: AppState, run: RunFolder, qtbot: QtBot
) -> None:
    page.cards["adapter"].heading.click()
    page.cards["adapter"].start.click()
    wait_for(qtbot, page, "adapter").upload.click()
    (upload,) = page.findChildren(UploadDialog)
    upload.dismiss()
    page.report.click()
    (report,) = page.findChildren(ReportDialog)
    report.dismiss()


def test_a_window_asks_before_it_closes_over_an_export_that_waits(
    app_state: AppState,
    run: RunFolder,
    destinations: tuple[Destination, ...],
    open_window: Callable[[AppState], MainWindow],
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.5")
    window = open_window(app_state)
    for destination in destinations[1:3]:
        app_state.exports.add(Wish(run, destination))
    window.close()
    assert window.isVisible() and window.confirmation is not None
    QTest.keyClick(window.confirmation, Qt.Key.Key_Escape)
    app_state.exports.stop()
    qtbot.waitUntil(lambda: not app_state.exports.is_running(), timeout=LONG)
    window.close()
    assert not window.isVisible()
