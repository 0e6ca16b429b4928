"""Conversations in the forms people keep them in: OpenAI's messages, ShareGPT's conversations, content in parts."""

from __future__ import annotations

import json
from typing import Literal

from studio.core.conversation import Message
from studio.core.words import N_

type_of_role = Literal["system", "user", "assistant", "tool"]

_ROLES: dict[str, type_of_role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "ipython": "tool",
    "사용자": "user",
    "고객": "user",
    "질문": "user",
    "상담사": "assistant",
    "답변": "assistant",
    "비서": "assistant",
    "시스템": "system",
}


class NotAConversation(Exception):
    """Carries an English sentence, marked for translation, that says why."""


def looks_like_conversation(cell: object) -> bool:
    """Whether a cell is a list of turns, as a list or as JSON text."""
    turns = _turns(cell)
    return bool(turns) and all(
        isinstance(turn, dict) and ("role" in turn or "from" in turn) and ("content" in turn or "value" in turn)
        for turn in turns[:4]
    )


def read_conversation(cell: object) -> tuple[Message, ...]:
    """The turns of a cell. Empty turns are left out. Raises `NotAConversation`."""
    turns = _turns(cell)
    if not turns:
        raise NotAConversation(N_("It holds no turns of a conversation."))
    messages: list[Message] = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise NotAConversation(N_("A turn of the conversation has no role and content."))
        who = turn.get("role", turn.get("from"))
        role = _ROLES.get(who.strip().casefold()) if isinstance(who, str) else None
        if role is None:
            raise NotAConversation(N_("A turn is spoken by someone unknown: neither user, assistant, system nor tool."))
        content = _content(turn.get("content", turn.get("value")))
        calls = turn.get("tool_calls") or turn.get("function_call")
        if calls and role == "assistant":
            content = "\n".join(part for part in (content, json.dumps(calls, ensure_ascii=False)) if part)
        if content.strip():
            messages.append(Message(role=role, content=content))
    return tuple(messages)


def _turns(cell: object) -> list[object]:
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return []
    return cell if isinstance(cell, list) else []


def _content(content: object) -> str:
    """Text, or the text parts of a list of parts. Pictures and sound can't be learned here."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts: list[str] = []
        for part in content:
            if isinstance(part, str):
                texts.append(part)
                continue
            kind = part.get("type", "text") if isinstance(part, dict) else None
            if not isinstance(part, dict) or not isinstance(kind, str):
                raise NotAConversation(N_("A turn holds something that isn't text."))
            if kind in ("image", "image_url", "input_image", "audio", "input_audio", "video", "video_url"):
                raise NotAConversation(N_("It holds a picture, sound or film; only text can be learned."))
            held = part.get("text", part.get("value", part.get("content", "")))
            texts.append(held if isinstance(held, str) else json.dumps(held, ensure_ascii=False))
        return "".join(texts)
    if isinstance(content, dict):
        return json.dumps(content, ensure_ascii=False)
    return str(content)
