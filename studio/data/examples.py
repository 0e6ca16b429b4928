"""Examples: what a row means once its columns have roles, and how examples are kept in a run folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from studio.core.conversation import Message
from studio.core.data_choice import Roles
from studio.core.words import N_, Sentence, sentence
from studio.data.conversations import NotAConversation, read_conversation
from studio.data.table import Row, Table, cell_text


class Example(BaseModel):
    """One thing to learn: a conversation that ends with an answer, or plain text. Exactly one of the two is set.

    `tools` is a JSON list of the tools that the conversation could use, as text; "" without.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    messages: tuple[Message, ...] = ()
    text: str = ""
    tools: str = ""

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


@dataclass(frozen=True)
class Skipped:
    """A row that can't be learned from. `row` counts from 1, without the header."""

    row: int
    reason: Sentence


@dataclass(frozen=True)
class ExampleSet:
    """`rows[i]` is the number of the row that `examples[i]` came from, counted from 1."""

    examples: tuple[Example, ...]
    skipped: tuple[Skipped, ...] = ()
    rows: tuple[int, ...] = ()


class _CannotLearn(Exception):
    pass


def examples_from(table: Table, roles: Roles, instructions: str = "") -> ExampleSet:
    """One example a row, in the order of the file. `instructions` stand before every conversation, before the
    row's own; plain text takes none. Rows without question or answer are skipped and say why."""
    kept: list[Example] = []
    numbers: list[int] = []
    skipped: list[Skipped] = []
    for number, row in enumerate(table.rows, start=1):
        try:
            example = _example(row, roles, instructions)
        except (_CannotLearn, NotAConversation) as reason:
            skipped.append(Skipped(number, sentence(str(reason))))
            continue
        kept.append(example)
        numbers.append(number)
    return ExampleSet(tuple(kept), tuple(skipped), tuple(numbers))


def _example(row: Row, roles: Roles, instructions: str) -> Example:
    if roles.messages:
        said = list(read_conversation(row.get(roles.messages)))
        while said and said[-1].role != "assistant":
            said.pop()  # a question at the end that nobody answered
        if not said:
            raise _CannotLearn(N_("Nobody answers in this conversation."))
        if not any(m.role == "user" for m in said):
            raise _CannotLearn(N_("Nobody asks in this conversation."))
        own = [m.content for m in said if m.role == "system"]
        said = [m for m in said if m.role != "system"]
        if roles.system and (told := _text(row, roles.system)):
            own.insert(0, told)
        return Example(messages=(*_system(instructions, *own), *said))
    if roles.text:
        text = _text(row, roles.text)
        if not text:
            raise _CannotLearn(N_("The text is empty."))
        return Example(text=text)
    question, answer = _text(row, roles.question), _text(row, roles.answer)
    context = _text(row, roles.context)
    if not question and not context:
        raise _CannotLearn(N_("The question is empty."))
    if not answer:
        raise _CannotLearn(N_("The answer is empty."))
    asked = "\n\n".join(part for part in (question, context) if part)
    return Example(
        messages=(
            *_system(instructions, _text(row, roles.system)),
            Message(role="user", content=asked),
            Message(role="assistant", content=answer),
        )
    )


def _system(*parts: str) -> tuple[Message, ...]:
    told = "\n\n".join(part.strip() for part in parts if part.strip())
    return (Message(role="system", content=told),) if told else ()


def _text(row: Row, column: str | None) -> str:
    return cell_text(row.get(column)).strip() if column else ""


def write_frozen(path: Path, examples: Iterable[Example]) -> None:
    """One JSON object a line, on the disk when this returns. Raises OSError."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for example in examples:
            file.write(example.model_dump_json(exclude_defaults=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_frozen(path: Path) -> list[Example]:
    """What `write_frozen` wrote. Raises OSError and pydantic's ValidationError."""
    with open(path, encoding="utf-8", newline="\n") as file:
        return [Example.model_validate_json(line) for line in file if line.strip()]
