"""Which methods to compare: each with a sentence on whom it is for, what it takes, or why it can't be used here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QRadioButton, QSpinBox, QWidget

from studio.core.problems import Problem
from studio.core.recipe.method import METHODS, LoraSettings
from studio.core.recipe.recipe import Recipe
from studio.ui.controls.layout import STRETCH, Card, add_all, hbox, vbox
from studio.ui.controls.text import label
from studio.ui.design.language import duration, gigabytes, tr, tr_sentence
from studio.ui.design.theme import GAP_WIDE
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background

if TYPE_CHECKING:
    from studio.memory.fit import Fit

FIRST = ("qlora", "lora", "prompt")
"""Ticked at the beginning, besides the draft's own: one of each kind that fits nearly everywhere."""


class MethodRow(QWidget):
    """A method to tick. `ticked` comes when a person did."""

    ticked = Signal()

    def __init__(self, kind: str) -> None:
        super().__init__()
        method = METHODS[kind]
        title = tr(method.choice)
        if issubclass(method, LoraSettings):  # which are called after how the base is stored
            title = tr("A small add-on learns ({method})", method=method.title)
        self.box = QCheckBox(title)
        self.box.clicked.connect(self.ticked)
        self.takes = label("", "small")
        advice = label(tr(method.advice), "small")
        self.box.setAccessibleDescription(advice.text())
        about = vbox(advice, self.takes, gap=0, margins=(26, 0, 0, 0))
        vbox(self.box, about, on=self, gap=0)

    def show_what_it_takes(self, refused: Problem | None, fit: Fit | None) -> None:
        """With a reason against it, it can't be ticked; what doesn't fit by calculation can be tried all the same."""
        self.box.setEnabled(refused is None)
        if refused is not None:
            self.box.setChecked(False)
            self.takes.setText(" ".join(tr_sentence(one) for one in refused.sentences()))
        elif fit is None or fit.needed is None:
            self.takes.setText(tr("How much memory it needs can't be told for this model."))
        else:
            how_long = tr("how long is known after the first such run here")
            if fit.seconds is not None:
                how_long = tr("about {time} of training", time=duration(fit.seconds))
            values = {"verdict": tr(fit.word), "amount": gigabytes(fit.needed), "time": how_long}
            self.takes.setText(tr("{verdict}: about {amount} of memory, {time}", **values))


class MethodChoice(QWidget):
    """Looks at the draft while it can be seen. `changed` comes when other methods are ticked, or they take more."""

    changed = Signal()

    def __init__(self, app_state: AppState) -> None:
        super().__init__()
        self._app_state = app_state
        self._recipes: Mapping[str, Recipe] = {}
        self._refused: Mapping[str, Problem | None] = {}
        self._fits: dict[str, Fit | None] = {}
        self._looking = self._touched = False
        self.rows = {kind: MethodRow(kind) for kind in METHODS}
        methods = Card(tr("Which methods?"))
        methods.body.setSpacing(GAP_WIDE)
        for row in self.rows.values():
            row.ticked.connect(self._on_ticked)
            methods.body.addWidget(row)
        self.examples = QRadioButton(tr("All read your examples equally often"))
        self.examples.setChecked(True)
        self.timed = QRadioButton(tr("Each trains for so many minutes"))
        group = QButtonGroup(self)
        self.minutes = QSpinBox(minimum=1, maximum=1440, value=10)
        self.minutes.setAccessibleName(tr("Minutes of training for each method"))
        self.minutes.setEnabled(False)
        for one in (self.examples, self.timed):
            group.addButton(one)
            one.toggled.connect(self._on_budget)
        self.minutes.valueChanged.connect(self.changed)
        budget = Card(tr("How long may each learn?"))
        add_all(budget.body, self.examples, hbox(self.timed, self.minutes, STRETCH))
        vbox(methods, budget, STRETCH, on=self, gap=GAP_WIDE)
        for changed in (app_state.recipe_changed, app_state.data_changed, app_state.memory_fit.changed):
            changed.connect(self._look_if_visible)

    def chosen(self) -> list[str]:
        return [kind for kind, row in self.rows.items() if row.box.isChecked()]

    @property
    def minutes_each(self) -> float | None:
        return float(self.minutes.value()) if self.timed.isChecked() else None

    def seconds(self) -> float | None:
        """Of all chosen trainings together, None where that isn't known of one of them."""
        total = 0.0
        for kind in self.chosen():
            fit = self._fits.get(kind)
            most = 60 * self.minutes_each if self.minutes_each is not None else None
            if fit is not None and fit.seconds is not None:
                total += fit.seconds if most is None else min(most, fit.seconds)
            elif most is not None:
                total += most
            else:
                return None
        return total

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._app_state.memory_fit.watch(self, True)
        self._look()

    def hideEvent(self, event: QHideEvent) -> None:
        self._app_state.memory_fit.watch(self, False)
        super().hideEvent(event)

    @Slot()
    def _look_if_visible(self) -> None:
        if self.isVisible():
            self._look()

    def _look(self) -> None:
        """What each method needs, and beside the window whether the base model's files allow it."""
        if self._looking:
            return
        self._looking = True
        recipe = self._app_state.recipe

        def read() -> tuple[Mapping[str, Recipe], Mapping[str, Problem | None]]:
            from studio.runs.compare_methods.comparison import recipe_with, refusal

            recipes = {kind: recipe_with(recipe, kind) for kind in METHODS}
            return recipes, {kind: refusal(one, None) for kind, one in recipes.items()}

        def ready(found: tuple[Mapping[str, Recipe], Mapping[str, Problem | None]]) -> None:
            self._looking = False
            self._recipes, self._refused = found
            if recipe != self._app_state.recipe:
                self._look()
            self._paint()

        run_in_background(self, read, ready, partial(setattr, self, "_looking", False))

    def _paint(self) -> None:
        for kind, row in self.rows.items():
            self._fits[kind] = self._app_state.memory_fit.forecast(self._recipes[kind])
            fit, refused = self._fits[kind], self._refused[kind]
            row.show_what_it_takes(refused, fit)
            if not self._touched and refused is None:
                first = kind in (*FIRST, self._app_state.recipe.method.kind)
                row.box.setChecked(first and (fit is None or fit.verdict != "no"))
        self.changed.emit()

    @Slot()
    def _on_ticked(self) -> None:
        self._touched = True
        self.changed.emit()

    @Slot()
    def _on_budget(self) -> None:
        self.minutes.setEnabled(self.timed.isChecked())
        self.changed.emit()
