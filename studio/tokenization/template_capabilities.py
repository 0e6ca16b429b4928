"""What a chat template can write, found out by rendering made-up conversations and looking for their words.

Templates don't say what they know. Many leave out tools, calls, results or thoughts without a word, and some refuse
standing instructions; what would be lost is then written in another way, see `studio.tokenization.adaptation`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from studio.core.conversation import Message, ToolCall
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.models.config import read_mapping
from studio.tokenization.chat_template import ChatTemplate, TemplateMessage, template_messages

NINE_CHARACTERS = "call00001"
"""An id in the only form that some templates take."""

_OPENED = re.compile(r"<think>\s*\Z")

_WITH_END = """\
{%- set ended = namespace(messages=[]) %}{% for m in messages %}\
{% if m['role'] == 'assistant' and not m['tool_calls'] and (loop.last or ALWAYS) %}\
{% if m['content'] is string %}{% set said = (m['content'] | trim) + eos_token %}\
{% else %}{% set said = m['content'] + [{'type': 'text', 'text': eos_token}] %}{% endif %}\
{% set ended.messages = ended.messages + [dict(m, content=said)] %}\
{% else %}{% set ended.messages = ended.messages + [m] %}{% endif %}{% endfor %}{% set messages = ended.messages -%}
"""
"""Stands before a template that writes nothing that ends an answer: the eos token is added to what was answered."""

_ASK = Message(role="user", content="zqask")
_END = Message(role="assistant", content="zqend")
_TOOL: TemplateMessage = {
    "type": "function",
    "function": {
        "name": "zqtool",
        "description": "zqpurpose",
        "parameters": {
            "type": "object",
            "properties": {"zqpart": {"type": "string", "description": "zqmeaning"}},
            "required": ["zqpart"],
        },
    },
}


class TemplateCapabilities:
    """Asked one by one, each answered by rendering once."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template

    @cached_property
    def content_in_parts(self) -> bool:
        """Whether the template writes texts only where they stand in a list of parts, as models that also see do.
        Raises `ProblemError` where it doesn't write them at all."""
        talk = [_ASK, _END]
        if self._shows(talk, "zqask", "zqend", content_in_parts=False):
            return False
        if self._shows(talk, "zqask", "zqend", content_in_parts=True):
            return True
        self._template.write(template_messages(talk))  # which may say why
        raise problem(
            "template.drops_text",
            N_("The chat template of this model leaves out what is asked or answered."),
            N_("It was tried with a made-up question and its answer, and these didn't come out again."),
            N_("Choose another base model, or fetch this one again."),
            remedy=Remedy.choose_model,
        )

    @cached_property
    def system(self) -> bool:
        """Whether standing instructions are written where they are given as a turn of their own."""
        return self._shows([Message(role="system", content="zqrule"), _ASK, _END], "zqrule")

    @cached_property
    def answer_first(self) -> bool:
        """Whether a conversation may begin with what the assistant says, as a greeting does."""
        return self._shows([Message(role="assistant", content="zqhello"), _ASK, _END], "zqhello", "zqask")

    @cached_property
    def same_speaker_twice(self) -> bool:
        """Whether somebody may speak twice in a row."""
        return self._shows([_ASK, Message(role="user", content="zqmore"), _END], "zqask", "zqmore")

    @cached_property
    def tools(self) -> bool:
        """Whether the tools that can be used are described."""
        return self._shows([_ASK, _END], "zqtool", "zqpurpose", "zqpart", tools=[_TOOL])

    @cached_property
    def tool_calls(self) -> Literal["mapping", "text"] | None:
        """In which form calls of tools take their arguments; None when calls aren't written."""
        forms: tuple[Literal["mapping", "text"], ...] = ("mapping", "text")
        for form in forms:
            talk = [_ASK, _call(NINE_CHARACTERS), _result(NINE_CHARACTERS), _END]
            for said in (talk, talk[:2]):
                if self._shows(said, "zqcall", "zqvalue", tools=self._tools(), arguments_as_text=form == "text"):
                    return form
        return None

    @cached_property
    def words_beside_calls(self) -> bool:
        """Whether what is said in an answer that also calls a tool is written."""
        both = _call(NINE_CHARACTERS).model_copy(update={"content": "zqsaid"})
        talk = [_ASK, both, _result(NINE_CHARACTERS), _END]
        return self._shows_calls(talk, "zqsaid")

    @cached_property
    def several_calls(self) -> bool:
        """Whether one answer may call several tools."""
        twice = (*_call("call00001").tool_calls, *_call("call00002").tool_calls)
        talk = [_ASK, _END.model_copy(update={"content": "", "tool_calls": twice})]
        talk += [_result("call00001"), _result("call00002"), _END]
        return self._shows_calls(talk, "zqcall")

    @cached_property
    def tool_results(self) -> bool:
        """Whether the turn of a tool is written."""
        calls = _call(NINE_CHARACTERS) if self.tool_calls else Message(role="assistant", content="zqcalling")
        return self._shows_calls([_ASK, calls, _result(NINE_CHARACTERS), _END], "zqresult")

    @cached_property
    def any_call_id(self) -> bool:
        """Whether calls may carry ids of any length, or none."""
        for name in ("", "call_0123456789"):
            talk = [_ASK, _call(name), _result(name), _END]
            if not self._shows_calls(talk, "zqcall"):
                return False
        return True

    @cached_property
    def thoughts(self) -> Literal["field", "written"] | None:
        """Whether thoughts before the last answer are written from their own field, or only where they stand in the
        answer's text between <think> and </think>; None when they are left out either way."""
        if self._shows([_ASK, Message(role="assistant", content="zqend", thinking="zqthought")], "zqthought", "zqend"):
            return "field"
        written = Message(role="assistant", content=with_thoughts("zqthought", "zqend"))
        kept = self.drops_opened_thoughts or self._shows([_ASK, written], "zqthought", "zqend")
        return "written" if kept else None

    @cached_property
    def opens_thoughts(self) -> bool:
        """Whether what the model is given before it answers ends in thoughts that it has to go on with."""
        return bool(_OPENED.search(self._written([_ASK], prompt=True)))

    @cached_property
    def drops_opened_thoughts(self) -> bool:
        """Whether these thoughts are gone from an answer once it is finished. What is learned has to be written with
        them then, or the model would be asked otherwise than it was trained."""
        return self.opens_thoughts and not self._written([_ASK, _END]).startswith(self._written([_ASK], prompt=True))

    @cached_property
    def earlier_thoughts(self) -> bool:
        """Whether the thoughts before earlier answers are still written when the conversation has gone on."""
        thinking = Message(role="assistant", content="zqend", thinking="zqthought")
        if self.thoughts == "written":
            thinking = Message(role="assistant", content=with_thoughts("zqthought", "zqend"))
        return self.thoughts is not None and self._shows([_ASK, thinking, _ASK, _END], "zqthought")

    def _written(self, said: Sequence[Message], *, prompt: bool = False) -> str:
        """The conversation as text, "" where the template refuses it."""
        try:
            turns = template_messages(said, content_in_parts=self.content_in_parts)
            return self._template.write(turns, add_generation_prompt=prompt).text
        except ProblemError:
            return ""

    def _shows_calls(self, said: Sequence[Message], *words: str) -> bool:
        return self._shows(said, *words, tools=self._tools(), arguments_as_text=self.tool_calls == "text")

    def _tools(self) -> list[TemplateMessage] | None:
        return [_TOOL] if self.tools else None

    def _shows(
        self,
        said: Sequence[Message],
        *words: str,
        tools: list[TemplateMessage] | None = None,
        arguments_as_text: bool = False,
        content_in_parts: bool | None = None,
    ) -> bool:
        in_parts = self.content_in_parts if content_in_parts is None else content_in_parts
        turns = template_messages(said, arguments_as_text=arguments_as_text, content_in_parts=in_parts)
        try:
            text = self._template.write(turns, tools).text
        except ProblemError as error:
            if error.problem.code == "template.too_much":
                raise
            return False
        return all(word in text for word in words)


def template_in(folder: Path) -> ChatTemplate:
    """The template with which the model in `folder` is trained and asked, and which is saved with it: its own, or the
    default. Where its own writes no special token after an answer, and the model has an eos token, that is added:
    otherwise no model learns where to stop. Raises `ProblemError`."""
    template = ChatTemplate.from_folder(folder)
    eos, added = template.special.get("eos_token"), _added_tokens(folder)
    if not eos or eos not in added:  # written into a text, it wouldn't become a token
        return template
    alone = _after_answer(template, _ASK, _END)
    if alone is None or any(token in alone for token, special in added.items() if special or token == eos):
        return template
    between = _after_answer(template, _ASK, _END, Message(role="user", content="zqmore"))
    always = "false" if between is None or eos in between else "true"
    return ChatTemplate(_WITH_END.replace("ALWAYS", always) + template.source, template.special, end_added=eos)


def _after_answer(template: ChatTemplate, *said: Message) -> str | None:
    """What stands between the answer and what comes next; None where the template doesn't show them once."""
    for in_parts in (False, True):
        try:
            text = template.write(template_messages(said, content_in_parts=in_parts)).text
        except ProblemError:
            continue
        if text.count(_END.content) == 1:
            return text.partition(_END.content)[2].partition("zqmore")[0]
    return None


def _added_tokens(folder: Path) -> dict[str, bool]:
    """Tokens that stand for themselves wherever they are written, each with whether it is a special one."""
    listed = read_mapping(folder / "tokenizer.json").get("added_tokens")
    tokens = [token for token in listed if isinstance(token, dict)] if isinstance(listed, list) else []
    return {str(token["content"]): bool(token.get("special")) for token in tokens if token.get("content")}


def with_thoughts(thinking: str, content: str) -> str:
    """An answer with its thoughts in the form that most thinking models use."""
    return f"<think>\n{thinking}\n</think>\n\n{content}"


def _call(id: str) -> Message:
    call = ToolCall(name="zqcall", arguments='{"zqpart": "zqvalue"}', id=id)
    return Message(role="assistant", tool_calls=(call,))


def _result(id: str) -> Message:
    return Message(role="tool", content="zqresult", name="zqcall", call_id=id)
