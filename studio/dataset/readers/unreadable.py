"""Files that are empty, damaged or locked, in words: the refusals that several readers share."""

from __future__ import annotations

import os
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


def no_such_split(name: str, split: str, splits: tuple[str, ...]) -> ProblemError:
    return problem(
        "data.no_such_split",
        N_("{name} has no part called {split}."),
        N_("It has: {splits}."),
        N_("Choose one of these as the part of the data set."),
        remedy=Remedy.see_settings,
        name=name,
        split=split,
        splits=", ".join(splits)[:300],
    )


def damaged(path: Path) -> ProblemError:
    return problem(
        "data.damaged",
        N_("{name} is damaged or incomplete."),
        N_("Often a download or a copy was cut short."),
        N_("Fetch or save it once more, then choose it again."),
        remedy=Remedy.choose_file,
        name=path.name,
    )


def damaged_workbook(path: Path) -> ProblemError:
    return problem(
        "data.broken_workbook",
        N_("{name} is damaged: it can't be opened as a spreadsheet."),
        N_("Often a download or a copy was cut short."),
        N_("Open it in your spreadsheet program and save it again, or fetch it once more."),
        remedy=Remedy.choose_file,
        name=path.name,
    )


def damaged_document(path: Path) -> ProblemError:
    return problem(
        "data.broken_document",
        N_("{name} is damaged: it can't be opened as a document."),
        N_("Often a download or a copy was cut short."),
        N_("Open it in the program that it was written with and save it again, or fetch it once more."),
        remedy=Remedy.choose_file,
        name=path.name,
    )


def password_protected(path: Path) -> ProblemError:
    return problem(
        "data.password",
        N_("{name} is protected with a password."),
        N_("Without the password nobody can read what is in it, this program included."),
        N_("Open it in its own program, remove the password, save it, and choose it again."),
        remedy=Remedy.choose_file,
        name=path.name,
    )


def changed(path: Path) -> ProblemError:
    return problem(
        "data.changed",
        N_("{name} was changed or moved away while it was being read."),
        N_("What was read so far may be half old and half new, so none of it is used."),
        N_("Wait until other programs have finished with it, then choose it again."),
        remedy=Remedy.try_again,
        name=path.name,
    )


def guard_unchanged(path: Path, before: os.stat_result) -> None:
    """Raises `ProblemError` when the file is another one, or gone, since `before`: half of it would be of the old."""
    try:
        now = path.stat()
    except FileNotFoundError as error:
        raise changed(path) from error
    if (now.st_size, now.st_mtime_ns, now.st_ino) != (before.st_size, before.st_mtime_ns, before.st_ino):
        raise changed(path)
