"""Which way to train to use, answered before anything is trained, with the reason and a button that takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.text import button, label, say
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_SMALL
from studio.ui.state.app_state import AppState

if TYPE_CHECKING:
    from studio.memory.recommendation import Recommendation


class MethodAdvice(QWidget):
    """Hidden while the model or the machine isn't known."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__()
        self._app_state = app_state
        self.advice: Recommendation | None = None
        self.title = label("", "strong")
        self.why = label("", "small")
        self.also = label("", "small")
        self.take = button("", "", self._on_taken)
        vbox(self.title, self.why, self.also, hbox(self.take, STRETCH), on=self, gap=GAP_SMALL)
        app_state.memory_fit.changed.connect(self.paint)
        app_state.recipe_changed.connect(self.paint)
        self.paint()

    @Slot()
    def paint(self) -> None:
        scenario = self._app_state.memory_fit.scenario
        self.setVisible(scenario is not None)
        if scenario is None:
            self.advice = None
            return
        from studio.memory.recommendation import recommend

        self.advice = recommend(scenario)
        taken = self.advice.is_taken(self._app_state.recipe)
        say(self.title, tr("Which should I use? {method}", method=self.advice.title))
        say(self.why, tr_sentence(self.advice.why))
        say(self.also, " ".join(tr_sentence(one) for one in self.advice.also))
        self.take.setText(tr("Use {method}", method=self.advice.title))
        self.take.setVisible(not taken)

    def _on_taken(self) -> None:
        if self.advice is not None:
            self._app_state.set_values(self.advice.changes)
