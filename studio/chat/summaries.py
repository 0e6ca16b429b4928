"""A summary that stands for the earlier part of a conversation.

A model writes it, and small ones leave out most names and numbers and make others up. So a sentence of theirs counts
only where its names and numbers stand in what was said and most of its words do; and what is named and numbered in what
was said and missing then is kept in its own sentences, word for word. A good model's summary stays as it wrote it; of a
poor one's little is left. `tests/benchmarks/memory_quality.py` measures both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from studio.chat.knowledge import sentences_of, words_of
from studio.core.conversation import Message

SUMMARY_TOKENS = 160
"""The longest that a model may write."""

SUMMARY_CHARACTERS = 900
"""The longest summary, with what is kept word for word."""

EARLIER = "Summary of what was said earlier in this conversation:"

_SUMMARIZE = (
    "Summarize the conversation below in a few sentences, in its own language. Keep names, numbers, dates and what was "
    "decided. Write nothing but the summary."
)

_OWN_WORDS = 0.6
"""The share of a sentence's words that must stand in what was said."""

_NEW_WORDS = 2
"""A sentence with fewer words that weren't there yet says nothing: small models repeat themselves."""

_RUNS_ON, _DISTINCT = 16, 0.5
"""A sentence of more words, of which fewer than this share are different ones, goes round in circles."""

_SPEAKER = re.compile(r"^(?:Person|Model): ")
"""As the request has them: small models copy it."""

_NUMBER = re.compile(r"(?<!\w)(?:\d[\d.,:]*\d|\d)")
_CAPITALIZED = re.compile(r"(?<=[^\W_] )(?<![.!?:] )[A-ZÀ-ÖØ-Þ][^\W_]+")
"""A name: capitalized within a sentence. In Korean, Chinese and Japanese only numbers tell what to keep."""


@dataclass(frozen=True)
class Summary:
    """`text` stands for the first `exchanges` of a conversation."""

    text: str = ""
    exchanges: int = 0


def summary_request(earlier: str, exchanges: Sequence[Sequence[Message]]) -> tuple[Message, ...]:
    """What a model is asked, to go on from an `earlier` summary, "" without."""
    names = {"user": "Person", "assistant": "Model"}
    said = [f"{names.get(one.role, one.role)}: {one.content}" for exchange in exchanges for one in exchange]
    parts = [_SUMMARIZE, *([f"{EARLIER}\n{earlier}"] if earlier else []), "\n".join(said)]
    return (Message(role="user", content="\n\n".join(parts)),)


def summarize(earlier: str, exchanges: Sequence[Sequence[Message]], write: Callable[[tuple[Message, ...]], str]) -> str:
    """What `write` makes of `exchanges` and the `earlier` summary, without what nobody said and with the names and
    numbers that it leaves out; without any of either, what holds most words."""
    written = write(summary_request(earlier, exchanges))
    messages = [one for exchange in exchanges for one in exchange if one.content.strip()]
    source = "\n".join([earlier, *(one.content for one in messages)])
    kept: list[str] = []
    for one in sentences_of(written):
        sentence = _SPEAKER.sub("", one)
        if len(words_of(sentence) - words_of("\n".join(kept))) >= _NEW_WORDS and is_grounded(sentence, source):
            kept.append(sentence)
    told = _all_details("\n".join(kept))
    # the person's own words first: an answer may be wrong
    verbatim = [*sentences_of(earlier)]
    for role in ("user", "assistant"):
        for message in messages:
            if message.role == role:
                verbatim += [one for one in sentences_of(message.content) if not one.rstrip().endswith("?")]
    room = SUMMARY_CHARACTERS - sum(map(len, kept))
    telling = _most_telling(verbatim, details, told, room)
    if not kept and not telling:
        telling = _most_telling(verbatim, words_of, set(), room)
    return " ".join([*kept, *telling])


def is_grounded(sentence: str, source: str) -> bool:
    """Whether every name and number of a sentence stands in `source`, and most of its words, and it comes to an end."""
    words, known = words_of(sentence), words_of(source)
    if _goes_round(sentence):
        return False
    return bool(words) and details(sentence) <= _all_details(source) and len(words & known) >= _OWN_WORDS * len(words)


def _goes_round(sentence: str) -> bool:
    words = sentence.casefold().split()
    return len(words) > _RUNS_ON and len(set(words)) < _DISTINCT * len(words)


def details(sentence: str) -> set[str]:
    """Its numbers, and its names as far as capitals tell them."""
    return {one.casefold() for one in (*_NUMBER.findall(sentence), *_CAPITALIZED.findall(sentence))}


def _all_details(source: str) -> set[str]:
    """With words that begin a sentence: a name may stand there."""
    return details(source) | words_of(source)


def _most_telling(sentences: Sequence[str], holds: Callable[[str], set[str]], told: set[str], room: int) -> list[str]:
    """Those that hold most that wasn't told yet, in their order, in at most `room` characters."""
    chosen: set[int] = set()
    left = dict(enumerate(sentences))
    while left:
        known = told
        place = max(left, key=lambda place: (len(holds(left[place]) - known), -len(left[place])))
        new = holds(left[place]) - told
        if not new:
            break
        sentence = left.pop(place)
        if len(sentence) + 1 <= room:
            room -= len(sentence) + 1
            told = told | new
            chosen.add(place)
    return [sentences[place] for place in sorted(chosen)]
