"""What was noticed about the data: how many examples can be used, what is set aside, what is left out and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.ui.language import examples as counted
from studio.ui.language import tr, tr_sentence
from studio.ui.theme import GAP, GAP_SMALL
from studio.ui.widgets.mark import Mark
from studio.ui.widgets.text import button, clear_layout_widget, label

if TYPE_CHECKING:
    from studio.data.examples import ExampleSet, Skipped
    from studio.data.table import Table

Counted = tuple[int, float, int]
NAMED = 12
"""Row numbers that are listed for one reason; more are counted."""


class Findings(QWidget):
    """One line for each finding; the rows left out open on demand."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._counted: tuple[Counted, int] | None = None
        self._usable = 0
        self._lines = QVBoxLayout(self)
        self._lines.setContentsMargins(0, 0, 0, 0)
        self._lines.setSpacing(GAP_SMALL)
        self.usable = label("")
        self._lines.addWidget(self.usable)
        self.left_out = QWidget()
        row = QHBoxLayout(self.left_out)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        row.addWidget(Mark("level", 14), 0, Qt.AlignmentFlag.AlignVCenter)
        self.left_out_words = label("", wrap=False)
        row.addWidget(self.left_out_words)
        self.show_rows = button(tr("Show them"), "link", self._toggle)
        row.addWidget(self.show_rows)
        row.addStretch(1)
        self._lines.addWidget(self.left_out)
        self.reasons = label("", "small")
        self.reasons.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.reasons.hide()
        self._lines.addWidget(self.reasons)
        self._notes: list[QWidget] = []

    def show_findings(self, table: Table, found: ExampleSet | None) -> None:
        """`found` is None where the columns have no usable parts yet."""
        for note in self._notes:
            clear_layout_widget(note)
        self._notes = [label(tr_sentence(sentence), "small") for sentence in table.notes]
        for note in self._notes:
            self._lines.addWidget(note)
        self._usable = len(found.examples) if found is not None else 0
        self._paint_usable()
        skipped = found.skipped if found is not None else ()
        self.left_out.setVisible(bool(skipped))
        if not skipped:
            self.reasons.hide()
        count = len(skipped)
        self.left_out_words.setText(tr("1 row is left out.") if count == 1 else tr("{n} rows are left out.", n=count))
        self.reasons.setText(reasons(skipped))

    def is_counted(self, asked: Counted) -> bool:
        """Whether `set_held_out` was called with the same data and share."""
        return self._counted is not None and self._counted[0] == asked

    def set_held_out(self, asked: Counted, held_out: int) -> None:
        """How many examples the split that was asked for sets aside."""
        self._counted = (asked, held_out)
        self._paint_usable()

    def _paint_usable(self) -> None:
        self.usable.setVisible(self._usable > 0)
        words = tr("{examples} can be learned from.", examples=counted(self._usable))
        if self._counted is not None and self._counted[0][0] == self._usable:
            held_out = self._counted[1]
            if held_out:
                words = tr(
                    "{examples} can be learned from; {n} of them are set aside for checking and never studied.",
                    examples=counted(self._usable),
                    n=held_out,
                )
            else:
                words += " " + tr("None is set aside for checking: there are too few, or you chose so.")
        self.usable.setText(words)

    def _toggle(self) -> None:
        self.reasons.setVisible(self.reasons.isHidden())
        self.show_rows.setText(tr("Show them") if self.reasons.isHidden() else tr("Hide them"))


def reasons(skipped: tuple[Skipped, ...]) -> str:
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
