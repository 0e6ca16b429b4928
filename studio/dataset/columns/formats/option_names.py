"""Names and marks by which options are told apart: A, (b), 3., ②, 보기2, option_4, 나."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

MarkKind = Literal["letter", "number", "circled", "syllable"]

_PREFIXES = (
    "option opt op choice alternative alt ending end sol solution candidate answer ans answer_option "
    "답지 보기 선택지 선지 선택 옵션 답안 항목 選択肢 选项 選項 肢 opción opcion opció réponse antwort auswahl"
)
_ORDERS: tuple[str, ...] = ("가나다라마바사아자차", "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊ", "アイウエオカキクケコ", "甲乙丙丁戊己庚辛")
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮"
_NAME = re.compile(
    r"^(?P<prefix>" + "|".join(sorted(_PREFIXES.split(), key=len, reverse=True)) + r")?"
    r"[\s_\-.:(\[]*(?P<mark>\d{1,2}|[a-z]|[" + "".join(_ORDERS) + r"])(?:번|번째)?[\s_\-.:)\]]*$"
)
_LEADING = re.compile(
    r"^\s*(?:[(\[](?P<in>\d{1,2}|[A-Za-z]|[" + "".join(_ORDERS) + r"])[)\]]|"
    r"(?P<before>\d{1,2}|[A-Za-z]|[" + "".join(_ORDERS) + r"])[.):](?=\s|\D)|(?P<circled>[" + _CIRCLED + r"]))\s*"
)


@dataclass(frozen=True)
class Mark:
    """`place` counts letters and syllables from 0; of a number it is the number itself. `prefix` is "" for a bare
    mark."""

    kind: MarkKind
    place: int
    prefix: str = ""


@lru_cache(maxsize=4096)
def mark_of(text: str) -> Mark | None:
    """What a name or an answer such as "B", "보기 2번" or "③" points at; None for any other text."""
    if len(text) > 24:
        return None
    bare = text.strip()
    circled = bare.strip("() .")
    if len(circled) == 1 and circled in _CIRCLED:
        return Mark("circled", _CIRCLED.index(circled) + 1)
    found = _NAME.match(unicodedata.normalize("NFKC", bare).casefold())
    if found is None:
        return None
    return _mark(found["mark"], found["prefix"] or "")


def split_mark(text: str) -> tuple[Mark | None, str]:
    """The mark before an option's text ("B. Paris", "② 서울") and the text without it."""
    found = _LEADING.match(text)
    if found is None:
        return None, text
    rest = text[found.end() :].strip()
    if not rest:
        return None, text
    if found["circled"]:
        return Mark("circled", _CIRCLED.index(found["circled"]) + 1), rest
    return _mark((found["in"] or found["before"]).casefold(), ""), rest


def unmarked(texts: Sequence[str]) -> list[str]:
    """Options without the marks that they all bear in order; as they are where they don't."""
    if not texts or split_mark(texts[0])[0] is None:
        return list(texts)
    split = [split_mark(text) for text in texts]
    marks = [mark for mark, _ in split]
    if len(texts) < 2 or any(mark is None for mark in marks):
        return list(texts)
    kinds = {mark.kind for mark in marks if mark}
    places = [mark.place for mark in marks if mark]
    first = 0 if kinds <= {"letter", "syllable"} else 1
    if len(kinds) == 1 and places == list(range(first, first + len(texts))):
        return [rest for _, rest in split]
    return list(texts)


def series(names: Sequence[str]) -> tuple[str, ...]:
    """The longest run of columns named as options, in order: A to D, 보기1 to 보기5, option_a and so on; () for none.

    A run begins at A, 0 or 1, has no gap, and has at least two members.
    """
    groups: dict[tuple[str, MarkKind, int], dict[int, str]] = {}
    for name in names:
        mark = mark_of(name)
        if mark is not None:
            # Columns named ① and 1 are as good as each other; ㄱ and 가 aren't mixed.
            order = next((i for i, marks in enumerate(_ORDERS) if name.strip()[-1:] in marks), 0)
            kind: MarkKind = "number" if mark.kind == "circled" else mark.kind
            groups.setdefault((mark.prefix, kind, order), {}).setdefault(mark.place, name)
    found: list[tuple[str, ...]] = []
    for (_, kind, _), members in groups.items():
        first = min(members)
        allowed = (0, 1) if kind == "number" else (0,)
        run: list[str] = []
        while first in allowed and first + len(run) in members:
            run.append(members[first + len(run)])
        if len(run) >= 2 and len(run) == len(members):
            found.append(tuple(run))
    return max(found, key=len, default=())


def _mark(mark: str, prefix: str) -> Mark:
    if mark.isdigit():
        return Mark("number", int(mark), prefix)
    if "a" <= mark <= "z":
        return Mark("letter", ord(mark) - ord("a"), prefix)
    return Mark("syllable", next(order.index(mark) for order in _ORDERS if mark in order), prefix)
