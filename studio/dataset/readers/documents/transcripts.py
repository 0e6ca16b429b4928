"""Conversations written down as text: exports of messengers, minutes, interviews, with a name before each turn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers.documents.passages import document_info
from studio.dataset.readers.encodings import Encoding
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows

COLUMNS = ("conversation", "speaker", "message")

_DATE = r"(?:\d{1,4}[./-]\s?\d{1,2}[./-]\s?\d{1,4}\.?|\d{4}년 \d{1,2}월 \d{1,2}일|[A-Z][a-z]{2,8} \d{1,2}, \d{4})"
_TIME = r"(?:오전|오후|午前|午後|上午|下午|AM|PM)?\s?\d{1,2}:\d{2}(?::\d{2})?\s?(?:[AaPp]\.?\s?[Mm]\.?)?"
_MARKS = "[\u200e\u200f\u202a\u202c]*"
_SENT_AT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\[(?P<who>[^\[\]]{{1,40}})\] \[(?P<time>{_TIME})\] (?P<text>.*)",  # KakaoTalk on a computer
        rf"(?P<day>{_DATE})(?:,| at)? (?P<time>{_TIME}), (?P<who>[^:]{{1,40}}) : (?P<text>.*)",  # and on a telephone
        rf"{_MARKS}\[?(?P<day>{_DATE}),? (?P<time>{_TIME})\]?(?: -)? (?P<who>[^:]{{1,40}}): (?P<text>.*)",  # WhatsApp
        rf"(?P<time>{_TIME})\t(?P<who>[^\t]{{1,40}})\t(?P<text>.*)",  # LINE
        rf"\[?(?:(?P<day>{_DATE})[T ])?(?P<time>{_TIME})\]? <[ @+%&~]?(?P<who>[^<> ]{{1,40}})> (?P<text>.*)",  # IRC
        rf"(?P<day>{_DATE}) (?P<time>{_TIME})\t[ @+%&~]?(?P<who>\w[^\t ]{{0,39}})\t(?P<text>.*)",  # WeeChat's IRC
        rf"(?P<time>{_TIME})\s+From (?P<who>[^:\t]{{1,40}}?)\s*(?: to [^:\t]{{1,60}})?\s?:(?P<text>.*)",  # Zoom
        # Discord and Telegram put a line with the time and the name above what is said.
        rf"\[(?P<day>[\w./-]{{6,12}}),? (?P<time>{_TIME})\] (?P<who>[^:\[\]]{{1,40}})(?P<text>)",
        rf"(?P<who>[^:\[\]]{{1,40}}), \[(?P<day>[\w ./-]{{6,16}}),? (?P<time>{_TIME})\](?P<text>)",
    )
)
_NOTICE = re.compile(
    rf"{_MARKS}\[?(?:{_DATE}),? {_TIME}\]?(?: -|,)? |{_TIME}\t"
    rf"|\[?(?:{_DATE}[T ])?{_TIME}\]?\s+(?:-!-|\*{{1,3}}|-->|<--|--|==)\s"
)
_LINE_CHAT = re.compile(r"\[LINE\] ")
_TIMED = re.compile(rf"(?P<time>{_TIME}) (?P<rest>\S.*)")
_WEEKDAY = r"(?: ?\(\w+\)|,? [^\W\d]{1,9})?"
_DAY = re.compile(rf"(?:-{{3,}} *)?(?P<day>{_DATE}|\w+, \w+ \d{{1,2}}, \d{{4}}){_WEEKDAY}(?:,? {_TIME})?(?: *-{{3,}})?")
_NAMED = re.compile(r"(?P<who>[^\W\d_][^:：.!?,;\[\]{}\"<>=/]{0,29}?)\s?(?:\([^()]{1,20}\))?\s?[:：]\s+(?P<text>\S.*)")
_FEWEST = 6
_MOST_NAMES = 12


@dataclass
class _Turn:
    conversation: str
    who: str
    lines: list[str]


def turns_in(lines: Iterable[str]) -> list[tuple[str, str, str]] | None:
    """(conversation, speaker, content) where most of the text is one, else None. What a messenger tells itself has no
    speaker.

    Messengers write the time into each line; a new day begins a new conversation. In other transcripts a line begins
    with a name and a colon; there a blank line parts conversations if between any two both sides speak.
    """
    kept = list(lines)
    found = _sent(kept) or _named(kept) or _headed(kept)
    return [(turn.conversation, turn.who, "\n".join(turn.lines).strip()) for turn in found] if found else None


def _sent(lines: list[str]) -> list[_Turn]:
    """What was sent with a messenger; lines without a time go on with the message before."""
    turns: list[_Turn] = []
    day = "1"
    if any(_LINE_CHAT.match(line.lstrip("\ufeff")) for line in lines[:3]):
        lines = _with_tabs(lines)
    for line in lines:
        match = next((found for pattern in _SENT_AT if (found := pattern.fullmatch(line))), None)
        if match is not None:
            day = match.groupdict().get("day") or day
            turns.append(_Turn(day, match["who"].strip(), [match["text"]]))
        elif new := _DAY.fullmatch(line.strip()):
            day = new["day"]
        elif turns and (_NOTICE.match(line) or is_notice(line)):
            turns.append(_Turn(day, "", [""]))
        elif turns and turns[-1].conversation == day:
            turns[-1].lines.append(line)
    said = [turn for turn in turns if turn.who]
    speakers = Counter(turn.who for turn in said)
    short = sum(len(turn.lines) < 30 for turn in said)
    is_chat = len(said) >= _FEWEST and 2 <= len(speakers) <= 0.5 * len(said) and short >= 0.9 * len(said)
    return turns if is_chat else []


def _with_tabs(lines: list[str]) -> list[str]:
    """LINE's telephones write spaces between time, name and text. A name is the words with which lines begin that
    always stand together; in a group of people who each say a thing or two that can't be told."""
    timed = [match for line in lines if (match := _TIMED.fullmatch(line)) is not None]
    said: dict[str, list[list[str]]] = {}
    for match in timed:
        words = match["rest"].split(" ")
        said.setdefault(words[0], []).append(words)
    if len(said) > 0.4 * len(timed):
        return lines
    lengths = {}
    for first, turns in said.items():
        length = 1
        while (
            len(turns) > 2 and len({tuple(words[: length + 1]) for words in turns}) == 1 < min(map(len, turns)) - length
        ):
            length += 1
        lengths[first] = length
    tabbed = []
    for line in lines:
        match = _TIMED.fullmatch(line)
        words = match["rest"].split(" ") if match else []
        length = lengths[words[0]] if words else 0
        tabbed.append(f"{match['time']}\t{' '.join(words[:length])}\t{' '.join(words[length:])}" if match else line)
    return tabbed


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


_HEADED = re.compile(
    r"(?:#{1,6} +|\*\*|__)(?P<marked>[^\W\d_][^:：*#]{0,29}?)\s?[:：]?(?:\*\*|__)?\s?[:：]?"
    r"|(?P<who>[^\W\d_][^:：.!?,;\[\]{}\"<>=/]{0,29}?)\s?[:：]"
)
_RULE = re.compile(r"[-*_=]{3,}")
_MOST_HEADED = 4


def _headed(lines: list[str]) -> list[_Turn]:
    """Turns whose speakers stand in lines of their own above them, in bold or as headings, and take turns."""
    turns: list[_Turn] = []
    for line in lines:
        bare = line.strip()
        found = _HEADED.fullmatch(bare)
        if found is not None:
            turns.append(_Turn("1", (found["marked"] or found["who"]).strip(), []))
        elif turns and not _RULE.fullmatch(bare):
            turns[-1].lines.append(line)
        elif bare and not turns and len(bare) > _LONGEST_TITLE:
            return []
    names = Counter(turn.who for turn in turns)
    if len(turns) < _FEWEST or not 2 <= len(names) <= _MOST_HEADED or min(names.values()) < 2:
        return []
    changing = sum(one.who != other.who for one, other in pairwise(turns))
    told = sum(any(line.strip() for line in turn.lines) for turn in turns)
    return turns if min(changing + 1, told) >= 0.9 * len(turns) else []


_LONGEST_TITLE = 120


def _is_form(turns: list[_Turn], width: int) -> bool:
    """Whether the names come in the same order again and again, as fields of records do, and people don't."""
    first = [turn.who for turn in turns[:width]]
    same = sum(turn.who == first[place % width] for place, turn in enumerate(turns))
    return len(set(first)) == width and same >= 0.9 * len(turns)


_OMITTED = re.compile(
    r"<[^<>]{3,60}>"
    r"|\[(?:sticker|photo|video|voice message|file|album|contact|location|gif|스티커|사진|동영상|앨범|파일|음성 메시지"
    r"|スタンプ|写真|動画|ボイスメッセージ|ファイル|アルバム|贴图|照片|视频|貼圖|影片)\]"
    r"|(?:image|video|audio|sticker|gif|document|contact card|media) omitted"
    r"|photos?|video|voice message|sticker|emoticon|사진|동영상|음성메시지|이모티콘|사진 \d+장|삭제된 메시지입니다\.?"
    r"|(?:this message was deleted|you deleted this message|deleted message|message deleted)\.?"
    r"|(?:파일|file): \S+\.\w{2,5}|(?:보이스톡|페이스톡|라이브톡) \S.{0,20}|☎.*|null"
    r"|missed (?:voice|video) call\.?",
    re.IGNORECASE,
)
_NOTICES = re.compile(
    r".{1,80}님이 .{0,60}"
    r"(?:들어왔습니다|나갔습니다|초대했습니다|초대하였습니다|내보냈습니다|되었습니다|변경했습니다)\.?"
    r"|채팅방 관리자가 메시지를 가렸습니다\.?|.{1,80}메시지 보내기를 취소했습니다\.?"
    r"|.{1,80}が(?:メッセージの送信を取り消しました|参加しました|退出しました)。?"
    r"|.{1,80} (?:joined using .*|joined the (?:chat|group|room)|left(?: the (?:chat|group|room))?|unsent a message"
    r"|was added|added .{1,60}|removed .{1,60}|created (?:this |the )?group.*|pinned a message"
    r"|changed (?:the|this|their) .{1,80})\.?"
    r"|.*end-to-end encrypted.*"
    r"|.{1,60} (?:liked a message|sent an attachment|reacted .{1,20} to your message)\.?\s*",
    re.IGNORECASE,
)


def is_notice(text: str) -> bool:
    """Whether a line of a messenger tells what somebody did rather than what they said: joins, removals, calls."""
    return bool(_NOTICES.fullmatch(text.strip()))


def holds_words(text: str) -> bool:
    """Whether a message holds something that was said: no picture that was left out, no deleted one, no notice.

    WhatsApp puts an invisible mark before everything that it wrote itself, in any language.
    """
    bare = text.strip()
    return not (
        not bare.strip("\u200e\u200f") or bare.startswith("\u200e") or _OMITTED.fullmatch(bare) or is_notice(bare)
    )


def spoken_turns(turns: list[tuple[str, str, str]]) -> tuple[list[tuple[str, str, str]], list[Sentence]]:
    """The turns that hold words, and what a person should know about them and about the others."""
    spoken = [turn for turn in turns if turn[1] and holds_words(turn[2])]
    text = N_("It reads like a conversation that was written down: {count} {count:turn|turns} by {names}.")
    names = Counter(who for _, who, _ in spoken).most_common(6)
    notes = [sentence(text, count=len(spoken), names=", ".join(name for name, _ in names))]
    if len(spoken) < len(turns):
        text = N_(
            "{count} {count:message|messages} without words (pictures, deleted ones, who joined or left) "
            "{count:was|were} left out."
        )
        notes.append(sentence(text, count=len(turns) - len(spoken)))
    return spoken, notes


def stream_turns(
    path: Path, turns: list[tuple[str, str, str]], encoding: Encoding, notes: Iterable[Sentence] = ()
) -> TableStream:
    """The turns as rows, one each, without those that hold no words."""
    spoken, about = spoken_turns(turns)
    return stream_rows(document_info(path, "transcript", COLUMNS, [*notes, *about], encoding), len(spoken), spoken)
