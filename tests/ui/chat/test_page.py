"""The Chat page over a child process that says back what it was sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from studio.core.events import BASE, THIS_RUN
from studio.core.recipe.recipe import Recipe, with_values
from studio.dataset.examples import read_frozen
from studio.runs.follow import job_status
from studio.runs.project import create_project
from studio.ui.state.app_state import AppState
from tests.ui.chat.conftest import answered, folder_of, say, shown
from tests.ui.finished_run import opened


def test_both_models_answer_side_by_side(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    say(page, qtbot, "My parcel is late")
    assert page.composer.toPlainText() == ""
    assert page.job_status.isVisible()
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    before, after = page.columns[BASE].answers(), page.columns[THIS_RUN].answers()
    assert before[-1].plain_text() == "base 2 0 My parcel is late"
    assert after[-1].plain_text() == "run 2 0 My parcel is late"
    assert after[-1].facts.text() == "1.5 s, 7 tokens"


def test_a_conversation_carries_what_was_said_before(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    page.settings.sides.setCurrentIndex(page.settings.sides.findData("one"))
    assert not page.columns[BASE].isVisible()
    say(page, qtbot, "one")
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    page.settings.creativity.setValue(7)
    say(page, qtbot, "two")
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert page.columns[THIS_RUN].answers()[-1].plain_text() == "run 4 0.7 two"
    page.list.fresh.click()
    assert page.columns[THIS_RUN].answers() == []
    say(page, qtbot, "three")
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert page.columns[THIS_RUN].answers()[-1].plain_text() == "run 2 0.7 three"


def test_standing_instructions_are_those_it_was_trained_with(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    assert page.settings.instructions.toPlainText() == "You sort messages."


def test_the_model_is_loaded_while_the_person_still_writes(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    assert not page.conversation.job.is_running()
    QTest.keyClicks(page.composer, "He")
    assert page.conversation.job.is_running()
    qtbot.waitUntil(lambda: page.conversation.ready, timeout=15_000)
    assert page.columns[BASE].answers() == []


def test_stop_keeps_what_was_said_and_takes_the_other_question_back(
    app_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.15")
    page = shown(app_state, qtbot)
    say(page, qtbot, "a b c d e f g h i j k l m n o p q r s t u v w x y z")
    answer = page.columns[BASE].answers()[-1]
    qtbot.waitUntil(lambda: "base" in answer.plain_text(), timeout=15_000)
    page.stop.click()
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert answer.plain_text().startswith("base")
    assert not answer.plain_text().endswith("z")
    assert "stopped" in answer.facts.text()
    assert page.columns[THIS_RUN].answers()[-1].plain_text() == "(no answer)"
    assert not page.stop.isVisible() and page.send.isEnabled()


def test_copy_puts_the_answer_on_the_clipboard(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    say(page, qtbot, "hello")
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    page.columns[THIS_RUN].answers()[-1].copy.click()
    assert QGuiApplication.clipboard().text() == "run 2 0 hello"


def test_the_process_ends_with_the_page(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    say(page, qtbot, "hello")
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    folder = folder_of(page)
    assert job_status(folder) == "running"
    page.shutdown()
    qtbot.waitUntil(lambda: not folder.is_at_work(), timeout=15_000)


def test_a_page_built_anew_shows_the_same_conversation(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    say(page, qtbot, "hello")
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    again = shown(app_state, qtbot)
    assert again.columns[THIS_RUN].answers()[-1].plain_text() == "run 2 0 hello"
    assert again.conversation.job.is_running()
    assert all(column.chooser.currentText() for column in again.columns.values()), "it says who they are"


def test_a_model_that_cannot_be_loaded_is_explained(
    app_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    page = shown(app_state, qtbot)
    say(page, qtbot, "hello")
    qtbot.waitUntil(lambda: bool(page.problems()), timeout=15_000)
    assert page.problems()[0].code == "stand_in.broken"
    assert page.columns[THIS_RUN].answers()[-1].plain_text() == "(no answer)"
    assert page.send.isEnabled()


def test_without_a_run_only_the_base_model_answers(home: Path, qtbot: QtBot, model_folder: Path) -> None:
    project = create_project("Base only")
    project.save_recipe(with_values(Recipe(), {"model.source": "folder", "model.name": str(model_folder)}))
    with opened(project) as app_state:
        qtbot.waitUntil(lambda: app_state.model.folder is not None, timeout=10_000)
        page = shown(app_state, qtbot)
        assert page.columns[BASE].isVisible()
        assert not page.columns[THIS_RUN].isVisible()
        assert not page.settings.sides.isVisible()
        say(page, qtbot, "hello")
        qtbot.waitUntil(lambda: answered(page), timeout=15_000)
        assert page.columns[BASE].answers()[-1].plain_text() == "base 1 0 hello"


def test_without_any_model_the_page_says_where_to_get_one(home: Path, qtbot: QtBot) -> None:
    with opened(create_project("Nothing")) as app_state:
        qtbot.waitUntil(lambda: not app_state.model.looking, timeout=10_000)
        page = shown(app_state, qtbot)
        assert page.missing is not None
        assert not page.talk.isVisible()
        with qtbot.waitSignal(page.step_requested) as asked:
            page.missing.button.click()
        assert asked.args == ["train"]


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """What a base model's folder holds, as far as the window looks at it: it loads none of the weights."""
    from tests.ui.finished_run import make_model_folder

    return make_model_folder(tmp_path / "base")


def test_an_empty_chat_offers_questions_that_were_set_aside(app_state: AppState, qtbot: QtBot) -> None:
    assert app_state.run is not None
    held_out = read_frozen(app_state.run.held_out_data)
    page = shown(app_state, qtbot)
    qtbot.waitUntil(lambda: len(page.suggested_prompts.questions) == 3, timeout=5_000)
    assert page.suggested_prompts.isVisible()
    assert set(page.suggested_prompts.questions) <= {example.question for example in held_out}
    first = page.suggested_prompts.questions[0]
    page.suggested_prompts.findChildren(QPushButton)[0].click()
    assert not page.suggested_prompts.isVisible()
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert page.columns[THIS_RUN].answers()[-1].plain_text() == f"run 2 0 {first}"
