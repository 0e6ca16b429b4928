"""Files in which there is nothing to learn from, in words."""

from __future__ import annotations

from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_


def empty(path: Path) -> ProblemError:
    return problem(
        "data.empty",
        N_("{name} is empty."),
        N_("There is nothing in it to learn from."),
        N_("Check whether it was saved completely, or choose another file."),
        remedy=Remedy.choose_file,
        name=path.name,
    )


def header_only(path: Path) -> ProblemError:
    return problem(
        "data.header_only",
        N_("{name} has column names but no rows."),
        N_("There is nothing under the names to learn from."),
        N_("Check whether it was saved completely, or choose another file."),
        remedy=Remedy.choose_file,
        name=path.name,
    )


def no_such_row(path: Path, row: int) -> ProblemError:
    return problem(
        "data.no_such_row",
        N_("In {name}, nothing stands in row {row}, where the names of the columns should be."),
        N_("Rows are counted from 1, empty ones too."),
        N_("Choose another row for the names, or leave it empty to have it found out."),
        remedy=Remedy.see_settings,
        name=path.name,
        row=row,
    )
