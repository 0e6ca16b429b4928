"""The blind test: two answers side by side, three buttons, and questions of one's own."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLineEdit, QWidget

from studio.core.events import OwnQuestionAnswered, Prediction
from studio.core.job_states import ExamState
from studio.core.problems import ProblemError
from studio.core.run_folder import RunFolder
from studio.core.storage import cannot_write
from studio.evaluation.blind import (
    ENOUGH,
    Choice,
    Pair,
    Preferred,
    add_choice,
    blind_verdict,
    choice_of,
    pairs,
    read_choices,
)
from studio.runs.project import Project, project_of
from studio.ui.controls.layout import STRETCH, Card, add_all, follow, hbox, vbox
from studio.ui.controls.text import ElidedLabel, button, clear_layout_widget, label, say, tool_button
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_SMALL, GAP_WIDE
from studio.ui.state.background import run_in_background

LONGEST_QUESTION = 2000
"""Characters."""


class BlindTestCard(Card):
    """Asks about the answers of the exam on show; what was chosen is kept in the run's folder, a person's own questions
    in the project's. `failed` carries a `Problem`; `answers_wanted` says that own questions wait for answers."""

    failed = Signal(object)
    answers_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Blind test"), parent)
        self._run: RunFolder | None = None
        self._predictions: Sequence[Prediction] = ()
        self._own: Sequence[OwnQuestionAnswered] = ()
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
        self.own = OwnQuestions()
        self.own.failed.connect(self.failed)
        self.own.answers_wanted.connect(self.answers_wanted)
        add_all(self.body, self.words, self.question, self.grid, self.buttons, hbox(self.start, STRETCH), self.own)
        self.hide()

    def show_answers(self, run: RunFolder, exam: ExamState) -> None:
        """Take the answers of an exam. The choices made before are read beside the window."""
        if run == self._run and exam.predictions is self._predictions:
            return
        self._run, self._predictions, self._own, self._asking = run, exam.predictions, exam.own, False

        def found(kept: tuple[list[Choice], tuple[str, ...]]) -> None:
            if run == self._run:
                self._choices, questions = kept
                self._left = pairs(exam.predictions, self._choices, secrets.randbits(32), exam.own)
                self.own.show_questions(project_of(run), questions, {one.question for one in exam.own})
                self._paint()

        run_in_background(self, lambda: (read_choices(run), project_of(run).own_questions()), found)

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
        choice = choice_of(pair, preferred)
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
        self.show()
        pair = self._left[0] if self._asking and self._left else None
        for one in (self.question, self.grid, self.take_first, self.neither, self.take_second, self.stop):
            one.setVisible(pair is not None)
        self.own.setVisible(pair is None)
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
        elif not left:
            say(self.words, tr("Both models gave the same answers. With questions of your own they may differ."))
        else:
            say(self.words, tr("Two answers, and you aren't told whose they are: ten choices give a verdict."))


class OwnQuestions(QWidget):
    """A person's own questions: added one by one, kept in the project, and answered by both models when asked for."""

    failed = Signal(object)
    answers_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project: Project | None = None
        self._answered: frozenset[str] = frozenset()
        self.questions: tuple[str, ...] = ()
        self.entry = QLineEdit()
        self.entry.setMaxLength(LONGEST_QUESTION)
        self.entry.setPlaceholderText(tr("A question of your own"))
        self.entry.setAccessibleName(tr("A question of your own"))
        self.entry.returnPressed.connect(self._add)
        self.add = button(tr("Add"), "", self._add)
        self.words = label("", "small")
        self.ask = button(tr("Let both models answer"), "", self.answers_wanted.emit)
        self._rows = vbox(gap=GAP_SMALL)
        vbox(hbox((self.entry, 1), self.add), self._rows, hbox((self.words, 1), self.ask), on=self, gap=GAP_SMALL)
        self._paint()

    def show_questions(self, project: Project, questions: Sequence[str], answered: Iterable[str]) -> None:
        self._project, self.questions, self._answered = project, tuple(questions), frozenset(answered)
        self._paint()

    def _add(self) -> None:
        question = self.entry.text().strip()
        if question and question not in self.questions and self._keep((*self.questions, question)):
            self.entry.clear()

    def _remove(self, question: str) -> None:
        self._keep(tuple(one for one in self.questions if one != question))
        self.entry.setFocus(Qt.FocusReason.OtherFocusReason)

    def _keep(self, questions: tuple[str, ...]) -> bool:
        if self._project is None:
            return False
        try:
            self._project.set_own_questions(questions)
        except ProblemError as error:
            self.failed.emit(error.problem)
            return False
        self.questions = questions
        self._paint()
        return True

    def _paint(self) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                clear_layout_widget(widget)
        buttons = []
        for question in self.questions:
            row = QWidget()
            text = ElidedLabel("small")
            text.setText(
                question if question in self._answered else tr("{question} (not answered yet)", question=question)
            )
            text.setToolTip(question)
            remove = tool_button("\u00d7", tr("Remove: {question}", question=question), partial(self._remove, question))
            hbox((text, 1), remove, on=row)
            self._rows.addWidget(row)
            buttons.append(remove)
        follow(self.add, buttons)
        waiting = sum(question not in self._answered for question in self.questions)
        self.ask.setVisible(waiting > 0)
        say(
            self.words,
            tr("Both models answer them at the next test, or now. They stay with this project.") if waiting else "",
        )


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
