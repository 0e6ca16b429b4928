"""What is learned from the examples, where they can be learned in more than one way: a press each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QRadioButton, QWidget

from studio.core.recipe.objective import Dpo, Kto, Objective, ObjectiveName, Supervised
from studio.core.recipe.recipe import Recipe
from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.text import label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL, GAP_WIDE

if TYPE_CHECKING:
    from studio.dataset.quality.report import ExamplesAbout


class ObjectiveChoice(QWidget):
    """`chosen` carries the kind of an objective that a person pressed. Hidden where there is nothing to say."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: dict[ObjectiveName, QRadioButton] = {}
        group = QButtonGroup(self)
        names: dict[ObjectiveName, str] = {
            "supervised": tr("Learn the better answers"),
            "dpo": tr("Learn to prefer the better ones"),
            "kto": tr("Learn from good and bad ones"),
        }
        for kind, name in names.items():
            self.buttons[kind] = QRadioButton(name)
            self.buttons[kind].clicked.connect(partial(self._on_clicked, kind))
            group.addButton(self.buttons[kind])
        self.words = label("", "small")
        vbox(hbox(*self.buttons.values(), STRETCH, gap=GAP_WIDE), self.words, on=self, gap=GAP_SMALL)
        self.hide()

    def _on_clicked(self, kind: ObjectiveName, _checked: bool = False) -> None:
        self.chosen.emit(kind)

    def show_recipe(self, recipe: Recipe, about: ExamplesAbout | None) -> None:
        """Offer what the columns allow; `about` counts pairs and marks once the examples are made."""
        mapping = recipe.data.mapping
        chat = bool(recipe.data.corrections)  # what was corrected is a pair, and what was marked has a mark
        fitting = (("dpo", mapping.has_pairs or chat), ("kto", bool(mapping.desirable) or chat))
        offered = [kind for kind, fits in fitting if fits]
        for kind, made in self.buttons.items():
            made.setVisible(bool(offered) and (kind == "supervised" or kind in offered))
            made.setChecked(kind == recipe.objective.kind)
        better, good = tr("Learn the better answers"), tr("Learn the good answers")
        self.buttons["supervised"].setText(better if "dpo" in offered else good)
        if offered:
            self.words.setText(_words(recipe.objective, about))
        else:
            self.words.setText(_words_on_text(recipe) if mapping.text else "")
        self.setVisible(bool(self.words.text()))


def _words(objective: Objective, about: ExamplesAbout | None) -> str:
    match objective:
        case Supervised():
            return tr("The model learns to answer like that. What makes an answer worse isn't learned.")
        case Dpo():
            words = tr(
                "The model learns what makes an answer better than another one. It stays close to how it answers now."
            )
            counted = tr("{pairs} {pairs:pair|pairs}.", pairs=f"{about.pairs:,}") if about is not None else ""
        case Kto():
            words = tr("Good answers become likelier, bad ones less likely. It stays close to how it answers now.")
            counted = (
                tr("{good} good, {bad} bad.", good=f"{about.good:,}", bad=f"{about.bad:,}") if about is not None else ""
            )
    return f"{counted} {words}".strip()


def _words_on_text(recipe: Recipe) -> str:
    limit = f"{recipe.training.max_length:,}"
    if recipe.data.truncation == "leave_out":
        return tr("The texts are learned as they stand. Those with more than {limit} tokens are left out.", limit=limit)
    return tr(
        "All of the text is learned as it stands, in pieces of at most {limit} tokens. Nothing of it is lost.",
        limit=limit,
    )
