"""xlsx, xlsb, xls and ods, through calamine."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from xml.parsers import expat

import pyarrow as pa
import python_calamine

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.archives import opened_archive, part_blocks
from studio.dataset.readers.header import PROBE_ROWS, Spans, names_parts
from studio.dataset.readers.sheet_looks import SheetLooks, looks_of
from studio.dataset.readers.table_scan import TableScan, scan_table, table_rows
from studio.dataset.readers.unreadable import damaged_workbook, empty, header_only, password_protected
from studio.dataset.table import Doubt, TableInfo, TableStream, cell_text
from studio.dataset.text_batches import stream_batches, text_batches
from studio.dataset.vocabulary import is_known_name

_MOST_MERGED = 100_000
_LONGEST_MERGED = 10_000
# A formula without the result that a spreadsheet program saves beside it. An empty text as a result has the type str.
_UNCOUNTED = re.compile(
    rb"<(?:\w+:)?c(?:\s(?![^<>]*\bt=[\"']str)[^<>]*)?>\s{0,9}<(?:\w+:)?f(?:\s[^<>]*)?>[^<]*</(?:\w+:)?f>\s{0,9}"
    rb"(?:<(?:\w+:)?v\s{0,9}/>|<(?:\w+:)?v>\s{0,9}</(?:\w+:)?v>)?\s{0,9}</(?:\w+:)?c>"
)
_LONGEST_CELL = 4096


def read_workbook(path: Path, choice: DataChoice, kind: str) -> TableStream:
    """`kind` is xlsx, xlsb, xls or ods. Raises `ProblemError`."""
    size = path.stat().st_size
    if size > limits.WORKBOOK_BYTES:
        raise limits.too_large(path, size, limits.WORKBOOK_BYTES)
    if kind == "ods":
        _guard_well_formed(path)
    uncounted = kind != "xls" and _has_uncounted_formulas(path)
    with _in_words(path), open(path, "rb") as file:
        stream = _stream(path, choice, python_calamine.CalamineWorkbook.from_filelike(file), kind)
    if not uncounted:
        return stream
    text = N_(
        "Some cells hold formulas without results, so they are read as empty. Open the file in a spreadsheet program, "
        "save it there, and choose it again."
    )
    return replace(stream, notes=(*stream.notes, sentence(text)))


def _guard_well_formed(path: Path) -> None:
    """Raises `ProblemError`: the library goes round in circles where an ods ends in the middle of an element."""
    parser = expat.ParserCreate()
    try:
        with opened_archive(path) as archive:
            for block in part_blocks(archive, "content.xml"):
                parser.Parse(block, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError) as error:
        raise damaged_workbook(path) from error


def _has_uncounted_formulas(path: Path) -> bool:
    """Programs that only write workbooks leave the results out. Raises `ProblemError` for what unpacks to too much."""
    with opened_archive(path) as archive:
        for name in archive.namelist():
            if not (name.startswith("xl/worksheets/") and name.endswith(".xml")):
                continue
            tail = b""
            for block in part_blocks(archive, name):
                text = tail + block
                if _UNCOUNTED.search(text):
                    return True
                tail = text[-_LONGEST_CELL:]
    return False


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """What the library raises, as the problem that it is."""
    try:
        yield
    except python_calamine.PasswordError as error:
        raise password_protected(path) from error
    except (python_calamine.CalamineError, python_calamine.ZipError, python_calamine.XmlError) as error:
        raise damaged_workbook(path) from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # the Rust reader gave up; pyo3 raises this past Exception
            raise damaged_workbook(path) from error
        raise


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


def _stream(path: Path, choice: DataChoice, book: python_calamine.CalamineWorkbook, kind: str) -> TableStream:
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
    full = [candidate for candidate in candidates if candidate.found.count]
    if not full:
        raise header_only(path) if candidates else empty(path)
    best, rivals = _choose(full, hidden)
    notes = best.found.notes()
    doubts: list[Doubt] = ["header"] if best.found.layout.doubtful else []
    if rivals:
        text = N_("The sheet {sheet} was taken. These have rows, too: {others}.")
        notes.insert(0, sentence(text, sheet=best.name, others=", ".join(one.name for one in rivals)[:200]))
        doubts.append("sheet")
    if best.found.apart or best.found.other:
        doubts.append("header")
    looks = SheetLooks()
    if kind == "xlsx":
        looks = looks_of(path, [about.name for about in book.sheets_metadata].index(best.name))
        left = (best.sheet.start or (0, 0))[1]
        called = {left + place: name for place, name in zip(best.found.keep, best.found.columns, strict=True)}
        seen, is_unsure = looks.notes(best.found.layout.skip, best.found.count, called)
        notes += seen
        if is_unsure:
            doubts.append("kind")
    if not best.found.is_under_sure:
        doubts.append("kind")
    others = [one for one in full if one is not best and one not in rivals]
    if others and not choice.sheet:
        text = N_("Other sheets were left out: {others}.")
        names = ", ".join(f"{one.name} ({one.found.count})" for one in others)
        notes.append(sentence(text, others=names[:200]))
    columns = best.found.columns
    info = TableInfo(
        path=path,
        format="xlsx",
        columns=columns,
        sheet=best.name,
        sheets=tuple(usable),
        notes=tuple(notes),
        doubts=tuple(dict.fromkeys(doubts)),
    )

    def batches() -> Iterator[pa.RecordBatch]:
        with _in_words(path):
            yield from text_batches(columns, table_rows(_rows(best.sheet, looks), best.found))

    return stream_batches(info, best.found.count, batches())


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
    best = max(wide, key=lambda candidate: candidate.found.count) if len(wide) > 1 else wide[0]
    first = wide[0]
    if first.found.count * 2 > best.found.count:
        best = first
    return best, [candidate for candidate in wide if candidate is not best]


def _rows(sheet: python_calamine.CalamineSheet, looks: SheetLooks | None = None) -> Iterator[tuple[int, list[str]]]:
    """Each row with its number in the sheet, merged cells with what they show in every one of their rows."""
    left = (sheet.start or (0, 0))[1]
    fill: dict[int, list[tuple[int, int]]] = {}
    for (top, first), (bottom, _) in (sheet.merged_cell_ranges or ())[:_MOST_MERGED]:
        if bottom > top and bottom - top <= _LONGEST_MERGED:
            fill.setdefault(top, []).append((first - left, bottom))
    filling: dict[int, tuple[str, int]] = {}
    for number, cells in enumerate(sheet.iter_rows()):
        row = list(map(_text, cells))
        if looks is not None and looks.percentages:
            for column in looks.percentages:
                place = column - left
                if 0 <= place < len(row) and looks.is_percentage(number, column):
                    row[place] = _percentage(cells[place])
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


def _percentage(cell: object) -> str:
    """As the sheet shows it, with four places where the sheet may show fewer."""
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    return cell_text(round(100 * float(str(cell)), 4)) + "%" if is_number else _text(cell)


def _text(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        cell = cell.date()
    return cell_text(cell)
