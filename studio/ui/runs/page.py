"""Runs: what waits in the queue, and everything that was trained, to open, continue, compare, copy or delete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QItemSelection, QItemSelectionModel, Qt, QTimer, QUrl, Slot
from PySide6.QtGui import QAction, QDesktopServices, QDragEnterEvent, QDropEvent, QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QFileDialog, QHeaderView, QLineEdit, QMenu, QStackedWidget

from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.runs.bundle import OpenedBundle, open_bundle, write_bundle
from studio.runs.comparison import RunComparison, compare_runs
from studio.runs.create import repeat_run
from studio.runs.delete import clear_checkpoints, delete_run
from studio.runs.history import Column, list_runs
from studio.runs.journal_export import export_csv
from studio.runs.project import project_of
from studio.runs.summary import Outcome, RunSummary
from studio.ui.controls.layout import STRETCH, hbox
from studio.ui.controls.overlay import Answer, Confirmation
from studio.ui.controls.page import MissingView, PageFrame
from studio.ui.controls.table import table_view
from studio.ui.controls.text import button, combo_box, label
from studio.ui.design.language import size, tr, tr_sentence
from studio.ui.runs.comparison import CompareView
from studio.ui.runs.open_adapter import AdapterOpener
from studio.ui.runs.queue_card import QueueCard
from studio.ui.runs.run_table import COLUMNS, STARTED_AT, RunTable
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background
from studio.ui.state.queue_state import QueueRow

TYPING_PAUSE = 150
"""Milliseconds without a key after which the runs are searched."""

LOOK_AT_RUNS = 5_000
"""Milliseconds between two looks whether a run began, ended or got on, while the page is seen."""

WIDTHS: dict[Column, int] = {"project": 120, "model": 110, "data": 100}
"""Pixels of the columns whose texts may be of any length; what is cut off is shown whole on hovering."""

NARROW, MIDDLING = 760, 1_050
"""Pixels of the table's width below which some columns leave their room to the names."""

CONTINUABLE: tuple[Outcome, ...] = ("paused", "interrupted", "crashed", "failed", "stopped", "not_started")


class RunsPage(PageFrame):
    """Reads the runs beside the window each time it is shown."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__(
            tr("Runs"), tr("Open a run to see it, test it or chat with it. Choose two or more to compare.")
        )
        self.app_state = app_state
        self.confirmation: Confirmation | None = None
        self.comparison: CompareView | None = None
        self._sorted: tuple[Column, bool] = ("started_at", True)
        self._reading = self._read_again = False
        self.queue = QueueCard(app_state)
        self.queue.edit_requested.connect(self._edit_waiting)
        self.queue.open_requested.connect(lambda row: self._show_run(RunFolder(row.run)))
        self.stack = QStackedWidget()
        self.body.addWidget(self.queue)
        self.body.addWidget(self.stack, 1)
        self.empty = MissingView(tr("Nothing has been trained in this project yet."), tr("Go to Train"), "train")
        self.empty.step_requested.connect(self.step_requested)
        self.stack.addWidget(label(""))
        self.stack.addWidget(self.empty)
        self.model = RunTable()
        self.model.setParent(self)
        self.table = table_view(tr("Runs"), self.model, 36)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        header = self.table.horizontalHeader()
        header.setSortIndicator(STARTED_AT, Qt.SortOrder.DescendingOrder)
        self.table.setSortingEnabled(True)
        header.setHighlightSections(False)
        header.setResizeContentsPrecision(0)  # what is seen is measured, not thousands of rows
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for name, width in WIDTHS.items():
            header.setSectionResizeMode(COLUMNS.index(name), QHeaderView.ResizeMode.Interactive)
            header.resizeSection(COLUMNS.index(name), width)
        self.table.activated.connect(self._open)
        self.table.selectionModel().selectionChanged.connect(self._paint_buttons)
        self.model.sort_wanted.connect(self._on_sort_wanted)
        self.stack.addWidget(self.table)
        self.nothing_found = label(tr("No run is like that."))
        self.nothing_found.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stack.addWidget(self.nothing_found)
        self.adapters = AdapterOpener(app_state, self)
        self.adapters.opened.connect(lambda _: self.refresh())
        self.adapters.show_wanted.connect(self._show_run)
        self.adapters.failed.connect(self.show_problem)
        self.setAcceptDrops(True)
        self._add_tools()
        self.compare_button = self.add_secondary(tr("Compare"), self._compare)
        self.continue_button = self.add_secondary(tr("Continue"), self._continue)
        self.open_button = self.set_primary(tr("Open"), self._open)
        self._timer = QTimer(self, interval=LOOK_AT_RUNS)
        self._timer.timeout.connect(self.refresh)
        app_state.run_changed.connect(self._refresh_if_visible)
        app_state.project_changed.connect(self._refresh_if_visible)
        app_state.queue.changed.connect(self._refresh_if_visible)
        self._paint_buttons()

    def _add_tools(self) -> None:
        self.which = combo_box(tr("Which runs"), ((tr("This project"), "this"), (tr("All projects"), "all")))
        self.which.activated.connect(self.refresh)
        self.search = QLineEdit(placeholderText=tr("Search"), clearButtonEnabled=True)
        self.search.setAccessibleName(tr("Search the runs"))
        self.search.setMaximumWidth(280)
        self._typing = QTimer(self, singleShot=True, interval=TYPING_PAUSE)
        self._typing.timeout.connect(lambda: self.refresh(look=False))
        self.search.textChanged.connect(lambda _: self._typing.start())
        self.copy_button = button(tr("Use these settings again"), "quiet", self._use_settings)
        self.delete_button = button(tr("Delete"), "quiet", self._ask_delete)
        self.methods_button = button(tr("Compare methods"), "quiet", lambda: self.step_requested.emit("compare"))
        self.more_button = button(tr("More"), "quiet")
        self.more = QMenu(self)
        self.more_button.setMenu(self.more)
        self.more_button.setAccessibleName(tr("More to do with the chosen runs"))
        self.copy_action = self._action(self.copy_button.text(), self._use_settings)
        self.group_action = self._action(tr("Compare with those queued together"), self._compare_group)
        self.folder_action = self._action(tr("Show folder"), self._show_folder)
        self.bundle_action = self._action(tr("Bundle for another computer ..."), self._bundle)
        self.repeat_action = self._action(tr("Repeat with the same examples"), self._repeat_chosen)
        self.journal_action = self._action(tr("Save its numbers as a table ..."), self._save_journal)
        self.clear_action = self._action(tr("Clear old save points"), self._ask_clear)
        self.open_bundle_action = self._action(tr("Open a bundle ..."), self._choose_bundle)
        self.open_adapter_action = self._action(tr("Open an add-on from another program ..."), self.adapters.choose)
        delete = self._action(self.delete_button.text(), self._ask_delete, "Del")
        with_chosen = (
            self.group_action,
            self.folder_action,
            self.bundle_action,
            self.repeat_action,
            self.journal_action,
            self.clear_action,
        )
        self.more.addActions((self.copy_action, *with_chosen))
        self.table.addActions((self.copy_action, *with_chosen, delete))
        self.import_button = button(tr("Import"), "quiet")
        self.imports = QMenu(self)
        self.imports.addActions((self.open_bundle_action, self.open_adapter_action))
        self.import_button.setMenu(self.imports)
        self.import_button.setAccessibleName(tr("Import a run from elsewhere"))
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        tools = (self.copy_button, self.delete_button, self.more_button, self.methods_button, self.import_button)
        self.body.insertWidget(1, self.adapters.progress)
        self.body.insertLayout(1, hbox(self.which, (self.search, 1), STRETCH, *tools))

    def _action(self, words: str, do: Callable[[], object], keys: str = "") -> QAction:
        made = QAction(words, self)
        made.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        made.setShortcut(keys)
        made.triggered.connect(lambda: do())
        return made

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._timer.start()
        self.refresh()
        self.app_state.queue.look()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._hide_columns()
        self._paint_buttons()

    def _hide_columns(self) -> None:
        width, everywhere = self.table.width(), self.which.currentData() == "all"
        hidden: set[Column] = set() if everywhere else {"project"}
        if width < NARROW:
            hidden |= {"model", "data", "seconds"}
        if everywhere and width < MIDDLING:
            hidden |= {"seconds", "size"}
        for column, name in enumerate(COLUMNS):
            self.table.setColumnHidden(column, name in hidden)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def focus_first(self) -> None:
        """The keyboard goes to the table, or to the button that leads to a first run, as soon as either is known."""
        if self.stack.currentIndex():
            target = self.table if self.model.rows else self.empty.button
            target.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    # What is listed

    @Slot()
    def _refresh_if_visible(self) -> None:
        if self.isVisible():
            self.refresh()

    @Slot(str, bool)
    def _on_sort_wanted(self, column: Column, descending: bool) -> None:
        self._sorted = column, descending
        self.refresh()

    @Slot()
    def refresh(self, *, look: bool = True) -> None:
        """Read all runs anew; those that are chosen stay chosen. Without `look`, from the index as it is."""
        if self._reading:
            self._read_again = True
            return
        self._reading = True
        project = None if self.which.currentData() == "all" else self.app_state.project
        search, (column, descending) = self.search.text(), self._sorted

        def read() -> list[RunSummary]:
            return list_runs(search, sort_by=column, descending=descending, project=project, translate=tr, refresh=look)

        def failed(problem: Problem) -> None:
            self._reading = False
            self.show_problem(problem)

        run_in_background(self, read, self._show, failed)

    def _show(self, summaries: list[RunSummary]) -> None:
        self._reading = False
        if self._read_again:
            self._read_again = False
            self.refresh()
            return
        if [one.run for one in summaries] == [one.run for one in self.model.rows]:
            self.model.update_rows(summaries)
        else:
            chosen: list[RunFolder | None] = [one.run for one in self.chosen()]
            chosen = chosen or [self.app_state.run]
            self.model.show_rows(summaries)
            self._choose({row for row, one in enumerate(summaries) if one.run in chosen})
        searching = bool(self.search.text()) or self.which.currentData() == "all"
        self.stack.setCurrentIndex(2 if summaries else 3 if searching else 1)
        self._hide_columns()
        self._paint_buttons()
        if self.hasFocus():
            self.focus_first()

    def _choose(self, rows: set[int]) -> None:
        selection = QItemSelection()
        for row in rows:
            selection.select(self.model.index(row, 0), self.model.index(row, 0))
        whole = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        model = self.table.selectionModel()
        model.select(selection, whole)
        if rows:
            first = self.model.index(min(rows), 0)
            model.setCurrentIndex(first, QItemSelectionModel.SelectionFlag.NoUpdate)

    def chosen(self) -> list[RunSummary]:
        """From top to bottom."""
        return [self.model.rows[index.row()] for index in sorted(self.table.selectionModel().selectedRows())]

    def selected(self) -> RunSummary | None:
        """The one that is chosen, None where none is or several are."""
        chosen = self.chosen()
        return chosen[0] if len(chosen) == 1 else None

    @Slot()
    def _paint_buttons(self) -> None:
        """Only what can be done with the chosen runs is there."""
        chosen, one, has_runs = self.chosen(), self.selected(), self.stack.currentIndex() > 1
        at_rest = bool(chosen) and not any(run.is_going_on for run in chosen)
        readable = one is not None and bool(one.model)
        self.search.setVisible(has_runs)
        self.copy_button.setVisible(readable and self.table.width() >= NARROW)
        self.copy_action.setVisible(readable)
        self.delete_button.setVisible(at_rest)
        self.more_button.setVisible(bool(chosen))
        self.group_action.setVisible(len(self._group()) > 1)
        self.folder_action.setVisible(one is not None)
        for action in (self.bundle_action, self.repeat_action):
            action.setVisible(readable)
        self.journal_action.setVisible(one is not None and one.started_at is not None)
        self.clear_action.setVisible(one is not None and one.clearable > 0)
        can_continue = one is not None and one.outcome in CONTINUABLE and readable
        self.continue_button.setText(tr("Start now") if one and one.outcome == "not_started" else tr("Continue"))
        if len(chosen) > 1:
            self.show_buttons(primary=self.compare_button)
        elif one is not None:
            self.show_buttons(*((self.continue_button,) if can_continue else ()), primary=self.open_button)
        else:
            self.show_buttons()
        self.footer_note.setText(
            tr("Choose a run; with Ctrl or Shift, several.")
            if has_runs and not chosen
            else tr("{n} runs are chosen.", n=len(chosen))
            if len(chosen) > 1
            else ""
        )
        self.set_footer_visible(has_runs)

    # What is done with them

    @Slot()
    def _open(self) -> None:
        one = self.selected()
        if one is not None:
            self._show_run(one.run)

    def _show_run(self, run: RunFolder) -> None:
        project = project_of(run)
        if project != self.app_state.project:
            self.app_state.open_project(project)
        if run != self.app_state.run:
            self.app_state.attach(run)
        self.step_requested.emit("train")

    def _continue(self) -> None:
        one = self.selected()
        if one is not None:
            self._show_run(one.run)
            self.app_state.continue_run()

    def _group(self) -> list[RunFolder]:
        """Those that were queued together with the chosen one, as "Try three strengths" does."""
        one = self.selected()
        if one is None or not one.group_id:
            return []
        return [other.run for other in self.model.rows if other.group_id == one.group_id]

    def _compare_group(self) -> None:
        self._show_comparison(self._group())

    def _compare(self) -> None:
        self._show_comparison([one.run for one in self.chosen()])

    def _show_comparison(self, runs: list[RunFolder]) -> None:
        def show(found: RunComparison) -> None:
            self.comparison = CompareView(self.window(), found)

        run_in_background(self, lambda: compare_runs(runs), show, self.show_problem)

    def _use_settings(self) -> None:
        one = self.selected()
        if one is not None:
            self._use_settings_of(one.run)

    def _use_settings_of(self, run: RunFolder) -> None:
        try:
            recipe = load(run.recipe)
        except ProblemError as error:
            self.show_problem(error.problem)
            return
        project = project_of(run)
        if project != self.app_state.project:
            self.app_state.open_project(project)
        self.app_state.new_run()
        self.app_state.set_recipe(recipe)
        self.step_requested.emit("train")

    def _edit_waiting(self, row: QueueRow) -> None:
        self.app_state.edit_waiting(row)
        self.step_requested.emit("train")

    def _show_folder(self) -> None:
        one = self.selected()
        if one is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(one.run.path)))

    def _bundle(self) -> None:
        one = self.selected()
        if one is None:
            return
        answers = (
            Answer(tr("Without the examples"), lambda: self._write_bundle(one, with_data=False), "primary"),
            Answer(tr("With the examples"), lambda: self._write_bundle(one, with_data=True)),
        )
        text = tr(
            "A bundle is one file from which another computer repeats the run. Your examples only go in if you say so."
        )
        self.confirmation = Confirmation(self.window(), tr("Bundle for another computer"), text, answers, tr("Cancel"))

    def _write_bundle(self, one: RunSummary, *, with_data: bool) -> None:
        suggested = str(Path.home() / f"{one.run.path.name}.zip")
        # a file that is there already is refused in words of our own
        ask_nothing = QFileDialog.Option.DontConfirmOverwrite
        chosen, _ = QFileDialog.getSaveFileName(
            self, tr("Where to put the bundle"), suggested, "*.zip", options=ask_nothing
        )
        if not chosen:
            return

        learned = any(one.run.checkpoints.glob("step-*"))

        def written(count: int) -> None:
            self.footer_note.setText(tr("The bundle is written: {size}.", size=size(count)))

        run_in_background(
            self,
            lambda: write_bundle(one.run, Path(chosen), with_data=with_data, with_adapter=learned),
            written,
            self.show_problem,
        )

    def _choose_bundle(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Choose a bundle"), str(Path.home()), "*.zip")
        if chosen:
            self._open_bundle(Path(chosen))

    def _open_bundle(self, file: Path) -> None:
        project = self.app_state.project
        run_in_background(self, lambda: open_bundle(file, project), self._show_opened, self.show_problem)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """A zip file is taken for a bundle, anything else for an add-on: what it isn't is said then."""
        for url in event.mimeData().urls()[:1]:
            event.acceptProposedAction()
            dropped = Path(url.toLocalFile())
            if dropped.suffix.lower() == ".zip":
                self._open_bundle(dropped)
            else:
                self.adapters.open(dropped)

    def _show_opened(self, found: OpenedBundle) -> None:
        self.refresh()
        if found.note.with_data and found.model_is_here:
            answer = Answer(tr("Repeat with the same examples"), lambda: self._repeat(found.run), "primary")
        else:
            answer = Answer(tr("Use these settings again"), lambda: self._use_settings_of(found.run), "primary")
        text = " ".join(tr_sentence(one) for one in found.told)
        self.confirmation = Confirmation(self.window(), tr("The run is in your list"), text, (answer,), tr("Close"))

    def _repeat_chosen(self) -> None:
        one = self.selected()
        if one is not None:
            self._repeat(one.run)

    def _repeat(self, run: RunFolder) -> None:
        def begin(again: RunFolder) -> None:
            self._show_run(again)
            self.app_state.continue_run()

        run_in_background(self, lambda: repeat_run(run, project_of(run)), begin, self.show_problem)

    def _save_journal(self) -> None:
        one = self.selected()
        if one is None:
            return
        suggested = str(Path.home() / f"{one.run.path.name}.csv")
        ask_nothing = QFileDialog.Option.DontConfirmOverwrite
        chosen, _ = QFileDialog.getSaveFileName(
            self, tr("Where to put the table"), suggested, "*.csv", options=ask_nothing
        )
        if chosen:
            run_in_background(
                self,
                lambda: export_csv(one.run, Path(chosen)),
                lambda count: self.footer_note.setText(tr("The table is written: {n} {n:row|rows}.", n=count)),
                self.show_problem,
            )

    def _ask_clear(self) -> None:
        one = self.selected()
        if one is None:
            return
        text = tr(
            "All save points of {name} but the best and the newest go. This frees {size}.",
            name=one.name,
            size=size(one.clearable),
        )
        answer = Answer(tr("Clear"), lambda: self._clear(one.run), "primary")
        self.confirmation = Confirmation(self.window(), tr("Clear old save points?"), text, (answer,), tr("Cancel"))

    def _clear(self, run: RunFolder) -> None:
        run_in_background(self, lambda: clear_checkpoints(run), lambda _: self.refresh(), self.show_problem)

    def _ask_delete(self) -> None:
        chosen = self.chosen()
        if not chosen or any(one.is_going_on for one in chosen):
            return
        freed = size(sum(one.size for one in chosen))
        if len(chosen) == 1:
            name = chosen[0].name
            text = tr("{name} and everything it learned goes into the bin. It takes up {size}.", name=name, size=freed)
        else:
            text = tr(
                "{n} runs and everything they learned go into the bin. They take up {size}.", n=len(chosen), size=freed
            )
        self._confirm_delete([one.run for one in chosen], text)

    def _confirm_delete(self, runs: list[RunFolder], text: str, *, forever: bool = False) -> None:
        answer = Answer(tr("Delete for ever") if forever else tr("Delete"), lambda: self._delete(runs, forever=forever))
        title = tr("Delete this run?") if len(runs) == 1 else tr("Delete these runs?")
        self.confirmation = Confirmation(self.window(), title, text, (answer,), tr("Cancel"))

    def _delete(self, runs: list[RunFolder], *, forever: bool = False) -> None:
        """One after the other; what the first refusal leaves is asked about once more where only the bin is missing."""
        run, *others = runs
        if run == self.app_state.run:
            self.app_state.new_run()

        def deleted(_: int) -> None:
            if others:
                self._delete(others, forever=forever)
            else:
                self.refresh()

        def failed(problem: Problem) -> None:
            self.refresh()
            if problem.code != "run.no_bin":
                self.show_problem(problem)
                return
            self._confirm_delete(runs, " ".join(tr_sentence(part) for part in problem.sentences()), forever=True)

        run_in_background(self, lambda: delete_run(run, forever=forever), deleted, failed)
