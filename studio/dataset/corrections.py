"""Answers that a person corrected in the chat, as examples beside those of the data.

A project keeps them in one file that changes with every correction. What a recipe learns from is a copy that never
changes, named after its contents, so that a run made from the recipe again has the same examples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from studio.core.conversation import Message
from studio.core.problems import Remedy, problem
from studio.core.storage import cannot_write, write_text
from studio.core.translatable import N_, sentence
from studio.dataset.examples import Example, Skipped

CORRECTIONS = "corrections.jsonl"
"""The file in a project's folder that holds the answers that a person corrected."""

_COPIES = "corrections"
"""The folder beside it with what recipes name."""


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


def count_corrections(file: Path) -> int:
    """How many answers were corrected in it; none where it isn't there. Raises OSError."""
    return sum(1 for line in file.read_text(encoding="utf-8").splitlines() if line.strip()) if file.exists() else 0


def read_corrections(file: Path, system_prompt: str = "") -> Iterator[Example | Skipped]:
    """One example a line, with the standing instructions of the data before it. What came before a corrected answer in
    its conversation is read with it and not learned; the answer that was corrected is the worse one of a pair. Raises
    `ProblemError` where the file isn't there."""
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
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
        rejected = None
        try:
            told = json.loads(line)
            messages = tuple(
                Message.model_validate({**one, "in_loss": one.get("weight", 1) != 0}) for one in told["messages"]
            )
            if told.get("rejected"):
                rejected = Message(role="assistant", content=told["rejected"])
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
            messages = ()
        if not messages or messages[-1].role != "assistant" or not messages[-1].content.strip():
            yield Skipped(number, sentence(N_("This corrected answer can't be read.")))
        else:
            if rejected is not None and rejected.content.split() == messages[-1].content.split():
                rejected = None
            whole = messages if messages[0].role == "system" else (*before, *messages)
            yield Example(messages=whole, rejected=rejected)
