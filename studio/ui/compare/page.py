"""Compare methods: choose them, press once, and see the table and the plot fill as their runs end."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QStackedWidget

from studio.core.problems import Problem
from studio.core.storage import cannot_write, write_text
from studio.runs.compare_methods.plot import as_svg
from studio.runs.compare_methods.results import MethodResult
from studio.runs.compare_methods.table import as_csv, as_markdown
from studio.ui.compare.method_choice import MethodChoice
from studio.ui.compare.results_view import ResultsView
from studio.ui.controls.layout import scroll_area
from studio.ui.controls.page import PageFrame
from studio.ui.design.language import duration, tr
from studio.ui.state.app_state import AppState


class ComparePage(PageFrame):
    """Shows the project's newest comparison, or what the next one is to be."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__(tr("Compare methods"))
        self.app_state = app_state
        self.state = app_state.method_comparison
        self.choosing: bool | None = None
        """Whether a person wants another comparison; None before anything is known."""
        self._just_begun = False
        self.views = QStackedWidget()
        self.body.addWidget(self.views)
        self.choice = MethodChoice(app_state)
        self.choice_area = scroll_area(self.choice)
        self.views.addWidget(self.choice_area)
        self.results = ResultsView()
        self.results_area = scroll_area(self.results)
        self.results.shown.activated.connect(lambda place: self.state.show(self.results.shown.itemData(place)))
        self.views.addWidget(self.results_area)
        self.back_button = self.add_secondary(tr("Back to the last one"), lambda: self._choose(choosing=False))
        self.other_button = self.add_secondary(tr("Compare others"), lambda: self._choose(choosing=True))
        self.save_button = self.add_secondary(tr("Save ..."), self._save)
        self.save_button.setToolTip(tr("The table for a spreadsheet or a text, or the plot as a picture"))
        self.end_button = self.add_secondary(tr("Stop"), self.state.end)
        self.end_button.setToolTip(tr("Nothing further begins; what was learned and measured stays"))
        self.go_on_button = self.add_secondary(tr("Continue"), self.state.go_on)
        self.begin_button = self.set_primary(tr("Compare"), self._begin)
        self.results.open_requested.connect(self._open)
        self.choice.changed.connect(self.paint)
        self.state.changed.connect(self.paint)
        self.state.problem_raised.connect(self._on_problem_raised)
        app_state.data_changed.connect(self.paint)
        self.paint()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.state.watch(True)

    def hideEvent(self, event: QHideEvent) -> None:
        self.state.watch(False)
        super().hideEvent(event)

    def focus_first(self) -> None:
        """The keyboard goes to the first method, or to the table."""
        if self._is_choosing():
            first = next((row.box for row in self.choice.rows.values() if row.box.isEnabled()), None)
            if first is not None:
                first.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self.results.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _is_choosing(self) -> bool:
        return self.choosing is True or self.state.results is None

    @Slot()
    def paint(self) -> None:
        if self._is_choosing():
            self._paint_choice()
        else:
            self._paint_results()

    def _paint_choice(self) -> None:
        self.views.setCurrentWidget(self.choice_area)
        self.set_lead(
            tr("The same data is learned with each method, one after the other. Then you see which one is right here.")
        )
        count, obstacle = len(self.choice.chosen()), self.app_state.draft_obstacle()
        if obstacle is not None:
            note = tr(obstacle.what, **obstacle.values)
        elif count < 2:
            note = tr("Choose two at least.")
        elif self.state.busy:
            note = tr("Getting ready: your examples are being set down.")
        elif (seconds := self.choice.seconds()) is not None:
            note = tr("About {time} of training in all, then their tests.", time=duration(seconds))
        else:
            note = tr("They train one after the other; you can close the window meanwhile.")
        self.footer_note.setText(note)
        self.begin_button.setEnabled(count > 1 and obstacle is None and not self.state.busy)
        back = (self.back_button,) if self.state.results is not None else ()
        self.show_buttons(*back, primary=self.begin_button)

    def _paint_results(self) -> None:
        results = self.state.results
        assert results is not None
        self.views.setCurrentWidget(self.results_area)
        if self._just_begun:  # the button that had the keyboard is gone
            self._just_begun = False
            self.focus_first()
        going, done = self.state.is_at_work, results.is_done
        self.results.show_which(self.state.folders, results.folder)
        self.results.show_rows(results.rows, going=going, done=done)
        if going or self.state.busy:
            self.set_lead(tr("You can close the window: it goes on without it."))
        elif done:
            self.set_lead(tr("All is measured. Open a row to see its run."))
        else:
            self.set_lead(tr("It was stopped before all was measured."))
        self.footer_note.setText("")
        for one in (self.end_button, self.go_on_button):
            one.setEnabled(not self.state.busy)
        if going or self.state.busy:
            self.show_buttons(self.save_button, self.end_button)
        elif done:
            self.show_buttons(self.save_button, primary=self.other_button)
        else:
            self.show_buttons(self.other_button, self.save_button, primary=self.go_on_button)

    def _choose(self, *, choosing: bool) -> None:
        self.clear_problem()
        self.choosing = choosing
        self.paint()
        self.focus_first()

    def _begin(self) -> None:
        self.clear_problem()
        self.choosing, self._just_begun = False, True
        self.state.begin(self.choice.chosen(), self.choice.minutes_each)

    @Slot(object)
    def _on_problem_raised(self, problem: Problem) -> None:
        self.choosing = None if self.state.results is not None else True
        self.show_problem(problem)

    def _open(self, row: MethodResult) -> None:
        if row.run is not None and row.run.recipe.is_file():
            self.app_state.attach(row.run)
            self.step_requested.emit("train")

    def _save(self) -> None:
        results = self.state.results
        if results is None:
            return
        kinds = {
            tr("Table for a spreadsheet (*.csv)"): ".csv",
            tr("Table in a text (*.md)"): ".md",
            tr("Plot (*.svg)"): ".svg",
        }
        suggested = str(Path.home() / f"{results.comparison.name or 'comparison'}.csv")
        chosen, kind = QFileDialog.getSaveFileName(self, tr("Where to put it"), suggested, ";;".join(kinds))
        if not chosen:
            return
        file = Path(chosen)
        if file.suffix.lower() not in kinds.values():
            file = file.with_name(file.name + kinds.get(kind, ".csv"))
        writers = {
            ".csv": lambda: as_csv(results.rows),
            ".md": lambda: as_markdown(results.rows, results.comparison.name),
            ".svg": lambda: as_svg(results.rows, translate=tr),
        }
        try:
            write_text(file, writers[file.suffix.lower()]())
        except OSError as error:
            self.show_problem(cannot_write(file, error).problem)
        else:
            self.footer_note.setText(tr("It is written."))
