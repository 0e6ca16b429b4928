"""Writers for the file formats that people bring, so that every test reads a real file."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import settings

from studio.core.problems import Problem, ProblemError
from studio.core.recipe.data_choice import DataChoice
from studio.dataset.build import build_examples
from studio.dataset.columns.detection.detect import detect
from studio.dataset.examples import Example
from studio.dataset.readers.read_table import read_table
from studio.dataset.split import groups_of, held_out_positions
from studio.dataset.store import StoredExamples, open_table_at, write_table
from studio.dataset.table import Table, TableStream, cell_text
from studio.dataset.text_batches import stream_rows
from tests.dataset.readers.old_workbooks import write_compound as write_compound
from tests.dataset.readers.old_workbooks import write_xls as write_xls

settings.register_profile("patient", deadline=None)  # a library that is loaded in the first example takes its time
settings.load_profile("patient")

type_of_cells = Sequence[Sequence[str | int | float | None]]


def opened(path: Path | str, **choice: object) -> Table:
    """A file as the program reads it: through the store, every cell as text."""
    return stored(read_table(DataChoice.model_validate({"path": str(path), **choice})))


def stored(stream: TableStream) -> Table:
    """What comes out of the store."""
    with tempfile.TemporaryDirectory() as scratch:  # what is mapped stays there without a name
        write_table(stream, Path(scratch) / "table", lambda done, total: None)
        return open_table_at(Path(scratch) / "table")


def streamed(table: Table) -> TableStream:
    """A table as a reader would hand it out."""
    return stream_rows(table, len(table.rows), ([cell_text(row[name]) for name in table.columns] for row in table.rows))


def built_from(table: Table, folder: Path, choice: DataChoice | None = None) -> StoredExamples:
    """The examples of a table, through the store as in the program; the mapping is guessed where none is given."""
    choice = choice or DataChoice()
    if choice.mapping.format is None:
        choice = choice.model_copy(update={"mapping": detect(table).mapping})
    write_table(streamed(table), folder / "table", lambda done, total: None)
    return StoredExamples(build_examples(folder / "table", choice, lambda done, total: None))


def split(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(for training, held out), as they are frozen for a run."""
    held = set(held_out_positions(groups_of(examples), share, seed))
    return (
        [example for position, example in enumerate(examples) if position not in held],
        [example for position, example in enumerate(examples) if position in held],
    )


def problem_of(action: Callable[[], object]) -> Problem:
    """What an action refuses with. It has to say what to do next, with every value filled in."""
    with pytest.raises(ProblemError) as caught:
        action()
    found = caught.value.problem
    assert found.what and found.fix, found
    assert "{" not in found.english().replace('{"question"', ""), found.english()
    return found


def write_xlsx(path: Path, sheets: dict[str, type_of_cells]) -> Path:
    """A small workbook with inline texts, as other programs write them."""
    kind = "http://schemas.openxmlformats.org/"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<?xml version="1.0"?><Types xmlns="{kind}package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<?xml version="1.0"?><Relationships xmlns="{kind}package/2006/relationships"><Relationship Id="rId1" '
            f'Type="{kind}officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        numbered = list(enumerate(sheets.items(), start=1))
        listed = "".join(f'<sheet name="{escape(n)}" sheetId="{i}" r:id="rId{i}"/>' for i, (n, _) in numbered)
        archive.writestr(
            "xl/workbook.xml",
            f'<?xml version="1.0"?><workbook xmlns="{kind}spreadsheetml/2006/main" '
            f'xmlns:r="{kind}officeDocument/2006/relationships"><sheets>{listed}</sheets></workbook>',
        )
        relations = "".join(
            f'<Relationship Id="rId{i}" Type="{kind}officeDocument/2006/relationships/worksheet" '
            f'Target="worksheets/sheet{i}.xml"/>'
            for i, _ in numbered
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<?xml version="1.0"?><Relationships xmlns="{kind}package/2006/relationships">{relations}</Relationships>',
        )
        for i, (_, rows) in numbered:
            archive.writestr(f"xl/worksheets/sheet{i}.xml", sheet_xml(rows))
    return path


def sheet_xml(rows: type_of_cells) -> str:
    lines = []
    for r, row in enumerate(rows, start=1):
        cells = []
        for c, cell in enumerate(row):
            at = f"{chr(65 + c)}{r}"
            if isinstance(cell, str):
                cells.append(f'<c r="{at}" t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>')
            elif cell is not None:
                cells.append(f'<c r="{at}"><v>{cell}</v></c>')
        lines.append(f'<row r="{r}">{"".join(cells)}</row>')
    return (
        '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f"<sheetData>{''.join(lines)}</sheetData></worksheet>"
    )


def write_ods(path: Path, rows: type_of_cells, cell_attributes: str = "", encrypted: bool = False) -> Path:
    office = "urn:oasis:names:tc:opendocument:xmlns"
    lines = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"{cell_attributes}><text:p>{escape(str(cell))}</text:p>'
            "</table:table-cell>"
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    manifest = "<manifest:encryption-data/>" if encrypted else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", f"<manifest>{manifest}</manifest>")
        archive.writestr(
            "content.xml",
            f'<?xml version="1.0"?><office:document-content xmlns:office="{office}:office:1.0" '
            f'xmlns:table="{office}:table:1.0" xmlns:text="{office}:text:1.0" office:version="1.2"><office:body>'
            f'<office:spreadsheet><table:table table:name="Replies">{lines}</table:table></office:spreadsheet>'
            "</office:body></office:document-content>",
        )
    return path
