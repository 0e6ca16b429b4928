"""What people mean by how cells look: hidden rows, texts struck through, colours, percentages."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.dataset.table import Table
from tests.dataset.conftest import opened, write_xlsx

STYLES = (
    '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<numFmts count="1"><numFmt numFmtId="170" formatCode="0.0%"/></numFmts>'
    '<fonts count="3"><font/><font><strike/></font><font><strike val="0"/></font></fonts>'
    '<fills count="3"><fill/><fill/><fill><patternFill patternType="solid"/></fill></fills>'
    '<cellXfs count="6"><xf numFmtId="0" fontId="0"/><xf numFmtId="0" fontId="1"/><xf numFmtId="0" fontId="2"/>'
    '<xf numFmtId="0" fillId="2"/><xf numFmtId="9"/><xf numFmtId="170"/></cellXfs></styleSheet>'
)
PLAIN, STRUCK, NOT_STRUCK, COLOURED, PERCENT, OWN_PERCENT = range(6)
ROWS = [("question", "answer"), *((f"Where is oar {n}?", f"By weir {n}.") for n in range(1, 13))]


def workbook(path: Path, rows: list[tuple[str | float, ...]], change: Callable[[str], str]) -> Table:
    """A workbook with these styles, its sheet changed as XML before it is read."""
    plain = write_xlsx(path / "plain.xlsx", {"faq": rows})
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path / "book.xlsx", "w") as target:
        for name in source.namelist():
            part = source.read(name).decode()
            target.writestr(name, change(part) if name.endswith("sheet1.xml") else part)
        target.writestr("xl/styles.xml", STYLES)
    return opened(path / "book.xlsx")


def styled(cell: str, style: int) -> Callable[[str], str]:
    return lambda xml: xml.replace(f'r="{cell}"', f'r="{cell}" s="{style}"')


def said(table: Table) -> str:
    return " ".join(note.english() for note in table.notes)


def test_hidden_rows_are_read_and_asked_about(tmp_path: Path) -> None:
    table = workbook(tmp_path, [*ROWS], lambda xml: xml.replace('<row r="3"', '<row r="3" hidden="1"'))
    assert len(table.rows) == 12 and table.doubts == ("kind",)
    assert "1 row is hidden in the sheet" in said(table)


def test_hidden_columns_are_named(tmp_path: Path) -> None:
    columns = '<cols><col min="2" max="2" width="9" hidden="1"/></cols><sheetData'
    table = workbook(tmp_path, [*ROWS], lambda xml: xml.replace("<sheetData", columns))
    assert not table.doubts and "read, too: answer" in said(table)


@pytest.mark.parametrize(("style", "asked"), [(STRUCK, True), (NOT_STRUCK, False)])
def test_texts_that_are_struck_through_are_asked_about(tmp_path: Path, style: int, asked: bool) -> None:
    table = workbook(tmp_path, [*ROWS], styled("B4", style))
    assert (table.doubts == ("kind",)) == asked == ("struck through" in said(table))


def test_colours_are_named_but_those_of_the_heading_and_of_all_rows_arent(tmp_path: Path) -> None:
    def coloured(rows: range) -> Table:
        folder = tmp_path / str(len(rows))
        folder.mkdir()

        def change(xml: str) -> str:
            for row in rows:
                xml = styled(f"A{row}", COLOURED)(xml)
            return xml

        return workbook(folder, [*ROWS], change)

    assert "Cells of 3 rows are coloured" in said(coloured(range(2, 5)))
    assert not said(coloured(range(1, 2))) and not said(coloured(range(1, 14)))


def test_percentages_are_read_as_they_are_shown(tmp_path: Path) -> None:
    rows: list[tuple[str | float, ...]] = [("question", "answer"), *((f"How much of {n}?", 0.0525) for n in range(12))]

    def change(xml: str) -> str:
        return styled("B3", OWN_PERCENT)(styled("B2", PERCENT)(xml))

    table = workbook(tmp_path, rows, change)
    assert [row["answer"] for row in table.rows][:3] == ["5.25%", "5.25%", "0.0525"]


def test_another_table_below_is_asked_about(tmp_path: Path) -> None:
    table = workbook(tmp_path, [*ROWS, ("", ""), ("name", "phone"), ("Ada", "1"), ("Ben", "2")], lambda xml: xml)
    assert "header" in table.doubts and "look like those of another table" in said(table)
