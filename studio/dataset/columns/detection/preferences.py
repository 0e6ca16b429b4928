"""Recognising which of two answers is better: two columns with a verdict or ratings beside them, or rated rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.columns.detection.column_profile import DetectedMapping, TableProfile
from studio.dataset.columns.formats.cells import text_of
from studio.dataset.columns.formats.preferences import Verdicts, number_of
from studio.dataset.vocabulary import plain, rank

_VERDICTS = frozenset(
    [
        "winner",
        "preferred",
        "preference",
        "better",
        "betterresponseid",
        "betterresponse",
        "choice",
        "chosen",
        "더나은답",
        "선호",
    ]
)
_RATED = ("score", "rating", "reward", "overallscore", "점수", "평점")
_UNDERSTOOD = 0.6
"""The share of rows in which one of both is called better; the others may be ties."""

LEARNED_FROM_PAIRS = N_(
    "{better} holds the better answers and {worse} the worse ones: the better ones are learned, or what makes them "
    "better."
)


def detect_two_answers(seen: TableProfile) -> DetectedMapping | None:
    """A question, two columns with an answer each, and what says for each row which of them is better."""
    asked = [name for name in seen.named("question") if _may_ask(name)] or seen.named("history")
    questions = [name for name in asked if seen.profiles[name].is_text and not seen.profiles[name].is_nested]
    if not questions:
        return None
    question = questions[0]
    for one, other in _alike(seen, question):
        told = _told(seen, one, other)
        if told is not None:
            mapping, why = told
            return DetectedMapping(mapping.model_copy(update={"question": question}), False, (why,))
    return None


def _alike(seen: TableProfile, question: str) -> Iterator[tuple[str, str]]:
    """Pairs of columns with texts whose names differ in their ends alone."""
    texts = [name for name in seen.columns if name != question and seen.profiles[name].is_prose]
    texts = [name for name in texts if not _may_ask(name)]
    for one, other in combinations(texts, 2):
        if _stem(one) == _stem(other) and one != other:
            yield one, other


def _may_ask(name: str) -> bool:
    """Whether a name is one of a question; SHP calls its answers `human_ref_A`."""
    return rank(name, "question") is not None and not plain(name).startswith("humanref")


def _stem(name: str) -> str:
    return re.sub(r"[\W_]*([a-z]|\d+|left|right|first|second)$", "", name.strip().casefold())


def _told(seen: TableProfile, one: str, other: str) -> tuple[ColumnMapping, Sentence] | None:
    rows = seen.rows
    for name in seen.columns:
        if name in (one, other) or plain(name) not in _VERDICTS or not seen.profiles[name].different:
            continue
        mapping = ColumnMapping(answer=one, rejected=other, better=name)
        if seen.profiles[name].different <= 6 and Verdicts(rows, mapping).understood(rows) >= _UNDERSTOOD:
            text = N_("{column} says which is the better answer, {one} or {other}.")
            return mapping, sentence(text, column=name, one=one, other=other)
    rated = [name for name in seen.columns if _stem(plain(name)) in _RATED and seen.profiles[name].numbers > 0.8]
    if len(rated) == 2:
        mapping = ColumnMapping(answer=one, rejected=other, ratings=tuple(rated))
        if Verdicts(rows, mapping).understood(rows) >= _UNDERSTOOD:
            text = N_("{first} and {second} rate the answers in {one} and {other}: the one with more is the better.")
            return mapping, sentence(text, first=rated[0], second=rated[1], one=one, other=other)
    return None


def rated_answers_column(seen: TableProfile, question: str, answer: str) -> str | None:
    """The column with the rating of each row's answer, where the same questions come again with other answers."""
    asked: dict[str, set[str]] = {}
    for row in seen.rows:
        asked.setdefault(text_of(row, question), set()).add(text_of(row, answer))
    several = sum(len(answers) > 1 for answers in asked.values())
    if several < 0.3 * len(asked):
        return None
    for name in seen.columns:
        if name not in (question, answer) and plain(name).rstrip("s") in _RATED:
            rated = sum(number_of(row, name) is not None for row in seen.rows)
            if rated > 0.8 * len(seen.rows) and seen.profiles[name].different > 1:
                return name
    return None
