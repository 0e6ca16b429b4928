"""What a cell holds: text, a list or record in text, an answer among several; and why a row can't be learned."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Literal

from studio.core.conversation import Message, ToolCall
from studio.core.translatable import sentence, type_of_value
from studio.dataset.table import Row, cell_text


class CannotLearn(Exception):
    """A row that is left out. `reason` is the sentence that says why, from a literal marked with `N_`."""

    def __init__(self, text: str, **values: type_of_value) -> None:
        super().__init__(text)
        self.reason = sentence(text, **values)


_NOTHING = frozenset(
    ("nan", "NaN", "<NA>", "NULL", "\\N", "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!")
)
"""What pandas and databases write into tables for cells that are empty, and spreadsheets where a formula failed."""


def text_of(row: Row, column: str | None) -> str:
    """The trimmed text of a cell; "" without a column."""
    if column is None:
        return ""
    cell = row.get(column)
    text = cell.strip() if type(cell) is str else cell_text(cell).strip()
    return "" if text in _NOTHING else text


def message(
    role: Literal["system", "user", "assistant", "tool"],
    content: str,
    thinking: str = "",
    tool_calls: tuple[ToolCall, ...] = (),
    name: str = "",
    call_id: str = "",
    in_loss: bool = True,
    stretches: tuple[str, ...] = (),
) -> Message:
    """A turn of which no part holds a lone half of a character."""
    if not (thinking or tool_calls or name or call_id or stretches) and in_loss:
        return Message(role=role, content=writable(content))  # three times as quick: files have millions of them
    return Message(
        role=role,
        content=writable(content),
        thinking=writable(thinking),
        tool_calls=tool_calls,
        name=writable(name),
        call_id=writable(call_id),
        in_loss=in_loss,
        stretches=tuple(map(writable, stretches)),
    )


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


DEPTH = 100
"""Lists in lists beyond this are no data."""
_LONGEST = 500_000
_MOST_BRACKETS = 5_000


def nested(cell: object) -> object:
    """What a cell holds: a list or mapping where its text is JSON, or Python's own writing of one (`[{'role': ...}]`,
    as tables saved by Python programs have it); everything else as it is."""
    if not isinstance(cell, str):
        return cell
    bare = cell.strip()
    if bare[:2] in ('"[', '"{') and bare[-1:] == '"':
        bare = _once_more(bare)  # JSON of JSON, as programs write it that encode twice
    if bare[:1] not in ("[", "{"):
        return cell
    if bare.count("[") + bare.count("{") > DEPTH and _is_deep(bare):
        return cell
    try:
        value: object = json.loads(bare)
        return value
    except (ValueError, RecursionError):
        pass
    if "'" not in bare or len(bare) > _LONGEST or sum(map(bare.count, "[{(")) > _MOST_BRACKETS:
        return cell
    try:
        value = ast.literal_eval(bare)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cell
    if isinstance(value, list) and len(value) < 2 and value and isinstance(value[0], str):
        return cell  # ['a' 'b'], as numpy prints two texts, would come out as the single 'ab'
    return value if isinstance(value, list | dict) else cell


def _once_more(text: str) -> str:
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return inner.strip() if isinstance(inner, str) else text


def _is_deep(text: str) -> bool:
    """Whether lists nest beyond what any training data does, so that nothing here runs out of stack on it."""
    depth = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text, re.DOTALL):
        mark = found.group()[0]
        if mark in "[{":
            depth += 1
            if depth > DEPTH:
                return True
        elif mark in "]}":
            depth -= 1
    return False


_LISTS = ('["', "['")


def is_answer_list(cell: object) -> bool:
    """Whether a cell holds several right answers: a list of texts, or a record of them as SQuAD (with the places where
    they stand in the passage) and TriviaQA (with other spellings of one) keep it."""
    return _texts(cell) is not None


def first_answer(cell: object) -> str:
    """The first answer in such a cell; "" where there is none, as for questions without an answer."""
    texts = _texts(cell)
    return cell_text(texts[0]).strip() if texts else ""


def _texts(cell: object) -> list[object] | None:
    if isinstance(cell, str):
        start = cell.lstrip()[:2]
        if start not in _LISTS and not (start[:1] == "{" and ("answer_start" in cell or "aliases" in cell)):
            return None
        cell = nested(cell)
    if isinstance(cell, list | tuple) and cell and all(isinstance(text, str) for text in cell):
        return list(cell)
    if isinstance(cell, Mapping) and "answer_start" in cell:
        texts = cell.get("text")
        return list(texts) if isinstance(texts, list | tuple) else [texts] if isinstance(texts, str) else None
    if isinstance(cell, Mapping) and "aliases" in cell and isinstance(value := cell.get("value"), str):
        return [value]
    return None
