"""What a cell says, and why a row says nothing that could be learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from studio.core.conversation import Message, ToolCall
from studio.core.translatable import Sentence, sentence, type_of_value
from studio.dataset.table import Row, cell_text


class CannotLearn(Exception):
    """A row that is left out. `reason` is the sentence that says why, from a literal marked with `N_`."""

    def __init__(self, text: str, **values: type_of_value) -> None:
        super().__init__(text)
        self.reason = sentence(text, **values)


@dataclass(frozen=True)
class Skipped:
    """A row that can't be learned from. `row` counts from 1, without the header."""

    row: int
    reason: Sentence


def text_of(row: Row, column: str | None) -> str:
    """The trimmed text of a cell; "" without a column."""
    if column is None:
        return ""
    cell = row.get(column)
    return cell.strip() if type(cell) is str else cell_text(cell).strip()


def message(
    role: Literal["system", "user", "assistant", "tool"],
    content: str,
    thinking: str = "",
    tool_calls: tuple[ToolCall, ...] = (),
    name: str = "",
    call_id: str = "",
    learned: bool = True,
) -> Message:
    """A turn with everything that can belong to one."""
    return Message(
        role=role,
        content=writable(content),
        thinking=writable(thinking),
        tool_calls=tool_calls,
        name=writable(name),
        call_id=writable(call_id),
        learned=learned,
    )


def plain_message(role: Literal["system", "user", "assistant"], content: str) -> Message:
    """The quick way for a turn that is nothing but text: files have millions of them."""
    return Message(role=role, content=content if content.isascii() else writable(content))


def writable(text: str) -> str:
    """`text` with a replacement mark for each lone half of a letter: JSON can hold such halves as escapes, but no file
    can be written with them."""
    if text.isascii():
        return text
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
