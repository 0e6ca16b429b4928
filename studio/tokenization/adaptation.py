"""Conversations written so that nothing of them is lost in a template that doesn't know tools, thoughts or rules.

Each way of writing is stated to the person: what a template would leave out silently is said, not lost.
"""

from __future__ import annotations

import json
from itertools import pairwise, takewhile

from studio.core.conversation import Message, ToolCall
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.examples import Example
from studio.tokenization.chat_template import arguments_of, tools_of
from studio.tokenization.template_capabilities import TemplateCapabilities, with_thoughts

SYSTEM_FOLDED = N_(
    "This model takes no standing instructions of their own, so they are written at the beginning of the first "
    "question."
)
TOOLS_DESCRIBED = N_(
    "This model's chat template doesn't describe tools, so they are described in the standing instructions, as JSON "
    "between <tools> and </tools>."
)
CALLS_WRITTEN = N_(
    "This model's chat template doesn't write calls of tools, so each is written into the answer as JSON between "
    "<tool_call> and </tool_call>."
)
RESULTS_WRITTEN = N_(
    "This model's chat template doesn't write the results of tools, so they are written as a question between "
    "<tool_response> and </tool_response>."
)
IDS_SHORTENED = N_(
    "This model's chat template wants ids of nine characters for calls of tools, so they are numbered that way."
)
CALLS_APART = N_(
    "This model calls one tool at a time, so several calls in one answer are written one after the other, each "
    "followed by its result."
)
WORDS_LEFT_OUT = N_(
    "This model calls tools without a word beside, so what such answers say besides the call is left out."
)
THOUGHTS_WRITTEN = N_(
    "This model's chat template doesn't know thoughts, so they are written before the answer, between <think> and "
    "</think>, and learned with it."
)
THOUGHTS_LEFT_OUT = N_("This model's chat template leaves out thoughts, so they aren't learned.")
EARLIER_THOUGHTS_LEFT_OUT = N_(
    "As this model does when it is used, its chat template leaves out the thoughts before earlier answers. Only those "
    "before the last answer are learned."
)
QUESTION_ADDED = N_(
    "This model wants a question first, so an empty one stands before conversations that begin with an answer."
)
TURNS_JOINED = N_(
    "This model wants questions and answers in turn, so what the same speaker says twice in a row is joined."
)


def adapt(example: Example, capabilities: TemplateCapabilities) -> tuple[Example, tuple[Sentence, ...]]:
    """The conversation as this template can write it without loss, and what was written differently. What it can write
    stays as it is.

    The beginning of a conversation is adapted as the whole is, so a prompt is the beginning of what is learned.
    Raises `ProblemError` for tools that can't be understood and for templates that use up too much.
    """
    messages, tools = example.messages, example.tools
    adaptations: list[str] = []
    if tools and not capabilities.tools:
        messages = _with_rule(messages, describe(tools))
        tools = ""
        adaptations.append(TOOLS_DESCRIBED)
    if any(m.tool_calls for m in messages):
        if capabilities.tool_calls is None:
            messages = tuple(_with_calls_written(m) for m in messages)
            adaptations.append(CALLS_WRITTEN)
        else:
            if any(m.tool_calls and m.content for m in messages) and not capabilities.words_beside_calls:
                messages = tuple(m.model_copy(update={"content": ""}) if m.tool_calls else m for m in messages)
                adaptations.append(WORDS_LEFT_OUT)
            if any(len(m.tool_calls) > 1 for m in messages) and not capabilities.several_calls:
                messages = _one_call_at_a_time(messages)
                adaptations.append(CALLS_APART)
            if not capabilities.any_call_id:
                messages = _with_short_ids(messages)
                adaptations.append(IDS_SHORTENED)
    if any(m.role == "tool" for m in messages) and not capabilities.tool_results:
        messages = _with_results_written(messages)
        adaptations.append(RESULTS_WRITTEN)
    if any(m.thinking for m in messages):
        if capabilities.thoughts == "written":
            messages = tuple(_with_thoughts_written(m) for m in messages)
            adaptations.append(THOUGHTS_WRITTEN)
        elif capabilities.thoughts is None:
            adaptations.append(THOUGHTS_LEFT_OUT)
        answers = [m for m in messages if m.role == "assistant"]
        if capabilities.thoughts and any(_thinks(m) for m in answers[:-1]) and not capabilities.earlier_thoughts:
            adaptations.append(EARLIER_THOUGHTS_LEFT_OUT)
    if any(m.role == "system" and m.content for m in messages) and not capabilities.system:
        messages = _without_system(messages)
        adaptations.append(SYSTEM_FOLDED)
    rules = sum(1 for _ in takewhile(lambda m: m.role == "system", messages))
    if len(messages) > rules and messages[rules].role == "assistant" and not capabilities.answer_first:
        messages = (*messages[:rules], Message(role="user"), *messages[rules:])
        adaptations.append(QUESTION_ADDED)
    twice = any(a.role == b.role and a.role in ("user", "assistant") for a, b in pairwise(messages))
    if twice and not capabilities.same_speaker_twice:
        messages = _joined(messages)
        adaptations.append(TURNS_JOINED)
    if not adaptations:
        return example, ()
    return Example(messages=messages, tools=tools), tuple(sentence(text) for text in adaptations)


def describe(tools: str) -> str:
    """The tools of a conversation in words and JSON, in the form that Hermes and Qwen models know."""
    lines = [json.dumps(tool, ensure_ascii=False) for tool in tools_of(tools) or []]
    return "\n".join(
        (
            "You can call these tools. Each is described as JSON between <tools> and </tools>:",
            "<tools>",
            *lines,
            "</tools>",
            "To call one, write its name and arguments as JSON:",
            "<tool_call>",
            '{"name": "the name", "arguments": {"an argument": "its value"}}',
            "</tool_call>",
        )
    )


def written_call(call: ToolCall) -> str:
    """A call as JSON between <tool_call> and </tool_call>."""
    held = {"name": call.name, "arguments": arguments_of(call.arguments)}
    return f"<tool_call>\n{json.dumps(held, ensure_ascii=False)}\n</tool_call>"


def _with_rule(messages: tuple[Message, ...], rule: str) -> tuple[Message, ...]:
    if messages and messages[0].role == "system":
        first = messages[0]
        told = f"{first.content}\n\n{rule}" if first.content else rule
        return (first.model_copy(update={"content": told}), *messages[1:])
    return (Message(role="system", content=rule), *messages)


def _with_calls_written(message: Message) -> Message:
    if not message.tool_calls:
        return message
    parts = [message.content] if message.content else []
    parts += [written_call(call) for call in message.tool_calls]
    return message.model_copy(update={"content": "\n".join(parts), "tool_calls": ()})


def _with_results_written(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Results that follow on each other stand in one turn, as several calls stand in one answer."""
    turns: list[Message] = []
    within = False
    for message in messages:
        if message.role != "tool":
            turns.append(message)
            within = False
            continue
        result = f"<tool_response>\n{message.content}\n</tool_response>"
        if within:
            turns[-1] = turns[-1].model_copy(update={"content": f"{turns[-1].content}\n{result}"})
        else:
            turns.append(Message(role="user", content=result))
        within = True
    return tuple(turns)


def _with_short_ids(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Calls numbered through the conversation; a result belongs to the call of its id, else to the next without one."""
    turns: list[Message] = []
    known: dict[str, str] = {}
    open_calls: list[str] = []
    count = 0
    for message in messages:
        if message.tool_calls:
            calls = []
            for call in message.tool_calls:
                count += 1
                short = f"call{count:05d}"
                if call.id:
                    known[call.id] = short
                open_calls.append(short)
                calls.append(call.model_copy(update={"id": short}))
            message = message.model_copy(update={"tool_calls": tuple(calls)})
        elif message.role == "tool":
            named = known.get(message.call_id)
            short = named or (open_calls[0] if open_calls else f"call{count:05d}")
            if short in open_calls:
                open_calls.remove(short)
            message = message.model_copy(update={"call_id": short})
        turns.append(message)
    return tuple(turns)


def _one_call_at_a_time(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Results belong to the call of their id, else to the calls in order."""
    turns: list[Message] = []
    place = 0
    while place < len(messages):
        message = messages[place]
        place += 1
        if len(message.tool_calls) < 2:
            turns.append(message)
            continue
        results: list[Message] = []
        while place < len(messages) and messages[place].role == "tool":
            results.append(messages[place])
            place += 1
        for number, call in enumerate(message.tool_calls):
            said = {} if number == 0 else {"content": "", "thinking": ""}
            turns.append(message.model_copy(update={"tool_calls": (call,), **said}))
            own = next((r for r in results if call.id and r.call_id == call.id), results[0] if results else None)
            if own is not None:
                results.remove(own)
                turns.append(own)
        turns += results
    return tuple(turns)


def _thinks(message: Message) -> bool:
    return bool(message.thinking) or "</think>" in message.content


def _with_thoughts_written(message: Message) -> Message:
    if not message.thinking:
        return message
    return message.model_copy(update={"content": with_thoughts(message.thinking, message.content), "thinking": ""})


def _without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Every standing instruction at the beginning of the first question, as the families without them do."""
    told = "\n\n".join(m.content for m in messages if m.role == "system" and m.content)
    rest = [m for m in messages if m.role != "system"]
    if rest and rest[0].role == "user":
        asked = f"{told}\n\n{rest[0].content}" if rest[0].content else told
        return (rest[0].model_copy(update={"content": asked}), *rest[1:])
    return (Message(role="user", content=told), *rest)


def _joined(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    turns: list[Message] = []
    for message in messages:
        last = turns[-1] if turns else None
        if last is None or last.role != message.role or message.role not in ("user", "assistant"):
            turns.append(message)
            continue
        turns[-1] = last.model_copy(
            update={
                "content": "\n\n".join(part for part in (last.content, message.content) if part),
                "thinking": "\n\n".join(part for part in (last.thinking, message.thinking) if part),
                "tool_calls": (*last.tool_calls, *message.tool_calls),
                # One answer is learned or isn't: what shouldn't be learned must not slip in.
                "in_loss": last.in_loss and message.in_loss and not (last.stretches or message.stretches),
                "stretches": (),
            }
        )
    return tuple(turns)
