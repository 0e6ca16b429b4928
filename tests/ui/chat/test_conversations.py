"""Conversations that are kept, and what a person does with them and with single answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from studio.chat.store import ConversationRecord, ConversationStore, TurnRecord, default_file
from studio.core.events import BASE, THIS_RUN
from studio.dataset.corrections import Feedback, count_feedback
from studio.ui.chat.column import AT_ONCE, Answer
from studio.ui.chat.page import ChatPage
from studio.ui.state import preferences
from studio.ui.state.app_state import AppState
from tests.ui.chat.conftest import answered, say, shown
from tests.ui.finished_run import opened


@pytest.fixture
def page(app_state: AppState, qtbot: QtBot) -> ChatPage:
    """The chat with the trained model alone."""
    made = shown(app_state, qtbot)
    made.settings.sides.setCurrentIndex(made.settings.sides.findData("one"))
    return made


def ask(page: ChatPage, qtbot: QtBot, text: str) -> Answer:
    say(page, qtbot, text)
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    return newest(page)


def newest(page: ChatPage) -> Answer:
    return page.columns[THIS_RUN].answers()[-1]


def titles(page: ChatPage) -> list[str]:
    return [record.title for record in page.list.records()]


def wait_for_titles(page: ChatPage, qtbot: QtBot, wanted: list[str]) -> None:
    qtbot.waitUntil(lambda: titles(page) == wanted, timeout=5_000)


def choose(page: ChatPage, qtbot: QtBot, row: int) -> None:
    with qtbot.waitSignal(page.conversation.opened):
        page.list.list.setCurrentRow(row)
        page.list.list.itemClicked.emit(page.list.list.item(row))


def said(page: ChatPage) -> list[str]:
    return [answer.plain_text() for answer in page.columns[THIS_RUN].answers()]


def test_an_earlier_conversation_is_opened_and_goes_on_where_it_was(page: ChatPage, qtbot: QtBot) -> None:
    ask(page, qtbot, "one")
    page.list.fresh.click()
    ask(page, qtbot, "two")
    wait_for_titles(page, qtbot, ["two", "one"])
    choose(page, qtbot, 1)
    assert said(page) == ["run 2 0 one"]
    ask(page, qtbot, "three")
    assert said(page) == ["run 2 0 one", "run 4 0 three"]
    wait_for_titles(page, qtbot, ["one", "two"])


def test_what_was_said_is_there_when_the_program_is_started_again(
    page: ChatPage, qtbot: QtBot, app_state: AppState
) -> None:
    page.settings.memory.setCurrentIndex(page.settings.memory.findData("last"))
    page.settings.amount.setValue(2)
    ask(page, qtbot, "one")
    page.conversation.storage.close()
    with opened(app_state.project) as again:
        qtbot.waitUntil(lambda: bool(again.state.checkpoints) and not again.is_training(), timeout=10_000)
        later = shown(again, qtbot)
        wait_for_titles(later, qtbot, ["one"])
        choose(later, qtbot, 0)
        assert said(later) == ["run 2 0 one"]
        assert (later.settings.chosen_memory.name, later.settings.memory_amount) == ("last", 2)
        record = later.conversation.record
        assert record is not None and app_state.run is not None and record.run == app_state.run.path.name


def test_a_child_that_dies_in_the_middle_of_an_answer_loses_nothing_that_was_said(
    page: ChatPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.15")
    say(page, qtbot, "a b c d e f g h i j k l m n o p q r s t u v w x y z")
    qtbot.waitUntil(lambda: "run 2" in newest(page).plain_text(), timeout=15_000)
    page.conversation.job.kill()
    qtbot.waitUntil(lambda: bool(page.problems()), timeout=15_000)
    before = newest(page).plain_text()
    page.conversation.storage.close()
    record = page.conversation.record
    assert record is not None
    (turn,) = ConversationStore(default_file()).turns(record.id)
    assert turn.answer == before
    assert turn.question.endswith("z")


def test_searching_renaming_deleting_and_having_back(page: ChatPage, qtbot: QtBot) -> None:
    ask(page, qtbot, "where is my parcel")
    page.list.fresh.click()
    ask(page, qtbot, "언제 배송되나요")
    wait_for_titles(page, qtbot, ["언제 배송되나요", "where is my parcel"])
    page.list.search.setText("배송")
    wait_for_titles(page, qtbot, ["언제 배송되나요"])
    page.list.search.clear()
    wait_for_titles(page, qtbot, ["언제 배송되나요", "where is my parcel"])

    page.list.rename.click()
    assert page.list.confirmation is not None and page.list.confirmation.field is not None
    page.list.confirmation.field.setText("Delivery")
    page.list.confirmation.buttons[0].click()
    wait_for_titles(page, qtbot, ["Delivery", "where is my parcel"])

    page.list.delete.click()
    wait_for_titles(page, qtbot, ["where is my parcel"])
    assert said(page) == []
    page.list.undo()
    wait_for_titles(page, qtbot, ["Delivery", "where is my parcel"])


@pytest.mark.parametrize("ending", [".md", ".jsonl"])
def test_a_conversation_is_exported(
    page: ChatPage, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    ask(page, qtbot, "one")
    wait_for_titles(page, qtbot, ["one"])
    out = tmp_path / f"talk{ending}"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(out), ""))
    page.list.export.click()
    qtbot.waitUntil(out.exists, timeout=5_000)
    assert "run 2 0 one" in out.read_text(encoding="utf-8")


def test_an_edited_question_goes_on_in_a_copy_and_the_old_course_stays(page: ChatPage, qtbot: QtBot) -> None:
    for text in ("one", "two", "three"):
        ask(page, qtbot, text)
    page.columns[THIS_RUN].questions()[1].edit.click()
    assert page.composer.toPlainText() == "two"
    ask(page, qtbot, "other")
    assert said(page) == ["run 2 0 one", "run 4 0 other"]
    wait_for_titles(page, qtbot, ["one", "one"])
    choose(page, qtbot, 1)
    assert said(page) == ["run 2 0 one", "run 4 0 two", "run 6 0 three"]


def test_an_answer_is_given_anew_in_its_place(page: ChatPage, qtbot: QtBot) -> None:
    ask(page, qtbot, "one")
    first = ask(page, qtbot, "two")
    assert not page.columns[THIS_RUN].answers()[0].again.isVisible()
    page.settings.creativity.setValue(7)
    first.again.click()
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert said(page) == ["run 2 0 one", "run 4 0.7 two"]


def test_a_corrected_answer_goes_into_the_data_with_one_press_and_can_be_taken_back(
    page: ChatPage, qtbot: QtBot, app_state: AppState
) -> None:
    ask(page, qtbot, "one")
    answer = ask(page, qtbot, "two")
    answer.correct.click()
    assert answer.editor is not None
    answer.editor.setPlainText("TEAM: delivery")
    answer.save.click()
    qtbot.waitUntil(lambda: page.kept_notice is not None, timeout=5_000)
    assert answer.plain_text() == "TEAM: delivery"
    line = json.loads(page.conversation.corrections.read_text(encoding="utf-8"))
    assert [message["content"] for message in line["messages"]] == ["one", "run 2 0 one", "two", "TEAM: delivery"]
    with qtbot.waitSignal(page.step_requested) as asked:
        page._open_corrections()
    assert asked.args == ["data"]
    qtbot.waitUntil(lambda: not app_state.data.reading and app_state.data.examples is not None, timeout=15_000)
    assert app_state.data.examples is not None
    assert app_state.data.examples[0].answer == "TEAM: delivery"

    page._take_back(page.conversation.turns[THIS_RUN][-1])
    qtbot.waitUntil(lambda: page.kept_notice is None, timeout=5_000)
    assert page.conversation.corrections.read_text(encoding="utf-8") == ""
    assert answer.plain_text() == "run 4 0 two"


def test_a_thumb_is_kept_and_taken_back_with_a_second_press(page: ChatPage, qtbot: QtBot) -> None:
    answer = ask(page, qtbot, "one")
    file = page.conversation.corrections
    answer.good.click()
    (turn,) = page.conversation.turns[THIS_RUN]
    assert turn.record.rating == 1
    qtbot.waitUntil(lambda: count_feedback(file) == Feedback(good=1), timeout=15_000)
    answer.wrong.click()
    assert turn.record.rating == -1
    qtbot.waitUntil(lambda: count_feedback(file) == Feedback(wrong=1), timeout=15_000)
    answer.wrong.click()
    assert turn.record.rating == 0
    qtbot.waitUntil(lambda: count_feedback(file) == Feedback(), timeout=15_000)


def test_the_prompt_as_sent_can_be_opened_and_its_size_is_shown(page: ChatPage, qtbot: QtBot) -> None:
    answer = ask(page, qtbot, "one")
    assert page.settings.memory_use.text() == "4 of 512 tokens"
    answer.prompt.click()
    assert page.prompt_shown is not None
    assert page.prompt_shown.text.toPlainText() == "You sort messages.\none"
    page.prompt_shown.dismiss()


def test_what_no_longer_fits_is_announced_with_its_number(page: ChatPage, qtbot: QtBot) -> None:
    answer = ask(page, qtbot, "one")
    (turn,) = page.conversation.turns[THIS_RUN]
    assert turn.prompt is not None
    turn.prompt = turn.prompt.model_copy(update={"overflow": 12})
    page.columns[THIS_RUN].show_turn(turn)
    assert "12 oldest messages" in answer.overflow.text()


def test_an_answer_is_shown_as_markdown_or_as_it_was_written(page: ChatPage, qtbot: QtBot) -> None:
    answer = ask(page, qtbot, "**bold** <b>x</b> ![p](file:///etc/passwd.png)")
    assert answer.text.textFormat() == Qt.TextFormat.RichText
    assert "font-weight:700" in answer.text.text()
    assert "&lt;b&gt;x" in answer.text.text() and "<img" not in answer.text.text()
    page.settings.formatting.setChecked(False)
    assert answer.text.text() == "run 2 0 **bold** <b>x</b> ![p](file:///etc/passwd.png)"


def test_conversations_stay_in_memory_if_the_person_wants(page: ChatPage, qtbot: QtBot) -> None:
    page.list.kept.setChecked(False)
    assert not preferences.keep_conversations()
    ask(page, qtbot, "a secret")
    wait_for_titles(page, qtbot, ["a secret"])
    page.conversation.close()
    home = default_file().parent
    assert not [file for file in home.rglob("*") if file.is_file() and b"a secret" in file.read_bytes()]


def test_a_damaged_file_is_told_and_the_chat_goes_on(app_state: AppState, qtbot: QtBot) -> None:
    default_file().write_bytes(b"no database" * 1000)
    page = shown(app_state, qtbot)
    page.settings.sides.setCurrentIndex(page.settings.sides.findData("one"))
    qtbot.waitUntil(lambda: bool(page.problems()), timeout=5_000)
    assert page.problems()[0].code == "chat.damaged"
    ask(page, qtbot, "one")
    wait_for_titles(page, qtbot, ["one"])


def test_of_a_long_conversation_the_end_is_shown_and_more_on_demand(
    app_state: AppState, qtbot: QtBot, page: ChatPage
) -> None:
    record = ConversationRecord(id="long", project=app_state.project.folder.name, title="Long")
    turn = TurnRecord(id="", place=0, model="run", question="q", answer="a", tokens=1, seconds=1.0)
    turns = [replace(turn, id=str(n), place=n, answer=f"answer {n}") for n in range(1000)]
    page.conversation.storage.do(lambda store: store.save(record, turns))
    page.list.refresh()
    wait_for_titles(page, qtbot, ["Long"])
    choose(page, qtbot, 0)
    assert said(page) == [f"answer {n}" for n in range(1000 - AT_ONCE, 1000)]
    column = page.columns[THIS_RUN]
    assert column.earlier.text() == f"Show earlier messages ({1000 - AT_ONCE})"
    column.earlier.click()
    assert said(page) == [f"answer {n}" for n in range(1000 - 2 * AT_ONCE, 1000)]
    assert page.columns[BASE].answers() == []


def test_enter_in_a_composition_does_not_send_an_edited_question(page: ChatPage, qtbot: QtBot) -> None:
    ask(page, qtbot, "one")
    page.columns[THIS_RUN].questions()[0].edit.click()
    page.composer._composing = True
    QTest.keyClick(page.composer, Qt.Key.Key_Return)
    assert said(page) == ["run 2 0 one"]


def test_another_language_or_theme_keeps_what_was_asked_with(page: ChatPage, app_state: AppState, qtbot: QtBot) -> None:
    settings = page.settings
    settings.length.setValue(32)
    settings.instructions.setPlainText("Be brief.")
    settings.choose_memory("last", 3)
    page.examples.choose(2, ())
    ask(page, qtbot, "one")
    again = shown(app_state, qtbot)  # what the main window does when it is made anew
    assert again.settings.length.value() == 32 and again.settings.instructions.toPlainText() == "Be brief."
    assert (again.settings.chosen_memory.name, again.settings.memory_amount) == ("last", 3)
    assert again.examples.nearest == 2 and again.settings.examples_words.text().endswith("2")
