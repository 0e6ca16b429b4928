"""One model's side of a chat: its bubbles, newest at the bottom."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.ui.chat.bubble import Bubble
from studio.ui.chat.conversation import Turn
from studio.ui.controls.page import scroll_area
from studio.ui.controls.text import clear_layout_widget, label
from studio.ui.design.theme import GAP, GAP_WIDE


class ChatColumn(QWidget):
    """`show_turns` paints a conversation; `show_turn` only what changed in one turn."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: list[tuple[Turn, Bubble, Bubble]] = []
        self.title = label(title, "strong", wrap=False)
        content = QWidget()
        content.setObjectName("content")
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(0, 0, GAP, 0)
        self._column.setSpacing(GAP_WIDE)
        self._column.addStretch(1)
        self._area = scroll_area(content)
        self._area.setAccessibleName(title)
        self._area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # arrow keys scroll
        self._at_end = True
        bar = self._area.verticalScrollBar()
        bar.rangeChanged.connect(self._on_range_changed)
        bar.sliderMoved.connect(lambda _value: self._note_place())
        bar.actionTriggered.connect(lambda _action: self._note_place())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.title)
        layout.addWidget(self._area, 1)
        self.setAccessibleName(title)

    def answers(self) -> list[Bubble]:
        """The answers' bubbles, oldest first."""
        return [answer for _, _, answer in self._shown]

    def show_turns(self, turns: Sequence[Turn]) -> None:
        """Make bubbles for turns that have none yet; start over when these aren't the same turns any more."""
        known = [turn for turn, _, _ in self._shown]
        if known != list(turns[: len(known)]):
            for _, question, answer in self._shown:
                clear_layout_widget(question)
                clear_layout_widget(answer)
            self._shown = []
        for turn in turns[len(self._shown) :]:
            question, answer = Bubble(turn.question, mine=True), Bubble("", mine=False)
            for bubble in (question, answer):
                self._column.insertWidget(self._column.count() - 1, bubble)
            self._shown.append((turn, question, answer))
            self._at_end = True
            self.show_turn(turn)

    def show_turn(self, turn: Turn) -> None:
        """Bring one answer up to date."""
        for known, _, answer in reversed(self._shown):
            if known is turn:
                answer.show_turn(turn)
                return

    def _on_range_changed(self, _least: int, most: int) -> None:
        if self._at_end:
            self._area.verticalScrollBar().setValue(most)

    def _note_place(self) -> None:
        # who scrolls up to read isn't pulled down again by an answer that grows
        bar = self._area.verticalScrollBar()
        self._at_end = bar.sliderPosition() >= bar.maximum() - 8
