"""How answers end and how short they are: broken off in mid-sentence, empty, one word."""

from __future__ import annotations

import re

SHORT, ENDED, OPEN, BROKEN, DOTS = range(5)
"""How an answer ends. SHORT: too short to tell. ENDED: with a sentence's end. OPEN: with a letter. BROKEN: with a comma
or a word after which something has to come. DOTS: with three dots."""

_TOLD_FROM = 40
_TOLD_FROM_HANGUL = 20
_ENDS = frozenset(".!?。！？…\"'”’)]}』」》>`*~:;|-_/=%^\U0001f642")
_DOTS = ("...", "…", "..", "。。。")
_CONTINUES = re.compile(
    r"(?:[,，、(\[{“‘&+]|\b(?:and|or|but|the|a|an|of|to|in|for|with|because|that|which|who|whose|from|by|as|at|if|than|"
    r"into|your|my|our|their|its|is|are|was|were|be|und|oder|der|die|das|et|ou|le|la|les|de|y|el|los)"
    r"|(?:^|\s)(?:그리고|하지만|그러나|또는|및|왜냐하면|따라서|그래서|때문에|위해|위해서|대한|통해|관한|있는|하는|되는|같은))\s?$"
)
_HANGUL_END = re.compile(r"[다요죠까네세오음함임됨것중기지군걸래야봐자라해어아ㅋㅎㅠㅜ\d]$")
_LIST_LINE = re.compile(r"^\s*(?:[-*•·▪◦>|#]|\d{1,3}[.)]|[a-zA-Z가-힣][.)]|[A-Z][\w &/'-]{0,40}:)\s?")
_CODE = re.compile(
    r"```|^\s{4,}\S|[{};]\s*$|\)\s*$|^\s*(?:def|class|import|from|return|SELECT|INSERT|print)\b|https?://\S+$|</\w+>",
    re.MULTILINE,
)
_SIGNED = re.compile(r"[#@]\w+$|[-–—~]\s?[^\s-][^!?]{0,30}$")
"""A hashtag, or whose words these are."""
_NOTHING = re.compile(r"[\W_]*|n/?a|none|null|nan|nil|-+|tbd|없음|해당 ?없음|미정|unknown", re.IGNORECASE)


def ending(answer: str) -> int:
    """One of the five, from the last letters alone."""
    last = answer[-1:]
    if last in _ENDS or not last:
        return DOTS if answer.endswith(_DOTS) and len(answer) > 12 else (ENDED if len(answer) >= 8 else SHORT)
    if len(answer) < _TOLD_FROM and not (len(answer) >= _TOLD_FROM_HANGUL and "가" <= answer[len(answer) // 2] <= "힣"):
        return BROKEN if last == "," and len(answer) > 12 else SHORT
    if not (last.isalnum() or last in ",，、([{“‘&+"):
        return ENDED
    return BROKEN if _CONTINUES.search(answer[-24:]) else OPEN


def is_broken_off(answer: str, end: int) -> bool:
    """Whether an answer with this ending is broken off indeed, when most others have a sentence's end."""
    line = answer.rsplit("\n", 1)[-1]
    if _CODE.search(answer[-400:]) or line.lstrip().startswith("|"):
        return False
    if end == BROKEN:
        return True
    if _LIST_LINE.match(line) or len(line) < _TOLD_FROM_HANGUL or _SIGNED.search(line):
        return False
    if "가" <= line.rstrip()[-1:] <= "힣":
        return not _HANGUL_END.search(line.rstrip())
    # A title, a name or a list of words needs no full stop; a sentence has small words and a line's length.
    return len(line) >= _TOLD_FROM and line[-1].islower() and sum(word.islower() for word in line.split()) >= 6


def says_nothing(answer: str) -> bool:
    """Whether an answer is only signs, or a word for nothing."""
    return len(answer) <= 12 and _NOTHING.fullmatch(answer.strip()) is not None


def is_one_word(answer: str) -> bool:
    """Whether an answer is a single word without a sentence's end. Numbers, codes and Chinese signs aren't counted."""
    word = answer.strip()
    return len(word) <= 20 and word.isalpha() and not any("\u3040" <= letter <= "\u9fff" for letter in word)
