"""What a single turn holds besides text: parts in a list, thoughts, calls of tools and their results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.core.conversation import ToolCall
from studio.core.translatable import N_
from studio.dataset.columns.formats.row_text import CannotLearn
from studio.dataset.columns.formats.tool_definitions import read_calls

_NOT_TEXT = {"image", "image_url", "input_image", "audio", "input_audio", "audio_url", "video", "video_url", "document"}
_TEXT = {"text", "input_text", "output_text"}
_THOUGHTS = {"thinking", "reasoning", "reasoning_content", "thought"}
_CALLS = {"tool_call", "tool_calls", "function_call"}


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


def split_thinking(text: str) -> tuple[str, str]:
    """The thoughts in `<think>` at the beginning of an answer, and the answer; ("", text) without."""
    if "<think" not in text:
        return "", text
    bare = text.lstrip()
    for begin, end in (("<think>", "</think>"), ("<thinking>", "</thinking>")):
        if bare.startswith(begin):
            thought, mark, answer = bare[len(begin) :].partition(end)
            if mark:
                return thought.strip(), answer.lstrip()
    return "", text


def _add(parts: Parts, part: object, drop_nulls: bool) -> None:
    if isinstance(part, str):
        parts.text += part
        return
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping) or not (kind is None or isinstance(kind, str)):
        raise CannotLearn(N_("A turn holds something that isn't text."))
    if kind in _NOT_TEXT or (kind is None and {"image", "image_url", "audio", "video"} & set(part)):
        raise CannotLearn(N_("It holds a picture, sound or film; only text can be learned."))
    if kind in _THOUGHTS:
        told = next((part[k] for k in (*_THOUGHTS, "text", "value", "content") if isinstance(part.get(k), str)), "")
        parts.thinking = "\n\n".join(held for held in (parts.thinking, told.strip()) if held)
    elif kind == "tool_use":
        parts.calls.extend(read_calls([part], drop_nulls))
    elif kind in _CALLS:
        held = next((part[k] for k in (*_CALLS, "value", "content") if part.get(k) is not None), part)
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
