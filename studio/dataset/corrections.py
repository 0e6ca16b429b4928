"""Answers that a person corrected in the chat, or called good or wrong, as examples beside those of the data.

A project keeps them in one file that changes with every press. What a recipe learns from is a copy that never changes,
named after its contents, so that a run made from the recipe again has the same examples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from studio.core.conversation import Message
from studio.core.problems import Remedy, problem
from studio.core.storage import cannot_write, write_text
from studio.core.translatable import N_, sentence
from studio.dataset.examples import Example, Skipped

CORRECTIONS = "corrections.jsonl"
"""The file in a project's folder that holds the answers that a person corrected or marked."""

_COPIES = "corrections"
"""The folder beside it with what recipes name."""


@dataclass(frozen=True)
class Feedback:
    """How many answers of the chat were corrected, and how many others were called good and wrong."""

    corrected: int = 0
    good: int = 0
    wrong: int = 0

    @property
    def total(self) -> int:
        return self.corrected + self.good + self.wrong


def frozen_copy(file: Path) -> Path | None:
    """Where the copy of the corrections in `file`, as they are now, is kept; it need not be there yet. None without any
    corrections. Raises OSError."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if not text.strip():
        return None
    return file.parent / _COPIES / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"


def freeze_corrections(file: Path) -> Path | None:
    """Make that copy. Raises `ProblemError`."""
    try:
        copy = frozen_copy(file)
        if copy is not None and not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            write_text(copy, file.read_text(encoding="utf-8"))
    except OSError as error:
        raise cannot_write(file.parent / _COPIES, error) from error
    return copy


def count_feedback(file: Path) -> Feedback:
    """What is in it; nothing where it isn't there. Raises OSError."""
    counts = {"corrected": 0, "good": 0, "wrong": 0}
    for line in _lines(file) if file.exists() else ():
        good, _ = _judged(line)
        counts["corrected" if good is None else "good" if good else "wrong"] += 1
    return Feedback(**counts)


def read_corrections(file: Path, system_prompt: str = "", *, marks: bool = False) -> Iterator[Example | Skipped]:
    """The examples of each line, with the standing instructions of the data before them. What came before a judged
    answer in its conversation is read with it and not learned; the answer that was corrected is the worse one of a
    pair. With `marks` each says whether it is a good one, and one that was corrected is an example of its own, a bad
    one; without, those called wrong are left out without a word. Raises `ProblemError` where the file isn't there."""
    try:
        lines = _lines(file)
    except OSError as error:
        raise problem(
            "data.no_corrections",
            N_("The corrected answers in {file} can't be read."),
            N_("The file was moved or deleted, or the recipe came from another computer."),
            N_("Put it back, or take the corrected answers out on the Data page (data.corrections in the recipe)."),
            remedy=Remedy.choose_file,
            file=str(file),
        ) from error
    from studio.dataset.columns.apply_mapping import system_turn  # the window only counts

    before = system_turn(system_prompt)
    for number, line in enumerate(lines, 1):
        good, worse = _judged(line)
        messages = _messages(line)
        if not messages or messages[-1].role != "assistant" or not messages[-1].content.strip():
            yield Skipped(number, sentence(N_("This corrected answer can't be read.")))
            continue
        whole = messages if messages[0].role == "system" else (*before, *messages)
        rejected = Message(role="assistant", content=worse) if worse else None
        if rejected is not None and rejected.content.split() == messages[-1].content.split():
            rejected = None
        if not marks:
            if good is not False:
                yield Example(messages=whole, rejected=rejected)
            continue
        example = Example(messages=whole, rejected=rejected, good=good is not False)
        yield example
        if rejected is not None:
            yield example.with_rejected.model_copy(update={"good": False})


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _judged(line: str) -> tuple[bool | None, str]:
    """Whether the answer of a line was called good, None where it was corrected; and the worse answer beside it."""
    try:
        told = json.loads(line)
        good, rejected = told.get("good"), told.get("rejected")
    except (ValueError, AttributeError):
        return None, ""
    return good if isinstance(good, bool) else None, rejected if isinstance(rejected, str) else ""


def _messages(line: str) -> tuple[Message, ...]:
    try:
        return tuple(
            Message.model_validate({**one, "in_loss": one.get("weight", 1) != 0})
            for one in json.loads(line)["messages"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
        return ()
