"""Which language a text is in, as far as its script and its smallest words tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

UNKNOWN = 0
ENGLISH = 1
LATIN = 19
"""Latin letters, but no small words that tell the language."""
KOREAN, JAPANESE, CHINESE = 2, 3, 4

_RANGES = (
    (ENGLISH, (0x41, 0x5B), (0x61, 0x7B), (0xC0, 0x250), (0x1E00, 0x1F00)),
    (KOREAN, (0x1100, 0x1200), (0x3131, 0x318F), (0xAC00, 0xD7A4)),
    (JAPANESE, (0x3041, 0x3097), (0x30A1, 0x30FB)),
    (CHINESE, (0x3400, 0x4DC0), (0x4E00, 0xA000)),
    (5, (0x400, 0x530)),  # Cyrillic
    (6, (0x600, 0x700), (0x750, 0x780)),  # Arabic
    (7, (0x900, 0xD80)),  # Indic
    (8, (0xE00, 0xE80)),  # Thai
    (9, (0x590, 0x600)),  # Hebrew
    (10, (0x370, 0x400)),  # Greek
)
_SCRIPTS = 11

_TOLD_FROM = 8
"""Letters (Latin ones count half) from which on a text's language is told."""

_ENGLISH_WORDS = (" the ", " to ", " of ", " and ", " for ", " you ", " your ", " with ")
_SMALL_WORDS = {
    int(number): frozenset(words.split())
    for number, words in (
        line.strip().split(maxsplit=1)
        for line in """
        1 the of and to is in a it that for you are on with as this be not or by can
        20 der die das und ist nicht ein eine mit von zu auf für sich den dem im sie ich auch wird
        21 le la les des est et une un du pour dans que qui pas sur avec vous nous sont au ce
        22 el la los las es y una un del para que en por con no se su como más lo al
        23 il la le gli di e è un una per che non con del della sono in si da come
        24 o a os as de e é um uma para que não com do da em se por mais como no na
        25 de het een en van is dat niet op te voor met zijn je die er aan ook als
        """.strip().splitlines()
    )
}
"""English, German, French, Spanish, Italian, Portuguese, Dutch."""
_WORD = re.compile(r"[^\W\d_]+")


@cache
def _scripts() -> npt.NDArray[np.uint8]:
    """The script of each letter of the basic plane, 0 for what isn't a letter."""
    table = np.zeros(0x10000, dtype=np.uint8)
    for script, *ranges in _RANGES:
        for start, end in ranges:
            table[start:end] = script
    return table


def languages_of(texts: Sequence[str]) -> npt.NDArray[np.uint8]:
    """The language of each text; `UNKNOWN` where it can't be told."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    joined = "".join(texts)
    if joined.isascii():
        found = np.where(lengths * 3 // 4 >= 2 * _TOLD_FROM, ENGLISH, UNKNOWN).astype(np.uint8)
    else:
        points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        kinds = _scripts()[np.minimum(points, 0xFFFF)]
        bounds = np.concatenate(([0], np.cumsum(lengths)))
        counts = np.zeros((len(texts), _SCRIPTS), dtype=np.int64)
        for script in np.flatnonzero(np.bincount(kinds, minlength=_SCRIPTS)).tolist():
            counts[:, script] = np.diff(np.searchsorted(np.flatnonzero(kinds == script), bounds))
        found = dominant(counts, 2 * _TOLD_FROM)
    for place in np.flatnonzero(found == ENGLISH).tolist():
        text = texts[place]
        if len(text) >= 60 and " the " not in text:
            found[place] = latin_language(text)
    return found


def dominant(counts: npt.NDArray[np.int64], least: int) -> npt.NDArray[np.uint8]:
    """The script that each text is in. `counts` has a row for each text and a column for each script; texts with
    fewer than `least` letters, or of which no script has seven tenths, are unknown. Hangul, kana and Chinese signs say
    twice as much as Latin letters, with which names and technical words are written."""
    counts = counts.copy()
    counts[:, ENGLISH] //= 2
    japanese = counts[:, JAPANESE] * 5 > counts[:, CHINESE]
    counts[:, JAPANESE] += np.where(japanese, counts[:, CHINESE], 0)
    counts[:, CHINESE] = np.where(japanese, 0, counts[:, CHINESE])
    counts[:, UNKNOWN] = 0
    total = counts.sum(axis=1)
    best = counts.argmax(axis=1)
    sure = (total * 2 >= least) & (counts.max(axis=1) * 10 >= total * 7)
    return np.where(sure, best, UNKNOWN).astype(np.uint8)


def latin_language(text: str) -> int:
    """`ENGLISH`, the number of another language whose small words clearly stand out, or `LATIN`."""
    if any(word in text for word in _ENGLISH_WORDS):
        return ENGLISH
    words = [word.lower() for word in _WORD.findall(text[:300])]
    if len(words) < 6:
        return LATIN
    hits = sorted((sum(map(small.__contains__, words)), language) for language, small in _SMALL_WORDS.items())
    (second, _), (most, language) = hits[-2:]
    return language if most * 5 >= len(words) and most >= 1.5 * second else LATIN


_CODES = {
    ENGLISH: "en",
    KOREAN: "ko",
    JAPANESE: "ja",
    CHINESE: "zh",
    8: "th",
    9: "he",
    10: "el",
    20: "de",
    21: "fr",
    22: "es",
    23: "it",
    24: "pt",
    25: "nl",
}
"""ISO 639-1 codes of what is a language; several are written in Cyrillic, Arabic and Indic letters."""


def usual_language(texts: Sequence[str]) -> str:
    """The ISO 639-1 code of the language that at least four fifths of the texts are in, "" where none is."""
    found = languages_of(texts).tolist()
    # letters alone make English of everything that is written with them
    sure = [latin_language(text) if kind == ENGLISH else kind for text, kind in zip(texts, found, strict=True)]
    told = [kind for kind in sure if kind not in (UNKNOWN, LATIN)]
    best = max(set(told), key=told.count, default=UNKNOWN)
    return _CODES.get(best, "") if told.count(best) * 5 >= 4 * len(told) and 2 * len(told) >= len(texts) else ""


def differ(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where both are known and surely not the same language."""
    known = (one != UNKNOWN) & (other != UNKNOWN) & (one != other)
    # Latin letters without small words may be any of the languages written with them
    any_latin = ((one == LATIN) & _is_latin(other)) | ((other == LATIN) & _is_latin(one))
    return np.asarray(known & ~any_latin)


def _is_latin(languages: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((languages == ENGLISH) | (languages >= LATIN))


_ASKED_FOR = re.compile(
    r"translat|번역|통역|영작|영어|한국어|한글로|일본어|중국어|독일어|프랑스어|스페인어|\b(?:in|into|to|from) "
    r"(?:english|korean|japanese|chinese|german|french|spanish|italian|portuguese|dutch|russian|arabic|hindi|thai|latin)"
    r"|english|korean|japanese|chinese|german|french|spanish|italian|portuguese|russian|arabic|翻译|翻訳|英語|英文|中文|韓国語"
    r"|language|언어|외국어|영문|code|코드|함수|function|program|sql|python|java|lyrics|가사",
    re.IGNORECASE,
)


def asks_for_another(asked: str) -> bool:
    """Whether a question has to do with languages or code, so that its answer may be in another one."""
    return _ASKED_FOR.search(asked) is not None
