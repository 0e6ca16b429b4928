"""Runs: everything that was trained in this project, to open again, copy or delete."""

from __future__ import annotations

from PySide6.QtCore import QSortFilterProxyModel, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QShowEvent
from PySide6.QtWidgets import QHeaderView, QLineEdit, QStackedWidget

from studio.core.problems import Problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.runs.delete import delete_run
from studio.runs.history import list_runs
from studio.runs.summary import RunSummary
from studio.ui.controls.layout import STRETCH, hbox
from studio.ui.controls.overlay import Answer, Confirmation
from studio.ui.controls.page import MissingView, PageFrame
from studio.ui.controls.table import table_view
from studio.ui.controls.text import button, label
from studio.ui.design.language import size, tr, tr_sentence
from studio.ui.runs.run_table import SORT_ROLE, RunTable
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background


class RunsPage(PageFrame):
    """Reads the runs beside the window each time it is shown."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__(tr("Runs"), tr("Every run of this project. Open one to see it, test it or chat with it."))
        self.app_state = app_state
        self.confirmation: Confirmation | None = None
        self.stack = QStackedWidget()
        self.body.addWidget(self.stack, 1)
        nothing = tr("Nothing has been trained in this project yet.")
        self.empty = MissingView(nothing, tr("Go to Train"), "train")
        self.empty.step_requested.connect(self.step_requested)
        self.stack.addWidget(label(""))
        self.stack.addWidget(self.empty)
        self.model = RunTable()
        self.model.setParent(self)
        self.filtered = QSortFilterProxyModel(self)
        self.filtered.setSourceModel(self.model)
        self.filtered.setFilterKeyColumn(-1)
        self.filtered.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.filtered.setSortRole(SORT_ROLE)
        self.table = table_view(tr("Runs"), self.filtered, 36)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(5, Qt.SortOrder.DescendingOrder)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.doubleClicked.connect(self._open)
        self.table.selectionModel().selectionChanged.connect(self._paint_buttons)
        self.stack.addWidget(self.table)
        self.search = QLineEdit(placeholderText=tr("Search"), clearButtonEnabled=True)
        self.search.setAccessibleName(tr("Search the runs"))
        self.search.setMaximumWidth(320)
        self.search.textChanged.connect(self.filtered.setFilterFixedString)
        self.folder_button = button(tr("Show folder"), "quiet", self._show_folder)
        self.copy_button = button(tr("Use these settings again"), "quiet", self._use_settings)
        self.delete_button = button(tr("Delete"), "quiet", self._ask_delete)
        top = hbox(self.search, STRETCH, self.folder_button, self.copy_button, self.delete_button)
        self.body.insertLayout(0, top)
        self.open_button = self.set_primary(tr("Open"), self._open)
        app_state.run_changed.connect(self._refresh_if_visible)
        app_state.project_changed.connect(self._refresh_if_visible)
        self._paint_buttons()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def focus_first(self) -> None:
        """The keyboard goes to the table, or to the button that leads to a first run, as soon as either is known."""
        if self.stack.currentIndex():
            target = self.table if self.model.rows else self.empty.button
            target.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _refresh_if_visible(self) -> None:
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Read all runs anew; the selected one stays selected."""
        project = self.app_state.project
        run_in_background(self, lambda: list_runs(project=project), self._show, self.show_problem)

    def _show(self, summaries: list[RunSummary]) -> None:
        chosen = self.selected()
        self.model.show_rows(summaries)
        self.stack.setCurrentIndex(2 if summaries else 1)
        wanted = chosen.run if chosen is not None else self.app_state.run
        for row, summary in enumerate(summaries):
            if summary.run == wanted:
                self.table.selectRow(self.filtered.mapFromSource(self.model.index(row, 0)).row())
        self._paint_buttons()
        if self.hasFocus():
            self.focus_first()

    def selected(self) -> RunSummary | None:
        rows = self.table.selectionModel().selectedRows()
        return self.model.rows[self.filtered.mapToSource(rows[0]).row()] if rows else None

    @Slot()
    def _paint_buttons(self) -> None:
        one = self.selected()
        there = one is not None
        for made in (self.open_button, self.folder_button, self.copy_button, self.delete_button):
            made.setEnabled(there)
        if one is not None and one.is_going_on:
            self.delete_button.setEnabled(False)
        self.copy_button.setEnabled(one is not None and bool(one.model))
        has_runs = bool(self.model.rows)
        self.set_footer_visible(has_runs)
        for shown in (self.search, self.folder_button, self.copy_button, self.delete_button):
            shown.setVisible(has_runs)

    @Slot()
    def _open(self) -> None:
        one = self.selected()
        if one is None:
            return
        if one.run != self.app_state.run:
            self.app_state.attach(one.run)
        self.step_requested.emit("train")

    def _show_folder(self) -> None:
        one = self.selected()
        if one is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(one.run.path)))

    def _use_settings(self) -> None:
        one = self.selected()
        if one is not None:
            recipe = load(one.run.recipe)
            self.app_state.new_run()
            self.app_state.set_recipe(recipe)
            self.step_requested.emit("train")

    def _ask_delete(self) -> None:
        one = self.selected()
        if one is None:
            return
        freed = size(one.size)
        text = tr("{name} and everything it learned goes into the bin. It takes up {size}.", name=one.name, size=freed)
        self._confirm_delete(text, Answer(tr("Delete"), lambda: self._delete(one.run)))

    def _confirm_delete(self, text: str, answer: Answer) -> None:
        self.confirmation = Confirmation(self.window(), tr("Delete this run?"), text, (answer,), tr("Cancel"))

    def _delete(self, run: RunFolder, *, forever: bool = False) -> None:
        if run == self.app_state.run:
            self.app_state.new_run()

        def offer_forever(problem: Problem) -> None:
            if problem.code != "run.no_bin":
                self.show_problem(problem)
                return
            text = " ".join(tr_sentence(part) for part in problem.sentences())
            self._confirm_delete(text, Answer(tr("Delete for ever"), lambda: self._delete(run, forever=True)))

        run_in_background(self, lambda: delete_run(run, forever=forever), lambda _: self.refresh(), offer_forever)
