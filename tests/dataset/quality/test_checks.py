"""Encoding, markup, refusals and endings, one sentence at a time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.dataset.quality import answers
from studio.dataset.quality.answers import REFUSAL_HINT, refusals
from studio.dataset.quality.batches import Batch
from studio.dataset.quality.encoding import mojibake, unseen, without_mojibake, without_unseen
from studio.dataset.quality.markup import gaps, markup, role_marks, without_markup

GOOD = (
    "It’s “fine” – really… 5 €",
    "Füße über Äcker, çà et là, ¿qué?",
    "안녕하세요, 반갑습니다.",
    "日本語とかな",
    "Привет, мир",
)


@pytest.mark.parametrize("text", GOOD)
@pytest.mark.parametrize("wrong", ["cp1252", "latin-1"])
def test_what_was_read_in_the_wrong_encoding_is_read_again(text: str, wrong: str) -> None:
    table = {value: chr(value) for value in range(256)}
    if wrong == "cp1252":
        table |= {
            value: bytes([value]).decode("cp1252") for value in range(256) if bytes([value]).decode("cp1252", "ignore")
        }
    garbled = "".join(table[value] for value in text.encode())
    assert mojibake(garbled) and without_mojibake(garbled) == text


def test_korean_of_old_windows_is_read_again() -> None:
    garbled = "안녕하세요. 주문하신 책이 도착했습니다.".encode("cp949").decode("latin-1")
    assert without_mojibake(f"Note: {garbled}") == "Note: 안녕하세요. 주문하신 책이 도착했습니다."


def test_what_was_garbled_twice_is_read_twice() -> None:
    assert without_mojibake("café – 안녕".encode().decode("latin-1").encode().decode("latin-1")) == "café – 안녕"


@pytest.mark.parametrize(
    "text",
    [
        *GOOD,
        "Ã is a letter of Portuguese: NÃO, PÃO.",
        "« MARCHÉ »",
        "MARCHÉ» et «CAFÉ",
        "½ à 20 °C, 3 µm",
        "äöüÄÖÜß",
        "São Tomé e Príncipe",
        "Ελληνικά",
        "naïve façade",
    ],
)
def test_right_characters_are_left_alone(text: str) -> None:
    assert mojibake(text) == [] and without_mojibake(text) == text


@settings(max_examples=40)
@given(st.text(st.characters(codec="latin-1"), max_size=60))
def test_undoing_never_fails_and_ends(text: str) -> None:
    assert mojibake(without_mojibake(without_mojibake(text))) == [] or len(text) > 2


@settings(max_examples=40)
@given(st.text(max_size=60))
def test_no_character_without_shape_survives(text: str) -> None:
    assert unseen(without_unseen(text)) == []


@pytest.mark.parametrize("text", ["a\tb\r\nc", "👩‍👩‍👧 family", "می‌خواهم", "नमस्‍ते", "e\u0301"])
def test_characters_that_shape_others_stay(text: str) -> None:
    assert without_unseen(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "if a < b and c > d then e",
        "Use `<br>` for a new line.",
        "```\n<p>hello</p>\n```",
        "How do I close a <div> in HTML?",
        "<think>Let me see.</think> It is four.",
        "Tom & Jerry; AT&T; R&D",
        "x <- c(1, 2); List<String> names",
        "I <3 you",
        "<요약> 내용은 다음과 같습니다.",
    ],
)
def test_angle_brackets_that_belong_there_are_no_leftovers(text: str) -> None:
    assert markup(text) == [] and without_markup(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "In LaTeX: \\frac{{a}}{{b}} and x^{{2}}",
        "```jinja\nHello {{ name }}\n```",
        "Super Bowl XXX was in 1996.",
        "Size XXL, or XXXL for you.",
        "My to-do list and the todo app",
        "[1] and [see above] and [link](http://a.b)",
        "a[name] = b[date]",
        "오오오 대단해요, OOO!",
        "Use your own words here.",
    ],
)
def test_what_looks_like_a_gap_and_is_none(text: str) -> None:
    assert gaps(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Dear {{name}},",
        "Dear [NAME],",
        "I am [Your Name].",
        "<INSERT LINK>",
        "Lorem ipsum dolor",
        "TODO: write this",
        "XXX calls you",
        "○○○ 고객님",
        "OOO님",
        "[이름]님께",
        "{{ 회사명 }}",
    ],
)
def test_gaps_are_found(text: str) -> None:
    assert len(gaps(text)) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "The user: a person who uses things.",
        "Main ideas\n## Input and output of cells\nThey eat.",
        "a <| b |> c",
        "Note: human: none.",
    ],
)
def test_words_that_are_no_marks_of_a_chat(answer: str) -> None:
    assert role_marks(answer) == []


def test_dialogues_that_were_asked_for_may_name_speakers() -> None:
    answer = "User: Hello!\nBot: Hello, how are you?"
    assert role_marks(answer, "Say hello") and not role_marks(answer, "Write a dialogue between a user and a bot")


@pytest.mark.parametrize(
    "answer",
    [
        "As an AI language model, I cannot do that.",
        "As an AI, I don't have feelings.",
        "I'm sorry, but I can't assist with that.",
        "I cannot fulfill this request.",
        "I'm just an AI, so I can't taste it.",
        "저는 인공지능이라 맛을 볼 수 없습니다.",
        "인공지능 언어 모델로서 개인적인 의견은 말씀드릴 수 없습니다.",
        "죄송하지만 요청하신 내용에는 응할 수 없습니다.",
    ],
)
def test_refusals_are_found(answer: str) -> None:
    assert refusals(answer)
    assert matches_re2(REFUSAL_HINT, answer), "and not passed over before"


@pytest.mark.parametrize(
    "answer",
    [
        "As an AI assistant developed by Lumen, I got the name Nova.",
        "I'm sorry, but I can't find your order. Could you send me its number?",
        "I am an AI assistant called Nova. How can I help you?",
        "We are sorry, but we cannot take back opened boxes.",
        "BERT is a language model that cannot write.",
        "저는 인공지능 비서 노바입니다. 무엇을 도와드릴까요?",
        "AI는 많은 일을 할 수 있습니다.",
        "그 제품은 지금 구매하실 수 없습니다.",
    ],
)
def test_polite_answers_are_no_refusals(answer: str) -> None:
    assert not refusals(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "We will send it to you tomorrow, and then",
        "First you open the large box, and,",
        "배송은 내일 시작되며 도착하는 날짜는 그리고",
        "The second charge goes away by itself because the",
        "It is a long way from the station to the house that we were looking",
    ],
)
def test_broken_sentences_are_told(answer: str) -> None:
    assert answers.is_broken_off(answer, answers.ending(answer))


@pytest.mark.parametrize(
    "answer",
    [
        "Apples, pears and plums",
        "It takes three days.",
        "내일 도착할 거예요",
        "오늘은 여기까지 하겠습니다",
        "1. Tea\n2. Coffee\n3. Water with a slice of fresh lemon",
        "See https://example.org/a/long/path/that/ends/here",
        "```\nprint(1)\n```",
        "return the sum of all the prices in the list;",
        "Best regards,\nThe team of the shop near the station",
        "“Everything is possible for those who wait.” - Anna Miller",
        "그렇군요 힘내세요",
    ],
)
def test_whole_answers_are_told_from_broken_ones(answer: str) -> None:
    end = answers.ending(answer)
    assert end in (answers.SHORT, answers.ENDED) or not answers.is_broken_off(answer, end)


def matches_re2(pattern: str, text: str) -> bool:
    """Whether a hint would pick this text to be looked at."""
    return Batch(0, whole=[text]).matching(pattern) == [0]
