"""One model's side of a chat: its bubbles, newest at the bottom."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QWidget

from studio.ui.chat.conversation import Turn
from studio.ui.controls.layout import STRETCH, hbox, scroll_area, vbox
from studio.ui.controls.text import SELECTABLE, button, clear_layout_widget, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, GAP_WIDE, colours


class ChatColumn(QWidget):
    """`show_turns` paints a conversation; `show_turn` only what changed in one turn."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: list[tuple[Turn, Bubble, Bubble]] = []
        self.title = label(title, "strong", wrap=False)
        content = QWidget()
        content.setObjectName("content")
        self._column = vbox(STRETCH, on=content, gap=GAP_WIDE, margins=(0, 0, GAP, 0))
        self._area = scroll_area(content)
        self._area.setAccessibleName(title)
        self._area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # arrow keys scroll
        self._at_end = True
        bar = self._area.verticalScrollBar()
        bar.rangeChanged.connect(self._on_range_changed)
        bar.sliderMoved.connect(lambda _value: self._note_place())
        bar.actionTriggered.connect(lambda _action: self._note_place())
        vbox(self.title, (self._area, 1), on=self)
        self.setAccessibleName(title)

    def answers(self) -> list[Bubble]:
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


class Bubble(QWidget):
    """What a person wrote (right, tinted) or a model answered (left, plain, with time, length and Copy below)."""

    def __init__(self, text: str, *, mine: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mine = mine
        c = colours()
        frame = QFrame()
        frame.setObjectName("bubble")
        fill, line = (c.accent_soft, c.accent_soft) if mine else (c.surface, c.line)
        frame.setStyleSheet(f"QFrame#bubble {{ background: {fill}; border: 1px solid {line}; border-radius: 6px; }}")
        self.text = label("")
        self.text.setTextInteractionFlags(SELECTABLE)
        vbox(self.text, on=frame, margins=(GAP + GAP_SMALL, GAP, GAP + GAP_SMALL, GAP))
        column = vbox(frame, on=self, gap=0, margins=(GAP_PAGE if mine else 0, 0, 0 if mine else GAP_PAGE, 0))
        self.facts = label("", "small")
        self.copy = button(tr("Copy"), "link", self._copy)
        self.copy.setAccessibleName(tr("Copy this answer"))
        self._below = hbox((self.facts, 1), self.copy, gap=GAP_SMALL)
        self.facts.hide()
        self.copy.hide()
        if not mine:
            column.addLayout(self._below)
        self.set_text(text)

    def set_text(self, text: str) -> None:
        self.text.setText(text)
        who = tr("You wrote: {text}") if self.mine else tr("The model answered: {text}")
        self.text.setAccessibleName(who.replace("{text}", text))

    def show_turn(self, turn: Turn) -> None:
        ended = turn.ended
        if turn.given_up and not turn.text:
            self.set_text(tr("(no answer)"))
        elif ended is not None and not turn.text.strip():
            self.set_text(tr("(an empty answer)"))
        else:
            self.set_text(turn.text or "\N{HORIZONTAL ELLIPSIS}")
        self.copy.setVisible(not turn.waiting and bool(turn.text))
        self.facts.setVisible(ended is not None)
        if ended is not None:
            seconds = f"{ended.seconds:.1f}"
            self.facts.setText(
                tr("stopped after {seconds} s, {n} tokens", seconds=seconds, n=ended.tokens)
                if ended.stopped
                else tr("{seconds} s, {n} tokens", seconds=seconds, n=ended.tokens)
            )

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.text())
        self.copy.setText(tr("Copied"))
