"""The strip of answers: the newest is on show until a person looks back, and the keyboard moves through time."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from studio.core.events import SampleAnswered
from studio.core.run_state import RunState
from studio.ui.train.sample_answers import SampleAnswersCard


def answered(state: RunState, step: int, *, ended: bool = True) -> None:
    for index, question in enumerate(("Where is it?", "Who are you?")):
        text = f"answer {index} at {step}"
        state.apply(SampleAnswered(step=step, index=index, question=question, answer=text, ended=ended))


def words(card: SampleAnswersCard) -> list[str]:
    return [one.text() for one in card.grid.findChildren(QLabel)]


def test_the_newest_answers_are_shown_until_a_person_looks_back(qtbot: QtBot) -> None:
    card, state = SampleAnswersCard(), RunState()
    qtbot.addWidget(card)
    card.show_state(state)
    assert card.isHidden()
    answered(state, 0)
    card.show_state(state)
    assert not card.isHidden() and not card.slider.isEnabled()
    assert "answer 0 at 0" in words(card) and card.when.text() == "Before training"
    answered(state, 10, ended=False)
    card.show_state(state)
    assert {"Where is it?", "answer 0 at 0", "answer 0 at 10 …", "answer 1 at 10 …"} <= set(words(card))
    assert card.when.text() == "After step 10, the newest"
    answered(state, 20)
    card.show_state(state)
    assert "answer 1 at 20" in words(card)
    QTest.keyClick(card.slider, Qt.Key.Key_Left)
    assert card.when.text() == "After step 10" and "answer 1 at 10 …" in words(card)
    answered(state, 30)
    card.show_state(state)
    assert card.when.text() == "After step 10", "what a person looks at stays"
    QTest.keyClick(card.slider, Qt.Key.Key_End)
    assert "answer 1 at 30" in words(card)


def test_of_a_run_that_is_opened_again_the_newest_answers_are_shown(qtbot: QtBot) -> None:
    card, state = SampleAnswersCard(), RunState()
    qtbot.addWidget(card)
    for step in (0, 10, 20):
        answered(state, step)
    card.show_state(state)
    assert card.when.text() == "After step 20, the newest" and "answer 0 at 20" in words(card)


def test_another_run_begins_with_nothing(qtbot: QtBot) -> None:
    card, state = SampleAnswersCard(), RunState()
    qtbot.addWidget(card)
    answered(state, 0)
    card.show_state(state)
    card.show_state(RunState())
    assert card.isHidden()


def test_an_empty_and_a_long_answer_are_no_blank_and_no_wall(qtbot: QtBot) -> None:
    card, state = SampleAnswersCard(), RunState()
    qtbot.addWidget(card)
    state.apply(SampleAnswered(step=0, index=0, question="?" * 999, answer=" "))
    state.apply(SampleAnswered(step=5, index=0, question="?" * 999, answer="x" * 999))
    card.show_state(state)
    assert "(an empty answer)" in words(card)
    assert max(map(len, words(card))) == 400
