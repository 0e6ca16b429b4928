"""Workbooks: xlsx, xls and ods, their sheets, and the ones that must not be opened."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.core.recipe.data_choice import DataChoice
from studio.dataset.readers import limits
from studio.worker.client import WorkerClient
from studio.worker.protocol import Opened, OpenTable
from tests.dataset.conftest import (
    opened,
    problem_of,
    sheet_xml,
    type_of_cells,
    write_compound,
    write_ods,
    write_xls,
    write_xlsx,
)
from tests.dataset.readers.document_files import write_xlsb

ROWS: type_of_cells = [
    ("question", "answer", "stars"),
    ("안녕하세요?", "TEAM: delivery\nMOOD: calm", 3),
    ("Where?", "There", 4.5),
]


def test_an_xlsx_is_read_from_the_first_sheet_with_rows(tmp_path: Path) -> None:
    file = write_xlsx(tmp_path / "some.xlsx", {"Notes": [], "Replies & co": ROWS, "Old": [("a", "b"), ("c", "d")]})
    table = opened(file)
    assert (table.format, table.sheet, table.sheets) == ("xlsx", "Replies & co", ("Notes", "Replies & co", "Old"))
    assert table.columns == ("question", "answer", "stars")
    assert dict(table.rows[0]) == {"question": "안녕하세요?", "answer": "TEAM: delivery\nMOOD: calm", "stars": "3"}
    assert table.rows[1]["stars"] == "4.5"


def test_another_sheet_can_be_chosen_and_a_wrong_one_names_the_right_ones(tmp_path: Path) -> None:
    file = write_xlsx(tmp_path / "some.xlsx", {"New": ROWS, "Old": [("a", "b"), ("c", "d")]})
    assert opened(file, sheet="Old").columns == ("a", "b")
    assert "New, Old" in problem_of(lambda: opened(file, sheet="Older")).english()


def test_empty_rows_and_columns_around_the_table_are_left_out(tmp_path: Path) -> None:
    rows: type_of_cells = [
        (None, None, None),
        ("question", "answer", None),
        (None, None, None),
        ("a", None, "beyond"),
        ("b", "c", None),
    ]
    table = opened(write_xlsx(tmp_path / "some.xlsx", {"S": rows}))
    assert table.columns == ("question", "answer")
    assert len(table.rows) == 2
    assert "1 row" in table.notes[0].english()


def merged(path: Path, *ranges: str) -> Path:
    cells = "".join(f'<mergeCell ref="{one}"/>' for one in ranges)
    with zipfile.ZipFile(path) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    with_cells = sheet.replace("</sheetData>", f"</sheetData><mergeCells>{cells}</mergeCells>")
    return replaced(path, "xl/worksheets/sheet1.xml", with_cells.encode())


def test_titles_merged_groups_and_notes_are_told_from_the_table(tmp_path: Path) -> None:
    rows: type_of_cells = [
        (None, "Calls of May", None, None, None),
        (None, None, None, None, None),
        (None, "No.", "Customer", None, "Agent"),
        (None, None, "Name", "Question", "Answer"),
        (None, 1, "Kim", "Where is it?", "On its way."),
        (None, None, "Lee", "When does it come?", "Tomorrow."),
        (None, 2, "Park", "Can I return it?", "Yes."),
        (None, None, None, None, None),
        (None, "Total", 3, None, None),
        (None, "※ for internal use", None, None, None),
    ]
    book = write_xlsx(tmp_path / "some.xlsx", {"S": rows})
    table = opened(merged(book, "B1:E1", "B3:B4", "C3:D3", "B5:B6"))
    assert table.columns == ("No.", "Customer / Name", "Customer / Question", "Agent / Answer")
    assert [tuple(row.values()) for row in table.rows] == [
        ("1", "Kim", "Where is it?", "On its way."),
        ("1", "Lee", "When does it come?", "Tomorrow."),
        ("2", "Park", "Can I return it?", "Yes."),
    ]
    said = " ".join(note.english() for note in table.notes)
    assert "1 row above" in said
    assert "2 rows under" in said
    assert not table.doubts


def test_the_row_of_names_is_counted_in_the_sheet(tmp_path: Path) -> None:
    rows: type_of_cells = [(None, None), ("a b", "c d"), (None, None), ("e f", "g h"), ("x", "y"), ("z", "w")]
    file = write_xlsx(tmp_path / "some.xlsx", {"S": rows})
    table = opened(file, header_row=4)
    assert (table.columns, len(table.rows)) == (("e f", "g h"), 2)
    assert problem_of(lambda: opened(file, header_row=3)).code == "data.no_such_row"


def test_another_sheet_that_could_be_meant_is_asked_about(tmp_path: Path) -> None:
    pair: type_of_cells = [("question", "answer"), *[(f"q{n}", f"a{n}") for n in range(9)]]
    prices: type_of_cells = [("name", "price"), *[(f"lamp {n}", n) for n in range(50)]]
    notes: type_of_cells = [("About this file",), ("Ask Mira",)]
    alone = opened(write_xlsx(tmp_path / "a.xlsx", {"About": notes, "Prices": prices, "Calls": pair}))
    assert (alone.sheet, alone.doubts) == ("Calls", ())
    both = opened(write_xlsx(tmp_path / "b.xlsx", {"January": pair, "February": pair}))
    assert (both.sheet, both.doubts) == ("January", ("sheet",))
    assert "February" in both.notes[0].english()
    assert not opened(tmp_path / "b.xlsx", sheet="February").doubts


def test_an_old_xls_is_read(tmp_path: Path) -> None:
    table = opened(write_xls(tmp_path / "some.xls", [("question", "answer"), ("택배?", "배송"), ("Where?", "There")]))
    assert (table.columns, len(table.rows), table.sheet) == (("question", "answer"), 2, "Replies")
    assert table.rows[0]["question"] == "택배?"


def test_an_xlsb_is_read_unless_its_cells_are_far_apart(tmp_path: Path) -> None:
    rows = [("question", "answer"), ("택배?", "배송"), ("Where?", "There " * 40)]
    table = opened(write_xlsb(tmp_path / "some.xlsb", rows))
    assert (table.columns, table.sheet) == (("question", "answer"), "Replies")
    assert [tuple(row.values()) for row in table.rows] == rows[1:]
    far = write_xlsb(tmp_path / "far.xlsb", rows, far=16_383)
    assert opened(far).columns == ("question", "answer")
    write_xlsb(far, [("question", "answer")] * 700, far=16_383)
    assert problem_of(lambda: opened(far)).code == "data.unpacks_too_large"
    (tmp_path / "torn.xlsb").write_bytes(far.read_bytes()[:300])
    assert problem_of(lambda: opened(tmp_path / "torn.xlsb")).code == "data.broken_workbook"


def test_an_ods_is_read(tmp_path: Path) -> None:
    table = opened(write_ods(tmp_path / "some.ods", [("question", "answer"), ("a", "b"), ("c", "d")]))
    assert (table.columns, len(table.rows)) == (("question", "answer"), 2)


@pytest.mark.parametrize("name", ["some.csv", "some.json", "some", "some.xls"])
def test_the_contents_decide_not_the_name(tmp_path: Path, name: str) -> None:
    assert opened(write_xlsx(tmp_path / name, {"S": ROWS})).format == "xlsx"


def test_a_password_is_said(tmp_path: Path) -> None:
    assert (
        problem_of(lambda: opened(write_compound(tmp_path / "a.xlsx", "EncryptedPackage", b"x"))).code
        == "data.password"
    )
    locked = write_ods(tmp_path / "a.ods", [("q", "a"), ("b", "c")], encrypted=True)
    assert problem_of(lambda: opened(locked)).code == "data.password"


def test_a_torn_or_emptied_workbook_is_said_to_be_damaged(tmp_path: Path) -> None:
    whole = write_xlsx(tmp_path / "some.xlsx", {"S": ROWS}).read_bytes()
    for cut in (100, len(whole) // 2, len(whole) - 5):
        (tmp_path / "torn.xlsx").write_bytes(whole[:cut])
        assert problem_of(lambda: opened(tmp_path / "torn.xlsx")).code == "data.broken_workbook"
    with zipfile.ZipFile(tmp_path / "odd.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook><nonsense")
    assert problem_of(lambda: opened(tmp_path / "odd.xlsx")).code == "data.broken_workbook"
    assert problem_of(lambda: opened(write_compound(tmp_path / "odd.xls", "Workbook", b"\x09\x08"))).fix


def test_an_ods_that_ends_in_the_middle_of_an_element_is_said_to_be_damaged(tmp_path: Path) -> None:
    """Its library would go round in circles."""
    whole = write_ods(tmp_path / "some.ods", [("question", "answer"), ("a", "b"), ("c", "d")])
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["content.xml"] = parts["content.xml"][:-150]
    with zipfile.ZipFile(tmp_path / "torn.ods", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert problem_of(lambda: opened(tmp_path / "torn.ods")).code == "data.broken_workbook"


def test_flipped_bytes_never_get_past_a_sentence(tmp_path: Path) -> None:
    whole = bytearray(write_xlsx(tmp_path / "some.xlsx", {"S": ROWS}).read_bytes())
    for position in range(0, len(whole), 37):
        torn = bytes(whole[:position]) + bytes([whole[position] ^ 0xFF]) + bytes(whole[position + 1 :])
        (tmp_path / "torn.xlsx").write_bytes(torn)
        try:
            assert opened(tmp_path / "torn.xlsx").columns
        except Exception as error:
            assert type(error).__name__ == "ProblemError", (position, error)


def test_empty_workbooks_and_bare_headers_are_told_apart(tmp_path: Path) -> None:
    assert problem_of(lambda: opened(write_xlsx(tmp_path / "a.xlsx", {"S": []}))).code == "data.empty"
    assert problem_of(lambda: opened(write_xlsx(tmp_path / "b.xlsx", {"S": ROWS[:1]}))).code == "data.header_only"


def replaced(path: Path, part: str, content: bytes) -> Path:
    """A copy of a workbook with one part exchanged."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_name("new.xlsx"), "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info, content if info.filename == part else old.read(info), zipfile.ZIP_DEFLATED)
    return path.with_name("new.xlsx")


def test_a_zip_bomb_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNPACKED_BYTES", 50 << 20)
    file = tmp_path / "some.xlsx"
    write_xlsx(file, {"S": ROWS})
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/a.bin", "w") as part:
        for _ in range(60):
            part.write(bytes(1 << 20))
    assert file.stat().st_size < 1 << 20
    assert problem_of(lambda: opened(file)).code == "data.unpacks_too_large"


def far_cells(folder: Path) -> Path:
    far = sheet_xml(ROWS).replace("</sheetData>", '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>')
    file = write_xlsx(folder / "some.xlsx", {"S": ROWS})
    return replaced(file, "xl/worksheets/sheet1.xml", far.encode())


def repeated_cells(folder: Path) -> Path:
    return write_ods(folder / "a.ods", [("q",)] * 1000, ' table:number-columns-repeated="16384"')


@pytest.mark.parametrize("write", [far_cells, repeated_cells])
def test_a_sheet_that_would_be_laid_out_without_end_ends_the_worker_alone(
    tmp_path: Path, worker: WorkerClient, write: Callable[[Path], Path]
) -> None:
    """Two cells in opposite corners, and one repeated a million times: the library lays out all that is between."""
    found = problem_of(lambda: worker.ask(OpenTable(choice=DataChoice(path=str(write(tmp_path)))), Opened))
    assert found.code == "data.took_too_much"
    fine = write_xlsx(tmp_path / "fine.xlsx", {"S": ROWS})
    assert worker.ask(OpenTable(choice=DataChoice(path=str(fine))), Opened).sure


def test_entities_that_multiply_are_refused(tmp_path: Path) -> None:
    lines = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {b} "{("&" + a + ";") * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    evil = sheet_xml(ROWS).replace('<?xml version="1.0"?>', f'<?xml version="1.0"?>{lines}]>').replace("Where?", "&j;")
    file = replaced(write_xlsx(tmp_path / "some.xlsx", {"S": ROWS}), "xl/worksheets/sheet1.xml", evil.encode())
    try:
        assert all(len(str(row["question"])) < 1000 for row in opened(file).rows)
    except Exception as error:
        assert type(error).__name__ == "ProblemError"


@pytest.mark.parametrize(
    ("cell", "is_said"),
    [
        ('<c r="B2"><f>C2&amp;"!"</f><v></v></c>', True),
        ('<c r="B2" s="3"><f>C2&amp;"!"</f></c>', True),
        ('<c r="B2" t="str"><f>C2&amp;""</f><v></v></c>', False),
        ('<c r="B2" t="str"><f>C2&amp;"!"</f><v>There!</v></c>', False),
        ('<c r="B2"><v></v></c>', False),
    ],
)
def test_formulas_without_results_are_told(tmp_path: Path, cell: str, is_said: bool) -> None:
    path = write_xlsx(tmp_path / "book.xlsx", {"Sheet": ROWS})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    rows = [
        "<row r='1'><c r='A1' t='inlineStr'><is><t>question</t></is></c>"
        "<c r='B1' t='inlineStr'><is><t>answer</t></is></c></row>",
        f"<row r='2'><c r='A2' t='inlineStr'><is><t>Where?</t></is></c>{cell}</row>",
        "<row r='3'><c r='A3' t='inlineStr'><is><t>When?</t></is></c>"
        "<c r='B3' t='inlineStr'><is><t>Soon</t></is></c></row>",
    ]
    kind = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f"<worksheet xmlns='{kind}'><sheetData>{''.join(rows)}</sheetData></worksheet>"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, sheet if name.startswith("xl/worksheets/") else data)
    notes = " ".join(note.english() for note in opened(path).notes)
    assert ("formulas without results" in notes) == is_said
