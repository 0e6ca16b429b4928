"""Examples, and the files of a run folder that keep them, one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.conversation import Message
from studio.core.translatable import Sentence


class Example(BaseModel):
    """One thing to learn: a conversation that ends with an answer, or plain text. Exactly one of the two is set.

    `tools` is a JSON list of the tools that the conversation could use, as text; "" without. `rejected` is a worse
    answer in place of the last one; `good` says whether a person called the last one good. Both are None where nobody
    said so, and only for objectives that learn from them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    messages: tuple[Message, ...] = ()
    text: str = ""
    tools: str = ""
    rejected: Message | None = None
    good: bool | None = None

    @property
    def question(self) -> str:
        """The last thing the user says before the last answer; "" for plain text."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def answer(self) -> str:
        """The last thing the assistant says; the whole of a plain text."""
        return next((m.content for m in reversed(self.messages) if m.role == "assistant"), self.text)

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Everything before the last answer: what a model is given to answer."""
        last = max((i for i, m in enumerate(self.messages) if m.role == "assistant"), default=0)
        return self.messages[:last]

    @property
    def with_rejected(self) -> Example:
        """The same with the worse answer as its last one. There has to be one."""
        assert self.rejected is not None
        return self.model_copy(update={"messages": (*self.prompt, self.rejected), "rejected": None})

    def has(self, what: Literal["answers", "pairs", "marks"]) -> bool:
        """Whether it holds what an objective uses, see `ObjectiveSettings.uses`."""
        return what == "answers" or (self.rejected if what == "pairs" else self.good) is not None


def write_frozen(path: Path, examples: Iterable[Example]) -> None:
    """One JSON object a line, on the disk when this returns. Raises OSError."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for example in examples:
            file.write(example.model_dump_json(exclude_defaults=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_frozen(path: Path) -> list[Example]:
    """What `write_frozen` wrote. Raises OSError and pydantic's ValidationError."""
    return list(each_frozen(path))


def each_frozen(path: Path) -> Iterator[Example]:
    """The same, one after the other."""
    with open(path, encoding="utf-8", newline="\n") as file:
        yield from (Example.model_validate_json(line) for line in file if line.strip())


@dataclass(frozen=True)
class Skipped:
    """A row that can't be learned from. `row` counts from 1, without the header."""

    row: int
    reason: Sentence
