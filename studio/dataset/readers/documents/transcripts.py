"""Conversations written down as text: exports of messengers, minutes, interviews, with a name before each turn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from studio.core.translatable import N_, sentence
from studio.dataset.readers.documents.passages import document_info
from studio.dataset.readers.encodings import Encoding
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows

COLUMNS = ("conversation", "speaker", "message")

_DATE = r"\d{1,4}[./-]\s?\d{1,2}[./-]\s?\d{1,4}\.?"
_TIME = r"(?:오전|오후|AM|PM)?\s?\d{1,2}:\d{2}(?::\d{2})?\s?(?:[AaPp]\.?\s?[Mm]\.?)?"
_SENT_AT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\[(?P<who>[^\[\]]{{1,40}})\] \[(?P<time>{_TIME})\] (?P<text>.*)",  # KakaoTalk on a computer
        # its app on a telephone
        rf"(?P<day>{_DATE}|\d{{4}}년 \d{{1,2}}월 \d{{1,2}}일) (?P<time>{_TIME}), (?P<who>[^:]{{1,40}}) : (?P<text>.*)",
        # WhatsApp
        rf"[\u200e\u200f]?\[?(?P<day>{_DATE}),? (?P<time>{_TIME})\]?(?: -)? (?P<who>[^:]{{1,40}}): (?P<text>.*)",
    )
)
_NOTICE = re.compile(rf"[\u200e\u200f]?\[?(?:{_DATE}),? {_TIME}\]?(?: -|,)? ")
_DAY = re.compile(
    r"(?:-{3,} *)?(?P<day>\d{4}년 \d{1,2}월 \d{1,2}일(?: \S요일)?|\w+, \w+ \d{1,2}, \d{4}|"
    r"\d{4}[./-]\d{1,2}[./-]\d{1,2})(?: *-{3,})?"
)
_NAMED = re.compile(r"(?P<who>[^\W\d_][^:：.!?,;\[\]{}\"<>=/]{0,29}?)\s?(?:\([^()]{1,20}\))?\s?[:：]\s+(?P<text>\S.*)")
_FEWEST = 6
_MOST_NAMES = 12


@dataclass
class _Turn:
    conversation: str
    who: str
    lines: list[str]


def turns_in(lines: Iterable[str]) -> list[tuple[str, str, str]] | None:
    """(conversation, speaker, content) where most of the text is one, else None.

    Messengers write the time into each line; a new day begins a new conversation. In other transcripts a line begins
    with a name and a colon; there a blank line parts conversations if between any two both sides speak.
    """
    kept = list(lines)
    found = _sent(kept) or _named(kept)
    return [(turn.conversation, turn.who, "\n".join(turn.lines).strip()) for turn in found] if found else None


def _sent(lines: list[str]) -> list[_Turn]:
    """What was sent with a messenger; lines without a time go on with the message before."""
    turns: list[_Turn] = []
    day = "1"
    for line in lines:
        match = next((found for pattern in _SENT_AT if (found := pattern.fullmatch(line))), None)
        if match is not None:
            day = match.groupdict().get("day") or day
            turns.append(_Turn(day, match["who"].strip(), [match["text"]]))
        elif new := _DAY.fullmatch(line.strip()):
            day = new["day"]
        elif turns and not _NOTICE.match(line) and turns[-1].conversation == day:
            turns[-1].lines.append(line)
    speakers = Counter(turn.who for turn in turns)
    spoken = sum(len(turn.lines) == 1 or len(turn.lines) < 30 for turn in turns)
    return turns if len(turns) >= _FEWEST and len(speakers) >= 2 and spoken >= 0.9 * len(turns) else []


def _named(lines: list[str]) -> list[_Turn]:
    """Turns of people whose names stand in front of them."""
    turns: list[_Turn] = []
    blocks: list[int] = []
    others = 0
    for line in lines:
        if not line.strip():
            blocks.append(len(turns))
            continue
        match = _NAMED.fullmatch(line.strip())
        if match is not None and len(match["who"].split()) <= 4:
            turns.append(_Turn("1", match["who"].strip(), [match["text"]]))
        elif turns:
            turns[-1].lines.append(line)
            others += 1
        else:
            others += 1
    names = Counter(turn.who for turn in turns)
    if len(turns) < _FEWEST or others > 0.5 * len(turns) or not 2 <= len(names) <= min(_MOST_NAMES, len(turns) // 3):
        return []
    if min(names.values()) < 2 and sum(count for count in names.values() if count < 2) > 0.1 * len(turns):
        return []
    if len(names) > 2 and _is_form(turns, len(names)):
        return []
    bounds = sorted({0, *blocks, len(turns)})
    parts = [turns[begin:end] for begin, end in pairwise(bounds)]
    if len(parts) > 1 and all(len({turn.who for turn in part}) >= 2 for part in parts):
        return [replace(turn, conversation=str(number)) for number, part in enumerate(parts, 1) for turn in part]
    return turns


def _is_form(turns: list[_Turn], width: int) -> bool:
    """Whether the names come in the same order again and again, as fields of records do, and people don't."""
    first = [turn.who for turn in turns[:width]]
    same = sum(turn.who == first[place % width] for place, turn in enumerate(turns))
    return len(set(first)) == width and same >= 0.9 * len(turns)


def stream_turns(path: Path, turns: list[tuple[str, str, str]], encoding: Encoding) -> TableStream:
    """The turns as rows, one each."""
    text = N_("It reads like a conversation that was written down: {count} turns by {names}.")
    names = Counter(who for _, who, _ in turns).most_common(6)
    note = sentence(text, count=len(turns), names=", ".join(name for name, _ in names))
    return stream_rows(document_info(path, "transcript", COLUMNS, [note], encoding), len(turns), turns)
