"""Characters that were read wrongly, lost, or can't be seen."""

from __future__ import annotations

import re
from functools import cache

from studio.dataset.quality.report import Span

LOST = re.compile("\ufffd+|ï¿½|占쏙옙")
"""What stands where characters could not be read; the last is how Korean programs show it."""

MOJIBAKE_HINT = "[\xb0-\xf4]"
"""With one of these, as RE2 takes it, a stretch begins that was read wrongly."""
UNSEEN_HINT = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xad\u200b-\u200d\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ue000-\uf8ff]"
)

_DOUBLE_BYTES = re.compile("(?:[\xa1-\xfd][\xa1-\xfe])+")


@cache
def _as_bytes() -> dict[str, int]:
    """Which byte each character was, had bytes been read as Windows-1252, or as Latin-1 where that has none."""
    table = {chr(value): value for value in range(0x80, 0x100)}
    for value in range(0x80, 0xA0):
        character = bytes([value]).decode("cp1252", "ignore")
        if character:
            table[character] = value
    return table


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """(UTF-8 read as western characters, Korean Windows characters read as western ones)."""
    table = _as_bytes()

    def between(first: int, last: int) -> str:
        return "[" + "".join(re.escape(character) for character, value in table.items() if first <= value <= last) + "]"

    more = between(0x80, 0xBF)
    utf8 = f"(?:{between(0xC2, 0xDF)}{more}|{between(0xE0, 0xEF)}{more}{{2}}|{between(0xF0, 0xF4)}{more}{{3}})"
    # Hangul of two bytes each, at least three, with plain characters between
    hangul = "[\xb0-\xc8][\xa1-\xfe]"
    return re.compile(f"{utf8}+"), re.compile(
        f"(?<![^\\x00-\\x7f]){hangul}(?:[ -~]{{0,3}}{hangul}){{2,}}(?:[\xa1-\xfe]{{2}})*"
    )


def mojibake(text: str) -> list[Span]:
    """Stretches that were written in one encoding and read in another, where it can be told and undone."""
    return [(start, end) for start, end, _ in _undone(text)]


def without_mojibake(text: str) -> str:
    """`text` with such stretches as they were meant."""
    for _ in range(3):  # some were read wrongly twice
        stretches = _undone(text)
        if not stretches:
            return text
        for start, end, meant in reversed(stretches):
            text = text[:start] + meant + text[end:]
    return text


def _undone(text: str) -> list[tuple[int, int, str]]:
    if text.isascii():
        return []
    table = _as_bytes()
    western, korean = _patterns()
    found: list[tuple[int, int, str]] = []
    if any(_is_korean(match.group()) for match in korean.finditer(text)):
        for match in _DOUBLE_BYTES.finditer(text):
            try:
                found.append((*match.span(), match.group().encode("latin-1").decode("cp949")))
            except (UnicodeDecodeError, UnicodeEncodeError):
                continue
        return found
    for match in western.finditer(text):
        try:
            meant = bytes(table[character] for character in match.group()).decode("utf-8")
        except (UnicodeDecodeError, KeyError):
            continue
        if _was_meant(match.group(), meant):
            found.append((*match.span(), meant))
    return found


def _is_korean(read: str) -> bool:
    """Whether these western characters are Hangul of old Windows. What is UTF-8 as well was meant as that."""
    stored = read.encode("latin-1")
    try:
        stored.decode("utf-8")
        return False
    except UnicodeDecodeError:
        meant = stored.decode("cp949", "replace")
    syllables = sum("가" <= character <= "힣" for character in meant)
    return syllables >= 3 and syllables >= 0.8 * sum(not character.isascii() for character in meant)


def _was_meant(read: str, meant: str) -> bool:
    """Whether these characters make more sense than what was read: characters of one script, or well-known signs."""
    if "\ufffd" in meant:
        return False
    if len(meant) == 1 and len(read) == 2:
        # Ã and Â with a sign behind are hardly ever written; two others can be a word's end and a quotation mark
        return read[0] in "ÃÂ" and not (read[0] == "Â" and read[1] in "«»“”‘’")
    return bool(_undone(meant)) or all(
        character.isalpha()
        or 0xA0 <= ord(character) <= 0xFF
        or 0x2000 <= ord(character) <= 0x33FF
        or ord(character) > 0xF000
        for character in meant
    )


_UNSEEN = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u2060\u2061-\u2064\ufeff\ue000-\uf8ff]"
    "|(?<=[A-Za-z0-9가-힣 ])[\u200c\u200d\u00ad](?=[A-Za-z0-9가-힣 ])"
)
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufeff]")


def unseen(text: str) -> list[Span]:
    """Control characters, characters without width, and signs that only one program's font knows."""
    spans = [found.span() for found in re.finditer(_UNSEEN, text)]
    if not _RIGHT_TO_LEFT.search(text.replace("\ufeff", "")):
        spans += [found.span() for found in _DIRECTIONS.finditer(text)]
    return sorted(spans)


def without_unseen(text: str) -> str:
    """`text` without them; form feeds and vertical tabs were line ends."""
    pieces: list[str] = []
    end = 0
    for start, stop in unseen(text):
        pieces += (text[end:start], "\n" if text[start] in "\x0b\x0c" else "")
        end = stop
    return "".join((*pieces, text[end:])) if pieces else text
