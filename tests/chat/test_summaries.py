"""What of a summary that a model wrote counts, and what is kept word for word beside it."""

from __future__ import annotations

from studio.chat.summaries import SUMMARY_CHARACTERS, details, is_grounded, summarize
from studio.core.conversation import Message

SAID = "My sister Anna moved to Busan in 2019. The rent is 840 euros. What should I do?"


def exchange(question: str, answer: str = "I see.") -> tuple[Message, ...]:
    return Message(role="user", content=question), Message(role="assistant", content=answer)


def summarized(written: str, *said: str, earlier: str = "") -> str:
    return summarize(earlier, [exchange(one) for one in said], lambda _: written)


def test_what_the_model_leaves_out_is_kept_word_for_word() -> None:
    assert summarized("", SAID) == "My sister Anna moved to Busan in 2019. The rent is 840 euros."
    assert summarized("The rent is 840 euros.", SAID) == (
        "The rent is 840 euros. My sister Anna moved to Busan in 2019."
    )


def test_a_good_summary_stays_as_it_was_written() -> None:
    good = "Anna moved to Busan in 2019; the rent is 840 euros."
    assert summarized(good, SAID) == good


def test_what_nobody_said_is_dropped() -> None:
    assert "Seoul" not in summarized("My sister Anna moved to Seoul in 2019.", SAID)
    assert "2020" not in summarized("Anna moved to Busan in 2020.", SAID)
    assert not is_grounded("The conversation was pleasant and everybody agreed warmly.", SAID)


def test_a_model_that_repeats_itself_or_copies_who_spoke_is_not_followed() -> None:
    written = "Person: The rent is 840 euros. The rent is 840 euros. The rent is 840 euros."
    assert summarized(written, "The rent is 840 euros.") == "The rent is 840 euros."


def test_a_sentence_that_goes_round_in_circles_takes_nobodys_room() -> None:
    """As the starter model wrote it: every name was said, and what was said besides no longer fitted."""
    circles = "My name is Anna, " + 40 * "the one who designed the car is Anna, " + "the one who"
    answer = "Hello Anna, you are the one who designed the car."
    text = summarize("", [exchange("My name is Anna and I live in Busan.", answer)], lambda _: circles)
    assert "My name is Anna and I live in Busan." in text and "designed the car is" not in text


def test_an_earlier_summary_goes_on_in_the_next() -> None:
    assert summarized("", "The dog is called Bruno.", earlier="Anna moved to Busan.") == (
        "Anna moved to Busan. The dog is called Bruno."
    )


def test_a_summary_stays_short_however_long_the_conversation() -> None:
    text = summarized("", *(f"Number {n} is called Anna{n} and lives in Busan{n}." for n in range(200)))
    assert 0 < len(text) <= SUMMARY_CHARACTERS


def test_the_persons_words_come_before_those_of_the_model() -> None:
    text = summarize("", [exchange("It is called Bruno.", "It is called Rex.")], lambda _: "")
    assert text == "It is called Bruno. It is called Rex."


def test_numbers_and_names_within_a_sentence_are_details() -> None:
    assert details("On 14.03. my sister Anna paid 1,500 euros to Mr Okafor.") == {
        "14.03",
        "anna",
        "1,500",
        "mr",
        "okafor",
    }
    assert details("오늘 방은 840유로입니다.") == {"840"}
