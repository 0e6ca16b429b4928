"""What the doctor found: a grade with one sentence of advice, the findings in their order, and what was repaired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.core.translatable import Sentence
from studio.ui.controls.layout import follow, scroll_area
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.progress import ProgressLine
from studio.ui.controls.status_icon import Severity, SeverityIcon
from studio.ui.controls.text import button, clear_layout_widget, label, line
from studio.ui.data.changes_bar import ChangesBar
from studio.ui.data.finding_row import FindingRow
from studio.ui.design.language import examples as counted
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL

if TYPE_CHECKING:
    from studio.dataset.examples import Skipped
    from studio.dataset.quality.fixes import Step
    from studio.dataset.quality.report import Grade, Report

LINES = 6
"""Findings shown before "show all"."""
NAMED = 12
"""Row numbers that are listed for one reason; more are counted."""

GRADE_LOOKS: dict[Grade, Severity] = {"good": "good", "fair": "note", "poor": "warn", "unusable": "stop"}


def grade_words(grade: Grade) -> str:
    match grade:
        case "good":
            return tr("Good")
        case "fair":
            return tr("Fair")
        case "poor":
            return tr("Poor")
        case "unusable":
            return tr("Not usable yet")


class Findings(QWidget):
    """`repair_wanted` carries the name of a step, `rows_wanted` a `Finding`; `cancel_wanted` and `look_wanted` stop the
    doctor and let him look again."""

    repair_wanted = Signal(str)
    rows_wanted = Signal(object)
    cancel_wanted = Signal()
    look_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._report: Report | None = None
        self._all = False
        self.rows: list[FindingRow] = []
        self.mark = SeverityIcon("good", 20)
        self.grade = label("", "strong", wrap=False)
        self.advice = label("")
        self.advice.setContentsMargins(0, 2, 0, 0)  # on one line with the larger word before it
        self.usable = label("", "small")
        self.progress = ProgressLine(tr("The doctor is looking"), tr("Stop looking through the examples"))
        self.progress.cancelled.connect(self.cancel_wanted)
        self.look = NoticeBar()
        self.look.ask(tr("The doctor has not looked through these examples to the end."))
        self.look.add(tr("Look now"), self.look_wanted.emit)
        self.changes = ChangesBar()
        self.show_all = button(tr("Show all"), "link", self._on_show_all)

        self.verdict = QWidget()
        top = QHBoxLayout(self.verdict)
        top.setContentsMargins(0, 0, 0, 0)
        top.setSpacing(GAP)
        top.addWidget(self.mark, 0, Qt.AlignmentFlag.AlignTop)
        top.addWidget(self.grade, 0, Qt.AlignmentFlag.AlignTop)
        top.addWidget(self.advice, 1)
        self._content = QWidget()
        self._content.setObjectName("content")
        self._lines = QVBoxLayout(self._content)
        self._lines.setContentsMargins(0, 0, GAP, 0)
        self._lines.setSpacing(GAP_SMALL)
        self._lines.addWidget(self.show_all, 0, Qt.AlignmentFlag.AlignLeft)
        self.notes = label("", "small")
        self._lines.addWidget(self.notes)
        self._lines.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        for part in (self.verdict, self.usable, self.progress, self.look, self.changes, line()):
            column.addWidget(part)
        column.addWidget(scroll_area(self._content), 1)
        self.forget()

    def forget(self) -> None:
        """Other data: nothing is known of it."""
        self.show_report(None, 0, (), ())

    def show_report(
        self,
        report: Report | None,
        examples: int,
        notes: Sequence[Sentence],
        skipped: Sequence[Skipped],
        *,
        waiting: bool = False,
    ) -> None:
        """`report` is None before the doctor has looked; `examples` can be learned from, `skipped` rows can't.

        While a newer report is `waiting`ed for, the one before stays to be read, but nothing of it can be pressed.
        """
        kept = report is None and waiting and self._report is not None
        self._content.setEnabled(not kept)
        if kept:
            return
        self.verdict.setVisible(report is not None)
        if report is not None:
            look = GRADE_LOOKS[report.grade]
            self.mark.show_severity(look)
            self.mark.setAccessibleName(grade_words(report.grade))
            self.mark.setToolTip("")
            self.grade.setText(grade_words(report.grade))
            self.advice.setText(tr_sentence(report.advice))
        self.usable.setVisible(examples > 0)
        self.usable.setText(usable_words(examples, report))
        if report != self._report or report is None:
            self._report = report
            self._all = False
            self._make_rows()
        told = [tr_sentence(sentence) for sentence in notes]
        if report is None and skipped:
            told.append(reasons(skipped))
        self.look.setVisible(report is None and examples > 0 and not waiting)
        self.notes.setText("\n".join(told))
        self.notes.setVisible(bool(told))

    def show_progress(self, progress: tuple[int, int, Sentence] | None, *, examining: bool) -> None:
        """A quiet line while the doctor looks."""
        if examining:
            self.progress.show_progress(progress, tr("Looking through the examples ..."))
        else:
            self.progress.hide()

    def show_steps(self, steps: Sequence[Step], *, can_undo: bool, can_redo: bool) -> None:
        self.changes.show_steps(steps, can_undo=can_undo, can_redo=can_redo)

    def _make_rows(self) -> None:
        for row in self.rows:
            clear_layout_widget(row)
        found = self._report.findings if self._report is not None else ()
        shown = found if self._all else found[:LINES]
        self.rows = [FindingRow(finding) for finding in shown]
        for place, row in enumerate(self.rows):
            row.repair_wanted.connect(self.repair_wanted)
            row.rows_wanted.connect(self.rows_wanted)
            self._lines.insertWidget(place, row)
        last: QWidget = self.changes.redo
        for row in self.rows:
            last = follow(last, row.tab_stops())
        follow(last, [self.show_all])
        self.show_all.setVisible(len(found) > len(shown))
        self.show_all.setText(tr("Show all {n}", n=len(found)))

    def _on_show_all(self) -> None:
        self._all = True
        place = len(self.rows)
        self._make_rows()
        if len(self.rows) > place:
            self.rows[place].show_button.setFocus()


def usable_words(examples: int, report: Report | None) -> str:
    """How many can be learned from, and how many of them are set aside."""
    if report is None:
        return tr("{examples} can be learned from.", examples=counted(examples))
    if not report.held_out:
        return tr(
            "{examples}. None is set aside for checking: too few of them differ, or you chose so.",
            examples=counted(examples),
        )
    return tr(
        "{examples}; {n} of them are set aside for checking and never studied.",
        examples=counted(examples),
        n=f"{report.held_out:,}",
    )


def reasons(skipped: Sequence[Skipped]) -> str:
    """A line for each reason with the rows that it holds for."""
    by_reason: dict[str, list[int]] = {}
    for one in skipped:
        by_reason.setdefault(tr_sentence(one.reason), []).append(one.row)
    lines = []
    for reason, rows in by_reason.items():
        named = ", ".join(str(row) for row in rows[:NAMED])
        if len(rows) > NAMED:
            named += " " + tr("and {n} more", n=len(rows) - NAMED)
        words = tr("Row {rows}: {reason}", rows=named, reason=reason)
        lines.append(words if len(rows) == 1 else tr("Rows {rows}: {reason}", rows=named, reason=reason))
    return "\n".join(lines)
