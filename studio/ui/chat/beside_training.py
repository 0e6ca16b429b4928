"""What the chat shows while a model is trained: where it could answer meanwhile, or when it can, and the choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.text import button, label, say
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_WIDE

if TYPE_CHECKING:
    from studio.runs.chat.place import ChatPlace


class BesideTraining(QWidget):
    agreed = Signal()
    """The processor is to answer meanwhile."""
    training_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words = label("")
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.answer = button(tr("Answer on the processor"), "primary", self.agreed.emit)
        self.see = button(tr("See how it goes"), "", self.training_wanted.emit)
        buttons = hbox(STRETCH, self.see, self.answer, STRETCH)
        vbox((STRETCH, 2), self.words, buttons, (STRETCH, 3), on=self, gap=GAP_WIDE)
        self.show_place(None)

    def show_place(self, place: ChatPlace | None) -> None:
        """None until that is known."""
        said = [tr_sentence(one) for one in place.why] if place is not None else []
        say(self.words, " ".join(said) or tr("A model is being trained now."))
        self.answer.setVisible(place is not None and place.possible)
