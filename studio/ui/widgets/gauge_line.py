"""One line of the gauge: a name, a bar and an amount; below it the details, or a problem in words."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio.core.problems import Problem
from studio.core.words import Sentence
from studio.device.reading import Card
from studio.device.record import Peak
from studio.device.system import SystemMemory
from studio.ui.language import tr, tr_sentence
from studio.ui.theme import GAP, GAP_SMALL
from studio.ui.widgets import gauge_words as words
from studio.ui.widgets.gauge_bar import MemoryBar
from studio.ui.widgets.problem_card import ProblemCard
from studio.ui.widgets.text import ElidedLabel, button, clear_layout_widget, label

WIDEST_NAME = 280
"""Pixels that a name may take from its bar."""


def align(lines: Sequence[GaugeLine]) -> None:
    """Let the bars of all lines begin and end in one place."""
    names = max(line.name.sizeHint().width() for line in lines)
    amounts = max(line.amount.sizeHint().width() for line in lines)
    for line in lines:
        line.name.setFixedWidth(min(names, WIDEST_NAME))
        line.amount.setMinimumWidth(amounts)


class GaugeLine(QWidget):
    """Shows one card or the computer's memory. `details` is its second line, for whoever lays the lines out."""

    again_requested = Signal()
    """The person asks to reach for the card again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = ElidedLabel()
        self.name.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.bar = MemoryBar()
        self.trouble = ElidedLabel("bad")
        self.amount = label("", wrap=False)
        self.amount.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.more: QPushButton = button(tr("Details"), "link", self._toggle_problem)
        self.details = ElidedLabel("small")
        self.spoken = ""
        self._problem: Problem | None = None
        self._card: ProblemCard | None = None
        row = QHBoxLayout()
        row.setSpacing(GAP)
        for widget, stretch in ((self.name, 0), (self.bar, 1), (self.trouble, 1), (self.more, 0), (self.amount, 0)):
            row.addWidget(widget, stretch)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(GAP_SMALL)
        self._column.addLayout(row)
        self._set_problem(None)

    def show_card(self, card: Card, peak: Peak, *, running: bool, folded: bool) -> None:
        """Paint a card; `folded` puts what matters most behind the bar."""
        name = words.card_name(card)
        self.name.setText(name)
        self._set_problem(card.problem)
        if card.problem is not None:
            self.details.setText("")
            self.amount.setText("")
            self.spoken = f"{name}: {self.trouble.text()}"
            return
        self.bar.set_shares(card.total, card.used, card.this_run, card.free)
        self.amount.setText(words.card_short(card) if folded else words.of_total(card.used, card.total))
        self.details.setText(words.card_details(card, peak, running))
        numbers = words.spoken(name, card.used, card.total, card.this_run, card.free)
        self.spoken = f"{numbers} {self.details.text().removesuffix('.')}."

    def show_system(self, system: SystemMemory, peak: Peak, *, running: bool, problem: Problem | None) -> None:
        """Paint the computer's memory, and why no card is shown where that is a problem."""
        name = words.system_title(no_card=problem is None)
        self.name.setText(name)
        self._set_problem(problem, beside_bar=True)
        self.bar.set_shares(system.total, system.used, system.this_run, system.available)
        self.amount.setText(words.of_total(system.used, system.total))
        details = words.system_details(system, peak, running)
        self.details.setText(f"{self.trouble.text()} {details}" if problem else details)
        numbers = words.spoken(name, system.used, system.total, system.this_run, system.available)
        self.spoken = f"{numbers} {self.details.text().removesuffix('.')}."

    def _set_problem(self, problem: Problem | None, *, beside_bar: bool = False) -> None:
        self.trouble.setVisible(problem is not None and not beside_bar)
        self.bar.setVisible(problem is None or beside_bar)
        self.more.setVisible(problem is not None)
        if problem == self._problem:
            return
        self._problem = problem
        self._close_problem()
        text = tr_sentence(Sentence(text=problem.what, values=problem.values)) if problem else ""
        self.trouble.setText(text)
        self.more.setAccessibleName(tr("Details: {text}", text=text))

    def _toggle_problem(self) -> None:
        if self._card is not None or self._problem is None:
            self._close_problem()
            return
        self._card = ProblemCard(self._problem)
        self._card.remedy_requested.connect(lambda _: self.again_requested.emit())
        self._card.dismissed.connect(self._close_problem)
        self._column.addWidget(self._card)

    def _close_problem(self) -> None:
        if self._card is not None:
            clear_layout_widget(self._card)
            self._card = None
