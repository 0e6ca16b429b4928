"""Train: choose model and settings, start, watch, and go on to Test."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QPushButton, QStackedWidget

from studio.core.events import Crashed, Failed
from studio.core.problems import Remedy
from studio.ui.controls.layout import scroll_area
from studio.ui.controls.overlay import Answer, Confirmation
from studio.ui.controls.page import PageFrame
from studio.ui.controls.text import restyle
from studio.ui.design.language import tr
from studio.ui.state.app_state import AppState
from studio.ui.state.workflow_steps import learned
from studio.ui.train.fit_card import needs
from studio.ui.train.fit_changes import FitChanges
from studio.ui.train.fit_table import FitTable
from studio.ui.train.run_view import RunView
from studio.ui.train.setup_view import BeforeView


class TrainPage(PageFrame):
    """Shows the draft before a run, and the run on show from its start on."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__(tr("Train"))
        self.app_state = app_state
        self.views = QStackedWidget()
        self.body.addWidget(self.views)
        self.before: BeforeView | None = None
        self.run_view: RunView | None = None
        self.confirmation: Confirmation | None = None
        self.overlay: FitChanges | FitTable | None = None
        self.again_button = self.add_secondary(tr("Train again"), app_state.new_run)
        self.test_button = self.add_secondary(tr("Test"), lambda: self.step_requested.emit("test"))
        self.train_button = self.set_primary(tr("Train"), self._on_train)
        for changed in (app_state.run_changed, app_state.run_updated, app_state.data_changed, app_state.model_changed):
            changed.connect(self.paint)
        self.paint()

    @Slot()
    def paint(self) -> None:
        app_state = self.app_state
        if app_state.run is None and not app_state.starting:
            self._paint_before()
        else:
            self._paint_run()

    def _paint_before(self) -> None:
        if self.before is None:
            self.before = BeforeView(self.app_state)
            self.before.plan.step_requested.connect(self.step_requested)
            self.before.fit.changes_wanted.connect(self.open_changes)
            self.before.fit.table_wanted.connect(self.open_table)
            self.views.addWidget(self.before)
        self.views.setCurrentWidget(self.before)
        self.set_title(tr("Train"))
        self.set_lead(tr("Choose how, then press Train. The recommended settings are a good start."))
        self._show_buttons(train=True)
        obstacle = self.app_state.obstacle()
        self.footer_note.setText("" if obstacle is None else tr(obstacle.what, **obstacle.values))
        if obstacle is None:
            self.clear_problem()

    def _paint_run(self) -> None:
        if self.run_view is None:
            self.run_view = RunView(self.app_state)
            self.run_view.stop_requested.connect(self.app_state.training.stop)
            self._run_area = scroll_area(self.run_view)
            self.views.addWidget(self._run_area)
        self.views.setCurrentWidget(self._run_area)
        self.run_view.paint()
        self.footer_note.setText("")
        app_state, ending = self.app_state, self.app_state.state.ending
        if app_state.is_training():
            self.set_title(tr("Training"))
            self.set_lead(tr("You can close the window: it goes on without it."))
            self._show_buttons()
            self.clear_problem()
            return
        self.set_title(tr("Train"))
        self.set_lead("")
        self._show_buttons(check=learned(app_state), again=ending is not None)
        if isinstance(ending, Failed | Crashed):
            if ending.problem not in self.problems():
                self.show_problem(ending.problem, self._on_remedy)
        elif ending is not None:
            self.set_lead(tr("Now see whether it is really better.") if learned(app_state) else "")

    def _show_buttons(self, *, train: bool = False, check: bool = False, again: bool = False) -> None:
        self.train_button.setVisible(train)
        self.test_button.setVisible(check)
        self.again_button.setVisible(again)
        _make_primary(self.test_button, check)
        _make_primary(self.again_button, again and not check)
        self.set_footer_visible(train or check or again)

    def _on_train(self) -> None:
        self.clear_problem()
        if self.app_state.obstacle() is None and self.app_state.memory_fit.should_warn():
            self._ask_whether_to_try()
            return
        self.app_state.start_training()

    def _ask_whether_to_try(self) -> None:
        """Once for the same settings: trying is never forbidden."""
        memory_fit = self.app_state.memory_fit
        memory_fit.warned()
        answer, draft = memory_fit.answer, memory_fit.draft
        assert answer is not None and draft is not None
        text = tr("It will most likely end for want of memory. What was saved until then is kept.")
        short = needs(answer, draft.usable.device == "cpu")
        answers = (
            Answer(tr("Fix it for me"), self.open_changes, "primary"),
            Answer(tr("Try anyway"), self.app_state.start_training),
        )
        self.confirmation = Confirmation(
            self.window(), tr("It won't fit"), f"{short} {text}".strip(), answers, tr("Cancel")
        )

    def open_changes(self) -> None:
        self.overlay = FitChanges(self.window(), self.app_state.memory_fit)

    def open_table(self) -> None:
        self.overlay = FitTable(self.window(), self.app_state.memory_fit)

    def _on_remedy(self, remedy: Remedy) -> None:
        match remedy:
            case Remedy.try_again:
                self.clear_problem()
                self.app_state.new_run()
                self.app_state.start_training()
            case Remedy.open_log if self.run_view is not None:
                self.run_view.open_log()
            case Remedy.see_settings | Remedy.choose_model:
                self.clear_problem()
                self.app_state.new_run()
            case _:
                self.remedy_requested.emit(remedy)


def _make_primary(widget: QPushButton, primary: bool) -> None:
    kind = "primary" if primary else ""
    if widget.property("kind") != kind:
        widget.setProperty("kind", kind)
        restyle(widget)
