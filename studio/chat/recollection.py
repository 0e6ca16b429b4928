"""What is sent with a question: the earlier turns and facts that the conversation's memory finds for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from studio.chat.knowledge import FACTS_AT_ONCE, touching
from studio.chat.memories import Memory, memory_named
from studio.chat.retrieval import nearest_turns
from studio.chat.store import ConversationStore, TurnRecord
from studio.core.commands import Ask, Remember
from studio.core.conversation import Fact, Message
from studio.core.events import Remembered
from studio.dataset.examples import Example

READ_AT_ONCE = {"meaning": 200, "entities": 20, "relations": 20}
"""Turns of an older conversation that are read by themselves for a memory that it wasn't with before, the newest:
writing down facts of one takes a small model seconds on a processor."""


@dataclass(frozen=True)
class Recollection:
    """`turns` are the places of earlier turns that are told word for word beside the newest, the best first; `facts`
    what was said before, the best first."""

    turns: tuple[int, ...] = ()
    facts: tuple[Fact, ...] = ()


def recollect(
    store: ConversationStore,
    turns: Sequence[TurnRecord],
    question: str,
    memory: Memory,
    amount: int,
    looked_up: Remembered | None = None,
) -> Recollection:
    """What `memory` finds among the answered `turns` that are older than the newest `amount`. `looked_up` is what the
    model made of the question, where it did."""
    older = turns[: max(0, len(turns) - amount)]
    if not older or memory.reads_for is None:
        return Recollection()
    if memory.keeps_facts:
        places = {turn.id: place for place, turn in enumerate(older)}
        kind = "entity" if memory.reads_for == "entities" else "relation"
        kept = [one for one in store.facts(list(places)) if one.fact.kind == kind]
        kept.sort(key=lambda one: places[one.turn])
        lately = f"{question}\n{turns[-1].question}"  # "Where does she live?" is about whom the last one named
        facts = [one.fact for one in kept]
        found = dict.fromkeys((*touching(question, facts), *touching(lately, facts)))
        return Recollection(facts=tuple(found)[:FACTS_AT_ONCE])
    space = looked_up.space if looked_up is not None else ""
    known = store.embeddings([turn.id for turn in older], space)
    nearest = nearest_turns(
        question,
        looked_up.embedding_bytes if looked_up is not None else b"",
        [f"{turn.question}\n{turn.correction or turn.answer}" for turn in older],
        [known.get(turn.id, b"") for turn in older],
    )
    return Recollection(turns=tuple(nearest))


def needs_looking_up(turns: Sequence[TurnRecord], memory: Memory, amount: int) -> bool:
    """Whether the model has to read the question before anything can be found for it."""
    return memory.reads_for == "meaning" and len(turns) > amount


def to_look_up(id: str, question: str) -> Remember:
    return Remember(id=id, question=question)


def to_remember(id: str, turn: TurnRecord, memory: Memory) -> Remember | None:
    """What the model is to read for `memory` once the turn is over; None where nothing is."""
    answer = turn.correction or turn.answer
    if memory.reads_for is None or not turn.question or not answer:
        return None
    return Remember(id=id, question=turn.question, answer=answer, wanted=(memory.reads_for,))


def turns_to_read(unread: Sequence[TurnRecord], memory: Memory, most: int | None = None) -> list[TurnRecord]:
    """The newest of `unread` turns first, as many as cost little or `most`."""
    if memory.reads_for is None:
        return []
    return list(reversed(unread))[: READ_AT_ONCE[memory.reads_for] if most is None else most]


def as_turns(examples: Sequence[Example]) -> tuple[Message, ...]:
    """Examples as earlier turns of a conversation, without their instructions."""
    return tuple(message for one in examples for message in one.messages if message.role in ("user", "assistant"))


def with_earlier(ask: Ask, turns: Sequence[TurnRecord], recollection: Recollection, instructions: str) -> Ask:
    """`ask`, which holds the question alone, with what its memory tells of the answered `turns` before it."""
    memory = memory_named(ask.memory)
    if memory.limit == "exchanges" and not memory.summarizes:
        newest = range(max(0, len(turns) - ask.amount), len(turns))
    else:
        newest = range(len(turns))
    sent = sorted({*newest, *recollection.turns})
    said = [Message(role="system", content=instructions)] if instructions.strip() else []
    for place in sent:
        said.append(Message(role="user", content=turns[place].question))
        said.append(Message(role="assistant", content=turns[place].correction or turns[place].answer))
    last = turns[-1] if turns else None
    return ask.model_copy(
        update={
            "messages": (*said, *ask.messages),
            "summary": last.summary if last is not None else "",
            "summarized": last.summarized if last is not None else 0,
            "left_out": 2 * (len(turns) - len(sent)),
            "found": tuple(sent.index(place) for place in recollection.turns),
            "facts": recollection.facts,
        }
    )
