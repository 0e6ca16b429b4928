"""What the table of examples lists: stored examples, a few in memory, or the rows of a file without parts yet.

Everything here may take long and is called beside the window, except `cells`, `row` and `len`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from studio.dataset.table import Table, cell_text

if TYPE_CHECKING:
    from studio.dataset.examples import Example

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

    def containing(self, words: Sequence[str], wanted: Wanted) -> array[int]: ...
    def with_rows(self, rows: Iterable[int], wanted: Wanted) -> array[int]: ...
    def sorted_by(self, column: str, wanted: Wanted) -> array[int]: ...


class _InMemory:
    """Searching and sorting for what is no longer than a window can hold; subclasses say what the cells are."""

    columns: tuple[str, ...] = ()
    raw = False

    def __len__(self) -> int:
        raise NotImplementedError

    def cells(self, position: int) -> tuple[str, ...]:
        raise NotImplementedError

    def row(self, position: int) -> int:
        return position + 1

    def searched(self, position: int) -> str:
        return "\n".join(self.cells(position))

    def containing(self, words: Sequence[str], wanted: Wanted) -> array[int]:
        """Positions where every one of these words stands, in any case."""
        asked = [word.casefold() for word in words]

        def holds(position: int) -> bool:
            text = self.searched(position).casefold()
            return all(word in text for word in asked)

        return self._where(holds, wanted)

    def with_rows(self, rows: Iterable[int], wanted: Wanted) -> array[int]:
        chosen = frozenset(rows)
        return self._where(lambda position: self.row(position) in chosen, wanted)

    def sorted_by(self, column: str, wanted: Wanted) -> array[int]:
        place = self.columns.index(column)
        keys = [self.cells(position)[place].casefold() for position in range(len(self))]
        return array("i", sorted(range(len(keys)), key=keys.__getitem__))

    def _where(self, holds: Callable[[int], bool], wanted: Wanted) -> array[int]:
        found = array("i")
        for start in range(0, len(self), CHUNK):
            if not wanted():
                break
            found.extend(p for p in range(start, min(len(self), start + CHUNK)) if holds(p))
        return found


class FewExamples(_InMemory):
    """Examples that lie in memory anyway."""

    def __init__(self, examples: Sequence[Example], rows: Sequence[int] = ()) -> None:
        self._examples = examples
        self._rows = rows
        self.columns = example_columns(examples)

    def __len__(self) -> int:
        return len(self._examples)

    def cells(self, position: int) -> tuple[str, ...]:
        example = self._examples[position]
        return (example.question, example.answer) if len(self.columns) == 2 else (example.text,)

    def row(self, position: int) -> int:
        return self._rows[position] if position < len(self._rows) else position + 1


class FileRows(_InMemory):
    """The rows of a table as they are: what there is to see before the columns have parts. Sorted by nothing."""

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


class Stored(Protocol):
    """What `studio.dataset.store.StoredExamples` offers."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Example: ...
    def listed(self, index: int) -> tuple[str, str]: ...
    def containing(self, words: Sequence[str]) -> array[int]: ...
    def with_rows(self, rows: Iterable[int]) -> array[int]: ...
    def sorted_by(self, column: str) -> array[int]: ...


_KEYS = (
    "messages role system user assistant tool content thinking tool_calls name arguments id call_id learned false true "
    "text tools"
)
"""What stands in a stored example beside its own words."""


class StoredListing:
    """Examples on disk, searched and sorted there."""

    raw = False

    def __init__(self, examples: Stored, rows: Sequence[int]) -> None:
        self._examples = examples
        self._rows = rows
        self.columns = ("text",) if len(examples) and not examples[0].messages else ("question", "answer")

    def __len__(self) -> int:
        return len(self._examples)

    def cells(self, position: int) -> tuple[str, ...]:
        question, answer = self._examples.listed(position)
        return (question, answer) if len(self.columns) == 2 else (answer,)

    def row(self, position: int) -> int:
        return self._rows[position]

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
            text = _told(self._examples[position])
            if all(word in text for word in doubtful):
                sure.append(position)
        return sure

    def with_rows(self, rows: Iterable[int], wanted: Wanted) -> array[int]:
        return self._examples.with_rows(rows)

    def sorted_by(self, column: str, wanted: Wanted) -> array[int]:
        return self._examples.sorted_by("answer" if column == "text" else column)


def _told(example: Example) -> str:
    """All that is said in an example, for searching."""
    said = [example.text, example.tools]
    for message in example.messages:
        calls = (f"{call.name}\n{call.arguments}" for call in message.tool_calls)
        said += [message.content, message.thinking, message.name, *calls]
    return "\n".join(said).casefold()


def example_columns(examples: Sequence[Example]) -> tuple[str, ...]:
    return ("text",) if len(examples) and not examples[0].messages else ("question", "answer")


def listing_of(examples: Sequence[Example], rows: Sequence[int]) -> Listing:
    """The quickest way to list these."""
    if hasattr(examples, "listed"):
        return StoredListing(examples, rows)  # type: ignore[arg-type]
    return FewExamples(examples, rows)
