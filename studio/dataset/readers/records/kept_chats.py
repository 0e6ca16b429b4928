"""Chats as programs for talking to models keep them: the turns deep inside of a record, a turn a record, the versions
of each turn with the one that was chosen, an activity with a prompt and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from studio.core.translatable import N_
from studio.dataset.readers.documents.web_page import page_text
from studio.dataset.readers.records.remarks import Remarks

_SPEAKERS = ("role", "from", "speaker", "author", "sender")
_CONTENTS = ("content", "value", "text", "message", "parts", "utterance")
_FROM_USER = ("is_user", "isUser", "isCreatedByUser", "fromUser", "is_human", "from_user")
_SAID = ("mes", "text", "message", "content", "body")
_DEEPEST = 4
_MOSTLY = 0.9


def kept_chats(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """Rows with the conversations of such records; None for others."""
    return (
        _selected(records, remarks)
        or _sided(records, remarks)
        or _activity(records, remarks)
        or _deep(records, remarks)
    )


def _deep(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """The only list of turns that stands deeper inside of each record."""
    rows: list[object] = []
    for record in records:
        if not isinstance(record, Mapping) or any(_is_talk(held) for held in record.values()):
            return None
        found = [turns for held in record.values() if isinstance(held, Mapping) for turns in _talks(held, 1)]
        if len(found) != 1:
            return None
        plain = {name: held for name, held in record.items() if isinstance(held, str | int | float)}
        rows.append({**plain, "messages": [_with_name(turn) for turn in found[0]]})
    if rows:
        remarks.say(N_("The conversations were found inside of the records."))
    return rows or None


def _talks(value: object, depth: int) -> Iterator[list[Mapping[str, object]]]:
    if isinstance(value, list) and _is_talk(value):
        yield value
    elif isinstance(value, Mapping) and depth < _DEEPEST and not _is_turn(value):  # what replies to a turn is a tree
        for held in value.values():
            yield from _talks(held, depth + 1)


def _is_talk(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(turn, Mapping) and _is_turn(turn) for turn in value)
    )


def _is_turn(value: Mapping[str, object]) -> bool:
    return any(value.get(name) for name in _SPEAKERS) and any(name in value for name in _CONTENTS)


def _with_name(turn: Mapping[str, object]) -> Mapping[str, object]:
    """A turn whose speaker is a name, where a record tells about them."""
    for name in _SPEAKERS:
        about = turn.get(name)
        if isinstance(about, Mapping):
            told = next((about[key] for key in ("name", "displayName", "role", "type", "id") if about.get(key)), "")
            return {**turn, name: str(told)}
    return turn


def _sided(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """One conversation of records that say no more of who speaks than whether the user does. The first may be
    about the chat."""
    side = next((name for name in _FROM_USER if _has(records, name)), "")
    said = next((name for name in _SAID if _has(records, name)), "")
    if not side or not said:
        return None
    turns = [
        {"role": "user" if one[side] else "assistant", "content": one[said]}
        for one in records
        if isinstance(one, Mapping) and isinstance(one.get(side), bool) and isinstance(one.get(said), str)
    ]
    if {turn["role"] for turn in turns} != {"user", "assistant"}:
        return None
    remarks.guess(N_("The records are the turns of one chat; {name} says which of them the user wrote."), name=side)
    return [{"messages": turns}]


def _has(records: Sequence[object], name: str) -> bool:
    return sum(isinstance(one, Mapping) and name in one for one in records[:50]) >= _MOSTLY * len(records[:50])


def _selected(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """One conversation of turns of which all versions are kept, as LM Studio does."""
    turns: list[dict[str, str]] = []
    for record in records:
        versions = record.get("versions") if isinstance(record, Mapping) else None
        if not isinstance(record, Mapping) or not isinstance(versions, list) or not versions:
            return None
        place = record.get("currentlySelected")
        chosen = versions[place] if isinstance(place, int) and 0 <= place < len(versions) else versions[-1]
        role = chosen.get("role") if isinstance(chosen, Mapping) else None
        if isinstance(chosen, Mapping) and isinstance(role, str):
            turns.append({"role": role, "content": "".join(_texts(chosen.get("content") or chosen.get("steps"), 0))})
    if len(turns) < 2:
        return None
    remarks.guess(N_("The records are the turns of one chat; of each the chosen version is read."))
    return [{"messages": turns}]


def _texts(value: object, depth: int) -> Iterator[str]:
    """The texts of the parts of a turn, without thoughts and reports of tools."""
    if isinstance(value, list) and depth < _DEEPEST:
        for one in value:
            yield from _texts(one, depth + 1)
    elif isinstance(value, Mapping):
        style = value.get("style")
        if isinstance(style, Mapping) and style.get("type") == "thinking":
            return
        if isinstance(value.get("text"), str):
            yield str(value["text"])
        else:
            yield from _texts(value.get("content"), depth + 1)


def _activity(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """What Google keeps of each question to Gemini: a title with the prompt behind a word, and the answer as a page."""
    rows: list[tuple[str, str]] = []
    for record in records:
        pages = record.get("safeHtmlItem") if isinstance(record, Mapping) else None
        page = pages[0].get("html") if isinstance(pages, list) and pages and isinstance(pages[0], Mapping) else None
        if isinstance(record, Mapping) and isinstance(record.get("title"), str) and isinstance(page, str):
            rows.append((str(record["title"]), page_text(page)))
    if len(rows) < 2 or len(rows) < 0.3 * len(records):
        return None
    first = Counter(title.partition(" ")[0] for title, _ in rows).most_common(1)[0]
    word = first[0] + " " if first[1] >= _MOSTLY * len(rows) else ""
    text = N_("Each entry is a prompt with its answer; {count} without an answer were left out.")
    remarks.guess(text, count=len(records) - len(rows))
    return [{"question": title.removeprefix(word), "answer": page} for title, page in rows]
