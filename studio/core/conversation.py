"""What is said in a conversation, in the form that chat templates take."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class ToolCall(BaseModel):
    """A tool that the model asks for. `arguments` is a JSON object as text; `id` ties a result to it, "" without."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    arguments: str = "{}"
    id: str = ""


class Message(BaseModel):
    """One turn. `content` may be empty where tools are called instead.

    `thinking` is what a model wrote for itself before the answer; `name` and `call_id` say of which tool and call a
    tool's turn is the result; `in_loss` is False for an answer that is only read, as a weight of 0 in a file says.
    `stretches` are the pieces of an answer of which every second one is only read; where they don't make up `content`,
    because it was changed since, all of it is only read.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    call_id: str = ""
    in_loss: bool = True
    stretches: tuple[str, ...] = ()


class Fact(BaseModel):
    """Something that was said in a turn of a conversation, in that turn's own words.

    An entity: `subject` is a person, a place or an idea, `statement` the sentence in which it was mentioned. A
    relation: `subject`, `relation` and `object` are a triple out of that sentence. `said_by` tells whose words they
    are.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["entity", "relation"]
    subject: str
    relation: str = ""
    object: str = ""
    statement: str = ""
    said_by: Literal["user", "assistant"] = "user"
