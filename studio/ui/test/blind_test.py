"""The blind test: two answers side by side, and three buttons."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QWidget

from studio.core.events import Prediction
from studio.core.run_folder import RunFolder
from studio.core.storage import cannot_write
from studio.evaluation.blind import ENOUGH, Choice, Pair, Preferred, add_choice, blind_verdict, pairs, read_choices
from studio.ui.controls.layout import STRETCH, Card, add_all, hbox
from studio.ui.controls.text import button, label, say
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_SMALL, GAP_WIDE
from studio.ui.state.background import run_in_background


class BlindTestCard(Card):
    """Asks about the answers of the exam on show; what was chosen is kept in the run's folder. `failed` carries a
    `Problem`."""

    failed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Blind test"), parent)
        self._run: RunFolder | None = None
        self._predictions: Sequence[Prediction] = ()
        self._choices: list[Choice] = []
        self._left: list[Pair] = []
        self._asking = False
        self.words = label("")
        self.question = label("", "strong")
        self.first, self.second = _AnswerBox(tr("Answer A")), _AnswerBox(tr("Answer B"))
        self.grid = QWidget()
        grid = QGridLayout(self.grid)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP_WIDE)
        for column, box in enumerate((self.first, self.second)):
            grid.addWidget(box, 0, column)
            grid.setColumnStretch(column, 1)
        self.take_first = button(tr("A is better"), "", lambda: self._choose("first"))
        self.neither = button(tr("Both alike"), "quiet", lambda: self._choose("neither"))
        self.take_second = button(tr("B is better"), "", lambda: self._choose("second"))
        self.start = button(tr("Begin"), "", self._begin)
        self.stop = button(tr("That is enough"), "link", self._end)
        self.buttons = hbox(self.take_first, self.neither, self.take_second, STRETCH, self.stop)
        add_all(self.body, self.words, self.question, self.grid, self.buttons, hbox(self.start, STRETCH))
        self.hide()

    def show_answers(self, run: RunFolder, predictions: Sequence[Prediction]) -> None:
        """Take the answers of an exam. The choices made before are read beside the window."""
        if run == self._run and predictions is self._predictions:
            return
        self._run, self._predictions, self._asking = run, predictions, False

        def found(choices: list[Choice]) -> None:
            if run == self._run:
                self._choices = choices
                self._left = pairs(predictions, choices, secrets.randbits(32))
                self._paint()

        run_in_background(self, lambda: read_choices(run), found)

    def _begin(self) -> None:
        self._asking = True
        self._paint()
        self.take_first.setFocus(Qt.FocusReason.OtherFocusReason)

    def _end(self) -> None:
        self._asking = False
        self._paint()
        self.start.setFocus(Qt.FocusReason.OtherFocusReason)

    def _choose(self, which: str) -> None:
        pair, run = self._left.pop(0), self._run
        assert run is not None
        preferred: Preferred = "neither"
        if which != "neither":
            preferred = "run" if pair.trained_first == (which == "first") else "base"
        choice = Choice(index=pair.index, preferred=preferred)
        try:
            add_choice(run, choice)
        except OSError as error:
            self.failed.emit(cannot_write(run.blind_choices, error).problem)
        self._choices.append(choice)
        if not self._left or len(self._choices) % ENOUGH == 0:
            self._end()
        else:
            self._paint()

    def _paint(self) -> None:
        verdict, left = blind_verdict(self._choices), len(self._left)
        self.setVisible(bool(left or self._choices))
        pair = self._left[0] if self._asking and self._left else None
        for one in (self.question, self.grid, self.take_first, self.neither, self.take_second, self.stop):
            one.setVisible(pair is not None)
        self.start.setVisible(pair is None and left > 0)
        self.start.setText(tr("Go on") if self._choices else tr("Begin"))
        if pair is not None:
            done = len(self._choices) % ENOUGH + 1
            say(self.words, tr("Which answer is better? {n} of {total}", n=done, total=ENOUGH))
            self.question.setText(pair.question)
            self.first.show_text(pair.first)
            self.second.show_text(pair.second)
        elif verdict is not None:
            say(self.words, tr_sentence(verdict.text))
        elif self._choices:
            say(self.words, tr("{n} chosen so far; a verdict needs {total}.", n=len(self._choices), total=ENOUGH))
        else:
            say(self.words, tr("Two answers, and you aren't told whose they are: ten choices give a verdict."))


class _AnswerBox(QFrame):
    def __init__(self, head: str) -> None:
        super().__init__()
        self._head = head
        self.setProperty("card", "true")
        grid = QGridLayout(self)
        grid.setContentsMargins(GAP_WIDE, GAP_WIDE, GAP_WIDE, GAP_WIDE)
        grid.setVerticalSpacing(GAP_SMALL)
        self.text = label("")
        grid.addWidget(label(head, "small", wrap=False), 0, 0)
        grid.addWidget(self.text, 1, 0, Qt.AlignmentFlag.AlignTop)
        grid.setRowStretch(2, 1)

    def show_text(self, text: str) -> None:
        said = text if text.strip() else tr("(an empty answer)")
        self.text.setText(said)
        self.text.setAccessibleName(f"{self._head}: {said}")
