"""What would make a run fit, or faster: each change with what it gains and costs, ticked before anything is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QWidget

from studio.core.problems import ProblemError
from studio.ui.controls.layout import STRETCH, TOP, add_all, hbox, scroll_area, vbox
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.status_icon import SeverityIcon
from studio.ui.controls.text import button, label
from studio.ui.design.language import gigabytes, tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL
from studio.ui.state.memory_fit import MemoryFit
from studio.ui.state.memory_scenario import after, plan
from studio.ui.train.fit_card import LOOKS, verdict

if TYPE_CHECKING:
    from studio.memory.reduction import RecipeChange

WIDTH, HEIGHT = 620, 620


class ChangeRow(QWidget):
    """A change with a tick, what it gains, and below what it costs."""

    toggled = Signal()

    def __init__(self, change: RecipeChange, chosen: bool) -> None:
        super().__init__()
        self.change = change
        self.tick = QCheckBox(tr_sentence(change.label))
        self.tick.setChecked(chosen)
        self.tick.toggled.connect(lambda _: self.toggled.emit())
        gain = gain_words(change.gain)
        cost = tr_sentence(change.cost)
        self.tick.setAccessibleDescription(f"{gain}. {cost}")
        words = label(cost, "small")
        words.setContentsMargins(28, 0, 0, 0)
        vbox(hbox((self.tick, 1), label(gain, wrap=False)), words, on=self, gap=0, margins=(0, 0, GAP, 0))


class FitChanges(Overlay):
    """Opens with those ticked that together make it fit."""

    def __init__(self, window: QWidget, memory_fit: MemoryFit) -> None:
        from studio.memory.reduction import faster

        answer = memory_fit.answer
        room = answer is not None and answer.verdict == "fits"
        super().__init__(window, tr("What would make it faster") if room else tr("Fix it for me"), WIDTH, HEIGHT)
        self._memory_fit = memory_fit
        self._scenario = memory_fit.advice()
        if room:
            lead = tr("It fits with room to spare. These use that room; nothing is changed before you press Apply.")
            ticked: tuple[RecipeChange, ...] = ()
            offered = faster(self._scenario) if self._scenario is not None else ()
        else:
            lead = tr("The ticked changes cost least. Nothing is changed before you press Apply.")
            found = plan(self._scenario) if self._scenario is not None else None
            ticked = found.together if found is not None else ()
            taken = {key for change in ticked for key in change.changes}
            others = found.each if found is not None else ()
            offered = (*ticked, *(change for change in others if not taken & set(change.changes)))
        if not offered:
            lead = tr("Nothing more can be changed here that would make room: choose a much smaller model.")
        body = self.card.body
        body.addWidget(label(lead, "small"))
        content = QWidget()
        content.setObjectName("content")
        rows = vbox(on=content, gap=GAP + GAP_SMALL)
        self.rows = [ChangeRow(change, change in ticked) for change in offered]
        for row in self.rows:
            row.toggled.connect(self._paint)
            rows.addWidget(row)
        rows.addStretch(1)
        area = scroll_area(content)
        high = rows.heightForWidth(WIDTH - 2 * GAP_PAGE - 2 * GAP)
        area.setMinimumHeight(min(160, high))
        area.setMaximumHeight(high)
        area.setVisible(bool(self.rows))
        self.icon = SeverityIcon("note", 18)
        self.result = label("")
        self.trouble = label("", "bad")
        self.trouble.hide()
        self.cancel = button(tr("Cancel"), "", self.dismiss)
        self.accept = button("", "primary", self._apply)
        add_all(
            body, area, hbox((self.icon, TOP), (self.result, 1)), self.trouble, hbox(STRETCH, self.cancel, self.accept)
        )
        self._paint()
        self.open(self.rows[0].tick if self.rows else self.cancel)

    def chosen(self) -> tuple[RecipeChange, ...]:
        return tuple(row.change for row in self.rows if row.tick.isChecked())

    def _paint(self) -> None:
        chosen = self.chosen()
        if self._scenario is not None:
            result = after(self._scenario, chosen)
            self.icon.show_severity(LOOKS[result.verdict], tr(result.word))
            start = tr("With these:") if chosen else tr("As it is now:")
            self.result.setText(f"{start} {verdict(result)}")
        self.accept.setText(tr("Apply {n} {n:change|changes}", n=len(chosen)) if chosen else tr("Apply"))
        self.accept.setEnabled(bool(chosen))

    def _apply(self) -> None:
        try:
            self._memory_fit.apply(self.chosen())
        except ProblemError as error:
            self.trouble.setText(" ".join(tr_sentence(s) for s in error.problem.sentences()))
            self.trouble.show()
            return
        self.dismiss()


def gain_words(gain: int) -> str:
    return tr("{amount} less", amount=gigabytes(gain)) if gain >= 0 else tr("{amount} more", amount=gigabytes(-gain))
