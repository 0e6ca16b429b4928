"""How a model should answer in a chat: standing instructions, memory, creativity, length."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QPlainTextEdit, QProgressBar, QSlider, QSpinBox, QWidget

from studio.chat.memories import MEMORIES, Memory, memory_named
from studio.core.events import MOST_SEED, PromptSent
from studio.core.translatable import sentence
from studio.ui.chat.turns import GenerationSettings
from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.text import button, combo_box, label, say
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL, colours

STEP = 0.1
MOST = 15
"""Steps of the slider: creativity goes up to 1.5; beyond that small models only babble."""


class AnswerSettings(QWidget):
    """`sides` tells how many models answer; the rest goes with every question."""

    sides_changed = Signal()
    formatting_changed = Signal(bool)
    kept_wanted = Signal()
    """To see what the memory keeps."""
    examples_wanted = Signal()
    """To choose which examples stand in the prompt."""
    serve_wanted = Signal()
    """To let other programs ask the model, or not any more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sides_label = label(tr("Who answers"))
        sides = ((tr("Two models, side by side"), "both"), (tr("One model"), "one"))
        self.sides = combo_box(tr("Who answers"), sides)
        self.sides.currentIndexChanged.connect(lambda _index: self.sides_changed.emit())
        self._sides_gap = QWidget()
        self._sides_gap.setFixedHeight(GAP)

        self.instructions = QPlainTextEdit(
            placeholderText=tr("Told to the model before every conversation."), tabChangesFocus=True
        )
        self.instructions.setAccessibleName(tr("Instructions"))
        self.instructions.setMinimumHeight(72)
        self.instructions.setMaximumHeight(112)

        self.examples = button(tr("Choose ..."), "link", self.examples_wanted.emit)
        self.examples.setAccessibleName(tr("Choose examples for the prompt"))
        self.examples_words = label(tr("None."), "small")

        self.creativity = QSlider(Qt.Orientation.Horizontal)
        self.creativity.setRange(0, MOST)
        self.creativity.setPageStep(2)
        self.creativity.setMinimumHeight(28)
        self.creativity.setAccessibleName(tr("Creativity"))
        self.creativity.setStyleSheet(_slider_look())
        self.creativity_words = label("", "small")
        self.creativity.valueChanged.connect(lambda _value: self._describe())
        self.fixed_seed = QCheckBox(tr("Draw with the same seed"))
        self.fixed_seed.setToolTip(
            tr("The same question, settings and seed give the same answer. Without it, each question gets a new seed.")
        )
        self.fixed_seed.setAccessibleDescription(self.fixed_seed.toolTip())
        self.fixed_seed.toggled.connect(lambda _on: self._describe())
        self.seed = QSpinBox()
        self.seed.setRange(0, MOST_SEED)
        self.seed.lineEdit().setTextMargins(6, 0, 0, 0)
        self.seed.setAccessibleName(tr("Seed"))

        self.length = QSpinBox()
        self.length.setRange(16, 4096)
        self.length.setSingleStep(16)
        self.length.setValue(256)
        self.length.lineEdit().setTextMargins(6, 0, 0, 0)
        self.length.setAccessibleName(tr("Longest answer in tokens"))

        self.memory = combo_box(tr("Memory of this chat"), ((tr(one.title), one.name) for one in MEMORIES))
        self.memory.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.memory.setMinimumContentsLength(8)
        self.amount = QSpinBox()
        self.amount.lineEdit().setTextMargins(6, 0, 0, 0)
        self._amounts: dict[str, int] = {}
        self.memory_words = label("", "small")
        self.memory_meter = QProgressBar(textVisible=False)
        self.memory_meter.setFixedHeight(6)
        self.memory_meter.setAccessibleName(tr("How full the memory is"))
        self.memory_use = label("", "small")
        self.kept = button(tr("What it remembers"), "link", self.kept_wanted.emit)
        self.memory.currentIndexChanged.connect(lambda _index: self._on_memory_chosen())
        self.amount.valueChanged.connect(self._on_amount_chosen)

        self.serve = button(tr("Other programs ..."), "link", self.serve_wanted.emit)
        self.serve.setAccessibleName(tr("Let other programs on this computer ask the model"))
        self.formatting = QCheckBox(tr("Show formatting"))
        self.formatting.setChecked(True)
        self.formatting.setToolTip(tr("Answers with headings, lists, code and tables (Markdown)."))
        self.formatting.toggled.connect(self.formatting_changed)
        vbox(
            self._sides_label,
            self.sides,
            self._sides_gap,
            _named(tr("Instructions"), tr("system prompt")),
            self.instructions,
            GAP,
            _named(tr("Examples in the prompt"), tr("few-shot")),
            hbox((self.examples_words, 1), self.examples),
            GAP,
            _named(tr("Memory of this chat"), tr("context")),
            self.memory,
            self.amount,
            self.memory_words,
            self.memory_meter,
            self.memory_use,
            hbox(self.kept, STRETCH),
            GAP,
            _named(tr("Creativity"), tr("temperature")),
            self.creativity,
            self.creativity_words,
            self.fixed_seed,
            self.seed,
            GAP,
            _named(tr("Longest answer"), tr("tokens")),
            self.length,
            GAP,
            self.formatting,
            hbox(self.serve, STRETCH),
            STRETCH,
            on=self,
            gap=GAP_SMALL,
            margins=(0, 0, GAP, 0),
        )
        self._describe()
        self._on_memory_chosen()
        self.show_use(None)

    @property
    def temperature(self) -> float:
        return round(self.creativity.value() * STEP, 2)

    @property
    def chosen_seed(self) -> int | None:
        """None for a new one with each question."""
        return self.seed.value() if self.fixed_seed.isChecked() else None

    def keep_seed(self, seed: int) -> None:
        self.seed.setValue(seed)
        self.fixed_seed.setChecked(True)

    @property
    def chosen_memory(self) -> Memory:
        return memory_named(str(self.memory.currentData()))

    @property
    def memory_amount(self) -> int:
        chosen = self.chosen_memory
        return self._amounts.get(chosen.name, chosen.amount)

    def choose_memory(self, name: str, amount: int) -> None:
        """Show what a conversation was with."""
        memory = memory_named(name)
        self._amounts[memory.name] = min(max(amount, memory.least), memory.most)
        self.memory.setCurrentIndex(self.memory.findData(memory.name))
        self._on_memory_chosen()

    def show_settings(self, chosen: GenerationSettings) -> None:
        """What was asked with before the page was made anew. Examples in the prompt are kept elsewhere."""
        self.instructions.setPlainText(chosen.instructions)
        self.creativity.setValue(round(chosen.temperature / STEP))
        self.length.setValue(chosen.max_tokens)
        if chosen.seed is not None:
            self.keep_seed(chosen.seed)
        self.choose_memory(chosen.memory, chosen.amount)

    def show_use(self, prompt: PromptSent | None) -> None:
        """How much of what the model can read at once the newest prompt took."""
        self.memory_meter.setVisible(prompt is not None)
        if prompt is None:
            say(self.memory_use, "")
            return
        self.memory_meter.setRange(0, prompt.context_length)
        self.memory_meter.setValue(min(prompt.tokens, prompt.context_length))
        say(self.memory_use, "\n".join(prompt_facts(prompt)))

    def _on_memory_chosen(self) -> None:
        memory = self.chosen_memory
        amount = self.memory_amount
        self.amount.setVisible(memory.least < memory.most)
        self.kept.setVisible(memory.keeps_facts)
        self.amount.blockSignals(True)
        self.amount.setRange(memory.least, memory.most)
        self.amount.setSingleStep(64 if memory.limit == "tokens" else 1)
        self.amount.setValue(amount)
        self.amount.blockSignals(False)
        self.amount.setAccessibleName(tr("Tokens") if memory.limit == "tokens" else tr("Questions"))
        self._describe_memory()

    def _on_amount_chosen(self, value: int) -> None:
        self._amounts[self.chosen_memory.name] = value
        self._describe_memory()

    def _describe_memory(self) -> None:
        self.memory_words.setText(tr_sentence(sentence(self.chosen_memory.keeps, amount=self.memory_amount)))

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
        self.fixed_seed.setVisible(value > 0)
        self.seed.setVisible(value > 0 and self.fixed_seed.isChecked())
        self.creativity.setAccessibleDescription(words)


def prompt_facts(prompt: PromptSent) -> list[str]:
    """How long a prompt is, and what of the conversation it holds and lacks."""
    lines = [tr("{n:,} of {total:,} tokens", n=prompt.tokens, total=prompt.context_length)]
    if prompt.facts:
        lines.append(tr("Facts told from before: {n:,}", n=prompt.facts))
    if prompt.found:
        lines.append(tr("Earlier questions found by meaning: {n:,}", n=prompt.found))
        if prompt.hardly_known:
            lines.append(tr("The base model hardly knows this language: mostly their words found them."))
    if prompt.left_out:
        lines.append(tr("Earlier messages that it drops: {n:,}", n=prompt.left_out))
    if prompt.overflow:
        lines.append(tr("Earlier messages that didn't fit: {n:,}", n=prompt.overflow))
    if prompt.examples_overflow:
        lines.append(tr("Examples that didn't fit: {n:,}", n=prompt.examples_overflow))
    return lines


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
