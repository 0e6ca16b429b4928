"""How long a chat of ten thousand turns takes to open, to be searched, and to be asked once more, with each kind of
memory."""

from __future__ import annotations

import base64
import time

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from studio.chat.memories import memory_named, recall
from studio.chat.recollection import recollect, with_earlier
from studio.chat.store import ConversationRecord, ConversationStore, TurnRecord, default_file
from studio.core.commands import Ask
from studio.core.conversation import Fact, Message
from studio.core.events import THIS_RUN, Remembered
from studio.runs.project import create_project
from studio.ui.chat.column import ChatColumn
from studio.ui.chat.conversation import conversation_of
from tests.ui.finished_run import opened

TURNS = 10_000
ANSWER = "It left our warehouse on **Monday** and should be with you by Thursday. 배송 조회는 아래에서 하세요. " * 2


@pytest.mark.benchmarks
def test_a_chat_of_ten_thousand_turns_opens_in_under_a_second(qtbot: QtBot) -> None:
    project = create_project("Long")
    record = ConversationRecord(id="long", project=project.folder.name, title="Long")
    turns = [
        TurnRecord(f"t{n}", n, "run", f"Where is parcel {n}?", f"{n}: {ANSWER}", tokens=60, seconds=1.0)
        for n in range(TURNS)
    ]
    store = ConversationStore(default_file())
    store.save(record, turns)
    began = time.perf_counter()
    assert store.conversations(project.folder.name, "parcel 배송 9999")
    searched = time.perf_counter() - began
    store.close()
    with opened(project) as app_state:
        conversation = conversation_of(app_state)
        column = ChatColumn(THIS_RUN)
        qtbot.addWidget(column)
        column.resize(600, 700)
        column.show()
        conversation.changed.connect(lambda: column.show_turns(conversation.turns[THIS_RUN]))
        began = time.perf_counter()
        with qtbot.waitSignal(conversation.opened):
            conversation.open(record)
        column.repaint()
        took = time.perf_counter() - began
        assert column.answers()[-1].plain_text().startswith("9999")
    messages = [
        message
        for turn in turns
        for message in (
            Message(role="user", content=turn.question),
            Message(role="assistant", content=turn.answer),
        )
    ]
    began = time.perf_counter()
    recall(
        [*messages, messages[0]],
        memory_named("everything"),
        0,
        room=8192,
        count=lambda sent: sum(len(message.content) // 4 for message in sent),
    )
    recalled = time.perf_counter() - began
    size = default_file().stat().st_size / 1e6
    print(
        f"\n{TURNS} turns, {size:.1f} MB: opened in {took:.2f} s, searched in {searched:.3f} s, "
        f"what fits was found in {recalled:.3f} s"
    )
    assert took < 1.0


@pytest.mark.benchmarks
def test_what_a_question_touches_is_found_among_ten_thousand_turns_in_under_a_second_of_the_processor() -> None:
    store = ConversationStore(default_file())
    turns = [
        TurnRecord(
            f"t{n}", n, "run", f"Where is parcel {n} of Anna{n % 500}?", f"{n}: {ANSWER}", tokens=60, seconds=1.0
        )
        for n in range(TURNS)
    ]
    store.save(ConversationRecord(id="long", project="p", title="Long"), turns)
    numbers = np.random.default_rng(0).normal(size=(TURNS, 576)).astype("<f2")
    for turn, row in zip(turns, numbers, strict=True):
        fact = Fact(kind="entity", subject=f"Anna{turn.place % 500}", statement=turn.question)
        embedding = base64.b64encode(row.tobytes()).decode()
        found = Remembered(request="r", embedding=embedding, space="s", facts=(fact,))
        store.remember(turn.id, ("meaning", "entities"), found)
    looked_up = Remembered(request="q", embedding=base64.b64encode(numbers[7].tobytes()).decode(), space="s")
    ask = Ask(id="q", messages=(Message(role="user", content="Where is parcel 7777?"),))
    took = {}
    for name in ("everything", "last", "meaning", "entities"):
        memory = memory_named(name)
        began = time.process_time()
        recollection = recollect(store, turns, "Where is parcel 7777 of Anna7?", memory, 3, looked_up)
        sent = with_earlier(ask.model_copy(update={"memory": name, "amount": 3}), turns, recollection, "")
        size = len(sent.model_dump_json())
        took[name] = time.process_time() - began
        print(f"\n{name}: {took[name]:.2f} s, {size / 1e6:.2f} MB are sent")
    assert max(took.values()) < 1.0
