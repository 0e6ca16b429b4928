"""xlsx, xlsb, xls and ods through calamine, after a look whether opening them is safe."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import python_calamine

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.archives import broken_workbook, guard_ods, guard_xlsb, guard_xlsx
from studio.dataset.readers.arrow_rows import text_batches
from studio.dataset.readers.emptiness import empty, header_only
from studio.dataset.readers.header import PROBE_ROWS, Spans, names_parts
from studio.dataset.readers.streaming import Stream, held
from studio.dataset.readers.table_scan import TableScan, examples, scan_table
from studio.dataset.table import Doubt, Table, cell_text
from studio.dataset.vocabulary import is_known_name

_MOST_MERGED = 100_000
_LONGEST_MERGED = 10_000


def open_workbook(path: Path, choice: DataChoice, kind: str) -> Table:
    """`kind` is xlsx, xlsb, xls or ods. Raises `ProblemError`."""
    size = path.stat().st_size
    if size > limits.WORKBOOK_BYTES:
        raise limits.too_large(path, size, limits.WORKBOOK_BYTES)
    uncounted = False
    if kind == "xlsx":
        uncounted = guard_xlsx(path)
    elif kind == "xlsb":
        guard_xlsb(path)
    elif kind == "ods":
        guard_ods(path)
    try:
        with open(path, "rb") as file:
            book = python_calamine.CalamineWorkbook.from_filelike(file)
            table = _table(path, choice, book)
    except python_calamine.PasswordError as error:
        raise password_protected(path) from error
    except (python_calamine.CalamineError, python_calamine.ZipError, python_calamine.XmlError) as error:
        raise broken_workbook(path) from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # the Rust reader gave up; pyo3 raises this past Exception
            raise broken_workbook(path) from error
        raise
    if not uncounted:
        return table
    text = N_(
        "Some cells hold formulas without results, so they are read as empty. Open the file in a spreadsheet program, "
        "save it there, and choose it again."
    )
    return replace(table, notes=(*table.notes, sentence(text)))


@dataclass(frozen=True)
class _Candidate:
    name: str
    sheet: python_calamine.CalamineSheet
    found: TableScan

    @property
    def known(self) -> int:
        return sum(map(is_known_name, self.found.columns))

    @property
    def parts(self) -> bool:
        """Whether it names both a question and an answer."""
        return names_parts(self.found.columns)


def _table(path: Path, choice: DataChoice, book: python_calamine.CalamineWorkbook) -> Table:
    sheets = [
        about for about in book.sheets_metadata if about.typ == python_calamine.SheetTypeEnum.WorkSheet
    ] or book.sheets_metadata
    usable = [about.name for about in sheets]
    if not usable:
        raise empty(path)
    if choice.sheet and choice.sheet not in usable:
        raise problem(
            "data.no_such_sheet",
            N_("{name} has no sheet called {sheet}."),
            N_("It has: {sheets}."),
            N_("Choose one of these, or leave the sheet empty to have it found out."),
            remedy=Remedy.see_settings,
            name=path.name,
            sheet=choice.sheet,
            sheets=", ".join(usable)[:300],
        )
    hidden = {about.name for about in sheets if about.visible != python_calamine.SheetVisibleEnum.Visible}
    candidates: list[_Candidate] = []
    for name in [choice.sheet] if choice.sheet else usable:
        sheet = book.get_sheet_by_name(name)
        if sheet.total_height * sheet.width > limits.SHEET_CELLS:
            raise limits.unpacks_too_large(path)
        try:
            found = scan_table(path, _rows(sheet), choice.header_row, _spans(sheet))
        except ProblemError:
            if len(usable) == 1 or choice.sheet:
                raise
            continue  # the chosen row for the names, for instance, is one of another sheet
        if found is not None:
            candidates.append(_Candidate(name, sheet, found))
    full = [candidate for candidate in candidates if candidate.found.examples]
    if not full:
        raise header_only(path) if candidates else empty(path)
    best, rivals = _choose(full, hidden)
    notes = best.found.notes()
    doubts: list[Doubt] = ["header"] if best.found.layout.doubtful else []
    if rivals:
        text = N_("The sheet {sheet} was taken. These have rows, too: {others}.")
        notes.insert(0, sentence(text, sheet=best.name, others=", ".join(one.name for one in rivals)[:200]))
        doubts.append("sheet")
    stream = Stream(
        path,
        "xlsx",
        best.found.columns,
        best.found.examples,
        text_batches(best.found.columns, examples(_rows(best.sheet), best.found, best.found.examples)),
        sheet=best.name,
        sheets=tuple(usable),
        notes=tuple(notes),
        doubts=tuple(doubts),
    )
    return held(stream)


def _choose(full: list[_Candidate], hidden: set[str]) -> tuple[_Candidate, list[_Candidate]]:
    """The sheet that looks most like data, and those that could as well be meant."""
    full = [candidate for candidate in full if candidate.name not in hidden] or full
    # A sheet of a single column beside others is a list of notes or of choices.
    wide = [candidate for candidate in full if len(candidate.found.columns) > 1] or full
    complete = [candidate for candidate in wide if candidate.parts]
    if complete:
        wide = complete
    elif named := [candidate for candidate in wide if candidate.known]:
        wide = named
    best = max(wide, key=lambda candidate: candidate.found.examples) if len(wide) > 1 else wide[0]
    first = wide[0]
    if first.found.examples * 2 > best.found.examples:
        best = first
    return best, [candidate for candidate in wide if candidate is not best]


def _rows(sheet: python_calamine.CalamineSheet) -> Iterator[tuple[int, list[str]]]:
    """Each row with its number in the sheet, merged cells with what they show in every one of their rows."""
    left = (sheet.start or (0, 0))[1]
    fill: dict[int, list[tuple[int, int]]] = {}
    for (top, first), (bottom, _) in (sheet.merged_cell_ranges or ())[:_MOST_MERGED]:
        if bottom > top and bottom - top <= _LONGEST_MERGED:
            fill.setdefault(top, []).append((first - left, bottom))
    filling: dict[int, tuple[str, int]] = {}
    for number, cells in enumerate(sheet.iter_rows()):
        row = list(map(_text, cells))
        if filling:
            for column, (shown, bottom) in list(filling.items()):
                if number > bottom:
                    del filling[column]
                elif column < len(row) and not row[column]:
                    row[column] = shown
        for column, bottom in fill.get(number, ()):
            if 0 <= column < len(row) and row[column]:
                filling[column] = (row[column], bottom)
        yield number + 1, row


def _spans(sheet: python_calamine.CalamineSheet) -> Spans:
    left = (sheet.start or (0, 0))[1]
    merged = [
        (top, first - left, bottom, last - left) for (top, first), (bottom, last) in sheet.merged_cell_ranges or ()
    ]
    return Spans(tuple(one for one in merged if one[0] < PROBE_ROWS))


def _text(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        cell = cell.date()
    return cell_text(cell)


def password_protected(path: Path) -> ProblemError:
    return problem(
        "data.password",
        N_("{name} is protected with a password."),
        N_("Without the password nobody can read what is in it, this program included."),
        N_("Open it in your spreadsheet program, remove the password, save it, and choose it again."),
        remedy=Remedy.choose_file,
        name=path.name,
    )
