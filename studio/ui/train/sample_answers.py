"""Answers while it learns: a few questions, and a slider through the times at which they were answered."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QGridLayout, QSlider, QWidget

from studio.core.events import SampleAnswered
from studio.core.run_state import RunState
from studio.ui.controls.layout import MIDDLE, Card, hbox
from studio.ui.controls.text import clear_layout_widget, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE

LONGEST = 400
"""Characters of an answer or a question that are shown."""


class SampleAnswersCard(Card):
    """Follows the newest answers until a person looks at earlier ones."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Answers while it learns"), parent)
        self._samples: list[SampleAnswered] = []
        self._steps: list[int] = []
        self._painted: tuple[int, ...] = ()
        self.when = label("", "small", wrap=False)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(tr("After which step"))
        self.slider.setPageStep(1)
        self.slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.slider.valueChanged.connect(self._on_moved)
        self.body.addLayout(hbox((self.slider, 1), (self.when, MIDDLE)))
        self.grid = QWidget()
        self.body.addWidget(self.grid)
        self.hide()

    def show_state(self, state: RunState) -> None:
        """The answers so far; nothing at all before the first."""
        if state.samples == self._samples:
            return
        newest = not self._steps or self.slider.value() == self.slider.maximum()
        self._samples = list(state.samples)
        self._steps = sorted({one.step for one in self._samples})
        self.setVisible(bool(self._steps))
        if not self._steps:
            return
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._steps) - 1)
        if newest:
            self.slider.setValue(len(self._steps) - 1)
        self.slider.blockSignals(False)
        self.slider.setEnabled(len(self._steps) > 1)
        self._on_moved()

    @Slot()
    def _on_moved(self) -> None:
        if not self._steps:
            return
        step = self._steps[self.slider.value()]
        last = self.slider.value() == self.slider.maximum()
        if step == 0:
            self.when.setText(tr("Before training"))
        else:
            self.when.setText(tr("After step {n}, the newest", n=step) if last else tr("After step {n}", n=step))
        self._paint(step)

    def _paint(self, step: int) -> None:
        now = (step, len(self._samples))
        if now == self._painted:
            return
        self._painted = now
        position = self.body.indexOf(self.grid)
        clear_layout_widget(self.grid)
        self.grid = QWidget()
        grid = QGridLayout(self.grid)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP_WIDE)
        grid.setVerticalSpacing(GAP_SMALL)
        first = self._steps[0]
        before = {one.index: one for one in self._samples if one.step == first}
        after = {one.index: one for one in self._samples if one.step == step}
        row = 0
        for index in sorted(before.keys() | after.keys()):
            asked = after.get(index) or before[index]
            grid.addWidget(label(_short(asked.question), "strong"), row, 0, 1, 2)
            heads = (tr("Before training") if first == 0 else tr("After step {n}", n=first), self.when.text())
            for column, (head, answers) in enumerate(zip(heads, (before, after), strict=True)):
                if column == 1 and step == first:
                    continue
                answer = answers.get(index)
                said = _answer_words(answer)
                shown = label(said)
                shown.setAccessibleName(f"{head}: {said}")
                grid.addWidget(label(head, "small", wrap=False), row + 1, column)
                grid.addWidget(shown, row + 2, column, Qt.AlignmentFlag.AlignTop)
            grid.setRowMinimumHeight(row + 3, GAP)
            row += 4
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        self.body.insertWidget(position, self.grid)


def _answer_words(answer: SampleAnswered | None) -> str:
    if answer is None:
        return tr("not answered yet")
    if not answer.answer.strip():
        return tr("(an empty answer)")
    return _short(answer.answer) + ("" if answer.ended else " …")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
