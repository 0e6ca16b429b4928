"""Whether a row names the columns under it or is itself an example: told from the kind of what stands under it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from studio.dataset.vocabulary import is_known_name

_NUMBER = re.compile(r"[-+]?[\d,.]*\d\s*%?")
_DATE = re.compile(
    r"\d{4}\s*[-./년]\s*\d{1,2}\s*[-./월]\s*\d{1,2}.*|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}.*|\d{1,2}:\d{2}(:\d{2})?"
)
_SENTENCE_END = re.compile(r"[?!.。？！…~]['\")”’]*\s*$|\s\S*(?:요|다|까|죠)\s*$")
_LOOKED_AT = 60
_LONGEST_NAME = 100


def is_known(cell: str) -> bool:
    """Whether it is one of the names that people give to columns; only short texts are looked at."""
    return len(cell) <= _LONGEST_NAME and is_known_name(cell)


def is_named(cell: str) -> bool | None:
    """True for words, False for numbers and dates, None for nothing."""
    text = cell.strip() if len(cell) < 1000 else cell[:1000]
    if not text:
        return None
    if len(text) > 60:
        return True
    return not (_NUMBER.fullmatch(text) or _DATE.fullmatch(text))


def looks_like_name(cell: str) -> bool:
    text = cell.strip()
    return bool(text) and len(text) <= 40 and "\n" not in text and is_named(text) is True and not _ends(text)


def _ends(text: str) -> bool:
    return bool(_SENTENCE_END.search(text[-40:])) and not is_known(text)


def evidence(first: Sequence[str], below: Sequence[Sequence[str]]) -> float:
    """Above zero: `first` holds names. Below: it is an example. Beyond 1 or -2 it is as good as certain."""
    texts = [cell.strip() for cell in first if cell.strip()]
    known = sum(is_known(cell) for cell in texts)
    if known >= 2 or (known and known == len(texts)):
        return 5.0
    score = 3.0 * known
    for column, cell in enumerate(first):
        name = cell.strip()
        if name:
            held = [row[column].strip() for row in below[:_LOOKED_AT] if column < len(row)]
            score += _evidence_of_column(name, [text for text in held if text])
    if len(set(texts)) < len(texts):
        score -= 1
    if not below:
        score += 0.5 if all(map(looks_like_name, texts)) else -1.0
    elif score == 0:
        score = 0.5 if all(map(looks_like_name, texts)) else -1.0
    return score


def _evidence_of_column(name: str, held: Sequence[str]) -> float:
    if is_known(name) or not held:
        return 0.0
    named = is_named(name)
    numbers = sum(is_named(text) is False for text in held)
    if numbers >= 0.8 * len(held):
        # Names over numbers are the surest sign of all, for free texts as well: an export names its date.
        return -2.0 if named is False else 3.0
    if named is False:
        return -1.5
    score = 0.0
    if name in held and len(name) <= 40:
        score -= 2.0
    mean = sum(map(len, held)) / len(held)
    ends = sum(map(_ends, held)) / len(held)
    if _ends(name) or len(name) > 60:
        score -= 1.0 if ends > 0.3 or len(name) > 60 else 0.3
    elif ends > 0.6:
        score += 1.0
    elif len(name) <= 30 and mean > 3 * len(name):
        score += 0.7
    return score
