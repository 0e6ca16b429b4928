"""The one window: sidebar, pages, GPU monitor; it wires the pages' signals, as pages don't know each other."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, assert_never

from PySide6.QtCore import Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QCloseEvent, QDesktopServices, QGuiApplication, QPaintEvent, QShortcut
from PySide6.QtWidgets import QApplication, QLineEdit, QMainWindow, QStackedWidget, QWidget
from shiboken6 import isValid

from studio.core.problems import Problem, Remedy
from studio.runs.project import create_project, projects
from studio.ui.controls.layout import hbox, vbox
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.overlay import Answer, Confirmation, Overlay
from studio.ui.controls.page import PageFrame
from studio.ui.controls.text import clear_layout_widget
from studio.ui.design import language, theme
from studio.ui.design.language import tr
from studio.ui.sidebar import Sidebar
from studio.ui.state import preferences
from studio.ui.state.app_state import AppState
from studio.ui.state.workflow_steps import workflow_steps

if TYPE_CHECKING:
    from studio.ui.gpu_monitor.monitor import GpuMonitor
    from studio.ui.notifications import Notifications

PAGES = ("data", "train", "test", "chat", "export", "runs", "settings", "compare")

SHORTCUTS = {
    **{f"Ctrl+{number}": name for number, name in enumerate(PAGES[:6], 1)},
    "Ctrl+,": "settings",
}


def make_page(name: str, app_state: AppState) -> QWidget:
    """Build a page, such as `studio.ui.data.page.DataPage`, importing it only now: what isn't shown costs nothing at
    the start."""
    page: QWidget = getattr(import_module(f"studio.ui.{name}.page"), f"{name.capitalize()}Page")(app_state)
    return page


class MainWindow(QMainWindow):
    """Shows a `AppState`. `first_frame_painted` comes once, after the first frame is on the screen."""

    first_frame_painted = Signal()

    def __init__(self, app_state: AppState) -> None:
        super().__init__()
        self.app_state = app_state
        self.page_name = "train" if app_state.project.runs() else "data"
        self.confirmation: Confirmation | None = None
        self.gpu_monitor: GpuMonitor | None = None
        self.notifications: Notifications | None = None
        self.line: NoticeBar | None = None
        self._painted = False
        self._closing = False
        self._pages: dict[str, QWidget] = {}
        self.setMinimumSize(880, 600)
        saved = preferences.geometry()
        if saved is None or not self.restoreGeometry(saved):
            screen = QGuiApplication.primaryScreen().availableGeometry()
            self.resize(min(1240, screen.width()), min(820, screen.height()))
        self._build()
        for changed in (app_state.data_changed, app_state.model_changed, app_state.run_changed, app_state.run_updated):
            changed.connect(self._show_steps)
        app_state.job_updated.connect(self._show_steps)
        app_state.elsewhere_changed.connect(self._show_elsewhere)
        app_state.problem_raised.connect(self._on_problem_raised)
        app_state.project_changed.connect(self._on_project_changed)
        app_state.run_changed.connect(self._on_run_changed)
        QApplication.styleHints().colorSchemeChanged.connect(self._on_system_theme_changed)
        # the window's own, as a button loses its shortcut with every new text
        QShortcut("Ctrl+Q", self).activated.connect(self.close)
        for keys, name in SHORTCUTS.items():
            QShortcut(keys, self).activated.connect(partial(self.go_to, name))

    # Building

    def _build(self) -> None:
        self._pages = {}
        central = QWidget()
        self.sidebar = Sidebar()
        self.sidebar.step_requested.connect(self.go_to)
        self.sidebar.menu_requested.connect(self._fill_project_menu)
        self.sidebar.elsewhere_requested.connect(self._open_elsewhere)
        self.stack = QStackedWidget()
        self._strip = QWidget()
        self._strip.setObjectName("strip")
        self._strip_row = hbox(on=self._strip)
        self._strip.setMinimumHeight(56)  # what the monitor will take, so that nothing jumps when it comes
        self._page_column = vbox((self.stack, 1), gap=0)
        vbox((hbox(self.sidebar, (self._page_column, 1), gap=0), 1), self._strip, on=central, gap=0)
        self.setCentralWidget(central)
        self._on_project_changed()
        self._show_elsewhere()
        self.open_page(self.page_name)
        if self.gpu_monitor is not None:  # it keeps its ten minutes of history
            self._strip_row.addWidget(self.gpu_monitor)
            self.gpu_monitor.refresh()

    def rebuild(self) -> None:
        """Build everything anew, in the language and theme of now. Pages paint from the app state: nothing is lost."""
        sidebar_focused = self.sidebar.hasFocus()
        for overlay in self.findChildren(Overlay):  # it would lie below the new pages
            overlay.dismiss()
        old = self.takeCentralWidget()
        self._build()
        if old is not None:
            old.hide()
            old.deleteLater()
        if sidebar_focused:
            self.sidebar.setFocus()

    def _add_notifications(self) -> None:
        from studio.ui.notifications import Notifications  # nothing ends before the first frame

        self.notifications = Notifications(self, self.app_state)
        self.notifications.line_wanted.connect(self.show_line)

    @Slot(str)
    def show_line(self, words: str) -> None:
        """Say something above the page until it is dismissed; a newer line takes the place of an older one."""
        if self.line is not None and isValid(self.line):
            clear_layout_widget(self.line)
        bar = self.line = NoticeBar(words)
        bar.add(tr("See the runs"), lambda: self.go_to("runs"))
        bar.add(tr("Dismiss"), lambda: clear_layout_widget(bar))
        self._page_column.insertWidget(0, bar)

    def _add_gpu_monitor(self) -> None:
        from studio.ui.gpu_monitor.monitor import GpuMonitor

        self.gpu_monitor = GpuMonitor()
        self.gpu_monitor.snapshot_shown.connect(self.app_state.take_snapshot)
        self._strip_row.addWidget(self.gpu_monitor)
        self._tell_gpu_monitor()

    def open_page(self, name: str) -> None:
        self.page_name = name
        page = self._pages.get(name)
        if page is None:
            page = make_page(name, self.app_state)
            self._pages[name] = page
            if isinstance(page, PageFrame):
                page.step_requested.connect(self.go_to)
                page.remedy_requested.connect(self._on_remedy_requested)
            appearance = getattr(page, "appearance_changed", None)
            if appearance is not None:
                appearance.connect(self._on_appearance_changed)
            self.stack.addWidget(page)
        self.stack.setCurrentWidget(page)
        self.sidebar.show_page("runs" if name == "compare" else name)

    def go_to(self, name: str) -> None:
        """Show a page because a person asked for it, and put the keyboard into it."""
        self.open_page(name)
        page = self._pages[name]
        if isinstance(page, PageFrame):
            page.focus_first()

    # What the app state tells

    @Slot(object)
    def _on_problem_raised(self, problem: Problem) -> None:
        page = self.stack.currentWidget()
        if isinstance(page, PageFrame):
            page.show_problem(problem)

    @Slot()
    def _show_steps(self) -> None:
        self.sidebar.show_steps(workflow_steps(self.app_state))

    @Slot()
    def _on_project_changed(self) -> None:
        name = self.app_state.project.name
        self.sidebar.show_project(name)
        self.setWindowTitle(f"{name} \N{EN DASH} Fine-tuning Studio")
        self._show_steps()

    @Slot()
    def _on_run_changed(self) -> None:
        self._tell_gpu_monitor()
        if self._closing and not self.app_state.starting:
            self._closing = False
            self.close_without_asking()

    @Slot()
    def _tell_gpu_monitor(self) -> None:
        if self.gpu_monitor is None:
            return
        process = self.app_state.state.process
        self.gpu_monitor.set_run_pid(process.pid if process is not None and self.app_state.is_training() else None)

    @Slot(Qt.ApplicationState)
    def expect_data(self, state: Qt.ApplicationState) -> None:
        """A person is at the window, or comes back to it; without data in the project, a file is what comes next."""
        if state is Qt.ApplicationState.ApplicationActive and not self.app_state.recipe.data.path:
            self.app_state.data.expect_file()

    @Slot()
    def _on_appearance_changed(self) -> None:
        language.set_language(preferences.language())
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        theme.apply(app, preferences.theme())
        QTimer.singleShot(0, self.rebuild)  # not inside a signal of a page that this deletes

    @Slot()
    def _on_system_theme_changed(self) -> None:
        if preferences.theme() == "system":
            self._on_appearance_changed()

    @Slot(object)
    def _on_remedy_requested(self, remedy: Remedy) -> None:
        match remedy:
            case Remedy.choose_file | Remedy.choose_columns:
                self.open_page("data")
            case Remedy.choose_model | Remedy.see_settings:
                self.app_state.new_run()
                self.open_page("train")
            case Remedy.use_starter:
                self.open_page("train")
                self.app_state.use_starter()
            case Remedy.try_again:
                self.open_page("train")
                self.app_state.start_training()
            case Remedy.open_log:
                if self.app_state.run is not None:
                    QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.app_state.run.log)))
            case Remedy.open_folder | Remedy.choose_folder:
                folder = self.app_state.run.path if self.app_state.run is not None else self.app_state.project.folder
                QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
            case _:
                assert_never(remedy)

    # Projects

    @Slot()
    def _show_elsewhere(self) -> None:
        elsewhere = self.app_state.elsewhere
        self.sidebar.show_elsewhere(elsewhere.project.name if elsewhere is not None else "")

    @Slot()
    def _open_elsewhere(self) -> None:
        self.app_state.open_elsewhere()
        self.go_to("train")

    @Slot()
    def _fill_project_menu(self) -> None:
        menu = self.sidebar.project_menu
        menu.clear()
        menu.addAction(tr("New project"), self.ask_new_project)
        menu.addAction(tr("Rename"), self.ask_rename)
        others = [p for p in projects() if p.folder != self.app_state.project.folder]
        if others:
            menu.addSeparator()
        for project in others[:20]:
            menu.addAction(project.name.replace("&", "&&"), partial(self.app_state.open_project, project))

    def ask_new_project(self) -> None:
        field = _name_field(tr("New project"))

        def create() -> None:
            from studio.core.problems import ProblemError

            try:
                self.app_state.open_project(create_project(field.text().strip() or tr("New project")))
            except ProblemError as error:
                self.app_state.problem_raised.emit(error.problem)
            self.open_page("data")

        title, text = tr("New project"), tr("A project keeps your data, settings and runs together.")
        self.ask(title, text, (Answer(tr("Create"), create, "primary"),), field)

    def ask_rename(self) -> None:
        field = _name_field(self.app_state.project.name)

        def rename() -> None:
            if field.text().strip():
                self.app_state.rename_project(field.text().strip())

        self.ask(tr("Rename the project"), "", (Answer(tr("Rename"), rename, "primary"),), field)

    def ask(self, title: str, text: str, answers: tuple[Answer, ...], field: QLineEdit | None = None) -> Confirmation:
        self.confirmation = Confirmation(self, title, text, answers, tr("Cancel"), field)
        return self.confirmation

    # Opening and closing

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(0, self._on_first_frame)

    @Slot()
    def _on_first_frame(self) -> None:
        self.first_frame_painted.emit()
        self._add_gpu_monitor()
        self._add_notifications()
        self.app_state.run_updated.connect(self._tell_gpu_monitor)

    def closeEvent(self, event: QCloseEvent) -> None:
        training = self.app_state.is_training()
        if not training and not self.app_state.exports.ends_with_window():
            self._leave()
            event.accept()
            return
        event.ignore()
        if not training:
            self._ask_to_give_up_exports()
            return
        answers = (
            Answer(tr("Leave it running and close"), self._leave_running, "primary"),
            Answer(tr("Stop, keep what was learned, and close"), self._stop_and_close),
        )
        text = tr("A run is going on. It can go on without this window; open the program again to see it.")
        if self.confirmation is None or not self.confirmation.isVisible():
            self.ask(tr("Close while training?"), text, answers)

    def _ask_to_give_up_exports(self) -> None:
        text = tr("An export waits for its turn, or a program is taking a model in. That ends with the window.")
        answer = Answer(tr("Give it up and close"), self.close_without_asking, "primary")
        if self.confirmation is None or not self.confirmation.isVisible():
            self.ask(tr("Close while an export waits?"), text, (answer,))

    def _leave_running(self) -> None:
        if self.app_state.starting:  # the run's folder is still being made; go when it is started
            self._closing = True
            return
        self.close_without_asking()

    def _stop_and_close(self) -> None:
        self.app_state.training.stop(keep=True)
        self._leave_running()

    def close_without_asking(self) -> None:
        self._leave()
        self.hide()
        QApplication.quit()

    def _leave(self) -> None:
        preferences.set_geometry(self.saveGeometry())
        if self.gpu_monitor is not None:
            self.gpu_monitor.stop()
        self.app_state.close()


def _name_field(name: str) -> QLineEdit:
    field = QLineEdit(name, maxLength=120)
    field.setAccessibleName(tr("Name of the project"))
    return field
