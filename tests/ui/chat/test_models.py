"""Whom the columns show: the base, the run, other runs on the same base; beside a training; seeds; other programs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import urllib.request
from collections.abc import Iterator

import psutil
import pytest
from pytestqt.qtbot import QtBot

from studio.chat.store import ConversationStore, default_file
from studio.core.events import BASE, THIS_RUN, DeviceChosen, ModelUnderTest, ProcessStarted
from studio.core.jobs import Chat, read_job
from studio.core.run_folder import RunFolder
from studio.models.weights import BaseFingerprint
from studio.runs.project import Project
from studio.ui.chat import conversation
from studio.ui.chat.column import ChatColumn
from studio.ui.chat.page import ChatPage
from studio.ui.state.app_state import AppState
from tests.ui.chat.conftest import answered, folder_of, say, shown
from tests.ui.finished_run import fine_tuned_run

OTHER = ModelUnderTest(kind="other_run", name="20250101-120000-older")


@pytest.fixture
def older(project: Project) -> RunFolder:
    """Another run of the project, on the same base."""
    return fine_tuned_run(project, project.load_recipe(), name=OTHER.name)


def on_base(run: RunFolder, weights: str = "same") -> None:
    """Let the run have been trained on the base whose weights are these."""
    BaseFingerprint(parts={"weights": weights}).write(run.base_fingerprint)


@pytest.fixture
def page(older: RunFolder, app_state: AppState, qtbot: QtBot) -> ChatPage:
    """A chat that offers another run on the same base, too."""
    assert app_state.run is not None
    on_base(app_state.run)
    on_base(older)
    made = shown(app_state, qtbot)
    qtbot.waitUntil(lambda: made.left.chooser.count() == 3, timeout=15_000)
    return made


def choose(column: ChatColumn, title: str) -> None:
    position = column.chooser.findText(title)
    assert position >= 0
    column.chooser.setCurrentIndex(position)
    column.chooser.activated.emit(position)


def ask(page: ChatPage, qtbot: QtBot, text: str) -> None:
    say(page, qtbot, text)
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)


def test_another_run_on_the_same_base_is_chosen_and_answers_where_the_base_did(
    page: ChatPage, older: RunFolder, qtbot: QtBot, app_state: AppState
) -> None:
    choose(page.left, OTHER.name)
    ask(page, qtbot, "one")
    asked = page.conversation.turns[OTHER][0].ask
    assert asked is not None and asked.run == older.path
    assert page.columns[OTHER].answers()[-1].plain_text() == "other_run 2 0 one"
    assert page.columns[THIS_RUN].answers()[-1].plain_text() == "run 2 0 one"
    choose(page.left, "Base model")
    assert page.columns[BASE].answers() == []
    record = page.conversation.record
    assert record is not None
    page.list.fresh.click()
    with qtbot.waitSignal(page.conversation.opened):
        page.conversation.open(record)
    assert page.columns[OTHER].answers()[-1].plain_text() == "other_run 2 0 one"


def test_choosing_whom_the_other_side_shows_changes_places(page: ChatPage) -> None:
    choose(page.left, "Trained model")
    assert (page.left.model, page.right.model) == (THIS_RUN, BASE)
    choose(page.left, OTHER.name)
    choose(page.right, OTHER.name)
    assert (page.left.model, page.right.model) == (BASE, OTHER)


def test_a_run_on_another_base_is_listed_with_the_reason_and_not_chosen(
    older: RunFolder, app_state: AppState, qtbot: QtBot
) -> None:
    assert app_state.run is not None
    on_base(app_state.run)
    on_base(older, "others")
    page = shown(app_state, qtbot)
    title = f"{OTHER.name} (not now)"
    qtbot.waitUntil(lambda: page.left.chooser.findText(title) >= 0, timeout=15_000)
    choose(page.left, title)
    assert [one.code for one in page.problems()] == ["chat.other_base"]
    assert (page.left.model, page.left.chooser.currentText()) == (BASE, "Base model")


def test_what_is_left_to_chance_is_drawn_with_one_seed_that_is_shown_and_can_be_kept(
    page: ChatPage, qtbot: QtBot
) -> None:
    ask(page, qtbot, "one")
    assert not page.settings.fixed_seed.isVisible()
    assert not page.columns[BASE].answers()[-1].seed.isVisible()
    page.settings.creativity.setValue(8)
    ask(page, qtbot, "two")
    left, right = (page.conversation.turns[model][-1].record for model in (BASE, THIS_RUN))
    assert left.seed == right.seed is not None
    assert left.temperature == 0.8
    assert page.columns[BASE].answers()[-1].seed.text() == f"Seed {left.seed}"
    ask(page, qtbot, "three")
    assert page.conversation.turns[BASE][-1].record.seed != left.seed
    page.columns[BASE].answers()[-2].seed.click()
    assert page.settings.chosen_seed == left.seed
    ask(page, qtbot, "four")
    page.columns[BASE].answers()[-1].again.click()
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert page.conversation.turns[BASE][-1].record.seed == left.seed
    page.conversation.storage.close()
    assert page.conversation.record is not None
    kept = ConversationStore(default_file()).turns(page.conversation.record.id)
    assert [turn.seed for turn in kept if turn.question == "two"] == [left.seed] * 2


def test_an_answer_that_was_cut_off_says_so(page: ChatPage, qtbot: QtBot) -> None:
    page.settings.length.setValue(16)
    ask(page, qtbot, "word " * 20)
    assert "reached the longest answer" in page.columns[BASE].answers()[-1].overflow.text()


def test_what_cannot_be_answered_is_told_and_the_next_question_is_answered(page: ChatPage, qtbot: QtBot) -> None:
    ask(page, qtbot, "refuse this")
    assert page.problems()[0].code == "stand_in.broken"
    assert page.conversation.job.is_running()
    ask(page, qtbot, "one")
    assert page.columns[THIS_RUN].answers()[-1].plain_text().endswith("one")


def test_a_full_disk_is_told_and_nothing_that_was_said_is_lost(
    page: ChatPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(page, qtbot, "one")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(conversation, "send", full)
    say(page, qtbot, "two")
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert page.problems() and "disk" in str(page.problems()[0].english()).lower()
    assert [turn.question for turn in page.conversation.turns[BASE]] == ["one", "two"]
    monkeypatch.undo()
    page.columns[BASE].answers()[-1].again.click()
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert page.columns[BASE].answers()[-1].plain_text().endswith("two")


def test_after_its_process_died_in_the_middle_of_an_answer_one_press_has_it_again(
    page: ChatPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.settings.sides.setCurrentIndex(page.settings.sides.findData("one"))
    monkeypatch.setenv("STAND_IN_PAUSE", "0.15")
    say(page, qtbot, "a b c d e f g h i j k l m n o p q r s t u v w x y z")
    column = page.columns[THIS_RUN]
    qtbot.waitUntil(lambda: "run" in column.answers()[-1].plain_text(), timeout=15_000)
    page.conversation.job.kill()
    qtbot.waitUntil(lambda: bool(page.problems()), timeout=15_000)
    assert column.answers()[-1].plain_text().startswith("run")
    assert column.answers()[-1].facts.text() == "not finished"
    monkeypatch.setenv("STAND_IN_PAUSE", "0.01")
    column.answers()[-1].again.click()
    qtbot.waitUntil(lambda: answered(page), timeout=15_000)
    assert column.answers()[-1].plain_text().endswith("z")
    assert page.problems() == []


@pytest.fixture
def training(project: Project, app_state: AppState) -> Iterator[RunFolder]:
    """Another run of the project goes on, on the processor."""
    run = RunFolder(project.runs_folder / "20260202-120000-going")
    shutil.copytree(project.runs_folder / "20260101-120000-made", run.path)
    run.events.unlink()
    with run.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=os.getpid(), started=psutil.Process().create_time()))
        writer.write(DeviceChosen(device="cpu", name="made up", dtype="bfloat16"))
        yield run


def test_beside_a_training_the_processor_answers_once_that_is_wanted(
    app_state: AppState, qtbot: QtBot, training: RunFolder
) -> None:
    page = shown(app_state, qtbot)
    app_state.look_elsewhere()
    qtbot.waitUntil(lambda: page.beside.isVisible() and page.beside.answer.isVisible(), timeout=15_000)
    assert "is being trained" in page.beside.words.text()
    assert not page.talk.isVisible()
    with qtbot.waitSignal(page.step_requested) as asked:
        page.beside.see.click()
    assert asked.args == ["train"]
    page.beside.answer.click()
    assert page.talk.isVisible()
    ask(page, qtbot, "one")
    assert page.columns[THIS_RUN].answers()[-1].plain_text().endswith("one")
    job = read_job(folder_of(page))
    assert isinstance(job, Chat) and job.on_processor
    assert "is being trained" in page.job_status.text()


def test_a_training_that_nobody_has_noticed_yet_is_noticed_before_a_model_is_loaded(
    app_state: AppState, qtbot: QtBot, training: RunFolder
) -> None:
    page = shown(app_state, qtbot)
    say(page, qtbot, "one")
    qtbot.waitUntil(lambda: bool(page.problems()), timeout=15_000)
    assert page.problems()[0].code == "chat.training"
    assert app_state.run is not None and app_state.run.jobs("chat") == []


def test_nothing_listens_before_other_programs_are_let_in_and_nothing_after(page: ChatPage, qtbot: QtBot) -> None:
    ask(page, qtbot, "one")
    page.settings.serve.click()
    assert page.endpoint_shown is not None and page.endpoint_shown.values() == []
    assert listening() == set()
    page.endpoint_shown.switch.click()
    address, token, line = page.endpoint_shown.values()
    assert len(listening()) == 1 and {ip for ip, _ in listening()} == {"127.0.0.1"}
    assert address in line and token in line
    body = {"model": OTHER.name, "messages": [{"role": "user", "content": "Hello"}]}
    request = urllib.request.Request(
        f"{address}/chat/completions", json.dumps(body).encode(), {"Authorization": f"Bearer {token}"}
    )
    told: list[str] = []

    def other_program() -> None:
        with urllib.request.urlopen(request, timeout=30) as answer:
            told.append(json.loads(answer.read())["choices"][0]["message"]["content"])

    asking = threading.Thread(target=other_program)
    asking.start()
    qtbot.waitUntil(lambda: bool(told), timeout=30_000)
    asking.join()
    assert told == ["other_run 1 0 Hello"]
    assert page.endpoint_shown.switch.text() == "Switch off"
    page.endpoint_shown.switch.click()
    assert listening() == set()
    page.endpoint_shown.switch.click()
    assert page.endpoint_shown.values()[1] != token
    page.conversation.close()
    assert listening() == set()


def listening() -> set[tuple[str, int]]:
    """Where this process and all that it started listen."""
    me = psutil.Process()
    every = [one for process in (me, *me.children(recursive=True)) for one in process.net_connections("inet")]
    return {(one.laddr.ip, one.laddr.port) for one in every if one.status == psutil.CONN_LISTEN}
