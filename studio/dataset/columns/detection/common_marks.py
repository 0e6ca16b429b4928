"""What nearly all texts of a column begin or end with, which is hardly what somebody wants a model to say each time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_FEWEST = 5
_NEARLY_ALL = 0.9
_SOME = 0.2
_LED = re.compile(r"[^\W\d][\w ]{0,20}[:：]")
_DATED = re.compile(r"\[?\d{1,4}[-./]\w{1,4}[-./]\d{2,4}\D")
_MARKER = re.compile(r"\s*(<\|?/?(?P<tag>[^\W\d][\w:\- ]{1,40})\|?>|\[[A-Z_]{3,20}\])")
_TAGS = (
    "a abbr article b blockquote body br button center code dd del details div dl dt em figure font footer form h1 h2 "
    "h3 h4 h5 h6 head header hr html i iframe img input ins kbd label li link main mark math meta nav ol option p pre "
    "script section select small source span strong style sub summary sup svg table tbody td th thead title tr tt u ul "
    "video"
)
_HTML = frozenset(_TAGS.split())
_SEPARATOR = re.compile(
    r"(?:^|\s)(#{2,}|[-=]>|<[^<>\s]{2,30}>|\[[A-Z]{2,10}\]|END|STOP|EOS|EOM)$|(<\|[^<>\s|]{2,30}\|>)$"
)
_HEADING = re.compile(r"(?:#{1,6} |\*\*)[^\n]{2,60}(?=\n)")


def name_before(texts: Sequence[str]) -> str:
    """The name with a colon by which nearly all of these texts begin; "" without one."""
    return _most(_LED, texts)


def begin_with_dates(texts: Sequence[str], count: int) -> bool:
    """Whether most of `count` rows begin with a date."""
    return sum(bool(_DATED.match(text)) for text in texts) > 0.8 * count


def marker_before(texts: Sequence[str]) -> str:
    """The tag or token at the beginning of many of these texts that isn't one of a web page, nor one that holds all of
    the text (which then is XML); "" without one."""
    found: Counter[str] = Counter()
    for text in texts:
        mark = _MARKER.match(text)
        if mark is None or (mark["tag"] or "").casefold() in _HTML:
            continue
        whole = mark["tag"] is not None and text.rstrip().endswith(f"</{mark['tag']}>")
        if not whole or text.count(f"</{mark['tag']}>") > 1 or "><" not in text:
            found[mark.group(1)] += 1
    return next((mark for mark, count in found.most_common(1) if count >= max(3, _SOME * len(texts))), "")


def separator_behind(texts: Sequence[str]) -> str:
    """What nearly all of these texts end with that is no word of theirs ("###", "->", "END", "<|im_end|>"); else ""."""
    found = Counter(mark[1] or mark[2] for text in texts if (mark := _SEPARATOR.search(text.rstrip())))
    return next((end for end, count in found.most_common(1) if count >= _NEARLY_ALL * len(texts) >= _FEWEST), "")


def heading_above(texts: Sequence[str]) -> str:
    """The heading in Markdown by which nearly all of these texts begin; "" without."""
    return _most(_HEADING, texts)


def _most(form: re.Pattern[str], texts: Sequence[str]) -> str:
    found = Counter(begun.group() for text in texts if (begun := form.match(text)))
    return next((start for start, count in found.most_common(1) if count > _NEARLY_ALL * len(texts) >= 4), "")


def repeat_questions(asked: Sequence[str], told: Sequence[str]) -> bool:
    """Whether most answers begin with their question, word for word."""
    pairs = list(zip(asked, told, strict=False))
    again = sum(len(question) > 15 and answer.startswith(question) and answer != question for question, answer in pairs)
    return bool(pairs) and again >= 0.5 * len(pairs)


def parted_by_bars(texts: Sequence[str]) -> bool:
    """Whether most texts are of one line with bars within, as lists of equally good answers are kept."""
    return sum("|" in text and "\n" not in text for text in texts) >= max(3, 0.6 * len(texts))
