"""`python -m tests.dataset.readers.messy.generate` writes the messy files; every one has a seed of its own."""

from __future__ import annotations

from pathlib import Path

from tests.dataset.readers.messy.books import BOOKS
from tests.dataset.readers.messy.records import RECORDS
from tests.dataset.readers.messy.tables import TABLES
from tests.dataset.readers.messy.truth import Messy
from tests.dataset.readers.messy.writing import FILES


def all_messy(seed: str = "") -> tuple[Messy, ...]:
    """Every file with its truth. Those that are checked in have no seed; another one gives other texts and order."""
    return tuple(make(seed) for make in (*TABLES, *RECORDS, *BOOKS))


def write_all(folder: Path) -> None:
    """Raises OSError."""
    folder.mkdir(exist_ok=True)
    for messy in all_messy():
        (folder / messy.name).write_bytes(messy.content)


if __name__ == "__main__":
    write_all(FILES)
