"""Chats that a messenger wrote as JSON (Telegram, Discord, Slack, Instagram, Facebook): who said what, on which day."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers.documents.transcripts import COLUMNS, spoken_turns
from studio.dataset.readers.documents.web_page import page_text
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows
from studio.dataset.vocabulary import plain

_FEWEST = 6
_Turn = tuple[str, str, str]


@dataclass(frozen=True)
class Chat:
    """`turns` are (day, speaker, content) in the order in which they were said."""

    turns: list[_Turn]
    notes: tuple[Sentence, ...]


@dataclass(frozen=True)
class _Messenger:
    """The keys of a message: who wrote it, what, and when. `kinds` are the values of `type` that are words of people;
    `marks` are keys without which it is some other file."""

    name: str
    speaker: str
    content: str
    time: str
    kinds: tuple[object, ...] = ()
    marks: tuple[str, ...] = ()
    is_escaped: bool = False
    """Whether each byte of UTF-8 was written as a character of its own."""


_MESSENGERS = (
    _Messenger("Telegram", "from", "text", "date", ("message",), ("type", "id")),
    _Messenger("Discord", "author", "content", "timestamp", ("Default", "Reply", 0, 19), ("type", "author")),
    _Messenger("Slack", "user", "text", "ts", ("message",), ("type", "ts")),
    _Messenger("Google Chat", "creator", "text", "created_date", (), ("creator", "created_date")),
    _Messenger("Matrix", "sender", "content", "origin_server_ts", ("m.room.message",), ("type", "sender")),
    _Messenger("Teams", "from", "body", "createdDateTime", (), ("createdDateTime", "body")),
    _Messenger("Instagram", "sender_name", "content", "timestamp_ms", (), ("sender_name", "timestamp_ms"), True),
)


def chat_in(value: object) -> Chat | None:
    """The chat in what an export holds: a list of messages, by itself or under `messages`; None for other data."""
    lists = _message_lists(value)
    for messenger in _MESSENGERS:
        found = [messages for messages in lists if _fits(messages, messenger)]
        if not found or len(found) < len(lists):
            continue
        turns = [turn for number, messages in enumerate(found, 1) for turn in _turns(messages, messenger, number)]
        if len({who for _, who, _ in turns}) < 2 or len(turns) < _FEWEST:
            return None
        left = sum(map(len, found)) - len(turns)
        text = N_("It is a chat that {program} exported; each day is a conversation.")
        notes = [sentence(text, program=messenger.name)]
        if left:
            text = N_(
                "{count} {count:entry|entries} that nobody said (joins, calls, service messages) "
                "{count:was|were} left out."
            )
            notes.append(sentence(text, count=left))
        return Chat(turns, tuple(notes))
    return None


def _message_lists(value: object) -> list[Sequence[Mapping[str, object]]]:
    if isinstance(value, Mapping):
        chats = value.get("chats")
        inner = chats.get("list") if isinstance(chats, Mapping) else None
        held = [one.get("messages") for one in inner if isinstance(one, Mapping)] if isinstance(inner, list) else []
        held = held or [value.get("messages") or value.get("value")]
    else:
        held = [value]
    return [one for one in held if isinstance(one, list) and one and all(isinstance(entry, Mapping) for entry in one)]


def _fits(messages: Sequence[Mapping[str, object]], messenger: _Messenger) -> bool:
    marked = sum(all(mark in message for mark in messenger.marks) for message in messages)
    timed = sum(messenger.time in message for message in messages)
    said = sum(bool(_speaker(message, messenger)) and messenger.content in message for message in messages)
    return min(marked, timed) >= 0.9 * len(messages) and said >= 0.3 * len(messages)


def _speaker(message: Mapping[str, object], messenger: _Messenger) -> str:
    who = message.get(messenger.speaker)
    if isinstance(who, Mapping) and isinstance(who.get("user"), Mapping):
        who = who["user"]
    if isinstance(who, Mapping):
        who = (
            who.get("nickname")
            or who.get("displayName")
            or who.get("global_name")
            or who.get("name")
            or who.get("username")
        )
    profile = message.get("user_profile")
    if isinstance(profile, Mapping):
        who = profile.get("display_name") or profile.get("real_name") or profile.get("name") or who
    return _unescaped(who, messenger).strip() if isinstance(who, str) else ""


def _unescaped(text: str, messenger: _Messenger) -> str:
    if not messenger.is_escaped or text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _turns(messages: Sequence[Mapping[str, object]], messenger: _Messenger, number: int) -> list[_Turn]:
    found: list[tuple[float, _Turn]] = []
    for place, message in enumerate(messages):
        who = _speaker(message, messenger)
        is_said = not messenger.kinds or message.get("type") in messenger.kinds
        if not who or not is_said or message.get("subtype") not in (None, "bot_message", "thread_broadcast"):
            continue
        content = message.get(messenger.content)
        if isinstance(content, list):  # words and links, one after the other
            parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
            content = "".join(part for part in parts if isinstance(part, str))
        if isinstance(content, Mapping):  # with its kind beside it
            told = content.get("body") or content.get("content")
            content = page_text(told) if content.get("contentType") == "html" and isinstance(told, str) else told
        said = _unescaped(content, messenger).strip() if isinstance(content, str) else ""
        when = _when(message.get(messenger.time))
        day = when.date().isoformat() if when else ""
        found.append((when.timestamp() if when else float(place), (f"{number}: {day}", who, said)))
    times = [time for time, _ in found]
    if times == sorted(times, reverse=True) and times != sorted(times):
        found.reverse()  # the newest stood first
    return [turn for _, turn in found]


def _when(time: object) -> datetime.datetime | None:
    try:
        if isinstance(time, str) and not time.replace(".", "", 1).isdecimal():
            return datetime.datetime.fromisoformat(time)
        seconds = float(str(time))
        return datetime.datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return None


_WHEN = ("date", "time", "datetime", "timestamp", "날짜", "일시", "시간")
_WHO = ("user", "author", "sender", "from", "name", "사용자", "보낸사람", "이름", "닉네임")
_WHAT = ("message", "text", "content", "body", "메시지", "내용")
_BESIDE = (
    *("id", "messageid", "authorid", "userid", "senderid", "channel", "channelid", "type", "attachments", "reactions"),
    "번호",
)
"""What else a table of messages may say of each."""


def with_chat(stream: TableStream) -> TableStream:
    """A table of when, who and what, as KakaoTalk on a Mac, Discord and others export chats: its turns by days."""
    names = {plain(name): name for name in stream.columns if plain(name) not in _BESIDE}
    if len(names) != 3 or stream.format == "transcript":
        return stream
    found = [next((names[name] for name in known if name in names), "") for known in (_WHEN, _WHO, _WHAT)]
    if not all(found):
        return stream
    batches = list(stream.batches)
    when, who, what = ([cell or "" for batch in batches for cell in batch.column(name).to_pylist()] for name in found)
    whole = replace(stream, batches=iter(batches))
    if not 2 <= len(set(who)) <= 0.5 * len(who):
        return whole  # reviews and the like
    turns = [
        (moment.date().isoformat() if (moment := _when(time)) else time[:10], name, said)
        for time, name, said in zip(when, who, what, strict=True)
    ]
    spoken, notes = spoken_turns(turns)
    info = replace(stream.info, format="transcript", columns=COLUMNS, notes=(*stream.notes, *notes))
    return stream_rows(info, len(spoken), spoken)
