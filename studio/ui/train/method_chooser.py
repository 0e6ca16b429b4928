"""All ways to train, each with a sentence on whom it is for. "Memory saver" above offers the first two of them."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QButtonGroup, QWidget

from studio.core.recipe.method import METHODS, LoraSettings
from studio.ui.controls.layout import vbox
from studio.ui.controls.text import label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL
from studio.ui.state.app_state import AppState
from studio.ui.train.choice_card import ChoiceCard
from studio.ui.train.fit_card import verdict


class MethodChooser(QWidget):
    """Shows the draft's method, and writes another one to it."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__()
        self._app_state = app_state
        self._group = QButtonGroup(self)
        self.cards: dict[str, ChoiceCard] = {}
        column = vbox(
            label(tr("How it learns"), "strong"),
            label(tr("All of them keep your data on this computer, and the base model as it is."), "small"),
            on=self,
            gap=GAP_SMALL,
        )
        for kind, method in METHODS.items():
            title = tr(method.choice)
            if issubclass(method, LoraSettings):  # which are called after how the base is stored
                title = tr("A small add-on learns ({method})", method=method.title)
            limit = tr("Can't be combined into one model: {reason}", reason=tr(method.cannot_merge))
            card = ChoiceCard(title, tr(method.advice), limit=limit if method.cannot_merge else "")
            card.clicked.connect(partial(self._on_chosen, kind))
            self._group.addButton(card)
            self.cards[kind] = card
            column.addWidget(card)
        app_state.recipe_changed.connect(self.paint)
        app_state.memory_fit.changed.connect(self._paint_fit)
        self.paint()
        self._paint_fit()

    @Slot()
    def paint(self) -> None:
        self.cards[self._app_state.recipe.method.kind].setChecked(True)

    @Slot()
    def _paint_fit(self) -> None:
        """Which one is recommended, and whether each would fit, by calculation."""
        scenario = self._app_state.memory_fit.scenario
        if scenario is None:
            for card in self.cards.values():
                card.set_note("")
            return
        from studio.memory.recommendation import fit_with, recommend

        best = recommend(scenario).kind
        for kind, card in self.cards.items():
            told = verdict(fit_with(scenario, kind))
            card.set_note(tr("Recommended here. {fits}", fits=told) if kind == best else told)

    def _on_chosen(self, kind: str, _checked: bool = False) -> None:
        self._app_state.set_value("method.kind", kind)
