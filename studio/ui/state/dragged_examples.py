"""Examples that are dragged from one page to another, or in from a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from PySide6.QtCore import QMimeData

from studio.core.conversation import Message
from studio.dataset.examples import Example

EXAMPLES = "application/x-studio-examples"
"""One example a line, as in a run's frozen files."""

MOST = 32
"""So many examples of one drag are taken: more find no room in a prompt."""


def as_mime(examples: Sequence[Example]) -> QMimeData:
    """What is dragged: for this program, and as text for others."""
    made = QMimeData()
    lines = [one.model_dump_json(exclude_defaults=True) for one in examples]
    made.setData(EXAMPLES, "\n".join(lines).encode())
    made.setText("\n".join(f"{' '.join(one.question.split())}\t{' '.join(one.answer.split())}" for one in examples))
    return made


def dragged_examples(mime: QMimeData) -> tuple[Example, ...]:
    """What is dragged here: examples of this program, or lines with a question and an answer in two columns, as
    spreadsheets give them. None where it is neither."""
    if mime.hasFormat(EXAMPLES):
        try:
            lines = bytes(mime.data(EXAMPLES).data()).decode().splitlines()[:MOST]
            found = tuple(Example.model_validate_json(line) for line in lines)
        except (ValueError, ValidationError):
            return ()
        return tuple(one for one in found if one.question and one.answer)
    pairs = [line.split("\t") for line in mime.text().splitlines() if line.strip()] if mime.hasText() else []
    if not all(len(pair) == 2 and all(cell.strip() for cell in pair) for pair in pairs):
        return ()
    return tuple(
        Example(messages=(Message(role="user", content=asked), Message(role="assistant", content=answered)))
        for asked, answered in pairs[:MOST]
    )
