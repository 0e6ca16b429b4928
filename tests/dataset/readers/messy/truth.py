"""What a messy file really holds, said by the one who made it and not by any reader."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from studio.core.recipe.data_choice import DatasetFormat

ANY = ""
"""For a column whose name is the reader's own choice."""

Pair = tuple[str, str]
type_of_column = str | int | tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """`roles` gives a column's name (or its position from 0, or `ANY`) for each part that has to be found; no other
    part may be, unless `optional` names it. `cells` are row (from 1, -1 is the last), part and exact text.
    """

    shape: DatasetFormat
    roles: Mapping[str, type_of_column]
    rows: int | tuple[int, int]
    """How many, or the least and the most for documents, which may be cut in more than one good way."""
    cells: tuple[tuple[int, str, str], ...]
    encodings: tuple[str, ...] = ()
    """Python's names of those that read this file as it was meant; empty for files that aren't text."""
    delimiter: str = ""
    sheet: str = ""
    part_of_names: bool = False
    """Column names need only hold the expected ones (one of them, where "|" parts several), for headers in two rows."""
    part_of_cells: bool = False
    """Cells need only hold the expected texts, for documents cut into passages."""
    told: bool = False
    """Something in the file is damaged, so a note has to say so."""
    optional: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Messy:
    """A file and its truth."""

    name: str
    content: bytes
    truth: Truth


def ends(pairs: Sequence[Pair]) -> tuple[tuple[int, str, str], ...]:
    """The first and the last pair, as cells."""
    return tuple(
        (row, part, text)
        for row, pair in ((1, pairs[0]), (-1, pairs[-1]))
        for part, text in zip(("question", "answer"), pair, strict=True)
    )


def pair_truth(
    pairs: Sequence[Pair],
    question: type_of_column,
    answer: type_of_column,
    encodings: Sequence[str] = (),
    delimiter: str = "",
    sheet: str = "",
) -> Truth:
    """For a table of questions and answers."""
    roles = {"question": question, "answer": answer}
    return Truth("pair", roles, len(pairs), ends(pairs), tuple(encodings), delimiter, sheet)


def as_json(value: object) -> str:
    """A nested cell as text that can be compared after parsing."""
    return json.dumps(value, ensure_ascii=False)
