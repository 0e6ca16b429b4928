"""One line of the GPU monitor: a name, a bar and an amount; below it the details, or a problem in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPushButton, QWidget

from studio.core.problems import Problem
from studio.core.translatable import Sentence
from studio.hardware.history import Peak
from studio.hardware.snapshot import Card
from studio.hardware.system import SystemMemory
from studio.ui.controls.layout import hbox, vbox
from studio.ui.controls.memory_bar import Look, MemoryBar, Segment
from studio.ui.controls.notices import ProblemCard
from studio.ui.controls.text import button, clear_layout_widget
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_SMALL
from studio.ui.gpu_monitor import card_text as words
from studio.ui.gpu_monitor.painted_text import PaintedText

WIDEST_NAME = 280
"""Pixels that a name may take from its bar."""


RUN = Look(ground="accent", text="accent_text")
OTHERS = Look(ground="line", lines="muted", pattern=Qt.BrushStyle.BDiagPattern)
FREE = Look()
DRIVER = Look(lines="muted", pattern=Qt.BrushStyle.Dense6Pattern)


def segments(total: int | None, used: int | None, this_run: int | None, free: int | None) -> list[Segment]:
    """Who holds the memory: this run, others, nobody, and the driver what is neither used nor free. Empty where nothing
    is known; with `this_run` unknown, all that is used is one segment."""
    if not total or used is None:
        return []
    used = min(used, total)
    free = total - used if free is None else min(free, total - used)
    run = 0 if this_run is None else min(this_run, used)
    return [
        Segment(run, RUN, tr("this run")),
        Segment(used - run, OTHERS, tr("used") if this_run is None else tr("others")),
        Segment(free, FREE, tr("free")),
        Segment(total - used - free, DRIVER, tr("driver")),
    ]


def align(lines: Sequence[GpuLine]) -> None:
    names = min(max(line.name.widest for line in lines), WIDEST_NAME)
    amounts = max(line.amount.widest for line in lines)
    for line in lines:
        if line.aligned != (names, amounts):
            line.aligned = (names, amounts)
            line.name.setFixedWidth(names)
            line.amount.setFixedWidth(amounts)


class GpuLine(QWidget):
    """Shows one card or the computer's memory. `details` is its second line, for whoever lays the lines out.

    Trouble stands where the bar would be, or below it where the bar's numbers are good all the same.
    """

    again_requested = Signal()
    """The person asks to reach for the card again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = PaintedText(fitted=True)
        self.bar = MemoryBar()
        self.amount = PaintedText(fitted=True, right=True)
        self.trouble = PaintedText("bad")
        self.more: QPushButton = button(tr("Details"), "link", self._toggle_problem)
        self.details = PaintedText("small")
        self._numbers: Callable[[], str] = str
        self.aligned = (0, 0)
        self._problem: Problem | None = None
        self._instead = False
        self._card: ProblemCard | None = None
        self.said = QWidget()
        hbox((self.trouble, 1), self.more, on=self.said)
        self._row = hbox(self.name, (self.bar, 1), self.amount)
        self._column = vbox(self._row, self.said, on=self, gap=GAP_SMALL)
        self.said.hide()

    def stand_off(self) -> None:
        """Keep a distance from the line above, which has details of its own."""
        self._column.setContentsMargins(0, GAP_SMALL, 0, 0)

    def show_card(self, card: Card, peak: Peak, *, running: bool, folded: bool) -> None:
        """Paint a card; `folded` puts what matters most behind the bar."""
        name = words.card_name(card)
        self.name.setText(name)
        self._set_problem(card.problem or card.warning, beside_bar=card.problem is None)
        if card.problem is not None:
            self.details.set_parts(())
            self.amount.set_parts(())
            self._numbers = lambda: f"{name}:"
            return
        self.bar.show_segments(segments(card.total, card.used, card.this_run, card.free), card.total or 1)
        self.amount.setText(words.card_short(card) if folded else words.of_total(card.used, card.total))
        self.details.set_parts(words.card_details(card, peak, running))
        self._numbers = lambda: words.spoken(name, card.used, card.total, card.this_run, card.free)

    def show_system(self, system: SystemMemory, peak: Peak, *, running: bool, problem: Problem | None) -> None:
        """Paint the computer's memory, and why no card is shown where that is a problem."""
        name = words.system_title(no_card=problem is None)
        self.name.setText(name)
        self._set_problem(problem, beside_bar=True)
        self.bar.show_segments(segments(system.total, system.used, system.this_run, system.available), system.total)
        self.amount.setText(words.of_total(system.used, system.total))
        self.details.set_parts(words.system_details(system, peak, running))
        self._numbers = lambda: words.spoken(name, system.used, system.total, system.this_run, system.available)

    def spoken(self) -> str:
        details = f"{self.details.text()}." if self.details.text() else ""
        return " ".join(part for part in (self._numbers(), self.trouble.text(), details) if part)

    def _set_problem(self, problem: Problem | None, *, beside_bar: bool = False) -> None:
        instead = problem is not None and not beside_bar
        if instead != self._instead:
            self._instead = instead
            self.bar.setVisible(not instead)
            (self._row if instead else self._column).insertWidget(1, self.said, 1 if instead else 0)
        if problem == self._problem:
            return
        if self._problem is None or problem is None or problem.code != self._problem.code:
            self._close_problem()  # but not for another number in the same words, which someone may be reading
        self._problem = problem
        self.said.setVisible(problem is not None)
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
        if not self._instead:
            self.said.hide()  # the card says the same and more

    def _close_problem(self) -> None:
        if self._card is not None:
            clear_layout_widget(self._card)
            self._card = None
            self.said.setVisible(self._problem is not None)
