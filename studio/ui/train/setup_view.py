"""The Train page before a run: model, presets and settings, and beside them what will happen."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QButtonGroup,
    QGridLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QWidget,
)

from studio.core.recipe.defaults import resolve_defaults
from studio.core.recipe.presets import Preset
from studio.core.recipe.recipe import Recipe, setting_specs
from studio.core.recipe.rehearsal import rehearsed
from studio.core.recipe.settings import SettingSpec
from studio.runs.queue_file import name_of
from studio.ui.controls.editors import number_words
from studio.ui.controls.form import Form
from studio.ui.controls.layout import STRETCH, Card, add_all, hbox, scroll_area, vbox
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.text import button, label, line, say
from studio.ui.design.language import examples, gigabytes, tr
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, GAP_WIDE
from studio.ui.state.app_state import AppState
from studio.ui.train.choice_card import ChoiceCard
from studio.ui.train.fit_card import WIDTH as FIT_WIDTH
from studio.ui.train.fit_card import FitCard
from studio.ui.train.method_advice import MethodAdvice
from studio.ui.train.method_chooser import MethodChooser
from studio.ui.train.model_chooser import ModelChooser
from studio.ui.train.placement_chooser import CardsChooser, ClusterField
from studio.ui.train.untrained_card import UntrainedCard


def steps_estimate(recipe: Recipe, count: int) -> int:
    """Optimizer steps over `count` examples with a fully resolved recipe. An estimate: examples may drop out."""
    training = recipe.training
    batch, accumulation = training.batch_size or 1, training.gradient_accumulation_steps or 1
    a_pass = math.ceil(math.ceil(count / batch) / accumulation)
    return max(1, math.ceil(a_pass * (training.epochs or 1.0)))


class PlanCard(Card):
    """`step_requested` leads to what is missing."""

    step_requested = Signal(str)

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(tr("What will happen"), parent)
        self._app_state = app_state
        self.setFixedWidth(288)
        self.body.setSpacing(GAP_SMALL)
        self.body.addSpacing(GAP_SMALL)
        self.data, self.data_note = self._pair()
        self.kept_note = label("", "small")
        self.body.addWidget(self.kept_note)
        self.to_data = button(tr("Go to Data"), "link", lambda: self.step_requested.emit("data"))
        add_all(self.body, self.to_data, GAP)
        self.steps, self.steps_note = self._pair()
        self.body.addSpacing(GAP)
        self.device, self.device_note = self._pair()
        add_all(
            self.body,
            GAP,
            line(),
            GAP,
            label(tr("The best version is kept. Your data and the base model stay as they are."), "small"),
            STRETCH,
        )
        for changed in (app_state.recipe_changed, app_state.data_changed, app_state.model_changed):
            changed.connect(self.paint)
        app_state.snapshot_taken.connect(self._paint_device)
        self.paint()

    def _pair(self) -> tuple[QLabel, QLabel]:
        first, second = label(""), label("", "small")
        add_all(self.body, first, second)
        return first, second

    @Slot()
    def paint(self) -> None:
        app_state = self._app_state
        recipe = resolve_defaults(app_state.recipe, app_state.facts())
        count = len(app_state.data.examples) if app_state.data.examples is not None else None
        self.to_data.setVisible(count is None and not app_state.data.reading)
        if count is None:
            say(self.data, tr("Reading your data") if app_state.data.reading else tr("No examples yet"))
            say(self.data_note, "")
            say(self.kept_note, "")
            say(self.steps, "")
            say(self.steps_note, "")
        else:
            aside = math.floor(count * (recipe.data.validation_split or 0.0))
            say(self.data, tr("Learns from {examples}", examples=examples(count - aside)))
            note = (
                tr("{n} more {n:is|are} set aside for checking.", n=aside)
                if aside
                else tr("None is set aside for checking.")
            )
            say(self.data_note, note)
            mixed = rehearsed(recipe, count - aside)
            say(
                self.kept_note,
                tr("Also from {n} {n:answer|answers} of the base model itself.", n=mixed) if mixed else "",
            )
            steps = steps_estimate(recipe, count - aside + mixed)
            passes = number_words(recipe.training.epochs or 1.0)
            say(self.steps, tr("{n} {n:pass|passes}", n=passes))
            say(self.steps_note, tr("About {n} {n:step|steps}.", n=f"{steps:,}"))
        self._paint_device()

    @Slot()
    def _paint_device(self) -> None:
        snapshot = self._app_state.snapshot
        if snapshot is None:
            say(self.device, "")
            say(self.device_note, "")
            return
        card = next((one for one in snapshot.cards if one.problem is None), None)
        if card is not None:
            say(self.device, tr("On {card}", card=card.name or tr("the graphics card")))
            if card.free is None:
                say(self.device_note, tr("Free memory: not available."))
            else:
                say(self.device_note, tr("{size} of its memory is free now.", size=gigabytes(card.free)))
            return
        say(self.device, tr("On this computer's processor"))
        free = gigabytes(snapshot.system.available)
        say(self.device_note, tr("Slower than a graphics card. {size} of memory is free now.", size=free))


ELSEWHERE = frozenset({"model.source", "model.name", "model.parent", "data.path"})
"""Settings that have a place of their own: the model chooser above the form, the line below it, and the Data page."""


def settings_of(level: str) -> tuple[SettingSpec, ...]:
    return tuple(d for d in setting_specs() if d.setting.level == level and d.key not in ELSEWHERE)


NARROW = 760
"""Pixels below which form and cards don't fit side by side."""


class BeforeView(QWidget):
    """Model, presets and form in one column that scrolls; what will happen stays on the right, where there is room."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__()
        self._app_state = app_state
        content = QWidget()
        content.setObjectName("content")
        self.parent_line = NoticeBar("")
        self.parent_line.add(tr("Begin with the base model"), lambda: app_state.set_value("model.parent", ""))
        chooser = ModelChooser(app_state)
        self._column = vbox(chooser, self.parent_line, on=content, gap=GAP_WIDE, margins=(0, 0, GAP, 0))
        self._add_presets()
        self.simple = Card(tr("Settings"))
        self.method_advice = MethodAdvice(app_state)
        self.simple.body.addWidget(self.method_advice)
        self.forms = {"simple": Form(app_state, settings_of("simple"))}
        self.simple.body.addWidget(self.forms["simple"])
        self.cards = CardsChooser(app_state)
        self.simple.body.addWidget(self.cards)
        self._column.addWidget(self.simple)
        self.more = self._opener(tr("More settings"), "more")
        self.expert = self._opener(tr("Expert settings"), "expert")
        self._column.addStretch(1)
        self._side = self._make_side(app_state)
        hbox((scroll_area(content), 1), self._side, on=self, gap=GAP_PAGE)
        app_state.recipe_changed.connect(self._paint_presets)
        app_state.recipe_changed.connect(self._paint_parent)
        self._paint_parent()

    def _make_side(self, app_state: AppState) -> QScrollArea:
        """What stays while the form scrolls. Where the window is low it scrolls by itself."""
        self._cards = QWidget()
        self._cards.setObjectName("content")
        self._cards.setFixedWidth(FIT_WIDTH)  # else heights are worked out for a width that the cards don't have
        self.fit = FitCard(app_state)
        self.plan = PlanCard(app_state)
        self.untrained = UntrainedCard(app_state)
        beside_fit = vbox(self.plan, self.untrained, STRETCH, gap=GAP_WIDE)
        self._cards_layout = vbox(self.fit, beside_fit, STRETCH, on=self._cards, gap=GAP_WIDE)
        area = scroll_area(self._cards)
        area.setFixedWidth(FIT_WIDTH + area.verticalScrollBar().sizeHint().width() + GAP_SMALL)
        return area

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < NARROW
        if narrow == self._side.isHidden():
            return
        # in a narrow window the two cards stand side by side between presets and settings
        self._side.setHidden(narrow)
        self._cards.setFixedWidth(2 * FIT_WIDTH + GAP_WIDE if narrow else FIT_WIDTH)
        if narrow:
            self._cards_layout.setDirection(QBoxLayout.Direction.LeftToRight)
            self._column.insertWidget(self._column.indexOf(self.simple), self._side.takeWidget())
            self._cards.show()
        else:
            self._cards_layout.setDirection(QBoxLayout.Direction.TopToBottom)
            self._column.removeWidget(self._cards)
            self._side.setWidget(self._cards)

    def _add_presets(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(GAP)
        self.preset_cards: dict[str, ChoiceCard] = {}
        self._group = QButtonGroup(self)
        for i, preset in enumerate(self._app_state.presets):
            card = ChoiceCard(tr(preset.label), tr(preset.description))
            card.clicked.connect(partial(self._on_preset_chosen, preset))
            self._group.addButton(card)
            self.preset_cards[preset.key] = card
            grid.addWidget(card, i // 2, i % 2)
        self._column.addLayout(grid)
        self._paint_presets()

    def _on_preset_chosen(self, preset: Preset, _checked: bool = False) -> None:
        self._app_state.set_recipe(preset.applied(self._app_state.recipe))

    @Slot()
    def _paint_presets(self) -> None:
        key = self._app_state.preset_key
        self._group.setExclusive(False)  # none is chosen once a setting was changed by hand
        for name, card in self.preset_cards.items():
            card.setChecked(name == key)
        self._group.setExclusive(True)

    @Slot()
    def _paint_parent(self) -> None:
        parent = self._app_state.recipe.model.parent
        self.parent_line.setVisible(bool(parent))
        if parent:
            words = tr(
                "The run begins with what {run} learned, not with the bare base model.", run=name_of(Path(parent))
            )
            self.parent_line.words.setText(words)
            self.parent_line.setAccessibleName(words)

    def _opener(self, words: str, level: str) -> QPushButton:
        opener = button(words, "quiet")
        opener.setCheckable(True)
        place = Card()
        place.hide()
        add_all(self._column, hbox(opener, STRETCH), place)

        def toggle(on: bool) -> None:
            if on and level not in self.forms:  # most people never open it, so it is built only now
                if level == "more":
                    place.body.addWidget(MethodChooser(self._app_state))
                self.forms[level] = Form(self._app_state, settings_of(level))
                place.body.addWidget(self.forms[level])
                if level == "more":
                    self.cluster = ClusterField(self._app_state)
                    place.body.addWidget(self.cluster)
            place.setVisible(on)

        opener.toggled.connect(toggle)
        return opener
