"""Memories on the Chat page: what is found for a question, and what is kept, shown, corrected and deleted."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.core.events import BASE, THIS_RUN, PromptSent
from studio.ui.chat.answer_settings import prompt_facts
from studio.ui.chat.memory_view import MemoryView
from studio.ui.chat.page import ChatPage
from studio.ui.state.app_state import AppState
from tests.ui.chat.conftest import answered, say, shown


@pytest.fixture
def page(app_state: AppState, qtbot: QtBot) -> ChatPage:
    made = shown(app_state, qtbot)
    made.settings.sides.setCurrentIndex(made.settings.sides.findData("one"))
    return made


def choose(page: ChatPage, memory: str, amount: int = 1) -> None:
    page.settings.choose_memory(memory, amount)


def talk(page: ChatPage, qtbot: QtBot, *questions: str) -> None:
    for question in questions:
        say(page, qtbot, question)
        qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    qtbot.waitUntil(lambda: not page.conversation.memory.is_reading(), timeout=15_000)


def prompt(page: ChatPage) -> str:
    sent = page.conversation.turns[THIS_RUN][-1].prompt
    assert sent is not None
    return sent.text


def kept(page: ChatPage, qtbot: QtBot, rows: int) -> MemoryView:
    page.settings.kept.click()
    view = page.memory_shown
    assert view is not None
    qtbot.waitUntil(lambda: view.table.rowCount() == rows, timeout=10_000)
    return view


def test_what_was_said_of_whom_one_asks_about_is_told_and_the_rest_is_not(page: ChatPage, qtbot: QtBot) -> None:
    choose(page, "entities")
    talk(page, qtbot, "we saw Anna in Busan", "the dog is Bruno", "it rains")
    say(page, qtbot, "where is Anna?")
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert "we saw Anna in Busan" in prompt(page)
    assert "Bruno" not in prompt(page)
    assert "Facts told from before: 1" in page.settings.memory_use.text()
    assert "Earlier messages that it drops: 4" in page.settings.memory_use.text()


def test_the_turns_nearest_by_meaning_are_told(page: ChatPage, qtbot: QtBot) -> None:
    choose(page, "meaning")
    talk(page, qtbot, "my parrot squawks", "the roof leaks", "it rains", "Bob naps")
    say(page, qtbot, "does the parrot squawk?")
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert prompt(page).splitlines()[1] == "my parrot squawks"
    assert "found by meaning" in page.settings.memory_use.text()


def test_facts_are_listed_with_their_question_corrected_deleted_and_had_back(page: ChatPage, qtbot: QtBot) -> None:
    choose(page, "entities")
    talk(page, qtbot, "it rains", "we saw Anna in Busan")
    view = kept(page, qtbot, 2)
    assert [record.fact.subject for record in view.records()] == ["Anna", "Busan"]
    assert view.origin.text() == "2. You wrote: we saw Anna in Busan"
    view.table.item(0, 0).setText("Hanna")  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: view.records()[1].fact.subject == "Hanna", timeout=10_000)
    view.table.setFocus()
    view.table.setCurrentCell(0, 0)
    QTest.keyClick(view.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: [r.fact.subject for r in view.records()] == ["Hanna"], timeout=10_000)
    view.undo.click()
    qtbot.waitUntil(lambda: view.table.rowCount() == 2, timeout=10_000)
    view.undo.click()
    qtbot.waitUntil(lambda: view.records()[0].fact.subject == "Anna", timeout=10_000)
    assert not view.undo.isEnabled()


def test_relations_are_a_graph_whose_nodes_lead_to_the_list(page: ChatPage, qtbot: QtBot) -> None:
    choose(page, "graph")
    talk(page, qtbot, "I met Pavel and Anna", "Anna lives in Busan")
    view = kept(page, qtbot, 2)
    assert view.graph is not None
    assert set(view.graph.nodes) == {"I", "Pavel", "Anna", "Busan"}
    assert "Anna lives in Busan" in view.graph.accessibleDescription()
    view.graph.chosen.emit("Busan")
    assert view.table.currentRow() == 1
    view.close_button.click()


def test_turns_that_were_not_read_for_a_memory_are_read_when_that_is_wanted(page: ChatPage, qtbot: QtBot) -> None:
    choose(page, "everything", 0)
    talk(page, qtbot, "we saw Anna", "the dog is Bruno")
    choose(page, "entities")
    view = kept(page, qtbot, 0)
    qtbot.waitUntil(lambda: view.read_words.text() == "Answers read: 0 of 2", timeout=10_000)
    assert view.origin.text() == "Nothing is kept yet."
    view.read_others.click()
    qtbot.waitUntil(lambda: view.table.rowCount() == 2, timeout=15_000)
    qtbot.waitUntil(lambda: view.read_words.text() == "Answers read: 2 of 2", timeout=10_000)


def test_only_memories_with_facts_offer_to_show_them(page: ChatPage) -> None:
    choose(page, "last")
    assert not page.settings.kept.isVisible()
    choose(page, "graph")
    assert page.settings.kept.isVisible()


def test_a_question_that_waits_for_its_memory_can_be_taken_back(page: ChatPage, qtbot: QtBot) -> None:
    choose(page, "meaning")
    talk(page, qtbot, "it rains", "the roof leaks")
    say(page, qtbot, "and now?")
    page.stop.click()
    assert answered(page)
    assert page.columns[THIS_RUN].answers()[-1].plain_text() == "(no answer)"
    talk(page, qtbot, "once more")
    assert page.columns[THIS_RUN].answers()[-1].plain_text().endswith("once more")


def test_a_copy_of_a_conversation_keeps_what_was_kept(page: ChatPage, qtbot: QtBot) -> None:
    choose(page, "entities")
    talk(page, qtbot, "we saw Anna", "it rains")
    page.conversation.branch(1)
    assert kept(page, qtbot, 1).records()[0].fact.subject == "Anna"


def test_that_a_language_is_hardly_known_is_said_where_meaning_found_something() -> None:
    sent = PromptSent(ask="a", model=BASE, text="", tokens=9, context_length=512, hardly_known=True)
    assert len(prompt_facts(sent)) == 1
    words = prompt_facts(sent.model_copy(update={"found": 3}))
    assert words[-1] == "The base model hardly knows this language: mostly their words found them."
