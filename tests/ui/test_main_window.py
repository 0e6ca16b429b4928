"""The window: pages by mouse and keyboard, the sidebar in words, closing while training, language and theme live."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from studio.core.problems import Problem, Remedy
from studio.core.run_folder import RunFolder
from studio.runs.follow import job_status
from studio.runs.project import create_project, projects
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.page import PageFrame
from studio.ui.design import language, palette, theme
from studio.ui.main_window import PAGES, MainWindow
from studio.ui.settings.page import SettingsPage
from studio.ui.state import preferences
from studio.ui.state.app_state import AppState
from studio.ui.train.page import TrainPage

Opener = Callable[[AppState], MainWindow]


def words_on(widget: QWidget) -> str:
    """All text of labels and buttons that can be seen."""
    seen: list[QLabel | QPushButton] = [*widget.findChildren(QLabel), *widget.findChildren(QPushButton)]
    return "\n".join(w.text() for w in seen if w.isVisibleTo(widget))


def going(app_state: AppState, qtbot: QtBot) -> RunFolder:
    app_state.start_training()
    qtbot.waitUntil(lambda: app_state.state.last is not None, timeout=10_000)
    assert app_state.run is not None
    return app_state.run


def test_every_page_opens_at_any_time_and_has_one_primary_button_at_most(
    app_state: AppState, open_window: Opener
) -> None:
    window = open_window(app_state)
    for name in PAGES:
        if name in window.sidebar.buttons:
            window.sidebar.buttons[name].click()
            assert window.sidebar.buttons[name].isChecked()
        else:  # opened from another page
            window.go_to(name)
        page = window.stack.currentWidget()
        assert page is not None
        primary = [
            b
            for b in page.findChildren(QPushButton)
            if b.property("kind") == "primary" and b.isVisibleTo(page) and b.text()
        ]
        assert len(primary) <= 1, (name, [b.text() for b in primary])


def test_steps_open_with_the_keyboard(app_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    window = open_window(app_state)
    with qtbot.waitActive(window):
        window.activateWindow()
    for number, name in enumerate(PAGES[:6], 1):
        QTest.keyClick(window, getattr(Qt.Key, f"Key_{number}"), Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda name=name: window.page_name == name)  # type: ignore[misc]


def test_a_step_that_was_asked_for_takes_the_keyboard(app_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    window = open_window(app_state)
    with qtbot.waitActive(window):
        window.activateWindow()
    window.go_to("export")
    page = window.stack.currentWidget()
    assert isinstance(page, PageFrame)
    assert page.missing is not None
    assert page.missing.button.hasFocus()
    window.go_to("chat")
    assert not page.missing.button.hasFocus()
    focused = QApplication.focusWidget()
    chat = window.stack.currentWidget()
    assert focused is not None
    assert chat is not None
    assert chat.isAncestorOf(focused)


def test_tab_comes_to_the_open_page_in_the_sidebar_and_arrows_go_on_from_there(
    app_state: AppState, open_window: Opener
) -> None:
    window = open_window(app_state)
    window.sidebar.buttons["data"].setFocus()
    window.go_to("chat")
    window.sidebar.project.setFocus()
    QTest.keyClick(window.sidebar.project, Qt.Key.Key_Tab)
    assert window.sidebar.buttons["chat"].hasFocus()
    QTest.keyClick(window.sidebar.buttons["chat"], Qt.Key.Key_Down)
    assert window.page_name == "export"


class ShownWindows(QObject):
    """Notes every window that is shown while it watches."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[QObject] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
            self.shown.append(watched)
        return False


def test_no_part_of_a_page_flashes_up_as_a_window_of_its_own(
    app_state: AppState, open_window: Opener, qapp: QApplication
) -> None:
    window = open_window(app_state)
    watcher = ShownWindows()
    qapp.installEventFilter(watcher)
    for name in PAGES:
        window.go_to(name)
    qapp.removeEventFilter(watcher)
    assert watcher.shown == []


def test_every_control_on_every_page_has_a_name_for_those_who_hear_it(app_state: AppState, open_window: Opener) -> None:
    window = open_window(app_state)
    for name in PAGES:
        window.open_page(name)
        for widget in window.findChildren(QWidget):
            takes_keys = widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisible()
            if not takes_keys or widget.objectName().startswith("qt_") or widget.focusProxy() is not None:
                continue
            text = getattr(widget, "text", None)
            said = widget.accessibleName() or (text() if callable(text) else "")
            assert said, f"{name}: {widget} has no name"


def test_the_sidebar_says_in_words_where_each_step_stands(
    app_state: AppState, ready_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    empty = open_window(app_state)
    assert empty.sidebar.buttons["data"].accessibleName() == "Data: Start here, ready"
    assert empty.sidebar.buttons["train"].accessibleName() == "Train: After the data, not yet"
    assert empty.sidebar.buttons["test"].accessibleName() == "Test: After training, not yet"
    full = open_window(ready_state)
    assert full.sidebar.buttons["data"].accessibleName() == "Data: 40 examples, done"
    assert full.sidebar.buttons["train"].accessibleName() == "Train: Ready, ready"
    going(ready_state, qtbot)
    qtbot.waitUntil(lambda: "left, under way" in full.sidebar.buttons["train"].accessibleName())
    ready_state.training.stop()
    qtbot.waitUntil(lambda: full.sidebar.buttons["train"].accessibleName() == "Train: Stopped, kept, done")
    assert full.sidebar.buttons["test"].accessibleName() == "Test: Ready, ready"


def test_closing_while_training_asks_and_can_leave_the_run_going(
    ready_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    window = open_window(ready_state)
    run = going(ready_state, qtbot)
    window.close()
    assert window.isVisible()
    assert window.confirmation is not None
    QTest.keyClick(window.confirmation, Qt.Key.Key_Escape)
    assert window.isVisible() and ready_state.is_training()
    window.close()
    leave = window.confirmation.buttons[0]
    assert leave.text() == "Leave it running and close"
    leave.click()
    assert not window.isVisible()
    qtbot.wait(200)
    assert job_status(run) == "running"


def test_closing_while_training_can_stop_and_keep(ready_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    window = open_window(ready_state)
    run = going(ready_state, qtbot)
    window.close()
    assert window.confirmation is not None
    assert window.confirmation.buttons[1].text() == "Stop, keep what was learned, and close"
    window.confirmation.buttons[1].click()
    assert not window.isVisible()
    qtbot.waitUntil(lambda: job_status(run) == "ended", timeout=10_000)
    assert run.state().checkpoints


def test_closing_in_the_moment_of_starting_still_starts_the_run(
    ready_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    window = open_window(ready_state)
    ready_state.start_training()
    window.close()
    assert window.confirmation is not None
    window.confirmation.buttons[0].click()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=10_000)
    (run,) = ready_state.project.runs()
    qtbot.waitUntil(lambda: job_status(run) == "running", timeout=10_000)


def test_without_a_run_the_window_closes_at_once(app_state: AppState, open_window: Opener) -> None:
    window = open_window(app_state)
    window.close()
    assert not window.isVisible()


def test_the_language_changes_live_and_back(app_state: AppState, open_window: Opener, qtbot: QtBot) -> None:
    window = open_window(app_state)
    window.open_page("settings")
    page = window.stack.currentWidget()
    assert isinstance(page, SettingsPage)
    choose(page.language, 1)
    qtbot.waitUntil(lambda: window.stack.currentWidget() is not page)
    assert language.current() == "ko"
    assert window.sidebar.buttons["settings"].text() == "설정"
    again = window.stack.currentWidget()
    assert isinstance(again, SettingsPage)
    assert again.title.text() == "설정"
    assert preferences.language() == "ko"
    choose(again.language, 0)
    qtbot.waitUntil(lambda: window.sidebar.buttons["settings"].text() == "Settings")


def test_the_theme_changes_live_and_the_run_stays_on_show(
    ready_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    window = open_window(ready_state)
    going(ready_state, qtbot)
    window.open_page("settings")
    page = window.stack.currentWidget()
    assert isinstance(page, SettingsPage)
    choose(page.theme, 2)
    qtbot.waitUntil(lambda: theme.colours().name == "dark" and window.stack.currentWidget() is not page)
    assert QApplication.palette().window().color().name().upper() == palette.DARK.window
    window.open_page("train")
    train = window.stack.currentWidget()
    assert isinstance(train, TrainPage)
    assert train.title.text() == "Training"
    count = len(ready_state.state.losses)
    qtbot.waitUntil(lambda: len(ready_state.state.losses) > count)


def choose(box: QComboBox, position: int) -> None:
    box.setCurrentIndex(position)
    box.activated.emit(position)


def test_a_project_is_made_renamed_and_opened_again(app_state: AppState, open_window: Opener) -> None:
    window = open_window(app_state)
    first = app_state.project
    window.ask_new_project()
    answer(window, "Letters")
    assert app_state.project.name == "Letters"
    assert "Letters" in window.windowTitle()
    window.ask_rename()
    answer(window, "Letters & cards")
    assert app_state.project.name == "Letters & cards"
    window.sidebar.menu_requested.emit()
    names = [action.text() for action in window.sidebar.project_menu.actions()]
    assert names == ["New project", "Rename", "", "Support replies"]
    window.sidebar.project_menu.actions()[3].trigger()
    assert app_state.project == first
    assert {p.name for p in projects()} == {"Support replies", "Letters & cards"}


def answer(window: MainWindow, text: str) -> None:
    assert window.confirmation is not None and window.confirmation.field is not None
    window.confirmation.field.setText(text)
    QTest.keyClick(window.confirmation.field, Qt.Key.Key_Return)


def test_the_sidebar_leads_to_a_run_in_another_project(
    ready_state: AppState, open_window: Opener, qtbot: QtBot
) -> None:
    window = open_window(ready_state)
    assert not window.sidebar.elsewhere.isVisible()
    ready_state.start_training()
    qtbot.waitUntil(lambda: ready_state.state.process is not None, timeout=10_000)
    home, run = ready_state.project, ready_state.run
    ready_state.open_project(create_project("Another"))
    qtbot.waitUntil(window.sidebar.elsewhere.isVisible)
    assert window.sidebar.elsewhere.accessibleName() == f"Training goes on in {home.name}. Go there"
    QTest.keyClick(window.sidebar.elsewhere, Qt.Key.Key_Space)
    assert (ready_state.project, ready_state.run) == (home, run)
    assert window.page_name == "train"
    qtbot.waitUntil(lambda: not window.sidebar.elsewhere.isVisible())
    ready_state.training.stop()
    qtbot.waitUntil(lambda: not ready_state.is_training(), timeout=10_000)


def test_no_question_is_left_behind_when_the_theme_changes(app_state: AppState, open_window: Opener) -> None:
    window = open_window(app_state)
    window.ask_rename()
    window.rebuild()
    assert not [overlay for overlay in window.findChildren(Overlay) if overlay.isVisible()]


def test_a_question_keeps_the_keyboard_to_itself(app_state: AppState, open_window: Opener) -> None:
    window = open_window(app_state)
    window.ask_rename()
    confirmation = window.confirmation
    assert confirmation is not None
    for _ in range(5):
        QTest.keyClick(window.focusWidget() or confirmation, Qt.Key.Key_Tab)
        focused = window.focusWidget()
        assert focused is not None and confirmation.isAncestorOf(focused)
    confirmation.dismiss()


@pytest.mark.parametrize(
    ("remedy", "page"),
    [(Remedy.choose_file, "data"), (Remedy.choose_columns, "data"), (Remedy.choose_model, "train")],
)
def test_a_problem_shows_on_the_page_with_a_button_that_leads_on(
    app_state: AppState, open_window: Opener, qtbot: QtBot, remedy: Remedy, page: str
) -> None:
    window = open_window(app_state)
    window.open_page("settings")
    problem = Problem(code="x", what="Something {thing}.", values={"thing": "happened"}, remedy=remedy)
    app_state.problem_raised.emit(problem)
    shown = window.stack.currentWidget()
    assert isinstance(shown, PageFrame)
    qtbot.waitUntil(lambda: "Something happened." in words_on(shown))
    card = shown._cards[0]
    assert card.remedy_button is not None
    card.remedy_button.click()
    assert window.page_name == page


def test_markup_in_a_name_is_shown_and_not_obeyed(app_state: AppState, open_window: Opener) -> None:
    app_state.rename_project("<b>bold</b> & more")
    window = open_window(app_state)
    assert "<b>bold" in window.sidebar.project.text()
