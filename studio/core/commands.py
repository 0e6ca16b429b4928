"""What a child process is told: typed commands, see `studio.core.command_queue`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from studio.core.conversation import Fact, Message
from studio.core.events import MOST_SEED, THIS_RUN, ModelUnderTest

RememberedFor = Literal["meaning", "entities", "relations"]
"""What a turn is read for: an embedding to find it by; people, places and ideas; triples."""


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str


class Stop(_Command):
    """End soon. With `keep`, save what was learned first."""

    type: Literal["stop"] = "stop"
    keep: bool = True


class Pause(_Command):
    """Save everything that going on needs, and end: memory and card are free then."""

    type: Literal["pause"] = "pause"


class SaveNow(_Command):
    """Make a save point after the current step."""

    type: Literal["save_now"] = "save_now"


class Ask(_Command):
    """Answer the conversation as `model`; one of the kind other_run is loaded from the folder `run` when it is first
    asked. Greedy when `temperature` is 0, else drawn with `seed`; `max_tokens` limits the answer.

    `memory` names one of `studio.chat.memories`, which decides with `amount` what is told of the earlier messages;
    `summary` stands for the first `summarized` exchanges, where an earlier `PromptSent` said so. `messages` lacks
    `left_out` earlier messages, which the memory drops. Of the exchanges that it holds, those at `found` were chosen
    for what they are about, the best first. `facts` are told if there is room, the best first; `examples` are shown
    before the conversation, pairs of a question and its answer.
    """

    type: Literal["ask"] = "ask"
    messages: tuple[Message, ...]
    model: ModelUnderTest = THIS_RUN
    run: Path | None = None
    max_tokens: int = Field(default=256, ge=1, le=8192)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    seed: int | None = Field(default=None, ge=0, le=MOST_SEED)
    memory: str = "everything"
    amount: int = 0
    summary: str = ""
    summarized: int = 0
    left_out: int = 0
    found: tuple[int, ...] = ()
    facts: tuple[Fact, ...] = ()
    examples: tuple[Message, ...] = ()


class Remember(_Command):
    """Read a turn for what a memory keeps of it, while nobody waits for an answer; without an `answer`, a question that
    is looked up, which somebody waits for."""

    type: Literal["remember"] = "remember"
    question: str
    answer: str = ""
    wanted: tuple[RememberedFor, ...] = ("meaning",)


class StopAnswer(_Command):
    """Stop answering; the conversation stays open. With `ask`, only where that is what is answered or waits."""

    type: Literal["stop_answer"] = "stop_answer"
    ask: str = ""


Command = Annotated[Stop | Pause | SaveNow | Ask | Remember | StopAnswer, Field(discriminator="type")]

COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
