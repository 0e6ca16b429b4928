"""What will happen when Teach is pressed, in words, on the right of the form."""

from __future__ import annotations

import math

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from studio.core.recipe.defaults import resolve_defaults
from studio.core.recipe.recipe import Recipe
from studio.ui.controls.card import Card
from studio.ui.controls.editors import number_words
from studio.ui.controls.text import button, label, line
from studio.ui.design.language import examples, gigabytes, tr
from studio.ui.design.theme import GAP, GAP_SMALL
from studio.ui.state.app_state import AppState


def steps_estimate(recipe: Recipe, count: int) -> int:
    """Optimizer steps over `count` examples with a fully resolved recipe. An estimate: examples may drop out."""
    training = recipe.training
    batch, accumulation = training.batch_size or 1, training.gradient_accumulation_steps or 1
    a_pass = math.ceil(math.ceil(count / batch) / accumulation)
    return max(1, math.ceil(a_pass * (training.epochs or 1.0)))


class PlanCard(Card):
    """`step_requested` leads to what is missing."""

    step_requested = Signal(str)

    def __init__(self, session: AppState, parent: QWidget | None = None) -> None:
        super().__init__(tr("What will happen"), parent)
        self._session = session
        self.setFixedWidth(288)
        self.body.setSpacing(GAP_SMALL)
        self.body.addSpacing(GAP_SMALL)
        self.data, self.data_note = self._pair()
        self.to_data = button(tr("Go to Data"), "link", lambda: self.step_requested.emit("data"))
        self.body.addWidget(self.to_data)
        self.body.addSpacing(GAP)
        self.steps, self.steps_note = self._pair()
        self.body.addSpacing(GAP)
        self.device, self.device_note = self._pair()
        self.body.addSpacing(GAP)
        self.body.addWidget(line())
        self.body.addSpacing(GAP)
        self.body.addWidget(
            label(tr("The best version is kept. Your data and the base model stay as they are."), "small")
        )
        self.body.addStretch(1)
        for changed in (session.recipe_changed, session.data_changed, session.model_changed):
            changed.connect(self.paint)
        session.device_read.connect(self._paint_device)
        self.paint()

    def _pair(self) -> tuple[QWidget, QWidget]:
        first, second = label(""), label("", "small")
        self.body.addWidget(first)
        self.body.addWidget(second)
        return first, second

    @Slot()
    def paint(self) -> None:
        """Show what is known now."""
        session = self._session
        recipe = resolve_defaults(session.recipe, session.facts())
        count = len(session.examples.examples) if session.examples is not None else None
        self.to_data.setVisible(count is None and not session.reading_data)
        if count is None:
            _say(self.data, tr("Reading your data") if session.reading_data else tr("No examples yet"))
            _say(self.data_note, "")
            _say(self.steps, "")
            _say(self.steps_note, "")
        else:
            aside = math.floor(count * (recipe.data.validation_split or 0.0))
            _say(self.data, tr("Learns from {examples}", examples=examples(count - aside)))
            note = (
                tr("{n} more are set aside for checking.", n=aside) if aside else tr("None is set aside for checking.")
            )
            _say(self.data_note, note)
            steps = steps_estimate(recipe, count - aside)
            passes = number_words(recipe.training.epochs or 1.0)
            _say(self.steps, tr("{n} pass", n=passes) if passes == "1" else tr("{n} passes", n=passes))
            _say(self.steps_note, tr("About {n} steps.", n=f"{steps:,}"))
        self._paint_device()

    @Slot()
    def _paint_device(self) -> None:
        reading = self._session.reading
        if reading is None:
            _say(self.device, "")
            _say(self.device_note, "")
            return
        card = next((one for one in reading.cards if one.problem is None), None)
        if card is not None:
            _say(self.device, tr("On {card}", card=card.name or tr("the graphics card")))
            if card.free is None:
                _say(self.device_note, tr("Free memory: not available."))
            else:
                _say(self.device_note, tr("{size} of its memory is free now.", size=gigabytes(card.free)))
            return
        _say(self.device, tr("On this computer's processor"))
        free = gigabytes(reading.system.available)
        _say(self.device_note, tr("Slower than a graphics card. {size} of memory is free now.", size=free))


def _say(where: QWidget, words: str) -> None:
    where.setProperty("text", words)
    where.setVisible(bool(words))
