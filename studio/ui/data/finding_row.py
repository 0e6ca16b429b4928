"""One thing that the doctor found: a mark, a sentence, what repairs it; on demand why it matters and where it is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from studio.ui.controls.layout import FlowWidget, follow
from studio.ui.controls.status_icon import SeverityIcon, severity_words
from studio.ui.controls.text import button, label
from studio.ui.data.excerpts import ExcerptsLabel
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL

if TYPE_CHECKING:
    from studio.dataset.quality.report import Finding


TWO_LINES = 1.7
"""How much more than one line holds goes into two, as lines end at words."""


class FindingRow(QWidget):
    """`repair_wanted` carries the name of a step; `rows_wanted` the finding whose rows a person wants to see."""

    repair_wanted = Signal(str)
    rows_wanted = Signal(object)

    def __init__(self, finding: Finding, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.finding = finding
        self.words = label(tr_sentence(finding.what))
        self.setAccessibleName(f"{severity_words(finding.severity)}: {self.words.text()}")
        self.show_button = button(tr("Show"), "link", self._toggle)
        self.show_button.setAccessibleName(tr("Show more: {name}", name=self.words.text()))
        self.repairs: dict[str, QPushButton] = {}
        self.more: QWidget | None = None
        self.only_these: QPushButton | None = None

        mark = QWidget()
        place = QVBoxLayout(mark)
        place.setContentsMargins(0, 7, 0, 0)
        place.addWidget(SeverityIcon(finding.severity))
        place.addStretch(1)
        self.words.setMinimumHeight(30)
        self._actions = FlowWidget()  # in a narrow window the buttons stand below each other
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(0)
        self._grid.setColumnStretch(1, 1)
        self._grid.addWidget(mark, 0, 0)
        self._actions.setVisible(bool(finding.fixes))
        if finding.fixes:
            self._add_repairs()
        self._inline = not finding.fixes
        self._place()

    def _add_repairs(self) -> None:
        from studio.dataset.quality.fixes import FIXES

        for position, name in enumerate(self.finding.fixes):
            kind = FIXES.get(name)
            if kind is None:  # of a later version of the program
                continue
            made = button(tr(kind.label), "" if position == 0 else "quiet", partial(self.repair_wanted.emit, name))
            made.setToolTip(tr(kind.help))
            made.setAccessibleDescription(f"{self.words.text()} {tr(kind.help)}")
            self.repairs[name] = made
            self._actions.flow.addWidget(made)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The buttons stand behind the sentence where it needs two lines at most, else below it."""
        super().resizeEvent(event)
        if not self.finding.fixes:
            return
        for made in (self.words, self.show_button, *self.repairs.values()):
            made.ensurePolished()  # before that they don't know how large they will be
        words = self.words.fontMetrics().horizontalAdvance(self.words.text())
        taken = 24 + self._actions.sizeHint().width() + self.show_button.sizeHint().width() + 4 * GAP
        inline = words <= TWO_LINES * (event.size().width() - taken)
        if inline != self._inline:
            self._inline = inline
            self._place()

    def _place(self) -> None:
        for part in (self.words, self._actions, self.show_button):
            self._grid.removeWidget(part)
        top = Qt.AlignmentFlag.AlignTop
        if self._inline:
            self._grid.addWidget(self.words, 0, 1)
            self._grid.addWidget(self._actions, 0, 2, top)
            self._grid.addWidget(self.show_button, 0, 3, top)
        else:
            self._grid.addWidget(self.words, 0, 1, 1, 3)
            self._grid.addWidget(self._actions, 1, 1, 1, 2)
            self._grid.addWidget(self.show_button, 1, 3, top)

    def tab_stops(self) -> list[QWidget]:
        """What the Tab key goes through, in the order in which it is seen."""
        return [*self.repairs.values(), self.show_button]

    def is_open(self) -> bool:
        return self.more is not None and not self.more.isHidden()

    def _toggle(self) -> None:
        if self.more is None:
            self.more = self._make_more()
            self._grid.addWidget(self.more, 2, 1, 1, 3)
            if self.only_these is not None:
                follow(self.show_button, [self.only_these])
            self.more.hide()
        self.more.setVisible(self.more.isHidden())
        self.show_button.setText(tr("Hide") if self.is_open() else tr("Show"))

    def _make_more(self) -> QWidget:
        made = QWidget()
        column = QVBoxLayout(made)
        column.setContentsMargins(0, GAP_SMALL, 0, GAP)
        column.setSpacing(GAP_SMALL)
        if self.finding.why.text:
            column.addWidget(label(tr_sentence(self.finding.why), "small"))
        if self.finding.excerpts:
            self.excerpts = ExcerptsLabel()
            self.excerpts.show_excerpts(self.finding.excerpts)
            column.addWidget(self.excerpts)
        if self.finding.rows:
            count, named = self.finding.count, len(self.finding.rows)
            words = tr("Show only these rows")
            if named < count:
                words = tr("Show only the first {n} of these rows", n=f"{named:,}")
            self.only_these = button(words, "link", lambda: self.rows_wanted.emit(self.finding))
            self.only_these.setAccessibleName(f"{words}: {self.words.text()}")
            column.addWidget(self.only_these, 0, Qt.AlignmentFlag.AlignLeft)
        return made
