"""What was said in a conversation about people, places and ideas, and how they are related.

A model writes it down; small ones do that badly. So what it writes is read strictly: a line that isn't of the form that
was asked for is dropped, and so is one with words that don't stand in the turn. Nothing is kept that nobody said, and
every fact knows the sentence that it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from studio.core.conversation import Fact, Message
from studio.dataset.nearest import word_scores

FACTS_AT_ONCE = 12
"""Facts of earlier turns that are told with a question at most."""

KNOWN = "Said earlier in this conversation:"

MOST_READ = 1200
"""Characters of a message that are read for facts: more takes a small model too long."""

_LONGEST_SUBJECT, _LONGEST_OBJECT, _LONGEST_RELATION = 4, 8, 5
"""Words."""
_LONGEST_STATEMENT = 240
"""Characters."""

_WORD = re.compile(r"[^\W_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W_]+)*")
_SENTENCE = re.compile(
    r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bSt\.)(?<=[.!?\N{IDEOGRAPHIC FULL STOP}])\s+|\n+"
)
_MARKER = re.compile(r"^\s*(?:[-*\N{BULLET}]|\d+[.)])\s+")
_EAST_ASIAN = re.compile(r"[가-힣぀-ヿ一-鿿]")
_LEADING = frozenset(_WORD.findall("a an the my your his her its our their this that these those some any"))
_NOBODY = frozenset(
    _WORD.findall(
        "i me you he him she it we us they them who what which one none nothing no yes there here and or but not is "
        "are was were be has have had do does did text person people place places thing things idea ideas user "
        "assistant 나 너 저 우리 그 그녀 그것 이것 저것 없음"
    )
)
"""Words that name nobody and nothing by themselves."""
_ASKING = frozenset(
    _WORD.findall(
        "how where when why whose whom much many about tell know remember say said in on at of to for with from by as "
        "can could would should will may"
    )
)

_ENTITIES = (
    "List the people, places and ideas that the text names, one a line, in the words of the text. If there are none, "
    "write: none"
)
_RELATIONS = (
    "Write what the text says as lines of three parts: who or what | does or is | whom or what. Use only words of the "
    "text. If it says nothing, write: none"
)
_SHOWN = (
    (
        "My brother Pavel teaches physics in Prague and hates Mondays.",
        "Pavel\nPrague\nphysics",
        "Pavel | teaches | physics\nPavel | hates | Mondays",
    ),
    (
        "The boiler in our cellar was repaired by Ms Chen on 2 May.",
        "boiler\ncellar\nMs Chen",
        "boiler | was repaired by | Ms Chen\nboiler | in | cellar",
    ),
    ("수진이는 대전에서 빵집을 합니다.", "수진\n대전\n빵집", "수진 | 합니다 | 빵집"),
    ("Could you make it shorter, please?", "none", "none"),
)


def request_for(kind: Literal["entity", "relation"], text: str) -> tuple[Message, ...]:
    """What a model is asked, to write down the facts of `text`."""
    messages = [Message(role="system", content=_ENTITIES if kind == "entity" else _RELATIONS)]
    for shown, entities, relations in (*_SHOWN, (text[:MOST_READ], "", "")):
        messages.append(Message(role="user", content=shown))
        messages.append(Message(role="assistant", content=entities if kind == "entity" else relations))
    return tuple(messages[:-1])


def read_facts(
    kind: Literal["entity", "relation"], written: str, text: str, said_by: Literal["user", "assistant"] = "user"
) -> tuple[Fact, ...]:
    """The facts that a model wrote down of `text`, without all that isn't of the right form or doesn't stand there."""
    found: dict[tuple[str, ...], Fact] = {}
    sentences = sentences_of(text[:MOST_READ])
    for line in written.splitlines():
        fact = _entity(line, sentences) if kind == "entity" else _relation(line, sentences)
        if fact is not None:
            key = (key_of(fact.subject), key_of(fact.relation), key_of(fact.object))
            found.setdefault(key, fact.model_copy(update={"said_by": said_by}))
    return tuple(found.values())


def goes_round(written: str) -> bool:
    """Whether a line that was written whole stands there twice: then a small model only repeats itself."""
    *whole, _ = [line.strip().casefold() for line in written.splitlines()] or [""]
    return len(set(whole)) < len(whole)


def in_words(fact: Fact) -> str:
    """A fact on one line."""
    if fact.kind == "entity":
        return f"{fact.subject}: {fact.statement}"
    return f"{fact.subject} | {fact.relation} | {fact.object}"


def as_told(facts: Sequence[Fact]) -> str:
    """Facts as a model is told them: who said what of whom, and how they are related."""
    lines = []
    for fact in facts:
        whose = "" if fact.said_by == "user" else " (said by you)"
        text = fact.statement if fact.kind == "entity" else f"{fact.subject} {fact.relation} {fact.object}"
        lines.append(f"- {text}{whose}")
    return "\n".join([KNOWN, *dict.fromkeys(lines)])


def touching(question: str, facts: Sequence[Fact], most: int = FACTS_AT_ONCE) -> tuple[Fact, ...]:
    """The facts that a question is about, the nearest first: those whose subject or object it names, then those that
    share words with it, and of relations also what is related to what it names. Each sentence is told once."""
    asked = f" {key_of(question)} "
    named = {
        name
        for name in {name for fact in facts for name in _names(fact)}
        if (name in asked if _EAST_ASIAN.search(name) else f" {name} " in asked)
    }
    by_words = word_scores(_without_common(question), [in_words(fact) for fact in facts])
    scores: dict[int, float] = {}
    for place, fact in enumerate(facts):
        score = by_words.get(place, 0.0)
        if not named.isdisjoint(_names(fact)):
            score += 100.0
        if score > 0:
            scores[place] = score
    if any(fact.kind == "relation" for fact in facts):
        near = {name for place in scores for name in _names(facts[place])}
        for place, fact in enumerate(facts):
            if place not in scores and not near.isdisjoint(_names(fact)):
                scores[place] = 0.0
    chosen: dict[str, Fact] = {}
    for place in sorted(scores, key=lambda place: (-scores[place], -place)):  # of two alike the later one
        fact = facts[place]
        chosen.setdefault(fact.statement if fact.kind == "entity" else in_words(fact).casefold(), fact)
    return tuple(list(chosen.values())[:most])


def names_of(facts: Iterable[Fact]) -> dict[str, str]:
    """How each subject and object is written where it was mentioned first, by what is the same whatever the case."""
    found: dict[str, str] = {}
    for fact in facts:
        for name in (fact.subject, fact.object):
            if name:
                found.setdefault(key_of(name), name)
    return found


def _entity(line: str, sentences: Sequence[str]) -> Fact | None:
    name = _trimmed(_MARKER.sub("", line))
    if not _is_name(name, _LONGEST_SUBJECT):
        return None
    sentence = next((one for one in sentences if _stands_in(name, one)), None)
    if sentence is None or words_of(name) >= words_of(sentence):
        return None  # not a name out of it, but all of it
    return Fact(kind="entity", subject=name, statement=_shortened(sentence))


def _relation(line: str, sentences: Sequence[str]) -> Fact | None:
    parts = [part.strip(" \t.,;:") for part in _MARKER.sub("", line).split("|")]
    if len(parts) != 3 or not all(parts):
        return None
    subject, relation, object = _trimmed(parts[0]), parts[1], _trimmed(parts[2])
    if not _is_name(subject, _LONGEST_SUBJECT) or not words_of(object) or key_of(subject) == key_of(object):
        return None
    if len(_WORD.findall(object)) > _LONGEST_OBJECT or not 0 < len(_WORD.findall(relation)) <= _LONGEST_RELATION:
        return None
    for sentence in sentences:
        if _stands_in(subject, sentence) and _stands_in(object, sentence) and _stands_in(relation, sentence):
            return Fact(
                kind="relation", subject=subject, relation=relation, object=object, statement=_shortened(sentence)
            )
    return None


def _is_name(name: str, most: int) -> bool:
    words = _WORD.findall(name.casefold())
    return (
        0 < len(words) <= most
        and any(not word.isdecimal() for word in words)
        and any(word not in _NOBODY and word not in _LEADING for word in words)
    )


def _trimmed(name: str) -> str:
    """Without the article or pronoun before it and the signs around it."""
    name = name.strip(" \t.,;:!?\"'()")
    while (first := name.partition(" "))[2] and first[0].casefold() in _LEADING:
        name = first[2].strip()
    return name


def _stands_in(phrase: str, text: str) -> bool:
    """Whether the words of `phrase` stand in `text`, whole and beside each other; in Korean, Chinese and Japanese,
    where words take endings, its characters."""
    if _EAST_ASIAN.search(phrase):
        return key_of(phrase) in key_of(text)
    return bool(key_of(phrase)) and f" {key_of(phrase)} " in f" {key_of(text)} "


def key_of(text: str) -> str:
    """What is the same of a name whatever its case, signs and genitive."""
    return " ".join(
        re.sub(r"['\N{RIGHT SINGLE QUOTATION MARK}]s$", "", word) for word in _WORD.findall(text.casefold())
    )


def _names(fact: Fact) -> tuple[str, ...]:
    return tuple(key_of(name) for name in (fact.subject, fact.object) if name)


def _without_common(text: str) -> str:
    return " ".join(word for word in _WORD.findall(text) if word.casefold() not in _NOBODY | _LEADING | _ASKING)


def sentences_of(text: str) -> list[str]:
    """Its sentences; a title with a dot ends none."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def words_of(text: str) -> set[str]:
    """Its words, whatever their case."""
    return set(key_of(text).split())


def _shortened(sentence: str) -> str:
    line = " ".join(sentence.split())
    return (
        line if len(line) <= _LONGEST_STATEMENT else line[: _LONGEST_STATEMENT - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    )
