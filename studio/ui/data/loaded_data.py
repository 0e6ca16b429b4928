"""Data that is there: where it comes from, its examples as a table, and beside them the doctor and the model's view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSizePolicy, QSplitter, QVBoxLayout, QWidget
from shiboken6 import isValid

from studio.core.problems import Problem
from studio.core.recipe.data_choice import ColumnMapping
from studio.ui.data.detail_tabs import DetailTabs
from studio.ui.data.example_listing import FileRows, listing_of
from studio.ui.data.example_table import ExampleTable
from studio.ui.data.source_card import SourceCard
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_PAGE
from studio.ui.state.app_state import AppState

if TYPE_CHECKING:
    from studio.dataset.quality.report import Finding
    from studio.worker.protocol import ExampleRead

LEAST_HIGH = 360
"""Pixels that table and inspector keep; where there are fewer, the page scrolls."""


class LoadedData(QWidget):
    """`paint` shows what the session has. `tried` comes when a person changes how the data is read or used."""

    step_requested = Signal(str)
    tried = Signal()

    def __init__(self, session: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._listed: object = None
        self._tokens: object = None
        self._path = ""
        self._position: int | None = None
        self._read: object = None
        self._asked = 0
        self._repairing = False
        self._settled: set[tuple[str, str]] = set()
        self.source = SourceCard()
        self.table = ExampleTable()
        self.inspector = DetailTabs()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP_PAGE // 2)
        column.addWidget(self.source)
        halves = QSplitter(Qt.Orientation.Horizontal)
        halves.setChildrenCollapsible(False)
        halves.setHandleWidth(GAP_PAGE)
        halves.setMinimumHeight(LEAST_HIGH)
        halves.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)  # takes what is left
        for half in (self.table, self.inspector):
            half.setMinimumWidth(250)
            halves.addWidget(half)
        halves.setStretchFactor(0, 1)
        halves.setStretchFactor(1, 1)
        halves.setSizes([10_000, 8_200])  # shares: they are scaled to what there is
        column.addWidget(halves, 1)
        self._connect()

    def _connect(self) -> None:
        session, findings, lengths = self._session, self.inspector.findings, self.inspector.lengths
        self.source.reading_changed.connect(self._on_reading_changed)
        self.source.roles_chosen.connect(self._on_roles_chosen)
        self.source.confirmed.connect(self._on_confirmed)
        self.source.roles.confirmed.connect(lambda: self._settle("roles"))
        self.table.selected.connect(self._on_selected)
        self.table.opened.connect(self.inspector.show_reading)
        self.inspector.pane.model_wanted.connect(lambda: self.step_requested.emit("train"))
        findings.repair_wanted.connect(self._on_repair_wanted)
        findings.rows_wanted.connect(self._on_rows_wanted)
        findings.cancel_wanted.connect(session.cancel_data)
        findings.look_wanted.connect(lambda: session.open_data(session.recipe.data))
        findings.changes.undo_wanted.connect(self.undo)
        findings.changes.redo_wanted.connect(self.redo)
        lengths.limit_chosen.connect(lambda limit: session.set_values({"training.max_length": limit}))
        lengths.too_long_chosen.connect(lambda mode: session.set_values({"data.truncation": mode}))

    # What a person does

    def undo(self) -> None:
        """Take the last repair back, where there is one."""
        if self._session.can_undo:
            self.inspector.show_doctor()
            self._session.undo_repair()

    def redo(self) -> None:
        if self._session.can_redo:
            self.inspector.show_doctor()
            self._session.redo_repair()

    def _on_repair_wanted(self, do: str) -> None:
        self.inspector.show_doctor()  # what was changed is told there
        self.table.clear_filter()
        self._repairing = True
        self._session.repair(do)

    def _on_rows_wanted(self, finding: Finding) -> None:
        self.table.filter_rows(finding.rows, tr_sentence(finding.what))

    def _on_reading_changed(self, fields: dict[str, object]) -> None:
        # columns may have other names now, so they are guessed again
        table = self._session.table
        values: dict[str, object] = {f"data.{name}": value for name, value in fields.items()}
        if "sheet" in fields and table is not None and table.format == "parquet":
            values = {"data.split": fields["sheet"]}
        self.tried.emit()
        for name in fields:
            self._settle({"header_row": "header"}.get(name, name))
        self._session.set_values({**values, "data.mapping": ColumnMapping()})

    def _on_confirmed(self, doubt: str) -> None:
        """What was guessed is right: written down, so that it is never guessed otherwise."""
        self._settle(doubt)
        table = self._session.table
        if table is not None and doubt != "header":
            self._session.set_values({f"data.{doubt}": getattr(table, doubt)})

    def _on_roles_chosen(self, roles: ColumnMapping) -> None:
        self.tried.emit()
        self._settle("roles")
        self._session.set_values({"data.mapping": roles})

    def _settle(self, what: str) -> None:
        self._settled.add((self._session.recipe.data.path, what))

    def _is_settled(self, what: str) -> bool:
        return (self._session.recipe.data.path, what) in self._settled

    # How it looks

    def paint(self) -> None:
        """Show the session's table, its examples and what is known of them."""
        session = self._session
        table = session.table
        if table is None:
            return
        if session.recipe.data.path != self._path:
            self._path = session.recipe.data.path
            self.table.clear_filter()
            self.table.box.clear()
            self.inspector.begin()
            self.inspector.findings.forget()
            self.inspector.show_report(None)
        settled = [doubt for doubt in table.doubts if self._is_settled(doubt)]
        if not session.data.whole:
            self.source.show_beginning(table, settled)
        else:
            sure = session.guess_sure or self._is_settled("roles")
            self.source.show_table(table, session.recipe.data, sure=sure, why=session.guess_why, settled=settled)
        self._paint_list()
        self._paint_findings()
        self.paint_reading()

    def _paint_list(self) -> None:
        session = self._session
        table, found = session.table, session.examples
        assert table is not None
        listed: object = found.examples if found is not None else table.rows
        tokens = self._all_tokens()
        if listed is self._listed and tokens is self._tokens:
            return
        self._listed, self._tokens = listed, tokens
        self._read = None
        listing = listing_of(found.examples, found.rows) if found is not None else FileRows(table)
        self.table.set_listing(listing, tokens)

    def _all_tokens(self) -> Sequence[int] | None:
        """Lengths of all examples, None while they aren't known or only a sample was measured."""
        lengths, found = self._session.lengths, self._session.examples
        if lengths is None or found is None or len(lengths.total) != len(found.examples):
            return None
        return lengths.total

    def _paint_findings(self) -> None:
        session, findings = self._session, self.inspector.findings
        table, found, report = session.table, session.examples, session.report
        assert table is not None
        count = len(found.examples) if found is not None else 0
        waiting = report is None and (session.examining or session.reading_data)
        skipped = found.skipped if found is not None else ()
        findings.show_report(report, count, table.notes, skipped, waiting=waiting)
        findings.show_progress(session.data_progress, examining=session.examining)
        findings.show_steps(session.steps, can_undo=session.can_undo, can_redo=session.can_redo)
        if not waiting:
            self.inspector.show_report(report)
        elif session.examining:
            self.inspector.show_examining(session.data_progress)
        if self._repairing and session.steps and not session.reading_data:
            self._repairing = False
            if findings.isVisible():
                findings.changes.undo.setFocus()  # the button that was pressed is gone

    def _on_selected(self, position: int | None) -> None:
        self._position = position
        self.paint_reading()

    def paint_reading(self) -> None:
        """Lengths, and the chosen example as the model reads it; asked for again only where something changed."""
        session, pane = self._session, self.inspector.pane
        recipe, found, model = session.recipe, session.examples, session.model
        most = model.facts.context_length if model.facts is not None else None
        count = len(found.examples) if found is not None else 0
        limit, mode = recipe.training.max_length, recipe.data.truncation
        self.inspector.lengths.show_lengths(session.lengths, count, limit, mode, most)
        if found is None or self._position is None or self._position >= count:
            self._read = None
            self._asked += 1
            pane.show_nothing(self._why_nothing())
            return
        waiting = model.is_fetching() or model.looking
        wanted = (id(found.examples), self._position, model.folder, waiting, limit, mode, recipe.training.loss_on)
        if wanted == self._read:
            return
        self._read = wanted
        self._ask(self._position, waiting)

    def _why_nothing(self) -> str:
        if self._session.examples is not None:
            return ""
        if self._session.reading_data or not self._session.data.whole:
            return tr("This is shown when the file has been read.")
        return tr("This is shown when the columns have their parts.")

    def _ask(self, position: int, waiting: bool) -> None:
        session, pane = self._session, self.inspector.pane
        found = session.examples
        assert found is not None
        self._asked += 1
        number = self._asked
        example = found.examples[position]
        if session.model.folder is None:
            words = tr("The word pieces are shown when the model is there.")
            if not waiting:
                words = tr("Fetch the model on the Teach page to see the word pieces.")
            pane.show_plain(example, words, can_fetch=not waiting)
            return

        def done(read: ExampleRead) -> None:
            if not isValid(self) or number != self._asked:
                return  # the window was made anew in another language or theme, or another example is on show
            if read.encoded:
                pane.show_reading(read)
            else:
                pane.show_plain(example, tr("This example is left out: it is longer than the limit."))

        def failed(problem: Problem) -> None:
            if isValid(self) and number == self._asked:
                pane.show_refused(example, problem)

        if not pane.facts.text():
            pane.show_plain(example, tr("Cutting the text into word pieces ..."))
        session.read_example(position, done, failed)

    def obstacle(self) -> str:
        """Why this can't be taught yet, in a sentence; "" where it can."""
        report, lengths = self._session.report, self._session.lengths
        stops = [one for one in (report.findings if report is not None else ()) if one.severity == "stop"]
        if stops:
            return tr_sentence(stops[0].what)
        if report is not None and report.grade == "unusable":
            return tr_sentence(report.advice)
        if lengths is None or not len(lengths.total):
            return ""
        limit, mode = self._session.recipe.training.max_length, self._session.recipe.data.truncation
        total = len(lengths.total)
        if mode == "cut" and lengths.nothing_left_at(limit) == total:
            return tr("With this limit nothing is left to learn from in any example. Lengthen it.")
        if mode == "leave_out" and lengths.longer_than(limit) == total:
            return tr("Every example is longer than the limit and would be left out. Lengthen it.")
        return ""
