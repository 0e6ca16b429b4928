"""How a model should answer in a chat: standing instructions, creativity, length."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPlainTextEdit, QSlider, QSpinBox, QWidget

from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.text import button, combo_box, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE, colours

STEP = 0.1
MOST = 15
"""Steps of the slider: creativity goes up to 1.5; beyond that small models only babble."""


class AnswerSettings(QWidget):
    """`sides` tells which models answer; the rest goes with every question."""

    sides_changed = Signal()
    new_conversation = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fresh = button(tr("New conversation"), "", self.new_conversation.emit)

        self._sides_label = label(tr("Who answers"))
        sides = ((tr("Both, side by side"), "both"), (tr("The trained model"), "run"), (tr("The base model"), "base"))
        self.sides = combo_box(tr("Who answers"), sides)
        self.sides.currentIndexChanged.connect(lambda _index: self.sides_changed.emit())
        self._sides_gap = QWidget()
        self._sides_gap.setFixedHeight(GAP)

        self.instructions = QPlainTextEdit(
            placeholderText=tr("Told to the model before every conversation."), tabChangesFocus=True
        )
        self.instructions.setAccessibleName(tr("Instructions"))
        self.instructions.setMinimumHeight(72)
        self.instructions.setMaximumHeight(160)

        self.creativity = QSlider(Qt.Orientation.Horizontal)
        self.creativity.setRange(0, MOST)
        self.creativity.setPageStep(2)
        self.creativity.setMinimumHeight(28)
        self.creativity.setAccessibleName(tr("Creativity"))
        self.creativity.setStyleSheet(_slider_look())
        self.creativity_words = label("", "small")
        self.creativity.valueChanged.connect(lambda _value: self._describe())

        self.length = QSpinBox()
        self.length.setRange(16, 4096)
        self.length.setSingleStep(16)
        self.length.setValue(256)
        self.length.lineEdit().setTextMargins(6, 0, 0, 0)
        self.length.setAccessibleName(tr("Longest answer in tokens"))
        vbox(
            self.fresh,
            GAP_WIDE,
            self._sides_label,
            self.sides,
            self._sides_gap,
            _named(tr("Instructions"), tr("system prompt")),
            self.instructions,
            GAP,
            _named(tr("Creativity"), tr("temperature")),
            self.creativity,
            self.creativity_words,
            GAP,
            _named(tr("Longest answer"), tr("tokens")),
            self.length,
            STRETCH,
            on=self,
            gap=GAP_SMALL,
        )
        self._describe()

    @property
    def temperature(self) -> float:
        return round(self.creativity.value() * STEP, 2)

    def set_fine_tuned(self, fine_tuned: bool) -> None:
        """Whether there is a trained model to choose."""
        for widget in (self._sides_label, self.sides, self._sides_gap):
            widget.setVisible(fine_tuned)

    def _describe(self) -> None:
        value = self.temperature
        if value == 0:
            words = tr("None: the same question always gets the same answer.")
        elif value < 0.6:
            words = tr("{value}: a little variety.", value=f"{value:.1f}")
        elif value <= 1.0:
            words = tr("{value}: lively.", value=f"{value:.1f}")
        else:
            words = tr("{value}: surprising, often wrong.", value=f"{value:.1f}")
        self.creativity_words.setText(words)
        self.creativity.setAccessibleDescription(words)


def _slider_look() -> str:
    c = colours()
    return (
        f"QSlider::groove:horizontal {{ height: 4px; background: {c.field_line}; border-radius: 2px; }}"
        f"QSlider::sub-page:horizontal {{ height: 4px; background: {c.accent}; border-radius: 2px; }}"
        f"QSlider::handle:horizontal {{ width: 16px; height: 16px; margin: -6px 0; border-radius: 8px;"
        f" background: {c.accent}; border: none; }}"
        f"QSlider::handle:horizontal:focus {{ border: 2px solid {c.text}; width: 12px; height: 12px; }}"
    )


def _named(text: str, term: str) -> QWidget:
    row = QWidget()
    hbox(label(text, wrap=False), (label(term, "term", wrap=False), 1), on=row)
    return row
