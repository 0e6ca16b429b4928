"""Data that is there: where it comes from, its examples as a table, and beside them what the data check found or what
the model will read of the chosen one, each a tab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QSizePolicy, QSplitter, QTabWidget, QWidget
from shiboken6 import isValid

from studio.core.problems import Problem
from studio.core.recipe.data_choice import ColumnMapping
from studio.ui.controls.layout import vbox
from studio.ui.controls.status_icon import severity_icon
from studio.ui.data.corrections_bar import CorrectionsBar
from studio.ui.data.data_check import GRADE_SEVERITIES, DataCheck, grade_words
from studio.ui.data.example_listing import FileRows, StoredListing
from studio.ui.data.example_table import ExampleTable
from studio.ui.data.length_histogram import LengthsPanel
from studio.ui.data.model_input import ModelInputPane
from studio.ui.data.objective_choice import ObjectiveChoice
from studio.ui.data.source_card import SourceCard
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_PAGE
from studio.ui.state.app_state import AppState

if TYPE_CHECKING:
    from studio.dataset.quality.report import Finding, Report
    from studio.worker.protocol import ExampleRead, Progress

LEAST_HIGH = 360
"""Pixels that the table and the tabs keep; where there are fewer, the page scrolls."""


class LoadedData(QWidget):
    """`paint` shows what the app's state has. `tried` comes when a person changes how the data is read or used."""

    step_requested = Signal(str)
    tried = Signal()

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app_state = app_state
        self._listed: object = None
        self._tokens: object = None
        self._path = ""
        self._position: int | None = None
        self._read: object = None
        self._asked = 0
        self._fixing = False
        self._settled: set[tuple[str, str]] = set()
        self.source = SourceCard()
        self.objective = ObjectiveChoice()
        self.source.body.addWidget(self.objective)
        self.table = ExampleTable()
        self.tabs = DetailTabs()
        halves = QSplitter(Qt.Orientation.Horizontal)
        halves.setChildrenCollapsible(False)
        halves.setHandleWidth(GAP_PAGE)
        halves.setMinimumHeight(LEAST_HIGH)
        halves.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)  # takes what is left
        for half in (self.table, self.tabs):
            half.setMinimumWidth(250)
            halves.addWidget(half)
        halves.setStretchFactor(0, 1)
        halves.setStretchFactor(1, 1)
        halves.setSizes([10_000, 8_200])  # shares: they are scaled to what there is
        self.corrections = CorrectionsBar(app_state)
        vbox(self.source, self.corrections, (halves, 1), on=self, gap=GAP_PAGE // 2)
        self._connect()

    def _connect(self) -> None:
        app_state, check, lengths = self._app_state, self.tabs.check, self.tabs.lengths
        self.source.reading_changed.connect(self._on_reading_changed)
        self.source.mapping.mapping_chosen.connect(self._on_mapping_chosen)
        self.source.confirmed.connect(self._on_confirmed)
        self.source.mapping.confirmed.connect(lambda: self._settle("mapping"))
        self.objective.chosen.connect(lambda kind: app_state.set_values({"objective.kind": kind}))
        self.table.selected.connect(self._on_selected)
        self.table.opened.connect(self.tabs.show_reading)
        self.tabs.pane.model_wanted.connect(lambda: self.step_requested.emit("train"))
        check.fix_wanted.connect(self._on_fix_wanted)
        check.rows_wanted.connect(self._on_rows_wanted)
        check.cancel_wanted.connect(app_state.data.cancel)
        check.check_wanted.connect(lambda: app_state.open_data(app_state.recipe.data))
        check.changes.undo_wanted.connect(self.undo)
        check.changes.redo_wanted.connect(self.redo)
        lengths.limit_chosen.connect(lambda limit: app_state.set_values({"training.max_length": limit}))
        lengths.truncation_chosen.connect(lambda mode: app_state.set_values({"data.truncation": mode}))

    # What a person does

    def undo(self) -> None:
        if self._app_state.can_undo:
            self.tabs.show_check()
            self._app_state.undo_fix()

    def redo(self) -> None:
        if self._app_state.can_redo:
            self.tabs.show_check()
            self._app_state.redo_fix()

    def _on_fix_wanted(self, do: str) -> None:
        self.tabs.show_check()  # what was changed is told there
        self.table.clear_filter()
        self._fixing = True
        self._app_state.add_fix(do)

    def _on_rows_wanted(self, finding: Finding) -> None:
        self.table.filter_rows(finding.rows, tr_sentence(finding.what))

    def _on_reading_changed(self, fields: dict[str, object]) -> None:
        # columns may have other names now, so they are guessed again
        table = self._app_state.data.table
        values: dict[str, object] = {f"data.{name}": value for name, value in fields.items()}
        if "sheet" in fields and table is not None and table.format == "parquet":
            values = {"data.split": fields["sheet"]}
        self.tried.emit()
        for name in fields:
            self._settle({"header_row": "header"}.get(name, name))
        self._app_state.set_values({**values, "data.mapping": ColumnMapping()})

    def _on_confirmed(self, doubt: str) -> None:
        """What was guessed is right: written down, so that it is never guessed otherwise."""
        self._settle(doubt)
        table = self._app_state.data.table
        if table is not None and doubt not in ("header", "kind"):
            self._app_state.set_values({f"data.{doubt}": getattr(table, doubt)})

    def _on_mapping_chosen(self, mapping: ColumnMapping) -> None:
        self.tried.emit()
        self._settle("mapping")
        self._app_state.set_values({"data.mapping": mapping})

    def _settle(self, what: str) -> None:
        self._settled.add((self._app_state.recipe.data.path, what))

    def _is_settled(self, what: str) -> bool:
        return (self._app_state.recipe.data.path, what) in self._settled

    # How it looks

    def paint(self) -> None:
        app_state = self._app_state
        table = app_state.data.table
        if table is None:
            return
        if app_state.recipe.data.path != self._path:
            self._path = app_state.recipe.data.path
            self.table.clear_filter()
            self.table.box.clear()
            self.tabs.begin()
            self.tabs.check.forget()
            self.tabs.show_report(None)
        settled = [doubt for doubt in table.doubts if self._is_settled(doubt)]
        opened = app_state.data.opened
        if opened is None:
            self.source.show_beginning(table, settled)
        else:
            sure = opened.sure or self._is_settled("mapping")
            self.source.show_table(table, app_state.recipe.data, sure=sure, why=opened.why, settled=settled)
        self.corrections.look()
        self._paint_list()
        self._paint_findings()
        self.paint_reading()

    def paint_objective(self) -> None:
        built = self._app_state.data.built
        self.objective.show_recipe(self._app_state.recipe, built.about if built is not None else None)

    def _paint_list(self) -> None:
        app_state = self._app_state
        table, found = app_state.data.table, app_state.data.examples
        assert table is not None
        listed: object = found if found is not None else table.rows
        tokens = self._all_tokens()
        if listed is self._listed and tokens is self._tokens:
            return
        self._listed, self._tokens = listed, tokens
        self._read = None
        listing = StoredListing(found) if found is not None else FileRows(table)
        self.table.show_listing(listing, tokens)

    def _all_tokens(self) -> Sequence[int] | None:
        """Lengths of all examples, None while they aren't known or only a sample was measured."""
        lengths, found = self._app_state.data.lengths, self._app_state.data.examples
        if lengths is None or found is None or len(lengths.total) != len(found):
            return None
        return lengths.total

    def _paint_findings(self) -> None:
        app_state, check = self._app_state, self.tabs.check
        table, built, report = app_state.data.table, app_state.data.built, app_state.data.report
        assert table is not None
        steps = built.about.steps if built is not None else ()
        waiting = report is None and (app_state.data.examining or app_state.data.reading)
        check.show_report(report, built, table.notes, waiting=waiting)
        check.show_progress(app_state.data.progress, examining=app_state.data.examining)
        check.changes.show_steps(steps, can_undo=app_state.can_undo, can_redo=app_state.can_redo)
        if not waiting:
            self.tabs.show_report(report)
        elif app_state.data.examining:
            self.tabs.show_examining(app_state.data.progress)
        if self._fixing and steps and not app_state.data.reading:
            self._fixing = False
            if check.isVisible():
                check.changes.undo.setFocus()  # the button that was pressed is gone

    def _on_selected(self, position: int | None) -> None:
        self._position = position
        self.paint_reading()

    def paint_reading(self) -> None:
        """What is learned; lengths, and the chosen example as the model reads it, asked for again only where something
        changed."""
        self.paint_objective()
        app_state, pane = self._app_state, self.tabs.pane
        recipe, found, model = app_state.recipe, app_state.data.examples, app_state.model
        most = model.facts.context_length if model.facts is not None else None
        count = len(found) if found is not None else 0
        limit, mode = recipe.training.max_length, recipe.data.truncation
        self.tabs.lengths.show_lengths(app_state.data.lengths, count, limit, mode, most)
        if found is None or self._position is None or self._position >= count:
            self._read = None
            self._asked += 1
            pane.show_nothing(self._why_nothing())
            return
        waiting = model.is_fetching() or model.looking
        wanted = (
            id(found),
            self._position,
            model.folder,
            waiting,
            limit,
            mode,
            recipe.training.loss_on,
            recipe.objective,
            recipe.method.new_words,
        )
        if wanted == self._read:
            return
        self._read = wanted
        self._ask(self._position, waiting)

    def _why_nothing(self) -> str:
        if self._app_state.data.examples is not None:
            return ""
        if self._app_state.data.reading or self._app_state.data.opened is None:
            return tr("This is shown when the file has been read.")
        return tr("This is shown when the columns have been chosen.")

    def _ask(self, position: int, waiting: bool) -> None:
        app_state, pane = self._app_state, self.tabs.pane
        found = app_state.data.examples
        assert found is not None
        self._asked += 1
        number = self._asked
        example = found[position]
        if app_state.model.folder is None:
            words = tr("The tokens are shown when the model is there.")
            if not waiting:
                words = tr("Fetch the model on the Train page to see the tokens.")
            pane.show_plain(example, words, can_fetch=not waiting)
            return

        def done(read: ExampleRead) -> None:
            if not isValid(self) or number != self._asked:
                return  # the window was made anew in another language or theme, or another example is on show
            if read.encoded:
                pane.show_read(read)
            elif example.text or app_state.recipe.objective.uses != "pairs" or example.rejected is not None:
                pane.show_plain(example, tr("This example is left out: it is longer than the limit."))
            else:
                pane.show_plain(example, tr("This example is left out: it has no worse answer to compare with."))

        def failed(problem: Problem) -> None:
            if isValid(self) and number == self._asked:
                pane.show_refused(example, problem)

        if not pane.shows_example:
            pane.show_plain(example, tr("Cutting the text into tokens ..."))
        app_state.read_example(position, done, failed)


class DetailTabs(QTabWidget):
    """The data check comes to the front by itself when there is something to fix, until a person chooses."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMode(True)
        self.setUsesScrollButtons(False)
        self.setElideMode(Qt.TextElideMode.ElideRight)
        self.check = DataCheck()
        self.lengths = LengthsPanel()
        self.pane = ModelInputPane()
        self._chosen = False
        self._check = _padded(self.check)
        self._reading = _padded(self.lengths, self.pane)
        self.addTab(self._reading, tr("What the model will read"))
        self.addTab(self._check, tr("Data check"))
        self.tabBar().setDrawBase(False)
        self.tabBar().setAccessibleName(tr("About the examples"))
        self.tabBarClicked.connect(lambda _index: self._on_clicked())

    def begin(self) -> None:
        """Other data: a person has chosen nothing yet."""
        self._chosen = False
        self.setCurrentWidget(self._reading)

    def show_report(self, report: Report | None) -> None:
        """Count on its tab what the data check found, and bring it to the front where something is worth fixing."""
        place = self.indexOf(self._check)
        worth = [one for one in report.findings if one.severity != "note"] if report is not None else []
        self.setTabText(place, tr("Data check ({n})", n=len(worth)) if worth else tr("Data check"))
        self.setTabIcon(place, severity_icon(GRADE_SEVERITIES[report.grade]) if report is not None else QIcon())
        self.setTabToolTip(place, grade_words(report.grade) if report is not None else "")
        if worth and not self._chosen:
            self.setCurrentWidget(self._check)

    def show_examining(self, progress: Progress | None) -> None:
        """How far the data check is, on its tab: another one may be in front."""
        known = progress is not None and progress.total
        share = f" ({100 * progress.done // progress.total} %)" if progress is not None and known else " ..."
        self.setTabText(self.indexOf(self._check), tr("Data check") + share)

    def show_reading(self) -> None:
        """A person asked for an example."""
        self._chosen = True
        self.setCurrentWidget(self._reading)

    def show_check(self) -> None:
        self._chosen = True
        self.setCurrentWidget(self._check)

    def _on_clicked(self) -> None:
        self._chosen = True


def _padded(*parts: QWidget) -> QWidget:
    page = QWidget()
    vbox(*((part, 1 if part is parts[-1] else 0) for part in parts), on=page, margins=(0, GAP, 0, 0))
    return page
