"""How much of a conversation a model is told again with each question: the memories that a person chooses from.

A model knows nothing but its prompt. A memory decides which of the earlier messages stand there word for word, and
whether a summary, or what was said about somebody, stands for the others. Whatever it keeps must fit what the model can
read at once; what doesn't is left out from the oldest on, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from studio.chat import knowledge
from studio.chat.summaries import EARLIER, Summary, summarize, summary_request
from studio.core.commands import RememberedFor
from studio.core.conversation import Fact, Message
from studio.core.translatable import N_


@dataclass(frozen=True)
class Memory:
    """`keeps` says in one sentence what it keeps and drops, with `{amount}`. `limit` says what the amount counts:
    exchanges (a question with its answer) or tokens of the whole prompt; a memory with `least` = `most` leaves nothing
    to choose. With `summarizes`, a summary by the model stands for what isn't told word for word. `reads_for` says what
    every turn is read for after it was answered, so that the turns or facts that a question touches can be found."""

    name: str
    title: str
    keeps: str
    limit: Literal["none", "exchanges", "tokens"] = "none"
    amount: int = 0
    least: int = 0
    most: int = 0
    summarizes: bool = False
    reads_for: RememberedFor | None = None

    @property
    def keeps_facts(self) -> bool:
        return self.reads_for in ("entities", "relations")


MEMORIES = (
    Memory(
        "everything",
        N_("Everything"),
        N_("Keeps every message word for word; once the model can't read them all, the oldest drop out."),
    ),
    Memory(
        "last",
        N_("Last questions"),
        N_(
            "Keeps the last {amount:question with its answer|{amount} questions with their answers} "
            "and drops all before."
        ),
        limit="exchanges",
        amount=6,
        least=0,
        most=1000,
    ),
    Memory(
        "tokens",
        N_("Up to a number of tokens"),
        N_("Keeps the newest messages, as long as the whole prompt has at most {amount} tokens, and drops all before."),
        limit="tokens",
        amount=1024,
        least=64,
        most=1_000_000,
    ),
    Memory(
        "summary",
        N_("Summary"),
        N_(
            "Keeps a summary of all that was said and drops the wording. The base model writes it before each answer, "
            "which takes time. Small models do that badly, so sentences with names and numbers are kept word for word "
            "beside it."
        ),
        limit="exchanges",
        summarizes=True,
    ),
    Memory(
        "summary_and_recent",
        N_("Summary and last questions"),
        N_(
            "Keeps the last {amount:question with its answer|{amount} questions with their answers} "
            "word for word, and a summary of all before, which "
            "the base model writes."
        ),
        limit="exchanges",
        amount=3,
        least=1,
        most=1000,
        summarizes=True,
    ),
    Memory(
        "entities",
        N_("People, places and ideas"),
        N_(
            "Keeps the last {amount:question with its answer|{amount} questions with their answers} "
            "word for word, and of all before what was said about "
            "the people, places and ideas that you ask about. The base model picks them out after each answer; small "
            "models do that badly and miss many."
        ),
        limit="exchanges",
        amount=3,
        least=1,
        most=1000,
        reads_for="entities",
    ),
    Memory(
        "graph",
        N_("Relations"),
        N_(
            "Keeps the last {amount:question with its answer|{amount} questions with their answers} "
            "word for word, and of all before how people and "
            "things that you ask about are related (a knowledge graph). The base model picks that out after each "
            "answer; small models do it badly and miss most."
        ),
        limit="exchanges",
        amount=3,
        least=1,
        most=1000,
        reads_for="relations",
    ),
    Memory(
        "meaning",
        N_("By meaning"),
        N_(
            "Keeps the last {amount:question with its answer|{amount} questions with their answers} "
            "word for word, and of all before the few that are "
            "nearest to what you ask, by meaning and by words."
        ),
        limit="exchanges",
        amount=3,
        least=1,
        most=1000,
        reads_for="meaning",
    ),
)

NOTHING = Summary()

Exchange = tuple[Message, ...]
"""A question and what was answered to it."""


def memory_named(name: str) -> Memory:
    """The memory of this name; everything where there is none."""
    return next((memory for memory in MEMORIES if memory.name == name), MEMORIES[0])


@dataclass(frozen=True)
class Recalled:
    """The prompt that is sent. `left_out` counts the earlier messages that the memory drops, `overflow` those that it
    would keep, but that don't fit; `summary` is the one to go on from with the next question. `facts` counts those that
    are told, `examples_overflow` the examples that don't fit."""

    messages: tuple[Message, ...]
    summary: Summary
    left_out: int
    overflow: int
    facts: int = 0
    examples_overflow: int = 0


def recall(
    messages: Sequence[Message],
    memory: Memory,
    amount: int,
    *,
    room: int,
    count: Callable[[tuple[Message, ...]], int],
    summary: Summary = NOTHING,
    write: Callable[[tuple[Message, ...]], str] = lambda _: "",
    found: Sequence[int] = (),
    facts: Sequence[Fact] = (),
    examples: Sequence[Message] = (),
) -> Recalled:
    """What `memory` makes of a conversation that ends with a question.

    `room` is the most tokens that a prompt may have, `count` counts them. `write` lets the model answer a prompt, here
    with a summary, at most once a question: `summary` is what it wrote before. The exchanges at `found` were chosen for
    what they are about and `facts` too, both with the best first; `examples` are shown before the conversation.
    """
    system = tuple(messages[:1]) if messages and messages[0].role == "system" else ()
    *exchanges, question = split_exchanges(messages[len(system) :])
    shown = split_exchanges(examples) if examples else []
    verbatim = min(amount, len(exchanges) - len(found)) if memory.limit == "exchanges" else len(exchanges)
    newest = range(len(exchanges) - 1, len(exchanges) - 1 - verbatim, -1)
    wanted = [*newest, *(place for place in found if place not in newest)]
    """The places of the exchanges that are told word for word, the one that is given up last first."""
    lost = left_out = 0
    if memory.summarizes:
        summary, lost = _summarized(exchanges[: len(exchanges) - verbatim], summary, room, count, write)
    else:
        left_out = _messages(exchanges) - _messages(exchanges[place] for place in wanted)
        summary = Summary()

    def prompt(kept: int, told: int, examples: int) -> tuple[Message, ...]:
        said = [*shown[len(shown) - examples :], *(exchanges[place] for place in sorted(wanted[:kept]))]
        before = _with_earlier(system, _told(summary.text, facts[:told]))
        return (*before, *(one for exchange in said for one in exchange), *question)

    within = min(room, amount) if memory.limit == "tokens" else room
    least = count(prompt(0, 0, 0))
    with_examples = _most_that_fit(len(shown), lambda number: count(prompt(0, 0, number)) <= room)
    room_for_facts = least + (within - least) // 3  # the newest messages matter more
    told = _most_that_fit(len(facts), lambda number: count(prompt(0, number, 0)) <= room_for_facts)
    kept = _most_that_fit(len(wanted), lambda number: count(prompt(number, told, with_examples)) <= within)
    if not kept and summary.text and count(prompt(0, told, with_examples)) > room:
        lost += _messages(exchanges[: summary.exchanges])
        summary = Summary()
    dropped = _messages(exchanges[place] for place in wanted[kept:])
    if memory.limit == "tokens" and amount <= room:
        left_out, dropped = left_out + dropped, 0
    return Recalled(
        prompt(kept, told, with_examples),
        summary,
        left_out,
        lost + dropped,
        facts=told,
        examples_overflow=len(shown) - with_examples,
    )


def split_exchanges(messages: Sequence[Message]) -> list[Exchange]:
    """A conversation without its instructions, cut before every question."""
    starts = [place for place, message in enumerate(messages) if message.role == "user" or place == 0]
    return [tuple(messages[a:b]) for a, b in zip(starts, [*starts[1:], len(messages)], strict=True)]


def _summarized(
    older: list[Exchange],
    summary: Summary,
    room: int,
    count: Callable[[tuple[Message, ...]], int],
    write: Callable[[tuple[Message, ...]], str],
) -> tuple[Summary, int]:
    """A summary of all of `older`, and how many of their messages are in none."""
    if summary.exchanges > len(older):  # of another course of the conversation, or another amount: begin anew
        summary = Summary()
    new = older[summary.exchanges :]
    if not new:
        return summary, 0

    def request(kept: int) -> tuple[Message, ...]:
        return summary_request(summary.text, new[len(new) - kept :])

    kept = _most_that_fit(len(new), lambda number: count(request(number)) <= room)
    text = summarize(summary.text, new[len(new) - kept :], write) if kept else ""
    if not text:
        return summary, _messages(new)
    return Summary(text, len(older)), _messages(new[: len(new) - kept])


def _told(summary: str, facts: Sequence[Fact]) -> str:
    return "\n\n".join(
        [*([f"{EARLIER}\n{summary}"] if summary else []), *([knowledge.as_told(facts)] if facts else [])]
    )


def _with_earlier(system: tuple[Message, ...], earlier: str) -> tuple[Message, ...]:
    if not earlier:
        return system
    said = [message.content for message in system if message.content]
    return (Message(role="system", content="\n\n".join([*said, earlier])),)


def _messages(exchanges: Iterable[Exchange]) -> int:
    return sum(map(len, exchanges))


def _most_that_fit(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `most` that fits, 0 where none does. No prompt that is tried is more than about twice as
    long as the one that fits, however long the conversation is."""
    good, tried = 0, 16
    while good < most:
        tried = min(tried, most)
        if not fits(tried):
            break
        good, tried = tried, 2 * tried
    else:
        return good
    bad = tried
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good
