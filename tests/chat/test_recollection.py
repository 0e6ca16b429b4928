"""What each memory finds among earlier turns, and what of them is sent with a question."""

from __future__ import annotations

import numpy as np
import pytest

from studio.chat.memories import memory_named, recall
from studio.chat.recollection import (
    Recollection,
    needs_looking_up,
    recollect,
    to_remember,
    with_earlier,
)
from studio.chat.store import ConversationRecord, ConversationStore, TurnRecord
from studio.core.commands import Ask
from studio.core.conversation import Fact, Message
from studio.core.events import Remembered

TALK = ConversationRecord("talk", "shop")
SAID = ("My sister Anna lives in Busan.", "Our dog Bruno is nine.", "The roof leaks.", "Leo builds robots.", "I am 40.")
TURNS = [TurnRecord(f"t{n}", n, "base", said, f"Noted {n}.") for n, said in enumerate(SAID)]


@pytest.fixture
def store() -> ConversationStore:
    made = ConversationStore(None)
    made.save(TALK, TURNS)
    return made


def remembered(*facts: Fact, numbers: tuple[float, ...] = (), space: str = "s") -> Remembered:
    import base64

    text = base64.b64encode(np.array(numbers, "<f2").tobytes()).decode()
    return Remembered(request="r", facts=facts, embedding=text, space=space if numbers else "")


def asked(memory: str, amount: int, found: Recollection) -> Ask:
    ask = Ask(id="now", messages=(Message(role="user", content="Where?"),), memory=memory, amount=amount)
    return with_earlier(ask, TURNS, found, "Be brief.")


def count(messages: tuple[Message, ...]) -> int:
    """Ten tokens a message, and one a word of what is told before them."""
    return 10 * len(messages) + sum(len(one.content.split()) for one in messages if one.role == "system")


ANNA = Fact(kind="entity", subject="Anna", statement=SAID[0])
TRIPLE = Fact(kind="relation", subject="Leo", relation="builds", object="robots", statement=SAID[3])


def test_entities_send_what_was_said_of_whom_is_asked_about_and_the_last_questions(store: ConversationStore) -> None:
    memory = memory_named("entities")
    store.remember("t0", ("entities",), remembered(ANNA))
    store.remember("t3", ("entities",), remembered(Fact(kind="entity", subject="Leo", statement=SAID[3])))
    found = recollect(store, TURNS, "Where does Anna live?", memory, 1)
    assert found == Recollection(facts=(ANNA,))
    ask = asked("entities", 1, found)
    assert [one.content for one in ask.messages] == ["Be brief.", "I am 40.", "Noted 4.", "Where?"]
    assert ask.left_out == 8
    sent = recall(ask.messages, memory, 1, room=1000, count=count, facts=ask.facts)
    assert SAID[0] in sent.messages[0].content and "robots" not in sent.messages[0].content
    assert (len(sent.messages), sent.facts, sent.left_out, sent.overflow) == (4, 1, 0, 0)
    assert count(sent.messages) == 54


def test_whom_the_last_question_named_comes_up_too(store: ConversationStore) -> None:
    store.remember("t3", ("relations",), remembered(TRIPLE))
    store.remember("t1", ("relations",), remembered(TRIPLE.model_copy(update={"subject": "Anna"})))
    turns = [*TURNS, TurnRecord("t5", 5, "base", "I have a son, Leo.", "Yes.")]
    found = recollect(store, turns, "What does he do?", memory_named("graph"), 1)
    assert found.facts[0] == TRIPLE


def test_facts_give_way_to_the_last_questions_where_room_is_short(store: ConversationStore) -> None:
    facts = tuple(ANNA.model_copy(update={"statement": f"Anna said {n} words."}) for n in range(30))
    ask = asked("entities", 3, Recollection(facts=facts))
    sent = recall(ask.messages, memory_named("entities"), 3, room=110, count=count, facts=ask.facts)
    assert count(sent.messages) <= 110
    assert 0 < sent.facts < 30
    assert [one.content for one in sent.messages[-3:]] == ["I am 40.", "Noted 4.", "Where?"]


def test_by_meaning_the_nearest_turns_are_sent_in_their_order_before_the_last(store: ConversationStore) -> None:
    memory = memory_named("meaning")
    numbers = np.random.default_rng(0).normal(size=(len(TURNS), 32)) + 5
    for turn, one in zip(TURNS, numbers, strict=True):
        store.remember(turn.id, ("meaning",), remembered(numbers=tuple(one)))
    found = recollect(store, TURNS, "And?", memory, 1, remembered(numbers=tuple(numbers[2] * 1.01)))
    assert found.turns[0] == 2 and 4 not in found.turns
    ask = asked("meaning", 1, Recollection(turns=(2, 0)))
    assert [one.content for one in ask.messages if one.role == "user"] == [SAID[0], SAID[2], SAID[4], "Where?"]
    assert (ask.found, ask.left_out) == ((1, 0), 4)
    sent = recall(ask.messages, memory, 1, room=1000, count=count, found=ask.found)
    assert sent.messages == ask.messages and (sent.left_out, sent.overflow) == (0, 0)
    assert count(sent.messages) == 82
    tight = recall(ask.messages, memory, 1, room=70, count=count, found=ask.found)
    assert [one.content for one in tight.messages if one.role == "user"] == [SAID[2], SAID[4], "Where?"]
    assert (tight.left_out, tight.overflow) == (0, 2)


def test_embeddings_of_another_model_are_not_compared(store: ConversationStore) -> None:
    store.remember("t0", ("meaning",), remembered(numbers=(1.0, 2.0), space="other"))
    assert store.embeddings(["t0"], "s") == {}
    found = recollect(store, TURNS, "Is Bruno well?", memory_named("meaning"), 1, remembered(numbers=(1.0, 2.0)))
    assert found.turns == (1,)


def test_only_a_memory_by_meaning_waits_for_the_question_to_be_read() -> None:
    assert needs_looking_up(TURNS, memory_named("meaning"), 3)
    assert not needs_looking_up(TURNS, memory_named("meaning"), 5)
    assert not needs_looking_up(TURNS, memory_named("entities"), 0)


def test_a_turn_without_an_answer_or_a_memory_is_not_read() -> None:
    assert to_remember("r", TURNS[0], memory_named("last")) is None
    assert to_remember("r", TurnRecord("x", 0, "base", "Hello?"), memory_named("graph")) is None
    request = to_remember("r", TURNS[0], memory_named("graph"))
    assert request is not None and (request.question, request.wanted) == (SAID[0], ("relations",))


def test_without_facts_or_turns_that_are_found_the_last_questions_are_sent(store: ConversationStore) -> None:
    for name in ("entities", "graph", "meaning"):
        ask = asked(name, 2, recollect(store, TURNS, "zzz", memory_named(name), 2))
        assert [one.content for one in ask.messages if one.role == "user"] == [SAID[3], SAID[4], "Where?"]


def test_other_memories_are_given_every_turn() -> None:
    for name in ("everything", "tokens", "summary"):
        assert len(asked(name, 2, Recollection()).messages) == 2 * len(TURNS) + 2


def test_the_last_questions_alone_are_given_to_a_memory_that_drops_the_others() -> None:
    ask = asked("last", 2, Recollection())
    assert (len(ask.messages), ask.left_out) == (6, 6)
