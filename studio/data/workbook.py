"""xlsx, xls and ods through calamine, after a look whether opening them is safe."""

from __future__ import annotations

import datetime
from pathlib import Path

import python_calamine

from studio.core.data_choice import DataChoice
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.words import N_, Sentence, sentence
from studio.data import limits
from studio.data.arrow_rows import TextColumns
from studio.data.delimited import is_header
from studio.data.emptiness import empty, header_only
from studio.data.table import Table, cell_text, column_names
from studio.data.unpacking import guard_ods, guard_xlsx


def open_workbook(path: Path, choice: DataChoice, kind: str) -> Table:
    """`kind` is xlsx, xls or ods. Raises `ProblemError`."""
    size = path.stat().st_size
    if size > limits.WORKBOOK_BYTES:
        raise limits.too_large(path, size, limits.WORKBOOK_BYTES)
    if kind == "xlsx":
        guard_xlsx(path)
    elif kind == "ods":
        guard_ods(path)
    try:
        with open(path, "rb") as file:
            book = python_calamine.CalamineWorkbook.from_filelike(file)
            return _table(path, choice, book)
    except python_calamine.PasswordError as error:
        raise password_protected(path) from error
    except (python_calamine.CalamineError, python_calamine.ZipError, python_calamine.XmlError) as error:
        raise broken_workbook(path) from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # the Rust reader gave up; pyo3 raises this past Exception
            raise broken_workbook(path) from error
        raise


def _table(path: Path, choice: DataChoice, book: python_calamine.CalamineWorkbook) -> Table:
    usable = [
        about.name for about in book.sheets_metadata if about.typ == python_calamine.SheetTypeEnum.WorkSheet
    ] or book.sheet_names
    if not usable:
        raise empty(path)
    if choice.sheet and choice.sheet not in usable:
        raise problem(
            "data.no_such_sheet",
            N_("{name} has no sheet called {sheet}."),
            N_("It has: {sheets}."),
            N_("Choose one of these, or leave the sheet empty to take the first with rows."),
            remedy=Remedy.see_settings,
            name=path.name,
            sheet=choice.sheet,
            sheets=", ".join(usable)[:300],
        )
    found_header = False
    for name in [choice.sheet] if choice.sheet else usable:
        read = _read_sheet(path, book, name)
        if read is not None:
            columns, kept, notes = read
            if kept.count:
                return Table(path, "xlsx", columns, kept.rows(), sheet=name, sheets=tuple(usable), notes=tuple(notes))
            found_header = True
    raise header_only(path) if found_header else empty(path)


def _read_sheet(
    path: Path, book: python_calamine.CalamineWorkbook, name: str
) -> tuple[tuple[str, ...], TextColumns, list[Sentence]] | None:
    """Columns and rows of one sheet; None when it holds nothing."""
    sheet = book.get_sheet_by_name(name)
    if sheet.height * sheet.width > limits.SHEET_CELLS:
        raise limits.unpacks_too_large(path)
    rows = ([_text(cell) for cell in row] for row in sheet.iter_rows())
    rows = (row for row in rows if any(cell is not None and cell.strip() for cell in row))
    first = next(rows, None)
    if first is None:
        return None
    width = max(position for position, cell in enumerate(first, start=1) if cell)
    if width > limits.COLUMNS:
        raise limits.too_many_columns(path, width)
    notes: list[Sentence] = []
    header = [cell or "" for cell in first[:width]]
    if is_header(header):
        columns = column_names(header)
        kept = TextColumns(columns)
    else:
        columns = tuple(f"column {n}" for n in range(1, width + 1))
        kept = TextColumns(columns)
        kept.add(first[:width])
        notes.append(sentence(N_("The first row looks like an example, not like names, so it was read as one.")))
    beyond = 0
    for row in rows:
        beyond += any(row[width:])
        kept.add((row + [None] * width)[:width])
    if beyond:
        text = N_("{count} rows have cells to the right of the last named column; these were left out.")
        notes.append(sentence(text, count=beyond))
    return columns, kept, notes


def _text(cell: object) -> str | None:
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        cell = cell.date()
    return cell_text(cell) or None


def password_protected(path: Path) -> ProblemError:
    return problem(
        "data.password",
        N_("{name} is protected with a password."),
        N_("Without the password nobody can read what is in it, this program included."),
        N_("Open it in your spreadsheet program, remove the password, save it, and choose it again."),
        remedy=Remedy.choose_file,
        name=path.name,
    )


def broken_workbook(path: Path) -> ProblemError:
    return problem(
        "data.broken_workbook",
        N_("{name} is damaged: it can't be opened as a spreadsheet."),
        N_("Often a download or a copy was cut short."),
        N_("Open it in your spreadsheet program and save it again, or fetch it once more."),
        remedy=Remedy.choose_file,
        name=path.name,
    )
