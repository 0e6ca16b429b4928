"""What the first rows of a column look like: text or numbers, how long, how varied, whether it asks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import Sentence
from studio.dataset.readers.derived.columns import BEST
from studio.dataset.table import Row, Table, cell_text
from studio.dataset.vocabulary import asks, ends_asking, is_about, rank

_MARKS = ("?", "？")
_NUMBER = re.compile(r"[-+]?[\d.,]*\d\s*%?")
_ABOUT = re.compile(
    r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"  # an address for mail
    r"|https?://\S+|www\.\S+"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{20,}|[0-9a-fA-F]{24,}"
    r"|\d{4}\s*[-./년]\s*\d{1,2}\s*[-./월]\s*\d{1,2}.{0,25}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}.{0,20}"
    r"|\d{1,2}:\d{2}(:\d{2})?\s*([AaPp][Mm])?"
    r"|\+?\d[\d\s\-()]{7,16}\d"  # a telephone number
    r"|CC[ -](?:BY|0)\b.*"  # a licence
)
_SENTENCE = 40
"""Characters from which on texts are sentences rather than names, on the average."""
_BOOLEANS = frozenset({"true", "false", "yes", "no", "y", "n", "o", "x", "t", "f", "예", "아니오", "0", "1"})


@dataclass(frozen=True)
class ColumnProfile:
    """Shares go from 0 to 1 and are of the filled cells, `filled` of all rows; `length` in characters.

    `about` is the share of addresses, dates, links, ids and telephone numbers; `is_category` that a few short values
    come again and again; `is_text` that it holds words rather than codes; `is_nested` lists or records. `asking` counts
    what begins or ends as a question, `ending` what ends as one, `marked` what ends with a question mark.
    """

    filled: float = 0.0
    length: float = 0.0
    asking: float = 0.0
    ending: float = 0.0
    marked: float = 0.0
    numbers: float = 0.0
    about: float = 0.0
    spaced: float = 0.0
    distinct: float = 0.0
    different: int = 0
    values: tuple[str, ...] = ()
    is_text: bool = False
    is_category: bool = False
    is_boolean: bool = False
    is_nested: bool = False

    @property
    def information(self) -> float:
        """How much a column says: long texts that differ say most, dates and codes nothing."""
        return self.distinct * min(self.length, 200.0) * (1 - self.about) * self.filled

    @property
    def is_told(self) -> bool:
        """Whether sentences stand in it that differ, whatever it is called: "Incoming email", 비고."""
        return self.is_prose and self.length >= _SENTENCE and self.spaced > 0.8 and self.distinct > 0.5

    @property
    def is_prose(self) -> bool:
        """Whether it could be asked or answered: words, and not only names of people or kinds."""
        return (
            self.is_text
            and not self.is_category
            and not self.is_nested
            and self.about < 0.5
            and (self.length >= 8 or self.spaced >= 0.5)
        )


def profile_column(name: str, rows: Sequence[Row]) -> ColumnProfile:
    """What a column of these rows looks like."""
    cells = [row.get(name) for row in rows]
    texts = [text for cell in cells if (text := cell_text(cell).strip())]
    if not texts:
        return ColumnProfile()
    count = len(texts)

    def share(of: Sequence[bool]) -> float:
        return sum(of) / count

    length = sum(map(len, texts)) / count
    letters = share([any(c.isalpha() for c in text[:200]) for text in texts])
    spaced = share([" " in text for text in texts])
    foreign = share([not text.isascii() for text in texts])
    numbers = share([len(text) < 40 and bool(_NUMBER.fullmatch(text)) for text in texts])
    nested = share([_is_nested(cell) for cell in cells if cell not in (None, "")])
    seen = set(texts)
    distinct = len(seen) / count
    return ColumnProfile(
        filled=count / len(rows),
        length=length,
        asking=share([asks(text) for text in texts]),
        ending=share([ends_asking(text) for text in texts]),
        marked=share([text.rstrip(" \n\"')").endswith(_MARKS) for text in texts]),
        numbers=numbers,
        about=share([len(text) < 300 and bool(_ABOUT.fullmatch(text)) for text in texts]),
        spaced=spaced,
        distinct=distinct,
        different=len(seen),
        values=tuple(sorted(text for text in seen if len(text) <= 60)[:60]),
        # Codes and file names are one short run of plain letters each, and all different.
        is_text=letters > 0.5 and numbers < 0.5 and (spaced > 0.2 or foreign > 0.3 or length > 20 or distinct < 0.9),
        is_category=count >= 4 and length <= 40 and len(seen) <= max(2, min(60, count // 2)) and distinct <= 0.5,
        is_boolean={text.casefold() for text in seen} <= _BOOLEANS and len(seen) <= 2,
        is_nested=nested > 0.5,
    )


def _is_nested(cell: object) -> bool:
    if isinstance(cell, str):
        bare = cell.strip()
        return bare in ("{}", "[]") or (bare[:2] in ("[{", '{"', '["', "[[") and bare[-1:] in "]}")
    return isinstance(cell, list | tuple | Mapping)


LOOKED_AT = 300


@dataclass(frozen=True)
class DetectedMapping:
    """`sure` is False wherever a reasonable person would ask before teaching with these mapping; `why` says in a
    sentence or two what was recognised, and what isn't clear."""

    mapping: ColumnMapping
    sure: bool
    why: tuple[Sentence, ...] = ()


@dataclass
class TableProfile:
    """A table with its first rows and the looks of its columns."""

    table: Table
    rows: list[Row]
    profiles: dict[str, ColumnProfile] = field(default_factory=dict)

    @staticmethod
    def of(table: Table) -> TableProfile:
        rows = list(islice(iter(table.rows), LOOKED_AT))
        return TableProfile(table, rows, {name: profile_column(name, rows) for name in table.columns})

    @property
    def columns(self) -> tuple[str, ...]:
        return self.table.columns

    @property
    def laid_out(self) -> frozenset[str]:
        """The columns with records whose parts stand in columns of their own (`question` beside `question.stem`)."""
        above = {name.rpartition(".")[0] for name in self.columns if not name.endswith(BEST)}
        return frozenset(name for name in self.columns if name in above and self.profiles[name].is_nested)

    def named(self, role: str, taken: Iterable[str] = (), below: int = 10_000, prose: bool = False) -> list[str]:
        """The columns whose names mean a role, the surest first; with `prose` only those that could be read out."""
        left = [name for name in self.columns if name not in set(taken) and name not in self.laid_out]
        places = {name: place for name in left if (place := rank(name, role)) is not None and place < below}
        return sorted(
            (name for name in places if not prose or self.profiles[name].is_prose), key=lambda name: places[name]
        )

    def prose(self, taken: Iterable[str] = ()) -> list[str]:
        """The columns that could be asked or answered by what stands in them, those that say most first."""
        left = [n for n in self.columns if n not in set(taken) and self.profiles[n].is_prose]
        left = [n for n in left if not is_about(n) or self.profiles[n].is_told]
        return sorted(left, key=lambda name: -self.profiles[name].information)
