"""Conversations as text in which special tokens and text that only looks like them are told apart.

A question may hold `<|im_end|>` or `</s>` as ordinary text, as any web page does. A tokenizer would read them as the
special tokens that end a turn, so they are wrapped before the template writes them, and read as characters afterwards:
what transformers calls `sanitize_control_tokens`, for the tokens that are special.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.tokenization.chat_template import ChatTemplate, Rendered, TemplateMessage, template_messages, tools_of
from studio.tokenization.encoded import Span
from studio.tokenization.template_capabilities import TemplateCapabilities

# The same private characters as in transformers.
_OPEN, _CLOSE = "\U000f0000", "\U000f0001"
_BEGIN, _END, _HERE = "\U000f0002", "\U000f0003", "\U000f0004"
_WRAPPERS = re.compile(f"[{_OPEN}{_CLOSE}{_BEGIN}{_END}{_HERE}]")


class Rendering:
    """One model's template with its special tokens, as they are written in a text."""

    def __init__(
        self, template: ChatTemplate, capabilities: TemplateCapabilities, special_tokens: Iterable[str]
    ) -> None:
        self._template = template
        self._capabilities = capabilities
        # some models have thousands of tokens that differ in their number alone
        alike = {re.sub(r"\d+", r"\\d+", re.escape(token)) for token in special_tokens if token}
        either = "|".join(sorted(alike, key=len, reverse=True)) or "(?!)"
        self._special_token = re.compile(either)
        self._wrapped = re.compile(f"{_OPEN}({either}){_CLOSE}|[{_OPEN}{_CLOSE}]")

    def find_special_token(self, text: str) -> str:
        """The first special token in `text`; "" without."""
        found = self._special_token.search(text)
        return found.group() if found else ""

    def quoted_special_token(self, example: Example) -> str:
        """The first of what looks like a special token in a conversation; "" without."""
        return next((token for text in _texts(example) if (token := self.find_special_token(text))), "")

    def quotes_special_tokens(self, example: Example) -> bool:
        """Whether anything in the conversation looks like a special token."""
        return any(self._special_token.search(text) or _WRAPPERS.search(text) for text in _texts(example))

    def of(self, example: Example, until: int | None = None, *, prompt: bool = False) -> Rendered:
        """The first `until` messages, all of them without it; with `prompt` up to where the model begins to answer.
        Raises `ProblemError`."""
        return self._render(example, example.messages if until is None else example.messages[:until], prompt)

    def content_span(self, example: Example, position: int) -> tuple[Rendered, Span] | None:
        """The whole conversation, and where in it the contents of one message stand: its text without surrounding
        space and thoughts, up to the last name of its calls. None when the template doesn't write them as they are."""
        message = example.messages[position]
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
        messages = (*example.messages[:position], marked, *example.messages[position + 1 :])
        found = self._render(example, messages, False)
        if found.text.count(_BEGIN) != 1 or found.text.count(_END) != 1:
            return None
        start, end = found.text.index(_BEGIN), found.text.index(_END) - 1
        return Rendered(found.text.replace(_BEGIN, "").replace(_END, "")), (start, end)

    @property
    def only_last_as_asked(self) -> bool:
        """Whether only the answer at the end of a conversation stands where the model will be asked for it."""
        return self._capabilities.drops_opened_thoughts

    def _render(self, example: Example, messages: tuple[Message, ...], prompt: bool) -> Rendered:
        last = messages[-1] if messages else None
        if last is None or prompt or last.role != "assistant" or last.tool_calls or not self.only_last_as_asked:
            return self._write(example, messages, prompt)
        return self._after_opened_thoughts(example, messages)

    def _after_opened_thoughts(self, example: Example, messages: tuple[Message, ...]) -> Rendered:
        """The conversation with its last answer as the model has to give it: it is asked with thoughts opened, so it
        ends them first, its own or none."""
        *before, last = messages
        place = last.model_copy(update={"content": _HERE, "thinking": ""})
        whole = self._write(example, (*before, place), False).text
        if whole.count(_HERE) != 1:
            return self._write(example, messages, False)
        thought, ended, said = last.content.rpartition("</think>")
        asked = self._write(example, tuple(before), True)
        text, literal_spans = asked.text, list(asked.literal_spans)
        thought = thought.strip().removeprefix("<think>").strip() if ended else ""
        for part, wrap in ((thought, True), ("\n</think>\n\n", False), (said.lstrip("\n"), True)):
            more = self._unwrap(str(self._wrap_value(part)), ()) if wrap else Rendered(part)
            literal_spans += [(len(text) + a, len(text) + b) for a, b in more.literal_spans]
            text += more.text
        return Rendered(text + whole.partition(_HERE)[2], tuple(literal_spans))

    def turns(self, messages: tuple[Message, ...]) -> list[TemplateMessage]:
        """The messages as this template is given them."""
        as_text = any(m.tool_calls for m in messages) and self._capabilities.tool_calls == "text"
        in_parts = self._capabilities.content_in_parts
        return template_messages(messages, arguments_as_text=as_text, content_in_parts=in_parts)

    def _write(self, example: Example, messages: tuple[Message, ...], prompt: bool) -> Rendered:
        turns = self.turns(messages)
        tools = tools_of(example.tools)
        if not self.quotes_special_tokens(example):
            return self._template.write(turns, tools, prompt)
        wrapped_turns = [self._wrap(turn) for turn in turns]
        wrapped_tools = [self._wrap(tool) for tool in tools] if tools else None
        written = self._template.write(wrapped_turns, wrapped_tools, prompt)
        return self._unwrap(written.text, written.answers)

    def _wrap(self, turn: TemplateMessage) -> TemplateMessage:
        return {key: value if key == "role" else self._wrap_value(value) for key, value in turn.items()}

    def _wrap_value(self, value: object) -> object:
        if isinstance(value, str):
            plain = value.replace(_OPEN, "").replace(_CLOSE, "")
            return self._special_token.sub(f"{_OPEN}\\g<0>{_CLOSE}", plain)
        if isinstance(value, Mapping):
            return {key: self._wrap_value(held) for key, held in value.items()}
        if isinstance(value, list | tuple):
            return [self._wrap_value(held) for held in value]
        return value

    def _unwrap(self, text: str, answers: tuple[Span, ...]) -> Rendered:
        parts: list[str] = []
        literal_spans: list[Span] = []
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
            literal_spans.append((length, length + len(inner)))
            parts.append(inner)
            length += len(inner)
            last = found.end()
        for edge in edges:
            moved[edge] = length + edge - last
        parts.append(text[last:])
        return Rendered("".join(parts), tuple(literal_spans), tuple((moved[a], moved[b]) for a, b in answers))


def _texts(example: Example) -> Iterator[str]:
    yield example.tools
    for message in example.messages:
        yield message.content
        if message.thinking:
            yield message.thinking
        for call in message.tool_calls:
            yield call.name
            yield call.arguments
        if message.name:
            yield message.name
