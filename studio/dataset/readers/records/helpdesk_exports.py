"""Conversations as help desks export them (Intercom, Zendesk, Freshdesk, Help Scout, Front, Gorgias, tawk.to): who
asked and who answered stands in each message in a way of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from studio.core.translatable import N_
from studio.dataset.readers.documents.web_page import page_text
from studio.dataset.readers.records.remarks import Remarks
from studio.dataset.vocabulary import part_of, plain

_THREADS = (
    "conversationparts",
    "comments",
    "threads",
    "messages",
    "notes",
    "conversations",
    "replies",
    "communications",
)
_BODIES = (
    "body_text",
    "plain_body",
    "plainbody",
    "text",
    "body",
    "msg",
    "message",
    "content",
    "html_body",
    "body_html",
)
_ASKING = ("user", "lead", "contact", "customer", "enduser", "visitor", "v", "client", "requester")
_ANSWERING = ("admin", "agent", "bot", "operator", "teammate", "staff", "a", "team", "employee", "support")
_INCOMING = ("incoming", "inbound", "is_inbound", "from_customer", "is_customer")
_OUTGOING = ("from_agent", "outgoing", "outbound", "is_agent", "is_staff")
_ASKERS = ("requester_id", "customer_id", "submitter_id", "contact_id", "user_id")
_TIMES = ("created_at", "createdAt", "created", "time", "timestamp")
_Side = Literal["user", "assistant"]
_LEAST = 0.7
"""The share of the records in which somebody asks and somebody answers."""


def helpdesk_rows(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """Each record with its `messages` as turns of a conversation; None unless they are a help desk's."""
    tickets = [_unwrapped(one) for one in records]
    if not tickets or not all(isinstance(one, Mapping) and _thread(one) is not None for one in tickets):
        return None
    rows: list[object] = []
    private = both = 0
    for ticket in tickets:
        assert isinstance(ticket, Mapping)
        turns, hidden = _turns(ticket)
        private += hidden
        both += {"user", "assistant"} <= {turn["role"] for turn in turns}
        about = {
            name: value for name, value in ticket.items() if isinstance(value, str | int) and name != "description"
        }
        rows.append({**about, "messages": turns})
    if both < _LEAST * len(rows):
        return None
    remarks.guess(
        N_("It is the export of a help desk; who asks and who answers was told by what it says of each message.")
    )
    if private:
        remarks.say(
            N_("{count} {count:note|notes} that customers didn't see {count:was|were} left out."), count=private
        )
    return rows


def _unwrapped(record: object) -> object:
    """What stands in a record that holds nothing but one: {"helpdesk_ticket": {...}}."""
    if isinstance(record, Mapping) and len(record) == 1 and isinstance(inner := next(iter(record.values())), Mapping):
        return inner
    return record


def _thread(ticket: Mapping[str, object]) -> list[Mapping[str, object]] | None:
    """The messages of a ticket, in a list that is called as one, perhaps in a record around it; None without."""
    for holder in (ticket, *(value for value in ticket.values() if isinstance(value, Mapping))):
        for name, value in holder.items():
            if plain(name) not in _THREADS or not isinstance(value, list):
                continue
            parts = [part for part in value if isinstance(part, Mapping)]
            if parts and len(parts) == len(value) and all(_is_part(part) for part in parts):
                return parts
    return None


def _is_part(part: Mapping[str, object]) -> bool:
    """Whether it is a message of which something besides a plain role tells who wrote it."""
    has_body = any(name in part for name in _BODIES)
    told = any(name in part for name in (*_INCOMING, *_OUTGOING, "author_id", "user_id", "createdBy"))
    author = part.get("author", part.get("sender"))
    return has_body and "role" not in part and (told or (isinstance(author, Mapping) and _kind(author) != ""))


def _turns(ticket: Mapping[str, object]) -> tuple[list[dict[str, str]], int]:
    parts = _thread(ticket) or []
    times = [next((str(part[name]) for name in _TIMES if part.get(name)), "") for part in parts]
    if all(times) and all(time.isdecimal() for time in times):
        times = [time.zfill(20) for time in times]
    if all(times) and len(set(times)) == len(times):
        parts = [part for _, part in sorted(zip(times, parts, strict=True), key=lambda pair: pair[0])]
    turns: list[dict[str, str]] = []
    private = 0
    for part in parts:
        body = _body(part)
        if not body:
            continue
        if (
            part.get("public") is False
            or part.get("private") is True
            or "note" in (part.get("part_type"), part.get("type"))
        ):
            private += 1
            continue
        side = _side(part, ticket)
        if side:
            turns.append({"role": side, "content": body})
    if len(turns) > 1 and turns[0]["role"] == "assistant" and turns[-1]["role"] == "user" and not all(times):
        turns.reverse()  # Help Scout puts the newest first
    for first in _opening(ticket):
        if all(turn["content"] != first for turn in turns):
            turns.insert(0, {"role": "user", "content": first})
    return turns, private


def _opening(ticket: Mapping[str, object]) -> Iterator[str]:
    """What the first message is where it stands beside the others."""
    source = ticket.get("source")
    first = _body(source) if isinstance(source, Mapping) else ""
    told = ticket.get("description")
    if first or isinstance(told, str):
        yield first or _readable(str(told))


def _body(part: Mapping[str, object]) -> str:
    return next(
        (_readable(value) for name in _BODIES if isinstance(value := part.get(name), str) and value.strip()), ""
    )


def _readable(text: str) -> str:
    return page_text(text).strip() if "<" in text and ">" in text else text.strip()


def _side(part: Mapping[str, object], ticket: Mapping[str, object]) -> _Side | None:
    incoming = next((part[name] for name in _INCOMING if isinstance(part.get(name), bool)), None)
    if incoming is None:
        incoming = next((not part[name] for name in _OUTGOING if isinstance(part.get(name), bool)), None)
    if incoming is not None:
        return "user" if incoming else "assistant"
    if part.get("type") in ("customer", "reply"):  # Help Scout, where "user" is one of the staff
        return "user" if part["type"] == "customer" else "assistant"
    author = part.get("author", part.get("sender", part.get("createdBy")))
    kind = _kind(author) if isinstance(author, Mapping) else ""
    if kind:
        return "user" if kind in _ASKING else "assistant"
    who = part.get("author_id", part.get("user_id"))
    asker = next((ticket[name] for name in _ASKERS if ticket.get(name) is not None), None)
    if who is not None and asker is not None:
        return "user" if who == asker else "assistant"
    return None


def _kind(author: Mapping[str, object]) -> str:
    for name in ("type", "role", "t"):
        kind = plain(str(author.get(name) or ""))
        if kind in (*_ASKING, *_ANSWERING):
            return kind
        if part_of(kind) in ("user", "assistant"):
            return "customer" if part_of(kind) == "user" else "agent"
    return ""
