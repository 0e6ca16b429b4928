"""What guessing comes to: roles, whether they are sure, and why; and what all ways of guessing look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import Sentence
from studio.dataset.columns.detection.column_names import is_about, rank
from studio.dataset.columns.detection.column_profile import ColumnProfile, profile_column
from studio.dataset.table import Row, Table

LOOKED_AT = 300
EXACT = 100
"""A rank below it is a name that says nothing else."""


@dataclass(frozen=True)
class Guess:
    """`sure` is False wherever a reasonable person would ask before teaching with these roles; `why` says in a
    sentence or two what was recognised, and what isn't clear."""

    mapping: ColumnMapping
    sure: bool
    why: tuple[Sentence, ...] = ()


@dataclass
class Seen:
    """A table with its first rows and the looks of its columns."""

    table: Table
    rows: list[Row]
    profiles: dict[str, ColumnProfile] = field(default_factory=dict)

    @staticmethod
    def of(table: Table) -> Seen:
        rows = list(islice(iter(table.rows), LOOKED_AT))
        return Seen(table, rows, {name: profile_column(name, rows) for name in table.columns})

    @property
    def columns(self) -> tuple[str, ...]:
        return self.table.columns

    def named(self, role: str, taken: Iterable[str] = (), below: int = 10_000, prose: bool = False) -> list[str]:
        """The columns whose names mean a role, the surest first; with `prose` only those that could be read out."""
        left = [name for name in self.columns if name not in set(taken)]
        places = {name: place for name in left if (place := rank(name, role)) is not None and place < below}
        return sorted(
            (name for name in places if not prose or self.profiles[name].is_prose), key=lambda name: places[name]
        )

    def prose(self, taken: Iterable[str] = ()) -> list[str]:
        """The columns that could be asked or answered by what stands in them, those that say most first."""
        left = [n for n in self.columns if n not in set(taken) and self.profiles[n].is_prose and not is_about(n)]
        return sorted(left, key=lambda name: -self.profiles[name].information)
