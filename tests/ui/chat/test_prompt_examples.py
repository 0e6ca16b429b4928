"""Examples of the project in the prompt: chosen by hand, or the nearest to each question."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.core.events import THIS_RUN
from studio.dataset.examples import read_frozen
from studio.ui.chat.page import ChatPage
from studio.ui.chat.prompt_examples import ExamplePicker
from studio.ui.state.app_state import AppState
from tests.ui.chat.conftest import answered, say, shown


@pytest.fixture
def page(app_state: AppState, qtbot: QtBot) -> ChatPage:
    made = shown(app_state, qtbot)
    made.settings.sides.setCurrentIndex(made.settings.sides.findData("one"))
    return made


def opened_picker(page: ChatPage, qtbot: QtBot) -> ExamplePicker:
    page.settings.examples.click()
    picker = page.picker
    assert picker is not None
    qtbot.waitUntil(lambda: picker.list.count() > 0, timeout=15_000)
    return picker


def prompt(page: ChatPage, qtbot: QtBot, question: str) -> str:
    say(page, qtbot, question)
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    sent = page.conversation.turns[THIS_RUN][-1].prompt
    assert sent is not None
    return sent.text


def test_examples_are_chosen_with_the_keyboard_and_stand_in_the_prompt(page: ChatPage, qtbot: QtBot) -> None:
    picker = opened_picker(page, qtbot)
    picker.list.setFocus()
    QTest.keyClick(picker.list, Qt.Key.Key_Space)
    QTest.keyClick(picker.list, Qt.Key.Key_Down)
    QTest.keyClick(picker.list, Qt.Key.Key_Space)
    assert picker.ticked_words.text() == "Chosen by you: 2"
    picker.done.click()
    assert page.settings.examples_words.text() == "Chosen by you: 2"
    text = prompt(page, qtbot, "hello")
    for example in page.examples.chosen:
        assert f"{example.question}\n{example.answer}" in text
    again = opened_picker(page, qtbot)
    again.none.click()
    again.done.click()
    assert prompt(page, qtbot, "hello").startswith("You sort messages.\nhello\n")


def test_the_nearest_to_what_is_typed_stands_on_top(page: ChatPage, qtbot: QtBot) -> None:
    wanted = read_frozen(page.conversation.target.run.train_data)[7]  # type: ignore[union-attr]
    page.composer.setPlainText(wanted.question)
    picker = opened_picker(page, qtbot)
    assert picker.list.item(0).data(Qt.ItemDataRole.UserRole) == wanted


def test_the_nearest_are_taken_for_each_question_by_themselves(page: ChatPage, qtbot: QtBot) -> None:
    one, other = read_frozen(page.conversation.target.run.train_data)[3:5]  # type: ignore[union-attr]
    picker = opened_picker(page, qtbot)
    picker.by_itself.click()
    picker.count.setValue(1)
    picker.done.click()
    assert page.settings.examples_words.text() == "The nearest to each question: 1"
    for example in (one, other):
        assert example.answer in prompt(page, qtbot, example.question)


def test_what_was_ticked_and_not_confirmed_is_not_shown(page: ChatPage, qtbot: QtBot) -> None:
    picker = opened_picker(page, qtbot)
    picker.list.item(0).setCheckState(Qt.CheckState.Checked)
    QTest.keyClick(picker, Qt.Key.Key_Escape)
    assert page.settings.examples_words.text() == "None."
