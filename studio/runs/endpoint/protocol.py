"""OpenAI's Chat Completions as far as a chat here can answer it: what a request may hold, and what is answered.

Source: https://platform.openai.com/docs/api-reference/chat (November 2026). What would change the answer and can't be
done here is refused by name; what only describes the request is read over.
"""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from studio.core.conversation import Message
from studio.core.events import MOST_SEED

LONGEST = 2048
"""Tokens of an answer where the request names no limit. What fits beside the prompt is the limit in any case."""

ErrorType = Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]


class Refused(Exception):
    """A request that isn't answered, as the protocol tells it."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        kind: ErrorType = "invalid_request_error",
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.kind, self.param = status, code, kind, param

    def body(self) -> dict[str, JsonValue]:
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}


class _Part(BaseModel):
    type: Literal["text"]
    text: str


def _as_text(content: object) -> object:
    """Content may come as a list of parts; those of text are one text."""
    return "".join(_Part.model_validate(part).text for part in content) if isinstance(content, list) else content


class RequestMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_as_text)]

    def as_message(self) -> Message:
        return Message(role="system" if self.role == "developer" else self.role, content=self.content)


class _StreamOptions(BaseModel):
    include_usage: bool = False


class CompletionRequest(BaseModel):
    """The body of a request. Without a `temperature` the likeliest word is always taken, as in the window."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str
    messages: tuple[RequestMessage, ...] = Field(min_length=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    stop: str | tuple[str, ...] | None = None

    @property
    def longest(self) -> int:
        return min(8192, self.max_completion_tokens or self.max_tokens or LONGEST)

    @property
    def drawn_with(self) -> int | None:
        """Their seeds may be any whole number."""
        return self.seed % (MOST_SEED + 1) if self.seed is not None else None

    @property
    def stops(self) -> tuple[str, ...]:
        given = (self.stop,) if isinstance(self.stop, str) else self.stop or ()
        return tuple(one for one in given if one)

    @property
    def conversation(self) -> tuple[Message, ...]:
        """With all instructions as one message at its beginning, where templates want it."""
        said = [message.as_message() for message in self.messages]
        system = "\n\n".join(message.content for message in said if message.role == "system")
        rest = [message for message in said if message.role != "system"]
        return (*([Message(role="system", content=system)] if system else []), *rest)


_WITHOUT_EFFECT: dict[str, tuple[JsonValue, ...]] = {
    "n": (1,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "audio": (),
    "modalities": (["text"],),
}
"""Fields that would change the answer, and their values that ask for nothing special."""


def read_request(body: bytes) -> CompletionRequest:
    """Raises `Refused`."""
    try:
        request = CompletionRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or None
        raise Refused(400, f"{where or 'The body'}: {first['msg']}", param=where) from error
    for name, value in (request.model_extra or {}).items():
        if name in _WITHOUT_EFFECT and value is not None and value not in _WITHOUT_EFFECT[name]:
            raise Refused(400, f"{name} isn't supported by this program.", "unsupported_parameter", param=name)
    if request.conversation[-1].role != "user":
        raise Refused(400, "The last message has to be one of the user.", param="messages")
    return request


def models(ids: tuple[str, ...]) -> dict[str, JsonValue]:
    return {"object": "list", "data": [model(one) for one in ids]}


def model(name: str) -> dict[str, JsonValue]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "this computer"}


class Completion:
    """One answer as the protocol tells it, whole or in pieces."""

    def __init__(self, id: str, model: str) -> None:
        self._id, self._model = f"chatcmpl-{id}", model
        self._created = int(time.time())

    def whole(self, text: str, finish: str, prompt_tokens: int, tokens: int) -> dict[str, JsonValue]:
        message: dict[str, JsonValue] = {"role": "assistant", "content": text, "refusal": None}
        choice: dict[str, JsonValue] = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {**self._head("chat.completion"), "choices": [choice], "usage": _usage(prompt_tokens, tokens)}

    def begin(self) -> dict[str, JsonValue]:
        return self._piece({"role": "assistant", "content": ""})

    def more(self, text: str) -> dict[str, JsonValue]:
        return self._piece({"content": text})

    def end(self, finish: str) -> dict[str, JsonValue]:
        return self._piece({}, finish)

    def usage(self, prompt_tokens: int, tokens: int) -> dict[str, JsonValue]:
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(prompt_tokens, tokens)}

    def _piece(self, delta: dict[str, JsonValue], finish: str | None = None) -> dict[str, JsonValue]:
        choice: dict[str, JsonValue] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, JsonValue]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


def _usage(prompt_tokens: int, tokens: int) -> dict[str, JsonValue]:
    return {"prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": prompt_tokens + tokens}
