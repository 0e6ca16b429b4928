"""Bytes of the file formats, made by hand so that the same content always gives the same bytes."""

from __future__ import annotations

import csv
import io
import random
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

from tests.dataset.readers.messy.truth import Pair

FILES = Path(__file__).parent / "files"
"""Where the messy files are kept."""

_TEXTS = Path(__file__).parent / "texts"
_OFFICE = "http://schemas.openxmlformats.org/"
_OPEN = "urn:oasis:names:tc:opendocument:xmlns"

type_of_cell = str | int | float | None


@cache
def texts(topic: str) -> tuple[Pair, ...]:
    """All made-up questions and answers about `topic`, such as support_korean."""
    lines = (_TEXTS / f"{topic}.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [tuple(line.split("\t")) for line in lines]
    return tuple((question, answer) for question, answer in pairs)


def some(topic: str, count: int, seed: str) -> list[Pair]:
    """`count` different pairs in an order of their own."""
    return random.Random(seed).sample(texts(topic), count)


def delimited(
    rows: Iterable[Sequence[object]], delimiter: str = ",", end: str = "\r\n", quote_all: bool = False
) -> str:
    """Rows as spreadsheets save them."""
    out = io.StringIO()
    quoting: int = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


def zipped(parts: Mapping[str, str], compress: bool = True) -> bytes:
    """A zip file whose parts all bear the same date."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            about = zipfile.ZipInfo(name, (2024, 5, 17, 9, 30, 0))
            about.compress_type = zipfile.ZIP_DEFLATED if compress and name != "mimetype" else zipfile.ZIP_STORED
            archive.writestr(about, content)
    return out.getvalue()


@dataclass(frozen=True)
class Sheet:
    """`rows` begin at `top` and `left`, counted from 1; dates are days since 1899-12-30 in columns named in `dates`."""

    name: str
    rows: Sequence[Sequence[type_of_cell]]
    top: int = 1
    left: int = 1
    merged: tuple[str, ...] = ()
    dates: tuple[int, ...] = ()


def workbook(sheets: Sequence[Sheet]) -> bytes:
    """An xlsx with shared texts, merged cells and dates, as Excel writes them."""
    shared: dict[str, int] = {}
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_OFFICE}package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_OFFICE}spreadsheetml/2006/main" '
        f'xmlns:r="{_OFFICE}officeDocument/2006/relationships"><sheets>'
        + "".join(f'<sheet name="{escape(s.name)}" sheetId="{n}" r:id="rId{n}"/>' for n, s in enumerate(sheets, 1))
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _relations(
            [("worksheet", f"worksheets/sheet{n}.xml") for n, _ in enumerate(sheets, 1)]
            + [("styles", "styles.xml"), ("sharedStrings", "sharedStrings.xml")]
        ),
        "xl/styles.xml": f'<styleSheet xmlns="{_OFFICE}spreadsheetml/2006/main"><cellXfs count="2">'
        '<xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
    }
    for number, sheet in enumerate(sheets, 1):
        parts[f"xl/worksheets/sheet{number}.xml"] = _sheet(sheet, shared)
    listed = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in shared)
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{_OFFICE}spreadsheetml/2006/main">{listed}</sst>'
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return zipped({name: head + part for name, part in parts.items()})


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    kind = f"{_OFFICE}officeDocument/2006/relationships"
    lines = (f'<Relationship Id="rId{n}" Type="{kind}/{k}" Target="{t}"/>' for n, (k, t) in enumerate(targets, 1))
    return f'<Relationships xmlns="{_OFFICE}package/2006/relationships">{"".join(lines)}</Relationships>'


def _sheet(sheet: Sheet, shared: dict[str, int]) -> str:
    lines = []
    for r, row in enumerate(sheet.rows, sheet.top):
        cells = []
        for c, cell in enumerate(row):
            at = f"{chr(64 + sheet.left + c)}{r}"
            if isinstance(cell, str):
                cells.append(f'<c r="{at}" t="s"><v>{shared.setdefault(cell, len(shared))}</v></c>')
            elif cell is not None:
                style = ' s="1"' if c in sheet.dates else ""
                cells.append(f'<c r="{at}"{style}><v>{cell}</v></c>')
        lines.append(f'<row r="{r}">{"".join(cells)}</row>')
    merged = "".join(f'<mergeCell ref="{area}"/>' for area in sheet.merged)
    merged = f"<mergeCells>{merged}</mergeCells>" if merged else ""
    return (
        f'<worksheet xmlns="{_OFFICE}spreadsheetml/2006/main"><sheetData>{"".join(lines)}</sheetData>'
        f"{merged}</worksheet>"
    )


def open_document_sheet(name: str, rows: Sequence[Sequence[str]]) -> bytes:
    """An ods of one sheet of texts."""
    lines = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": "<manifest></manifest>",
            "content.xml": f'<?xml version="1.0"?><office:document-content xmlns:office="{_OPEN}:office:1.0" '
            f'xmlns:table="{_OPEN}:table:1.0" xmlns:text="{_OPEN}:text:1.0" office:version="1.2"><office:body>'
            f'<office:spreadsheet><table:table table:name="{escape(name)}">{lines}</table:table></office:spreadsheet>'
            "</office:body></office:document-content>",
        }
    )


def word_document(blocks: Sequence[str | Sequence[Sequence[str]]]) -> bytes:
    """A docx of paragraphs (texts; "# " makes a heading) and tables (rows of texts)."""
    word = f"{_OFFICE}wordprocessingml/2006/main"
    types = "application/vnd.openxmlformats-officedocument.wordprocessingml"

    def paragraph(text: str) -> str:
        style = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>' if text.startswith("# ") else ""
        return f'<w:p>{style}<w:r><w:t xml:space="preserve">{escape(text.removeprefix("# "))}</w:t></w:r></w:p>'

    def table(rows: Sequence[Sequence[str]]) -> str:
        width = "".join("<w:gridCol/>" for _ in rows[0])
        lines = "".join(
            f"<w:tr>{''.join(f'<w:tc><w:tcPr/>{paragraph(cell)}</w:tc>' for cell in row)}</w:tr>" for row in rows
        )
        return f"<w:tbl><w:tblPr/><w:tblGrid>{width}</w:tblGrid>{lines}</w:tbl>"

    body = "".join(paragraph(block) if isinstance(block, str) else table(block) for block in blocks)
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return zipped(
        {
            "[Content_Types].xml": f'{head}<Types xmlns="{_OFFICE}package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{types}.document.main+xml"/>'
            f'<Override PartName="/word/styles.xml" ContentType="{types}.styles+xml"/></Types>',
            "_rels/.rels": head + _relations([("officeDocument", "word/document.xml")]),
            "word/_rels/document.xml.rels": head + _relations([("styles", "styles.xml")]),
            "word/styles.xml": f'{head}<w:styles xmlns:w="{word}"><w:style w:type="paragraph" w:styleId="Heading1">'
            '<w:name w:val="heading 1"/></w:style></w:styles>',
            "word/document.xml": f'{head}<w:document xmlns:w="{word}"><w:body>{body}<w:sectPr/></w:body></w:document>',
        }
    )
