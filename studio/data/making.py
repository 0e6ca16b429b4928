"""Making the examples of a stored table: roles, then repairs, then into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.core.data_choice import DataChoice
from studio.core.problems import Remedy, problem
from studio.core.words import N_, Sentence
from studio.data.doctor.repairs import Step, repaired
from studio.data.examples import Example, Skipped, iterate_examples
from studio.data.roles import check_roles
from studio.data.store import (
    SKIPPED_NAMED,
    ExamplesAbout,
    examples_folder,
    is_stored,
    open_table_at,
    write_examples,
)
from studio.data.table import Table


def make_examples(table_folder: Path, choice: DataChoice, progress: Callable[[int, int], None]) -> Path:
    """The folder of the examples that `choice` makes of the table stored at `table_folder`, made if they aren't there.

    Raises `ProblemError` for roles that don't fit and for a disk that is full.
    """
    folder = examples_folder(table_folder, choice)
    if is_stored(folder):
        return folder
    table = open_table_at(table_folder)
    check_roles(table, choice.roles)
    making = _Making(table, choice)
    steps: list[Step] = []
    numbered = repaired(making.examples(), choice.repairs, steps) if choice.repairs else making.examples()

    def about() -> ExamplesAbout:
        return ExamplesAbout(
            skipped=tuple(making.skipped),
            skipped_count=making.skipped_count,
            steps=tuple(steps),
            notes=tuple(making.notes),
        )

    with kept_on_disk(folder):
        write_examples(numbered, folder, about, lambda done: progress(done, len(table.rows)))
    return folder


class _Making:
    """The examples of a table, with a count of what was skipped on the way."""

    def __init__(self, table: Table, choice: DataChoice) -> None:
        self._table = table
        self._choice = choice
        self.skipped: list[Skipped] = []
        self.skipped_count = 0
        self.notes: list[Sentence] = []

    def examples(self) -> Iterator[tuple[int, Example]]:
        for row, made in iterate_examples(self._table, self._choice.roles, self._choice.instructions, self.notes):
            if isinstance(made, Example):
                yield row, made
            else:
                self.skipped_count += 1
                if len(self.skipped) < SKIPPED_NAMED:
                    self.skipped.append(made)


@contextmanager
def kept_on_disk(folder: Path) -> Iterator[None]:
    """Puts into words what a disk refuses while something is written at `folder`."""
    try:
        yield
    except OSError as error:
        raise problem(
            "data.not_kept",
            N_("What was read can't be kept in {folder}."),
            N_("The computer says: {reason}"),
            N_("Make room on that disk, then try again. Your file is unchanged."),
            remedy=Remedy.try_again,
            folder=str(folder.parent),
            reason=error.strerror or str(error),
        ) from error
