"""What the table of examples lists: stored examples, or the rows of a file without a mapping yet.

Everything here may take long and is called beside the window, except `cells`, `row` and `len`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from studio.dataset.table import Table, cell_text

if TYPE_CHECKING:
    from studio.dataset.examples import Example
    from studio.dataset.store import StoredExamples

CHUNK = 2_000
"""Rows looked at before it is asked whether somebody still waits for the outcome."""

Wanted = Callable[[], bool]
"""Whether somebody still waits for the outcome."""


class Listing(Protocol):
    """`columns` are keys: question, answer, text, or the names of a file's own columns."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def raw(self) -> bool:
        """Whether these are rows of a file and not examples."""

    def __len__(self) -> int: ...
    def cells(self, position: int) -> tuple[str, ...]: ...
    def row(self, position: int) -> int:
        """The number of the row in the file, counted from 1."""

    def example(self, position: int) -> Example | None:
        """None where these aren't examples yet."""

    def containing(self, words: Sequence[str], wanted: Wanted) -> array[int]: ...
    def with_rows(self, rows: Iterable[int], wanted: Wanted) -> array[int]: ...
    def sorted_by(self, column: str, wanted: Wanted) -> array[int]: ...


class FileRows:
    """The rows of a table as they are: what there is to see before the columns have roles. Sorted by nothing."""

    MOST_COLUMNS = 12
    raw = True

    def __init__(self, table: Table) -> None:
        self._rows = table.rows
        self.columns = table.columns[: self.MOST_COLUMNS]

    def __len__(self) -> int:
        return len(self._rows)

    def cells(self, position: int) -> tuple[str, ...]:
        row = self._rows[position]
        return tuple(cell_text(row.get(name)) for name in self.columns)

    def row(self, position: int) -> int:
        return position + 1

    def example(self, position: int) -> Example | None:
        return None

    def containing(self, words: Sequence[str], wanted: Wanted) -> array[int]:
        """Positions where every one of these words stands, in any case."""
        asked = [word.casefold() for word in words]
        found = array("i")
        for position in range(len(self)):
            if position % CHUNK == 0 and not wanted():
                break
            text = "\n".join(self.cells(position)).casefold()
            if all(word in text for word in asked):
                found.append(position)
        return found

    def with_rows(self, rows: Iterable[int], wanted: Wanted) -> array[int]:
        return array("i", sorted(row - 1 for row in rows if 0 < row <= len(self)))

    def sorted_by(self, column: str, wanted: Wanted) -> array[int]:
        return array("i", range(len(self)))


_KEYS = (
    "messages role system user assistant tool content thinking tool_calls name arguments id call_id learned false true "
    "text tools"
)
"""What stands in a stored example beside its own words."""


class StoredListing:
    """Examples on disk, searched and sorted there."""

    raw = False

    def __init__(self, examples: StoredExamples) -> None:
        self._examples = examples
        self._rows = examples.rows
        self.columns = ("text",) if len(examples) and not examples[0].messages else ("question", "answer")

    def __len__(self) -> int:
        return len(self._examples)

    def cells(self, position: int) -> tuple[str, ...]:
        question, answer = self._examples.listed(position)
        return (question, answer) if len(self.columns) == 2 else (answer,)

    def row(self, position: int) -> int:
        return self._rows[position]

    def example(self, position: int) -> Example | None:
        return self._examples[position]

    def containing(self, words: Sequence[str], wanted: Wanted) -> array[int]:
        found = self._examples.containing(words)
        doubtful = [word.casefold() for word in words if len(word) > 2 and word.casefold() in _KEYS]
        if not doubtful:
            return found
        # examples are searched as they are stored, where these words also stand as names of fields
        sure = array("i")
        for place, position in enumerate(found):
            if place % CHUNK == 0 and not wanted():
                break
            text = _all_text(self._examples[position])
            if all(word in text for word in doubtful):
                sure.append(position)
        return sure

    def with_rows(self, rows: Iterable[int], wanted: Wanted) -> array[int]:
        return self._examples.with_rows(rows)

    def sorted_by(self, column: str, wanted: Wanted) -> array[int]:
        return self._examples.sorted_by("answer" if column == "text" else column)


def _all_text(example: Example) -> str:
    """All that is said in an example, for searching."""
    texts = [example.text, example.tools]
    for message in example.messages:
        calls = (f"{call.name}\n{call.arguments}" for call in message.tool_calls)
        texts += [message.content, message.thinking, message.name, *calls]
    return "\n".join(texts).casefold()
