"""Train: choose model and settings, start, watch, and go on to Test."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QSpinBox, QStackedWidget, QWidget

from studio.core.events import Crashed, Failed, Finished, Paused, Stopped
from studio.core.problems import Remedy
from studio.core.run_state import RunState
from studio.ui.controls import exception_dialog
from studio.ui.controls.layout import STRETCH, add_all, hbox, scroll_area
from studio.ui.controls.overlay import Answer, Confirmation, Overlay
from studio.ui.controls.page import PageFrame
from studio.ui.controls.text import button, label
from studio.ui.design.language import tr, tr_sentence
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background
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
        self.overlay: Overlay | None = None
        self.report: exception_dialog.ReportDialog | None = None
        self.next_button = self.add_secondary(tr("Prepare another run"), self._on_next)
        self.again_button = self.add_secondary(tr("Train again"), app_state.new_run)
        self.weights_button = self.add_secondary(tr("Continue from these weights"), self._on_weights)
        self.weights_button.setToolTip(tr("A new run with other data or settings begins with what this one learned"))
        self.longer_button = self.add_secondary(tr("Train longer"), self._on_longer)
        self.continue_button = self.add_secondary(tr("Continue"), self._on_continue)
        self.start_button = self.add_secondary(tr("Start now"), self._on_continue)
        self.test_button = self.add_secondary(tr("Test"), lambda: self.step_requested.emit("test"))
        self.strengths_button = self.add_secondary(tr("Try three strengths"), app_state.try_three_strengths)
        self.strengths_button.setToolTip(tr("Three runs in the queue: learning gentler, as it is, and stronger"))
        self.compare_button = self.add_secondary(tr("Compare methods"), lambda: self.step_requested.emit("compare"))
        self.compare_button.setToolTip(tr("The same data with several methods, and one table of what came of each"))
        self.queue_button = self.add_secondary(tr("Add to queue"), app_state.add_to_queue)
        self.queue_button.setToolTip(tr("It begins by itself when no other run is on"))
        self.cancel_button = self.add_secondary(tr("Cancel"), app_state.leave_edited)
        self.save_button = self.add_secondary(tr("Save in the queue"), self._on_save)
        self.train_button = self.set_primary(tr("Train"), self._on_train)
        self._queued = False
        for changed in (
            app_state.run_changed,
            app_state.run_updated,
            app_state.data_changed,
            app_state.model_changed,
            app_state.elsewhere_changed,
        ):
            changed.connect(self.paint)
        app_state.recipe_changed.connect(self._on_recipe_changed)
        app_state.run_queued.connect(self._on_run_queued)
        self.paint()

    def focus_first(self) -> None:
        """While a run goes on, the keyboard goes to Pause, or to Stop where it is too early for that."""
        view = self.run_view
        if self.app_state.is_training() and view is not None:
            first = view.pause if view.pause.isVisible() else view.stop
            first.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            super().focus_first()

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
        app_state, obstacle = self.app_state, self.app_state.obstacle()
        note = "" if obstacle is None else tr(obstacle.what, **obstacle.values)
        self.set_title(tr("Train"))
        if app_state.edited is not None:
            self.set_lead(tr("These are the settings of {name}, which waits in the queue.", name=app_state.edited.name))
            self.show_buttons(self.cancel_button, primary=self.save_button)
        elif app_state.elsewhere is not None:
            self.set_lead(tr("A run goes on now. This one can wait for its turn in the queue."))
            self.show_buttons(self.compare_button, self.strengths_button, primary=self.queue_button)
        else:
            self.set_lead(tr("Choose how, then press Train. The recommended settings are a good start."))
            ways = (self.compare_button, self.strengths_button, self.queue_button)
            self.show_buttons(*ways, primary=self.train_button)
        if app_state.queueing:
            note = tr("Getting ready: your examples are being set down for this run.")
        elif self._queued and not note:
            note = tr("It waits in the queue now: you find it under Runs.")
        for one in (self.strengths_button, self.queue_button):
            one.setEnabled(not app_state.queueing)
        self.footer_note.setText(note)
        if obstacle is None:
            self.clear_problem()

    def _paint_run(self) -> None:
        if self.run_view is None:
            self.run_view = RunView(self.app_state)
            self._run_area = scroll_area(self.run_view)
            self.views.addWidget(self._run_area)
        self.views.setCurrentWidget(self._run_area)
        self.run_view.paint()
        app_state, ending = self.app_state, self.app_state.state.ending
        if app_state.is_training():
            self.footer_note.setText("")
            self.set_title(tr("Training"))
            self.set_lead(tr("You can close the window: it goes on without it."))
            self.show_buttons(*(() if app_state.starting else (self.next_button,)))
            self.clear_problem()
            return
        self.set_title(tr("Train"))
        self.set_lead(tr("Now see whether it is really better.") if self._came_to_its_end() else "")
        self._paint_ways_on()
        if isinstance(ending, Failed | Crashed):
            self._show_ending(ending)

    def _came_to_its_end(self) -> bool:
        return learned(self.app_state) and isinstance(self.app_state.state.ending, Finished | Stopped)

    def _paint_ways_on(self) -> None:
        """After the run: one primary button, quieter ones beside it, and why what might be expected isn't there."""
        if not self.app_state.was_begun():
            self.footer_note.setText("")
            self.show_buttons(primary=self.start_button)
            return
        state, has_learned, plan = self.app_state.state, learned(self.app_state), self.app_state.resumption
        kept = (self.weights_button, self.test_button) if has_learned else ()
        go_on, again, note = self.continue_button, self.again_button, ""
        possible = plan is not None and plan.problem is None
        match state.ending:
            case None:
                self.show_buttons()
            case Finished() if has_learned:
                elsewhere = plan is not None and plan.problem is not None and plan.problem.code == "run.made_elsewhere"
                longer = () if elsewhere else (self.longer_button,)
                self.show_buttons(again, self.weights_button, *longer, primary=self.test_button)
            case Stopped() if has_learned:
                self.show_buttons(again, self.weights_button, *((go_on,) if possible else ()), primary=self.test_button)
            case Stopped() | Finished():
                note = tr("Nothing was kept, so there is nothing to go on from.")
                self.show_buttons(primary=again)
            case Paused() | Failed() | Crashed() if possible and not _needs_other_settings(state):
                assert plan is not None
                note = tr_sentence(plan.sentence)
                self.show_buttons(again, *kept, primary=go_on)
            case _ if plan is not None and plan.problem is not None:  # why it can't go on stands where Continue would
                note = " ".join(tr_sentence(one) for one in plan.problem.sentences())
                self.show_buttons(*kept, primary=again)
            case _:
                self.show_buttons(*kept, primary=again)
        self.footer_note.setText(note)

    def _show_ending(self, ending: Failed | Crashed) -> None:
        """The problem, without the offer to try again where Continue stands below: that is better than a new run."""
        problem = ending.problem
        if problem.remedy is Remedy.try_again and self.continue_button.isVisibleTo(self):
            problem = replace(problem, remedy=None)
        if problem not in self.problems():
            self.show_problem(problem, self._on_remedy, self._on_details)

    def _on_details(self) -> None:
        """What may be copied about a run that ended badly; its log and its examples are read for that."""
        run, state = self.app_state.run, self.app_state.state
        ending = state.ending
        if run is None or not isinstance(ending, Failed | Crashed):
            return

        def report() -> str:
            from studio.runs.crash_report import report_of_run

            return report_of_run(run, state, exception_dialog.versions())

        def show(details: str) -> None:
            what, *rest = (tr_sentence(one) for one in ending.problem.sentences())
            self.report = exception_dialog.ReportDialog(what, " ".join(rest), details, self.window())
            self.report.finished.connect(self.report.deleteLater)
            self.report.open()

        run_in_background(self, report, show, self.show_problem)

    @Slot()
    def _on_run_queued(self) -> None:
        self._queued = True
        self.paint()

    @Slot()
    def _on_recipe_changed(self) -> None:
        if self._queued:
            self._queued = False
            self.paint()

    def _on_save(self) -> None:
        self.clear_problem()
        self.app_state.save_edited(lambda: self.step_requested.emit("runs"))

    def _on_next(self) -> None:
        """The run goes on; here comes the draft of the one after it."""
        self.app_state.new_run()

    def _on_continue(self) -> None:
        self.clear_problem()
        self.app_state.continue_run()

    def _on_weights(self) -> None:
        self.clear_problem()
        self.app_state.draft_from_weights()

    def _on_longer(self) -> None:
        self.overlay = TrainLonger(self.window(), self.app_state)

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


def _needs_other_settings(state: RunState) -> bool:
    """Whether it would only fail once more as it is: it noticed that itself before it had learned anything."""
    return isinstance(state.ending, Failed) and not state.checkpoints


class TrainLonger(Overlay):
    """Asks how many passes more a finished run is to make."""

    def __init__(self, window: QWidget, app_state: AppState) -> None:
        super().__init__(window, tr("Train longer"), 520)
        self._app_state = app_state
        self.passes = QSpinBox(minimum=1, maximum=50, value=2)
        self.passes.setAccessibleName(tr("Passes more over your data"))
        self.passes.setFixedWidth(96)
        words = tr(
            "The run goes on from its newest save point, with the same data and settings. The best version stays."
        )
        question = label(tr("Passes more over your data"))
        question.setBuddy(self.passes)
        self.accept = button(tr("Train longer"), "primary", self._on_accepted)
        add_all(
            self.card.body,
            label(words),
            hbox((question, 1), self.passes),
            hbox(STRETCH, button(tr("Cancel"), "", self.dismiss), self.accept),
        )
        self.passes.lineEdit().returnPressed.connect(self.accept.click)
        self.open(self.passes)
        self.passes.selectAll()

    def _on_accepted(self) -> None:
        self.dismiss()
        self._app_state.extend_run(float(self.passes.value()))
