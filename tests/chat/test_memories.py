"""What each memory keeps of a conversation, what it drops, and how many tokens it sends."""

from __future__ import annotations

import re

import pytest

from studio.chat.memories import MEMORIES, memory_named, recall, split_exchanges
from studio.chat.summaries import Summary
from studio.core.conversation import Message

SYSTEM = Message(role="system", content="Be brief.")


def talk(questions: int, *, system: bool = True) -> tuple[Message, ...]:
    """Questions q0, q1 ... with answers a0, a1 ..., and a last question."""
    said = [
        message
        for number in range(questions)
        for message in (Message(role="user", content=f"q{number}"), Message(role="assistant", content=f"a{number}"))
    ]
    return (*([SYSTEM] if system else []), *said, Message(role="user", content="now"))


def count(messages: tuple[Message, ...]) -> int:
    """Ten tokens a message."""
    return 10 * len(messages)


def said(messages: tuple[Message, ...]) -> list[str]:
    return [message.content for message in messages]


class Model:
    """Writes a summary that names the first and the last message it was shown."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: tuple[Message, ...]) -> str:
        (only,) = request
        self.asked.append(only.content)
        first, *_, last = re.findall(r"[qa]\d+", only.content)
        return f"{first} to {last}"


def test_everything_keeps_every_message() -> None:
    found = recall(talk(40), memory_named("everything"), 0, room=10_000, count=count)
    assert found.messages == talk(40)
    assert count(found.messages) == 820
    assert (found.left_out, found.overflow) == (0, 0)


def test_what_the_model_cannot_read_any_more_drops_out_from_the_oldest_on_and_is_counted() -> None:
    found = recall(talk(40), memory_named("everything"), 0, room=75, count=count)
    assert said(found.messages) == ["Be brief.", "q38", "a38", "q39", "a39", "now"]
    assert count(found.messages) == 60
    assert (found.left_out, found.overflow) == (0, 76)


def test_the_last_questions_are_kept_and_all_before_is_dropped() -> None:
    found = recall(talk(40), memory_named("last"), 2, room=10_000, count=count)
    assert said(found.messages) == ["Be brief.", "q38", "a38", "q39", "a39", "now"]
    assert count(found.messages) == 60
    assert (found.left_out, found.overflow) == (76, 0)


def test_with_none_of_the_last_questions_each_question_stands_alone() -> None:
    found = recall(talk(3), memory_named("last"), 0, room=10_000, count=count)
    assert said(found.messages) == ["Be brief.", "now"]
    assert found.left_out == 6


def test_the_last_questions_that_do_not_fit_are_told_apart_from_those_that_the_memory_drops() -> None:
    found = recall(talk(40), memory_named("last"), 5, room=40, count=count)
    assert said(found.messages) == ["Be brief.", "q39", "a39", "now"]
    assert (found.left_out, found.overflow) == (70, 8)


@pytest.mark.parametrize(("limit", "kept"), [(20, 0), (39, 0), (40, 1), (59, 1), (60, 2), (10_000, 40)])
def test_up_to_a_number_of_tokens_the_whole_prompt_counts(limit: int, kept: int) -> None:
    found = recall(talk(40), memory_named("tokens"), limit, room=10_000, count=count)
    assert len(found.messages) == 2 * kept + 2
    assert count(found.messages) <= limit
    assert (found.left_out, found.overflow) == (2 * (40 - kept), 0)


def test_a_limit_above_what_the_model_can_read_is_announced_as_not_fitting() -> None:
    found = recall(talk(40), memory_named("tokens"), 500, room=60, count=count)
    assert (found.left_out, found.overflow) == (0, 76)


def test_a_summary_stands_for_all_that_was_said() -> None:
    model = Model()
    found = recall(talk(3), memory_named("summary"), 0, room=10_000, count=count, write=model)
    assert said(found.messages)[-1] == "now"
    assert found.messages[0].role == "system"
    assert found.messages[0].content.startswith("Be brief.")
    assert found.messages[0].content.endswith("q0 to a2")
    assert count(found.messages) == 20
    assert found.summary == Summary("q0 to a2", 3)
    assert (found.left_out, found.overflow) == (0, 0)
    assert "q0" in model.asked[0] and "a2" in model.asked[0] and "now" not in model.asked[0]


def test_a_summary_goes_on_from_the_one_before() -> None:
    model = Model()
    found = recall(
        talk(4), memory_named("summary"), 0, room=10_000, count=count, summary=Summary("They met.", 3), write=model
    )
    assert "They met." in model.asked[0]
    assert "q3" in model.asked[0] and "q2" not in model.asked[0]
    assert found.summary.exchanges == 4


def test_a_summary_and_the_last_questions_keep_those_word_for_word() -> None:
    model = Model()
    found = recall(talk(5), memory_named("summary_and_recent"), 2, room=10_000, count=count, write=model)
    assert said(found.messages)[1:] == ["q3", "a3", "q4", "a4", "now"]
    assert count(found.messages) == 60
    assert "a2" in model.asked[0] and "q3" not in model.asked[0]
    assert found.summary == Summary("q0 to a2", 3)


def test_nothing_is_summarized_as_long_as_all_is_told_word_for_word() -> None:
    model = Model()
    found = recall(talk(2), memory_named("summary_and_recent"), 2, room=10_000, count=count, write=model)
    assert found.messages == talk(2)
    assert model.asked == []


def test_a_summary_of_another_course_of_the_conversation_is_written_anew() -> None:
    model = Model()
    found = recall(
        talk(2), memory_named("summary"), 0, room=10_000, count=count, summary=Summary("Old.", 9), write=model
    )
    assert "Old." not in model.asked[0]
    assert found.summary == Summary("q0 to a1", 2)


def test_what_is_too_long_to_be_summarized_at_once_is_counted() -> None:
    def by_characters(messages: tuple[Message, ...]) -> int:
        return sum(len(message.content) for message in messages)

    model = Model()
    found = recall(talk(500), memory_named("summary"), 0, room=1500, count=by_characters, write=model)
    assert len(model.asked[0]) <= 1500
    assert "q499" in model.asked[0] and "q0\n" not in model.asked[0]
    assert found.summary.exchanges == 500
    assert found.overflow > 0


def test_what_a_person_said_stands_for_a_summary_that_the_model_does_not_write() -> None:
    found = recall(talk(3), memory_named("summary"), 0, room=10_000, count=count, write=lambda _: " ")
    assert (found.summary, found.overflow) == (Summary("q0 q1 q2 a0 a1 a2", 3), 0)


def test_a_summary_of_nothing_but_questions_loses_what_it_should_have_held_and_says_so() -> None:
    talk = tuple(Message(role=role, content="?") for role in ("user", "assistant", "user"))
    found = recall(talk, memory_named("summary"), 0, room=10_000, count=count, write=lambda _: " ")
    assert said(found.messages) == ["?"]
    assert (found.summary, found.overflow) == (Summary(), 2)


def test_without_instructions_none_are_made_up() -> None:
    found = recall(talk(2, system=False), memory_named("last"), 1, room=10_000, count=count)
    assert said(found.messages) == ["q1", "a1", "now"]


def test_a_long_conversation_is_counted_in_pieces_not_much_longer_than_what_fits() -> None:
    longest = 0

    def counting(messages: tuple[Message, ...]) -> int:
        nonlocal longest
        longest = max(longest, len(messages))
        return count(messages)

    found = recall(talk(10_000), memory_named("everything"), 0, room=1000, count=counting)
    assert len(found.messages) == 100
    assert longest <= 200


def test_every_memory_says_what_it_keeps() -> None:
    for memory in MEMORIES:
        assert memory.keeps.startswith("Keeps ")
        assert memory.least <= memory.amount <= memory.most
        assert ("{amount}" in memory.keeps) == (memory.least < memory.most)
    assert memory_named("no such memory") == MEMORIES[0]


def test_an_exchange_is_a_question_with_all_that_follows() -> None:
    assert [said(one) for one in split_exchanges(talk(1, system=False))] == [["q0", "a0"], ["now"]]
