"""Files in which there is nothing to learn from, in words."""

from __future__ import annotations

from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.words import N_


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
