"""Conversations as text in which the model's own marks and letters that only look like them are told apart.

A question may hold `<|im_end|>` or `</s>` as ordinary letters, as any web page does. A tokenizer would read them as
the marks that end a turn, so they are wrapped before the template writes them, and read as letters afterwards: what
transformers calls `sanitize_control_tokens`, for the tokens that are special.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from studio.core.conversation import Message
from studio.tokenization.adaptation import Conversation
from studio.tokenization.chat_template import ChatTemplate, Turn, as_turns, tools_of

Span = tuple[int, int]

# The same private letters as in transformers.
_OPEN, _CLOSE = "\U000f0000", "\U000f0001"
_BEGIN, _END = "\U000f0002", "\U000f0003"
_WRAPPERS = re.compile(f"[{_OPEN}{_CLOSE}{_BEGIN}{_END}]")


@dataclass(frozen=True)
class Rendered:
    """A conversation as one text. `letters` are the places of what looks like a mark and isn't one; a place without
    width is a break that no mark reaches across. `answers` are the template's own generation marks, empty without."""

    text: str
    letters: tuple[Span, ...] = ()
    answers: tuple[Span, ...] = ()


class Rendering:
    """One model's template with its special tokens. `marks` as they are written in a text."""

    def __init__(self, template: ChatTemplate, marks: Iterable[str]) -> None:
        self.template = template
        self.marks = tuple(sorted(marks))
        either = _any_of(self.marks)
        self._mark = re.compile(either)
        self._wrapped = re.compile(f"{_OPEN}({either}){_CLOSE}|[{_OPEN}{_CLOSE}]")

    def find_mark(self, text: str) -> str:
        """The first of the model's marks in `text`; "" without."""
        found = self._mark.search(text)
        return found.group() if found else ""

    def quoted_mark(self, talk: Conversation) -> str:
        """The first of what looks like a mark in a conversation; "" without."""
        return next((mark for text in _texts(talk) if (mark := self.find_mark(text))), "")

    def quotes_marks(self, talk: Conversation) -> bool:
        """Whether anything in the conversation looks like one of the model's marks."""
        return any(self._mark.search(text) or _WRAPPERS.search(text) for text in _texts(talk))

    def of(self, talk: Conversation, until: int | None = None, *, prompt: bool = False) -> Rendered:
        """The first `until` messages, all without; with `prompt` up to where the model begins to answer.
        Raises `ProblemError`."""
        return self._of(talk, talk.messages if until is None else talk.messages[:until], prompt)

    def place_of(self, talk: Conversation, position: int) -> tuple[Rendered, Span] | None:
        """The whole conversation, and where in it the contents of one message stand: its text without surrounding
        space and thoughts, up to the last name of its calls. None when the template doesn't write them as they are."""
        message = talk.messages[position]
        said = message.content.rpartition("</think>")[2]
        core = said.strip()
        changed: dict[str, object] = {}
        if core:
            at = len(message.content) - len(said) + said.index(core)
            after = at + len(core)
            close = "" if message.tool_calls else _END
            changed["content"] = message.content[:at] + _BEGIN + core + close + message.content[after:]
        if message.tool_calls:
            calls = list(message.tool_calls)
            if not core:
                calls[0] = calls[0].model_copy(update={"name": _BEGIN + calls[0].name})
            calls[-1] = calls[-1].model_copy(update={"name": calls[-1].name + _END})
            changed["tool_calls"] = tuple(calls)
        if not changed:
            return None
        marked = message.model_copy(update=changed)
        messages = (*talk.messages[:position], marked, *talk.messages[position + 1 :])
        found = self._of(talk, messages, False)
        if found.text.count(_BEGIN) != 1 or found.text.count(_END) != 1:
            return None
        start, end = found.text.index(_BEGIN), found.text.index(_END) - 1
        return Rendered(found.text.replace(_BEGIN, "").replace(_END, "")), (start, end)

    def _of(self, talk: Conversation, messages: tuple[Message, ...], prompt: bool) -> Rendered:
        turns = as_turns(messages, arguments_as_text=talk.arguments_as_text)
        tools = tools_of(talk.tools)
        if not self.quotes_marks(talk):
            written = self.template.write(turns, tools, prompt)
            return Rendered(written.text, answers=written.answers)
        wrapped_turns = [self._wrap(turn) for turn in turns]
        wrapped_tools = [self._wrap(tool) for tool in tools] if tools else None
        written = self.template.write(wrapped_turns, wrapped_tools, prompt)
        return self._unwrap(written.text, written.answers)

    def _wrap(self, turn: Turn) -> Turn:
        return {key: value if key == "role" else self._wrap_value(value) for key, value in turn.items()}

    def _wrap_value(self, value: object) -> object:
        if isinstance(value, str):
            plain = value.replace(_OPEN, "").replace(_CLOSE, "")
            return self._mark.sub(f"{_OPEN}\\g<0>{_CLOSE}", plain)
        if isinstance(value, Mapping):
            return {key: self._wrap_value(held) for key, held in value.items()}
        if isinstance(value, list | tuple):
            return [self._wrap_value(held) for held in value]
        return value

    def _unwrap(self, text: str, answers: tuple[Span, ...]) -> Rendered:
        parts: list[str] = []
        letters: list[Span] = []
        edges = sorted({place for span in answers for place in span})
        moved: dict[int, int] = {}
        last = length = 0
        for found in self._wrapped.finditer(text):
            while edges and edges[0] <= found.start():
                edge = edges.pop(0)
                moved[edge] = length + edge - last
            parts.append(text[last : found.start()])
            length += found.start() - last
            inner = found.group(1) or ""
            while edges and edges[0] < found.end():
                moved[edges.pop(0)] = length
            letters.append((length, length + len(inner)))
            parts.append(inner)
            length += len(inner)
            last = found.end()
        for edge in edges:
            moved[edge] = length + edge - last
        parts.append(text[last:])
        return Rendered("".join(parts), tuple(letters), tuple((moved[a], moved[b]) for a, b in answers))


def _texts(talk: Conversation) -> Iterator[str]:
    yield talk.tools
    for message in talk.messages:
        yield message.content
        if message.thinking:
            yield message.thinking
        for call in message.tool_calls:
            yield call.name
            yield call.arguments
        if message.name:
            yield message.name


def _any_of(words: Iterable[str]) -> str:
    """A pattern that finds the longest of `words`, shared beginnings first: some models have thousands of marks."""
    tree: dict[str, object] = {}
    for word in words:
        node = tree
        for letter in word:
            branch = node.setdefault(letter, {})
            assert isinstance(branch, dict)
            node = branch
        if word:
            node[""] = {}
    return _pattern(tree) if tree else "(?!)"


def _pattern(node: dict[str, object]) -> str:
    ends = "" in node
    branches = []
    for letter, branch in node.items():
        if letter and isinstance(branch, dict):
            branches.append(re.escape(letter) + _pattern(branch))
    if not branches:
        return ""
    body = branches[0] if len(branches) == 1 and not ends else "(?:" + "|".join(branches) + ")"
    return body + "?" if ends else body
