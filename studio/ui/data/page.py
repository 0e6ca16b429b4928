"""Data: a file comes in, columns get their roles, the examples are checked, and what the model will read is shown
before anything starts."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QWidget

from studio.core.problems import Problem, Remedy
from studio.core.recipe.data_choice import DataChoice
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.page import PageFrame
from studio.ui.controls.progress import ProgressLine
from studio.ui.controls.text import label, say
from studio.ui.data.drop_area import DataSources, DropArea, dropped_paths
from studio.ui.data.hub_data import HubData
from studio.ui.data.loaded_data import LoadedData
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP
from studio.ui.state.app_state import AppState
from studio.ui.state.dataset_state import reasons_against_training
from studio.ui.state.watched_file import WatchedFile

PATIENCE = 300
"""Milliseconds of reading before its progress is shown: what is quicker should not flicker."""


class DataPage(PageFrame):
    """Paints the data of the app's state. A file that can't be read leaves the one before it in place."""

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(tr("Data"), scroll=True, parent=parent)
        self._app_state = app_state
        self._good: DataChoice | None = None
        self._stopped = False
        self._file_problem: Problem | None = None
        self._shown_problem: str | None = None
        self.setAcceptDrops(True)

        self.sources = DataSources(self)
        self.hub = HubData(app_state.data_fetch)
        self.drop = DropArea()
        self.note = label("", "small")
        self.note.hide()
        self.reading = ProgressLine(tr("Reading the file"), tr("Stop reading"))
        self.partial = NoticeBar(tr("Reading was stopped, so only the beginning is shown."))
        self.partial.add(tr("Read all of it"), self._read_again)
        self.partial.hide()
        self.changed = NoticeBar(tr("The file was changed after it was read. Below is what stood in it then."))
        self.changed.add(tr("Read it again"), self._read_again)
        self.changed.hide()
        self._watched = WatchedFile(self)
        self._watched.changed.connect(self.changed.show)
        self._seen: object = None
        self.loaded = LoadedData(app_state)
        self.source, self.table = self.loaded.source, self.loaded.table
        self.tabs = self.loaded.tabs
        self.check, self.lengths, self.pane = self.tabs.check, self.tabs.lengths, self.tabs.pane
        for part in (self.hub, self.reading, self.partial, self.changed, self.note):
            self.body.addWidget(part)
        self.body.addWidget(self.drop, 1)
        self.body.addWidget(self.loaded, 1)
        self.body.setSpacing(GAP)
        self._patience = QTimer(self, singleShot=True, interval=PATIENCE)
        self._patience.timeout.connect(self._paint_progress)
        self.next = self.set_primary(tr("Next: Train"), lambda: self.step_requested.emit("train"))
        self._connect()
        self._paint()

    def _connect(self) -> None:
        app_state = self._app_state
        self.sources.looked_for.connect(app_state.data.expect_file)
        self.drop.dragged_in.connect(app_state.data.expect_file)
        self.sources.path_chosen.connect(self.open_path)
        self.sources.text_pasted.connect(self._on_pasted)
        self.sources.noted.connect(self._note)
        self.drop.paths_dropped.connect(self.sources.take_dropped)
        for which, made in self.drop.buttons.items():
            made.clicked.connect(lambda _checked=False, which=which: self._replace(which))
        self.source.replace_requested.connect(self._replace)
        self.loaded.step_requested.connect(self.step_requested)
        self.loaded.tried.connect(self._forget_problem)
        self.source.mapping.confirmed.connect(self._paint_next)
        self.hub.fetched.connect(lambda name, part: self._open(DataChoice(path=name, split=part)))
        self.hub.failed.connect(lambda problem: self.show_problem(problem, self._on_remedy))
        self.reading.cancelled.connect(self._on_cancelled)
        app_state.data_changed.connect(self._paint)
        app_state.model_changed.connect(self.loaded.paint_reading)
        app_state.recipe_changed.connect(self._on_recipe_changed)
        for keys, act in (
            ("Ctrl+V", self._on_paste_key),
            ("Ctrl+Z", self.loaded.undo),
            ("Ctrl+Shift+Z", self.loaded.redo),
            ("Ctrl+F", self.table.box.setFocus),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    def focus_first(self) -> None:
        """Put the keyboard where a person who just came here will most likely go on."""
        if self.loaded.isHidden():
            self.drop.buttons["file"].setFocus(Qt.FocusReason.OtherFocusReason)
        elif self._app_state.data.problem is not None or self.source.mapping.unsure.isVisible():
            self.source.mapping.focus_first()
        elif self.next.isEnabled():
            super().focus_first()
        else:
            self.table.view.setFocus(Qt.FocusReason.OtherFocusReason)  # the next step has to wait

    # Opening

    def open_path(self, path: str) -> None:
        self._open(DataChoice(path=path))

    def _open(self, choice: DataChoice) -> None:
        now = self._app_state.recipe.data
        self._forget_problem()
        self.hub.setVisible(self.hub.job.is_running())  # something else was taken
        self._app_state.open_data(
            choice.model_copy(
                update={
                    "system_prompt": now.system_prompt,
                    "validation_split": now.validation_split,
                    "corrections": now.corrections,
                }
            )
        )

    def _forget_problem(self) -> None:
        """Something else is being tried: what was wrong with a file before doesn't matter any more."""
        self._stopped = False
        self._file_problem = self._shown_problem = None
        self.clear_problem()
        self.changed.hide()

    def _replace(self, which: str) -> None:
        here = self._app_state.recipe.data.path
        match which:
            case "file":
                self.sources.choose_file(here)
            case "folder":
                self.sources.choose_folder(here)
            case "paste":
                self.sources.paste()
            case "hub":
                self.hub.ask()
            case "sample":
                self.sources.take_sample()

    def _on_pasted(self, text: str) -> None:
        self._forget_problem()
        self.hub.setVisible(self.hub.job.is_running())
        self._app_state.paste_data(text)

    def _on_paste_key(self) -> None:
        if self.loaded.isHidden():  # else a slip of the hand would replace what was prepared
            self.sources.paste()

    def _note(self, words: str) -> None:
        say(self.note, words)

    def _on_cancelled(self) -> None:
        self._stopped = True
        self._app_state.data.cancel()

    def _read_again(self) -> None:
        self._forget_problem()
        self._app_state.open_data(self._app_state.recipe.data)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._watched.look()
        self.loaded.corrections.look()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event.mimeData()):
            event.acceptProposedAction()
            self._app_state.data.expect_file()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = dropped_paths(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.sources.take_dropped(paths)

    def _on_remedy(self, remedy: Remedy) -> None:
        if remedy is Remedy.choose_columns:
            self.source.mapping.focus_first()
        elif remedy is Remedy.choose_file:
            self._replace("file")
        elif remedy is Remedy.try_again and self._file_problem is not None:
            self._on_try_again(self._file_problem)
        else:
            self.remedy_requested.emit(remedy)

    def _on_try_again(self, problem: Problem) -> None:
        name = problem.values.get("name")
        if problem.code == "data.not_fetched" and isinstance(name, str):
            self.hub.name.setText(name)
            self.hub.ask()
        else:
            self._read_again()

    # How it looks

    def _paint(self) -> None:
        app_state = self._app_state
        has_table = app_state.data.table is not None
        self._paint_progress_soon()
        if app_state.data.reading and not has_table:
            self.next.setEnabled(False)
            return  # what was there stays until the new file is known to be readable
        if has_table:
            if not app_state.data.reading and not self._stopped:
                self._good = app_state.recipe.data
            self._watch()
            self.loaded.paint()
        else:
            self._on_no_table()
        self._paint_problem()
        came = has_table and self.loaded.isHidden()
        self.drop.setVisible(not has_table)
        self.loaded.setVisible(has_table)
        self.partial.setVisible(has_table and app_state.data.examples is None and (self._stopped or self._can_go_on()))
        self._paint_next()
        if came and self.isVisible():
            self.focus_first()  # the button that was pressed is gone

    def _watch(self) -> None:
        """Notice when the file becomes another than the one that is shown."""
        app_state = self._app_state
        if app_state.data.opened is not None and app_state.data.table is not self._seen:
            self._seen = app_state.data.table
            self.changed.hide()
            self._watched.watch(app_state.recipe.data.path)

    def _paint_progress_soon(self) -> None:
        if not self._app_state.data.reading:
            self._patience.stop()
            self.reading.hide()
        elif not self.reading.isHidden():
            self._paint_progress()
        elif not self._patience.isActive():
            self._patience.start()

    def _paint_progress(self) -> None:
        if self._app_state.data.reading:
            name = Path(self._app_state.recipe.data.path).name
            progress = self._app_state.data.progress
            if progress is None:
                self.reading.show_progress(tr("Reading {name} ...", name=name))
            else:
                self.reading.show_progress(tr_sentence(progress.text), progress.done, progress.total)

    def _on_no_table(self) -> None:
        """A file that can't be read: say so, and go back to the one that could."""
        self._file_problem = self._app_state.data.problem
        good, self._good = self._good, None
        left = self._file_problem is not None or self._stopped
        if left and good is not None and good != self._app_state.recipe.data:
            self._stopped = False
            self._app_state.open_data(good)

    def _broke_off(self) -> bool:
        """Whether something went wrong after the first rows that isn't a matter of which column is what."""
        problem = self._app_state.data.problem
        return problem is not None and problem.remedy is not Remedy.choose_columns

    def _can_go_on(self) -> bool:
        """Whether reading broke off, and the problem itself offers no second try."""
        problem = self._app_state.data.problem
        return self._broke_off() and problem is not None and problem.remedy is not Remedy.try_again

    def _paint_problem(self) -> None:
        problem = self._app_state.data.problem or self._file_problem
        if problem is not None and problem.remedy is Remedy.choose_columns:
            problem = None  # below the columns stands what is missing
        if self._shown_problem is not None and (problem is None or problem.code != self._shown_problem):
            self.clear_problem(self._shown_problem)
            self._shown_problem = None
        if problem is not None:
            self._shown_problem = problem.code
            self.show_problem(problem, self._on_remedy)

    def _on_recipe_changed(self) -> None:
        if self._app_state.data.table is not None:
            self.loaded.paint_reading()
            self._paint_next()

    def _paint_next(self) -> None:
        app_state = self._app_state
        has_table = app_state.data.table is not None
        usable = has_table and app_state.data.examples is not None and bool(len(app_state.data.examples))
        reasons = reasons_against_training(app_state.data, app_state.recipe) if usable else ()
        reason = tr_sentence(reasons[0].sentences()[0]) if reasons else ""
        self.next.setVisible(has_table)
        self.next.setEnabled(usable and not reason)
        self.footer_note.setText(reason)
        if not has_table:
            self.set_lead(tr("Bring examples of how you answer. A few dozen are enough to begin with."))
        elif reason or (self._broke_off() and not usable):
            self.set_lead(tr("Something has to be put right before training."))
        elif usable and not self.source.mapping.unsure.isHidden():
            self.set_lead(tr("Say whether the columns were understood rightly."))
        elif usable:
            self.set_lead(tr("Look through what the model will learn from, then go on to Train."))
        elif app_state.data.reading and app_state.data.opened is not None:
            self.set_lead(tr("The examples are being made."))
        elif app_state.data.reading:
            self.set_lead(tr("These are the first rows. The rest is still being read."))
        elif self._stopped:
            self.set_lead(tr("Read all of it to go on, or choose another file."))
        else:
            self.set_lead(tr("Say which column asks and which answers."))
