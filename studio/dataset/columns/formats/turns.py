"""Conversations whose turns stand in rows: which rows belong together, who answers, and one conversation at a time."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from studio.core.conversation import Message
from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_
from studio.dataset.columns.formats.cells import CannotLearn, message, text_of
from studio.dataset.columns.formats.thinking import split_thinking
from studio.dataset.table import Row
from studio.dataset.vocabulary import Part, part_of

_HELD = 64 << 20
"""Letters of unfinished conversations that are kept; beyond it only the places of their rows, to be read again."""

_MOST_SPEAKERS = 2_000


@dataclass
class Order:
    """What a first walk over the rows found out. `last` is the place of the last row of each conversation, by the
    hash of its id, and stays empty where conversations follow one another without being interleaved; `is_merged`
    that an id stands only in the first row of each; `speakers` counts the rows of each name."""

    last: dict[int, int] = field(default_factory=dict)
    is_merged: bool = False
    speakers: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    conversations: int = 0


def order_of(rows: Sequence[Row], mapping: ColumnMapping) -> Order:
    """One walk over the rows, keeping a number for each conversation and none of what is said."""
    id_column, speaker_column = str(mapping.conversation), str(mapping.speaker)
    order = Order()
    last: dict[int, int] = {}
    current: int | None = None
    speaker_before: str | None = None
    turns = interleaved = blanks = leading_blanks = repeats = 0
    for place, row in enumerate(rows):
        name = text_of(row, speaker_column)
        identity = text_of(row, id_column)
        if not identity:
            blanks += 1
            leading_blanks += current is None
            if current is None:
                continue
            key = current
        else:
            key = hash(identity)
            repeats += key == current
        if key != current:
            interleaved += key in last
            current, turns, speaker_before = key, 0, None
        if identity:
            last[key] = place
        if name and name != speaker_before:
            turns += 1
            if turns == 2:
                order.seconds[name] += 1
            speaker_before = name
        if name and (name in order.speakers or len(order.speakers) < _MOST_SPEAKERS):
            order.speakers[name] += 1
    order.conversations = len(last)
    order.is_merged = bool(blanks) and not interleaved and not repeats and not leading_blanks
    if interleaved:
        order.last = last
    return order


@dataclass(frozen=True)
class SpeakerRoles:
    """Which part each speaker has. `is_told` is False where the names don't say who answers."""

    parts: dict[str, Part]
    assistant_speaker: str
    is_told: bool


def speaker_roles(order: Order, answering: str | None = None) -> SpeakerRoles:
    """Who asks and who answers. Where the names don't tell, it is who usually speaks second."""
    parts: dict[str, Part] = {}
    unknown: list[str] = []
    letters: dict[str, Part]
    letters = {"q": "user", "a": "assistant"} if {"q", "a"} <= {name.casefold() for name in order.speakers} else {}
    for name in order.speakers:
        part = part_of(name) or letters.get(name.casefold())
        if answering is not None and name == answering:
            part = "assistant"
        elif answering is not None and part == "assistant":
            part = None
        if part is None:
            unknown.append(name)
        else:
            parts[name] = part
    has_user, has_assistant = "user" in parts.values(), "assistant" in parts.values()
    if unknown and has_assistant and not has_user:
        parts.update(dict.fromkeys(unknown, "user"))  # customers under their own names
        unknown = []
    elif unknown and has_user and not has_assistant:
        parts.update(dict.fromkeys(unknown, "assistant"))
        unknown = []
    elif unknown and not has_user and not has_assistant:
        second = max(unknown, key=lambda name: (order.seconds[name], order.speakers[name]))
        if len(unknown) >= 2:
            parts.update(dict.fromkeys(unknown, "user"))
            parts[second] = "assistant"
        return SpeakerRoles(parts, second, False)
    elif unknown and answering is not None:
        parts.update(dict.fromkeys(unknown, "user"))
        unknown = []
    answers = [name for name, part in parts.items() if part == "assistant"]
    most = max(answers, key=lambda name: order.speakers[name], default="")
    return SpeakerRoles(parts, most, not unknown and bool(answers) and "user" in parts.values())


def conversations_in(
    rows: Sequence[Row], mapping: ColumnMapping, order: Order, speakers: SpeakerRoles
) -> Iterator[tuple[int, tuple[Message, ...] | CannotLearn]]:
    """Each conversation with the number of its first row, from 1, as soon as its last row was read; rows that
    belong to none say why. Consecutive turns of one speaker are joined by a line break."""
    id_column = str(mapping.conversation)
    waiting: dict[int, _Waiting] = {}
    held = 0
    current: int | None = None
    contiguous = not order.last
    for place, row in enumerate(rows):
        identity = text_of(row, id_column)
        if identity:
            key = hash(identity)
        elif order.is_merged and current is not None:
            key = current
        else:
            yield place + 1, CannotLearn(N_("The row has no conversation id."))
            continue
        if contiguous and key != current and current in waiting:
            held = 0
            yield _told(waiting.pop(current), rows, mapping, speakers)
        current = key
        one = waiting.get(key)
        if one is None:
            one = waiting[key] = _Waiting(place)
        if held < _HELD and not one.places:
            who, said = text_of(row, mapping.speaker), text_of(row, mapping.content)
            one.turns.append((who, said))
            one.letters += len(said) + 100
            held += len(said) + 100
        else:
            one.places.append(place)
        if not contiguous and order.last.get(key) == place:
            held -= one.letters
            yield _told(waiting.pop(key), rows, mapping, speakers)
    for one in waiting.values():
        yield _told(one, rows, mapping, speakers)


class _Waiting:
    """An unfinished conversation: its first turns, and the places of later ones that weren't kept."""

    __slots__ = ("first", "letters", "places", "turns")

    def __init__(self, first: int) -> None:
        self.first = first
        self.turns: list[tuple[str, str]] = []
        self.places = array("L")
        self.letters = 0


def _told(
    one: _Waiting, rows: Sequence[Row], mapping: ColumnMapping, speakers: SpeakerRoles
) -> tuple[int, tuple[Message, ...] | CannotLearn]:
    try:
        return one.first + 1, _messages(one, rows, mapping, speakers)
    except CannotLearn as reason:
        return one.first + 1, reason


def _messages(
    one: _Waiting, rows: Sequence[Row], mapping: ColumnMapping, speakers: SpeakerRoles
) -> tuple[Message, ...]:
    turns = one.turns
    if one.places:
        again = (rows[place] for place in one.places)
        turns = turns + [(text_of(row, mapping.speaker), text_of(row, mapping.content)) for row in again]
    joined: list[tuple[str, Part, list[str]]] = []
    for who, said in turns:
        if not said:
            continue
        part = speakers.parts.get(who) or part_of(who)
        if part is None:
            if not who:
                raise CannotLearn(N_("A turn has no speaker."))
            raise CannotLearn(N_("{speaker} speaks in it, and it isn't known whether they ask or answer."), speaker=who)
        if part == "call":
            raise CannotLearn(N_("A call of a tool can't be read: it isn't a name with arguments."))
        if joined and joined[-1][0] == who:
            joined[-1][2].append(said)
        else:
            joined.append((who, part, [said]))
    messages: list[Message] = []
    for _, part, texts in joined:
        text = "\n".join(texts)
        if part == "assistant":
            thinking, text = split_thinking(text)
            messages.append(message("assistant", text, thinking))
        elif part == "tool":
            messages.append(message("tool", text))
        else:
            messages.append(message("system" if part == "system" else "user", text))
    return tuple(messages)
