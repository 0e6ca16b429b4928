"""Conversations in the forms people keep them in: OpenAI's messages, ShareGPT's conversations, content in parts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from studio.core.conversation import Message, ToolCall
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.columns.formats.cells import CannotLearn, message, nested, text_of
from studio.dataset.columns.formats.thinking import may_think, split_thinking
from studio.dataset.columns.formats.tools import read_calls, read_tools
from studio.dataset.columns.formats.written_conversations import marked_turns
from studio.dataset.table import Row
from studio.dataset.vocabulary import Part, part_of

_WHO = ("role", "from", "speaker", "author", "sender", "participantID", "speaker_id", "agent", "화자", "발화자")
_WHAT = ("content", "value", "text", "message", "utterance", "form", "발화", "발화내용", "parts")
_CALLS = ("tool_calls", "function_call", "function_calls")
_THOUGHTS = ("reasoning_content", "thinking", "reasoning", "thought")
_WEIGHTS = ("weight", "loss_weight", "train", "loss", "learn", "trainable", "training")
_MASKS = ("mask", "masked")
_IN_PART = "train_detail"
_MOST_TURNS = 10_000
_KNOWN_KEYS = frozenset(
    (*_WHO, *_WHAT, *_CALLS, *_THOUGHTS, *_WEIGHTS, *_MASKS, _IN_PART, "name", "id", "tool_call_id", "type", "tools")
)
_RECORDS = ("messages", "conversations", "conversation", "turns", "dialogue", "dialog", "contents", "utterance")


def looks_like_conversation(cell: object) -> bool:
    """Whether a cell is a list of turns, a record with one inside or a single turn, as Python values or JSON text."""
    turns = _turns(nested(cell))
    return bool(turns) and all(
        isinstance(turn, Mapping) and (_is_turn(turn) or _is_exchange(turn)) for turn in turns[:4]
    )


def in_turn(cell: object) -> list[object]:
    """The turns of a list that doesn't say who speaks: of texts, of which every second one answers, or of records with
    a question and an answer each; [] for other cells."""
    value = nested(cell)
    if not isinstance(value, list | tuple) or not value:
        return []
    if all(isinstance(said, str) for said in value):
        texts = [said for said in value if said.strip()]
        if len(texts) < 2:
            return []
        return [{"role": ("user", "assistant")[place % 2], "content": said} for place, said in enumerate(texts)]
    turns: list[object] = []
    for one in value:
        if not isinstance(one, Mapping) or any(name in one for name in _WHO):
            return []
        asked, told = (next((one[n] for n in names if isinstance(one.get(n), str)), None) for names in _EXCHANGES)
        if asked is None or told is None:
            return []
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]
    return turns


_EXCHANGES = (("input", "question", "prompt", "query", "instruction"), ("output", "answer", "response", "completion"))
"""What a question and its answer are called in a list of exchanges."""


def speakers_in(cell: object) -> tuple[str, ...]:
    """The names under which the turns of a cell are spoken, as they stand there."""
    turns = _turns(nested(cell))
    told = [turn for turn in turns if isinstance(turn, Mapping)]
    names = [[str(_first(turn, _WHO))] if _is_turn(turn) else [str(name) for name in turn] for turn in told]
    return tuple(name for spoken in names for name in spoken)


def instructions_of(row: Row, column: str | None) -> str:
    """Standing instructions of a row: a text, or parts of one as Bedrock and Gemini keep them."""
    text = text_of(row, column)
    value = nested(text) if text[:1] in ("{", "[") else text
    told = _first(value, _WHAT) if isinstance(value, Mapping) else value
    if told is None or isinstance(told, str):
        return told or text
    try:
        return parts_of(told).text.strip() or text
    except CannotLearn:
        return text


class ConversationReader:
    """Reads the turns of cells. `drop_nulls` leaves out what columnar files fill into arguments of tools; `answering`
    is the name under which answers are given where names don't tell, and makes every other such name one who asks."""

    def __init__(self, drop_nulls: bool = False, answering: str | None = None) -> None:
        self.drop_nulls = drop_nulls
        self.answering = answering
        self._odd_weights = 0
        self._in_part = 0
        self._trees = 0
        self._unknown_keys: Counter[str] = Counter()

    def notes(self) -> list[Sentence]:
        """What was read otherwise than it stands in the turns so far."""
        told: list[Sentence] = []
        if self._odd_weights:
            text = N_("{count} {count:turn has|turns have} a weight other than 0 and 1, learned like 1.")
            told.append(sentence(text, count=self._odd_weights))
        if self._in_part:
            text = N_(
                "Of {count} {count:answer|answers} only parts are learned, as {name} says; the other parts are "
                "only read."
            )
            told.append(sentence(text, count=self._in_part, name=_IN_PART))
        if self._trees:
            text = N_(
                "Of {count} {count:tree|trees} of replies the best answers by their rank are read; the others "
                "are left out."
            )
            told.append(sentence(text, count=self._trees))
        if self._unknown_keys:
            names = ", ".join(name for name, _ in self._unknown_keys.most_common(8))[:200]
            told.append(sentence(N_("The turns also hold {names}, which isn't used."), names=names))
        return told

    def read(self, cell: object) -> tuple[tuple[Message, ...], str]:
        """The turns, and the tools that the record itself names (JSON as in `Example.tools`). Turns without any
        contents are left out, those of tools excepted. Raises `CannotLearn`."""
        value = nested(cell)
        turns = in_turn(value) or _turns(value)
        if not turns:
            raise CannotLearn(N_("It holds no turns of a conversation."))
        self._trees += _has_branches(value)
        messages: list[Message] = []
        open_calls: list[ToolCall] = []
        for turn in turns:
            plain = _plain(turn) if self.answering is None else None
            if plain is not None:
                messages.append(plain)
                continue
            if isinstance(turn, Mapping) and _is_turn(turn):
                self._add(messages, open_calls, self._part(_first(turn, _WHO)), turn)
            elif isinstance(turn, Mapping) and _is_exchange(turn):
                for name, told in turn.items():
                    if part_of(name) is not None:
                        self._add(messages, open_calls, part_of(name), {"content": told})
            else:
                raise CannotLearn(N_("A turn of the conversation has no role and content."))
        tools = ""
        if isinstance(value, Mapping):
            held = value.get("tools") if value.get("tools") is not None else value.get("functions")
            tools = read_tools(held, self.drop_nulls)
        return tuple(messages), tools

    def _part(self, who: object) -> Part | None:
        if self.answering is None:
            return part_of(who)
        if str(who) == self.answering:
            return "assistant"
        part = part_of(who)
        return "user" if part is None or part == "assistant" else part

    def _add(
        self, messages: list[Message], open_calls: list[ToolCall], part: Part | None, turn: Mapping[str, object]
    ) -> None:
        if part is None:
            raise CannotLearn(N_("A turn is spoken by someone unknown: neither user, assistant, system nor tool."))
        self._unknown_keys.update(
            name for name, held in turn.items() if name not in _KNOWN_KEYS and held not in (None, "", [], {})
        )
        what = _first(turn, _WHAT)
        if part == "tool":
            self._add_result(messages, open_calls, turn, what)
            return
        if part == "call":
            calls = read_calls(what, self.drop_nulls)
            parts = Parts(calls=list(calls))
        else:
            parts = parts_of(what, self.drop_nulls)
        for name in _CALLS:
            if turn.get(name):
                parts.calls.extend(read_calls(turn[name], self.drop_nulls))
        if part in ("system", "user"):
            if parts.calls:
                raise CannotLearn(N_("A tool is called by someone who isn't the assistant."))
            for identity, told in parts.results:
                _append_result(messages, open_calls, identity, "", told)
            if parts.text.strip():
                messages.append(message("system" if part == "system" else "user", parts.text))
            return
        if parts.results:
            raise CannotLearn(N_("A turn holds something that isn't text."))
        told_thoughts = next((held for name in _THOUGHTS if isinstance(held := turn.get(name), str) and held), "")
        thinking, text = split_thinking(parts.text)
        thinking = "\n\n".join(thought.strip() for thought in (told_thoughts, parts.thinking, thinking) if thought)
        if not text.strip() and not parts.calls:
            return
        in_loss = self._is_in_loss(turn)
        open_calls.extend(parts.calls)
        before = messages[-1] if messages else None
        if part == "call" and before is not None and before.role == "assistant" and before.in_loss == in_loss:
            # ShareGPT gives each call a turn of its own; together with what was said they are one answer.
            calls = (*before.tool_calls, *parts.calls)
            messages[-1] = before.model_copy(update={"tool_calls": calls})
        else:
            stretches = self._stretches(turn.get(_IN_PART), text, isinstance(what, str) and text == what)
            if in_loss and stretches and not any(piece.strip() for piece in stretches[::2]):
                in_loss, stretches = False, ()
            messages.append(
                message("assistant", text, thinking, tuple(parts.calls), in_loss=in_loss, stretches=stretches)
            )

    def _add_result(
        self, messages: list[Message], open_calls: list[ToolCall], turn: Mapping[str, object], what: object
    ) -> None:
        if isinstance(what, list) and not all(isinstance(p, Mapping) and isinstance(p.get("type"), str) for p in what):
            told = json.dumps(what, ensure_ascii=False, default=str)  # a result that is a list, not a list of parts
        else:
            parts = parts_of(what, self.drop_nulls)
            told = parts.text
        name = turn.get("name")
        identity = turn.get("tool_call_id") or turn.get("id")
        _append_result(
            messages,
            open_calls,
            identity if isinstance(identity, str) else "",
            name if isinstance(name, str) else "",
            told,
        )

    def _stretches(self, details: object, text: str, is_whole: bool) -> tuple[str, ...]:
        """The answer cut where Axolotl's details (begin, end included, whether to train) say that a part of it isn't
        learned. Where the text was changed, or the places are none in it, nothing of it is learned."""
        found = [one for one in details if isinstance(one, Mapping)] if isinstance(details, list) else []
        marked = sorted((one.get("begin_offset"), one.get("end_offset")) for one in found if one.get("train") is False)
        if not marked:
            return ()
        self._in_part += 1
        pieces: list[str] = []
        at = 0
        for begin, end in marked:
            if not (is_whole and isinstance(begin, int) and isinstance(end, int) and at <= begin <= end < len(text)):
                return ("", text)
            pieces += [text[at:begin], text[begin : end + 1]]
            at = end + 1
        return (*pieces, text[at:])

    def _is_in_loss(self, turn: Mapping[str, object]) -> bool:
        if any(str(turn.get(name)).casefold() in ("true", "1") for name in _MASKS):
            return False
        for name in _WEIGHTS:
            weight = turn.get(name)
            if weight is None or weight == "":
                continue
            try:
                number = float(weight)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                number = {"true": 1.0, "false": 0.0}.get(str(weight).casefold(), -1.0)
            if number not in (0.0, 1.0):
                self._odd_weights += 1
            return number != 0.0
        return True


def _append_result(messages: list[Message], open_calls: list[ToolCall], identity: str, name: str, told: str) -> None:
    """A tool's report, tied to its call by the id, else by the name, else by the order of the calls."""
    place = None
    for position, call in enumerate(open_calls):
        if (call.id == identity) if identity and call.id else (call.name == name if name else True):
            place = position
            break
    if place is not None:
        call = open_calls.pop(place)
        name, identity = name or call.name, identity or call.id
    messages.append(message("tool", told, name=name, call_id=identity))


def read_history(cell: object) -> tuple[Message, ...]:
    """Earlier turns: a list of pairs of question and answer, or of turns. Raises `CannotLearn`."""
    value = nested(cell)
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        return ()
    if looks_like_conversation(value):
        return ConversationReader().read(value)[0]
    said: list[Message] = []
    for pair in value if isinstance(value, list | tuple) else [None]:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(told, str) for told in pair):
            raise CannotLearn(N_("The earlier turns can't be read: they aren't pairs of question and answer."))
        if not pair[0].strip() or not pair[1].strip():
            raise CannotLearn(N_("The earlier turns can't be read: they aren't pairs of question and answer."))
        thinking, answer = split_thinking(pair[1])
        said += [message("user", pair[0]), message("assistant", answer, thinking)]
    return tuple(said)


def looks_like_history(cell: object) -> bool:
    """Whether a cell is a list of pairs of question and answer."""
    value = nested(cell)
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(p, list | tuple) and len(p) == 2 and all(isinstance(t, str) for t in p) for p in value)
    )


_PLAIN: dict[object, Literal["system", "user", "assistant"]] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "system": "system",
}


def _plain(turn: object) -> Message | None:
    """The quick way for a turn that is nothing but a common speaker and a text."""
    if type(turn) is not dict or len(turn) != 2:
        return None
    who, told = turn.get("role") or turn.get("from"), turn.get("content") or turn.get("value")
    role = _PLAIN.get(who) if type(who) is str else None
    if role is None or type(told) is not str or (role == "assistant" and may_think(told)) or not told.strip():
        return None
    return message(role, told)


def _is_turn(turn: Mapping[object, object]) -> bool:
    return any(name in turn for name in _WHO) and any(name in turn for name in (*_WHAT, *_CALLS))


def _is_exchange(turn: Mapping[object, object]) -> bool:
    """A question with its answer in one record: {"human": "...", "assistant": "..."}."""
    return {"user", "assistant"} <= {part_of(name) for name in turn}


def _first(turn: Mapping[str, object], names: Sequence[str]) -> object:
    for name in names:
        if turn.get(name) is not None:
            return turn[name]
    return None


def _with_replies(turn: Mapping[str, object]) -> list[object]:
    """A turn and the best of the replies to it by their rank, and so on, as OpenAssistant keeps trees."""
    turns: list[object] = []
    node: object = turn
    while isinstance(node, Mapping) and len(turns) < _MOST_TURNS:
        replies = node.get("replies")
        turns.append({name: held for name, held in node.items() if name != "replies"})
        found = [reply for reply in replies if isinstance(reply, Mapping)] if isinstance(replies, list) else []
        node = min(found, key=lambda reply: _as_number(reply.get("rank")), default=None)
    return turns


def _has_branches(value: object) -> bool:
    """Whether anything in a tree of replies has several."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        replies = node.get("replies") if isinstance(node, Mapping) else None
        if isinstance(replies, list):
            if len(replies) > 1:
                return True
            waiting.extend(replies)
    return False


def _as_number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("inf")


def _turns(value: object) -> list[object]:
    if isinstance(value, str):
        return marked_turns(value)
    if isinstance(value, Mapping):
        for name in _RECORDS:
            if isinstance(value.get(name), list):
                return list(value[name])
        # A single turn, as rankings keep the better and the worse answer.
        return _with_replies(value) if _is_turn(value) and part_of(_first(value, _WHO)) is not None else []
    return list(value) if isinstance(value, list | tuple) else []


_NOT_TEXT = {"image", "image_url", "input_image", "audio", "input_audio", "audio_url", "video", "video_url", "document"}
_TEXT = {"text", "input_text", "output_text"}
_THOUGHT_PARTS = {"thinking", "reasoning", "reasoning_content", "thought"}
_CALL_PARTS = {"tool_call", "tool_calls", "function_call"}


@dataclass
class Parts:
    """The contents of a turn, taken apart. `results` are (call id, text) of tools that reported within it."""

    text: str = ""
    thinking: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)


def parts_of(content: object, drop_nulls: bool = False) -> Parts:
    """Text, or a list of parts of kinds that OpenAI, Anthropic and LLaMA-Factory use. Raises `CannotLearn` for
    pictures and sound, and for parts of a kind that isn't known: leaving one out could turn the answer around."""
    if isinstance(content, str):
        return Parts(content)
    if content is None:
        return Parts()
    if isinstance(content, list | tuple):
        parts = Parts()
        for part in content:
            _add(parts, part, drop_nulls)
        return parts
    return Parts(_as_text(content))


def _add(parts: Parts, part: object, drop_nulls: bool) -> None:
    if isinstance(part, str):
        parts.text += part
        return
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping) or not (kind is None or isinstance(kind, str)):
        raise CannotLearn(N_("A turn holds something that isn't text."))
    if kind in _NOT_TEXT or (kind is None and {"image", "image_url", "audio", "video"} & set(part)):
        raise CannotLearn(N_("It holds a picture, sound or film; only text can be learned."))
    if kind in _THOUGHT_PARTS:
        told = next(
            (part[k] for k in (*_THOUGHT_PARTS, "text", "value", "content") if isinstance(part.get(k), str)), ""
        )
        parts.thinking = "\n\n".join(held for held in (parts.thinking, told.strip()) if held)
    elif kind == "tool_use":
        parts.calls.extend(read_calls([part], drop_nulls))
    elif kind in _CALL_PARTS:
        held = next((part[k] for k in (*_CALL_PARTS, "value", "content") if part.get(k) is not None), part)
        parts.calls.extend(read_calls(held, drop_nulls))
    elif kind == "tool_result":
        identity = part.get("tool_use_id")
        told = parts_of(part.get("content"), drop_nulls).text
        parts.results.append((identity if isinstance(identity, str) else "", told))
    elif kind is None or kind in _TEXT:
        named = [part[k] for k in ("text", "value", "content") if part.get(k) is not None]
        parts.text += _as_text(named[0]) if named else "" if kind else _as_text(part)
    else:
        raise CannotLearn(N_("A turn holds something that isn't text."))


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
