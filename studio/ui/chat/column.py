"""One model's side of a chat: its bubbles, newest at the bottom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QFrame, QPlainTextEdit, QPushButton, QWidget

from studio.core.events import ModelUnderTest
from studio.core.problems import Problem
from studio.ui.chat.markdown import markdown_html
from studio.ui.chat.turns import Turn
from studio.ui.controls.layout import STRETCH, FlowWidget, hbox, scroll_area, vbox
from studio.ui.controls.text import SELECTABLE, button, clear_layout_widget, combo_box, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, GAP_WIDE, colours

AT_ONCE = 20
"""Turns that get bubbles when a long conversation is opened, and with each press on what shows earlier ones."""


@dataclass(frozen=True)
class Choice:
    """A model that can be asked, or `apart`, which says why it can't."""

    model: ModelUnderTest
    title: str
    apart: Problem | None = None


class ChatColumn(QWidget):
    """`offer` says whom it may show; `show_turns` paints a conversation; `show_turn` only what changed in one turn."""

    model_chosen = Signal(object)
    """The `Choice` that a person made; whoever listens offers anew."""
    seed_wanted = Signal(int)
    """The next answers are to be drawn with this one."""

    edit_wanted = Signal(object)
    """The `Turn` whose question is to be asked in other words."""
    again_wanted = Signal(object)
    """The `Turn` whose answer is to be given anew."""
    rated = Signal(object, int)
    corrected = Signal(object, str)
    prompt_wanted = Signal(object)

    def __init__(self, model: ModelUnderTest, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self._choices: tuple[Choice, ...] = ()
        self._turns: Sequence[Turn] = ()
        self._shown: list[tuple[Turn, Question, Answer]] = []
        self._formatted = True
        self.title = label("", "strong", wrap=False)
        self.chooser = combo_box(tr("Who answers here"), ())
        self.chooser.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.chooser.setMinimumContentsLength(8)
        self.chooser.activated.connect(self._on_chosen)
        self.earlier = button("", "link", self._show_earlier)
        self._content = QWidget()
        self._content.setObjectName("content")
        self._column = vbox(self.earlier, STRETCH, on=self._content, gap=GAP_WIDE, margins=(0, 0, GAP, 0))
        self._area = scroll_area(self._content)
        self._area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # arrow keys scroll
        self._at_end = True
        bar = self._area.verticalScrollBar()
        bar.rangeChanged.connect(self._on_range_changed)
        bar.sliderMoved.connect(lambda _value: self._note_place())
        bar.actionTriggered.connect(lambda _action: self._note_place())
        vbox(self.title, self.chooser, (self._area, 1), on=self)
        self._say_earlier()

    def offer(self, choices: tuple[Choice, ...], chosen: ModelUnderTest) -> None:
        """Whom it may show, and whom it shows. With one alone there is nothing to choose."""
        self.model = chosen
        title = next((one.title for one in choices if one.model == chosen), chosen.name)
        if choices != self._choices:
            self._choices = choices
            self.chooser.clear()
            for one in choices:
                self.chooser.addItem(one.title if one.apart is None else tr("{title} (not now)", title=one.title))
                self.chooser.setItemData(self.chooser.count() - 1, one.title, Qt.ItemDataRole.ToolTipRole)
        models = [one.model for one in choices]
        self.chooser.setCurrentIndex(models.index(chosen) if chosen in models else -1)
        self.chooser.setVisible(len(choices) > 1)
        self.title.setVisible(len(choices) <= 1)
        self.title.setText(title)
        self.setAccessibleName(title)
        self._area.setAccessibleName(title)

    def _on_chosen(self, position: int) -> None:
        self.model_chosen.emit(self._choices[position])

    def questions(self) -> list[Question]:
        return [question for _, question, _ in self._shown]

    def answers(self) -> list[Answer]:
        return [answer for _, _, answer in self._shown]

    def set_formatted(self, formatted: bool) -> None:
        """Whether Markdown is shown as what it means, or as it was written."""
        self._formatted = formatted
        for turn, _, answer in self._shown:
            answer.formatted = formatted
            answer.show_turn(turn, last=turn is self._turns[-1])

    def show_turns(self, turns: Sequence[Turn]) -> None:
        """Make bubbles for turns that have none yet; start over when these aren't the same turns any more."""
        known = [turn for turn, _, _ in self._shown]
        first = next((place for place, turn in enumerate(turns) if known and turn is known[0]), None)
        if known and (first is None or list(turns[first : first + len(known)]) != known):
            self._clear()
            known = []
        self._turns = turns
        new = turns[first + len(known) :] if known and first is not None else turns[-AT_ONCE:]
        for turn in new:
            self._add(len(self._shown), turn)
            self._at_end = True
        if new and len(self._shown) > len(new):  # the one before isn't the last any more
            previous, _, answer = self._shown[-len(new) - 1]
            answer.show_turn(previous, last=False)
        self._say_earlier()

    def show_turn(self, turn: Turn) -> None:
        for known, _, answer in reversed(self._shown):
            if known is turn:
                answer.show_turn(turn, last=turn is self._turns[-1])
                return

    def _add(self, place: int, turn: Turn) -> None:
        question = Question(turn.question, partial(self.edit_wanted.emit, turn))
        answer = Answer(self, turn, self._formatted)
        for offset, bubble in enumerate((question, answer)):
            self._column.insertWidget(1 + 2 * place + offset, bubble)
        self._shown.insert(place, (turn, question, answer))
        answer.show_turn(turn, last=turn is self._turns[-1])

    def _clear(self) -> None:
        for _, question, answer in self._shown:
            clear_layout_widget(question)
            clear_layout_widget(answer)
        self._shown = []

    def _hidden(self) -> int:
        return len(self._turns) - len(self._shown)

    def _show_earlier(self) -> None:
        hidden = self._hidden()
        bar = self._area.verticalScrollBar()
        from_end = bar.maximum() - bar.value()
        self._at_end = False
        for place, turn in enumerate(self._turns[max(0, hidden - AT_ONCE) : hidden]):
            self._add(place, turn)
        self._say_earlier()
        self._content.adjustSize()
        bar.setValue(bar.maximum() - from_end)

    def _say_earlier(self) -> None:
        self.earlier.setVisible(self._hidden() > 0)
        self.earlier.setText(tr("Show earlier messages ({n:,})", n=self._hidden()))

    def _on_range_changed(self, _least: int, most: int) -> None:
        if self._at_end:
            self._area.verticalScrollBar().setValue(most)

    def _note_place(self) -> None:
        # who scrolls up to read isn't pulled down again by an answer that grows
        bar = self._area.verticalScrollBar()
        self._at_end = bar.sliderPosition() >= bar.maximum() - 8


class _Bubble(QWidget):
    """A text in a frame, with small buttons below."""

    def __init__(self, *, mine: bool) -> None:
        super().__init__()
        c = colours()
        self.frame = QFrame()
        self.frame.setObjectName("bubble")
        fill, line = (c.accent_soft, c.accent_soft) if mine else (c.surface, c.line)
        self.frame.setStyleSheet(
            f"QFrame#bubble {{ background: {fill}; border: 1px solid {line}; border-radius: 6px; }}"
        )
        self.text = label("")
        self.text.setTextInteractionFlags(SELECTABLE)
        self.inside = vbox(self.text, on=self.frame, margins=(GAP + GAP_SMALL, GAP, GAP + GAP_SMALL, GAP))
        margins = (GAP_PAGE if mine else 0, 0, 0 if mine else GAP_PAGE, 0)
        self.column = vbox(self.frame, on=self, gap=2, margins=margins)


class Question(_Bubble):
    """What a person wrote: right, tinted."""

    def __init__(self, text: str, on_edit: Callable[[], object]) -> None:
        super().__init__(mine=True)
        self.text.setText(text)
        self.text.setAccessibleName(tr("You wrote: {text}").replace("{text}", text))
        self.edit = button(tr("Edit"), "link", on_edit)
        self.edit.setAccessibleName(tr("Edit this question and ask again"))
        self.column.addLayout(hbox(STRETCH, self.edit))


class Answer(_Bubble):
    """What a model answered: left, plain, with time and length, and what can be done with it, below."""

    def __init__(self, column: ChatColumn, turn: Turn, formatted: bool) -> None:
        super().__init__(mine=False)
        self._chat = column
        self._turn = turn
        self._plain: str | None = None
        self._shown_formatted = False
        self.formatted = formatted
        self.facts = label("", "small", wrap=False)
        self.copy = self._action(tr("Copy"), tr("Copy this answer"), self._copy)
        self.good = self._action(
            tr("Good"), tr("This answer is good: kept for the next training"), lambda: self._rate(1)
        )
        self.wrong = self._action(
            tr("Wrong"), tr("This answer is wrong: kept for the next training"), lambda: self._rate(-1)
        )
        self.correct = self._action(tr("Correct it"), tr("Write what the answer should be"), self._edit)
        self.again = self._action(tr("Again"), tr("Let it answer once more"), lambda: column.again_wanted.emit(turn))
        self.seed = self._action("", tr("Draw the next answers with the seed of this one"), self._keep_seed)
        self.prompt = self._action(tr("Prompt"), tr("See what was sent"), lambda: column.prompt_wanted.emit(turn))
        self.overflow = label("", "small")
        self.overflow.hide()
        self._below = FlowWidget(gap=GAP_SMALL)
        self.facts.setFixedHeight(self.copy.sizeHint().height())
        for widget in (self.facts, self.copy, self.good, self.wrong, self.correct, self.again, self.seed, self.prompt):
            self._below.flow.addWidget(widget)
        self._below.hide()
        self.column.addWidget(self._below)
        self.column.addWidget(self.overflow)
        self.editor: QPlainTextEdit | None = None
        self._editing: QWidget | None = None

    def show_turn(self, turn: Turn, *, last: bool) -> None:
        record = turn.record
        if not turn.text and not turn.waiting and not turn.ended:
            self._show_text(tr("(no answer)"), formatted=False)
        elif turn.ended and not turn.text.strip():
            self._show_text(tr("(an empty answer)"), formatted=False)
        else:
            self._show_text(turn.text or "\N{HORIZONTAL ELLIPSIS}", formatted=self.formatted and bool(turn.text))
        there = not turn.waiting and bool(turn.text)
        self.facts.setText(self._facts(turn))
        self.facts.setVisible(bool(self.facts.text()))
        for widget in (self.copy, self.good, self.wrong, self.correct):
            widget.setVisible(there)
        self.again.setVisible(last and not turn.waiting)
        self.seed.setVisible(there and record.seed is not None)
        self.seed.setText(tr("Seed {seed}", seed=record.seed) if record.seed is not None else "")
        self.prompt.setVisible(turn.prompt is not None)
        self.good.setText("\N{CHECK MARK} " + tr("Good") if record.rating > 0 else tr("Good"))
        self.wrong.setText("\N{MULTIPLICATION X} " + tr("Wrong") if record.rating < 0 else tr("Wrong"))
        self._below.setVisible(not turn.waiting or turn.prompt is not None)
        self._below.fit()
        overflow = turn.prompt.overflow if turn.prompt is not None else 0
        told = [tr("Cut off: it reached the longest answer that is allowed.")] if record.cut else []
        if overflow:
            told.append(
                tr(
                    "The {n:,} oldest {n:message no longer fits|messages no longer fit} into what the model reads at "
                    "once.",
                    n=overflow,
                )
            )
        self.overflow.setVisible(bool(told))
        self.overflow.setText("\n".join(told))

    def _facts(self, turn: Turn) -> str:
        record = turn.record
        if record.correction:
            return tr("corrected by you")
        if record.seconds is None:
            return tr("not finished") if turn.given_up and turn.text else ""
        return (
            tr("stopped after {seconds} s, {n} {n:token|tokens}", seconds=f"{record.seconds:.1f}", n=record.tokens or 0)
            if record.stopped
            else tr("{seconds} s, {n} {n:token|tokens}", seconds=f"{record.seconds:.1f}", n=record.tokens or 0)
        )

    def _show_text(self, text: str, *, formatted: bool) -> None:
        if text == self._plain and formatted == self._shown_formatted:
            return
        self._plain, self._shown_formatted = text, formatted
        self.text.setTextFormat(Qt.TextFormat.RichText if formatted else Qt.TextFormat.PlainText)
        self.text.setText(markdown_html(text) if formatted else text)
        self.text.setAccessibleName(tr("The model answered: {text}").replace("{text}", text))

    def plain_text(self) -> str:
        """What is shown, as it was written."""
        return self._plain or ""

    def _action(self, text: str, name: str, on_click: Callable[[], object]) -> QPushButton:
        made = button(text, "link", on_click)
        made.setAccessibleName(name)
        made.setToolTip(name)
        return made

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._turn.text)
        self.copy.setText(tr("Copied"))
        self._below.fit()

    def _keep_seed(self) -> None:
        if self._turn.record.seed is not None:
            self._chat.seed_wanted.emit(self._turn.record.seed)

    def _rate(self, rating: int) -> None:
        """Pressed twice, it is taken back."""
        self._chat.rated.emit(self._turn, 0 if self._turn.record.rating == rating else rating)

    def _edit(self) -> None:
        if self._editing is not None:
            return
        self.editor = QPlainTextEdit(self._turn.text)
        self.editor.setAccessibleName(tr("What the answer should be"))
        self.editor.setTabChangesFocus(True)
        self.editor.setMinimumHeight(90)
        self.save = button(tr("Add to the data"), "", self._save)
        cancel = button(tr("Cancel"), "link", self._end_editing)
        self._editing = QWidget()
        vbox(self.editor, hbox(self.save, cancel, STRETCH), on=self._editing)
        self.inside.addWidget(self._editing)
        self.text.hide()
        self.editor.setFocus()

    def _save(self) -> None:
        if self.editor is not None and (text := self.editor.toPlainText().strip()):
            self._chat.corrected.emit(self._turn, text)
            self._end_editing()

    def _end_editing(self) -> None:
        if self._editing is not None:
            clear_layout_widget(self._editing)
            self.editor = self._editing = None
            self.text.show()
