"""Writers for documents, so that every test reads a real file."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import docx

Part = tuple[str, str] | Sequence[Sequence[str]]
"""A style (Title, Heading 1, List Bullet, "") with its text, or the rows of a table."""

_PARAGRAPH = "http://www.hancom.co.kr/hwpml/2011/paragraph"
_HEAD = "http://www.hancom.co.kr/hwpml/2011/head"


def write_docx(path: Path, parts: Iterable[Part]) -> Path:
    document = docx.Document()
    for part in parts:
        if isinstance(part, tuple) and isinstance(part[0], str):
            document.add_paragraph(str(part[1]), style=part[0] or None)
            continue
        rows = [tuple(row) for row in part]
        table = document.add_table(len(rows), len(rows[0]))
        for r, row in enumerate(rows):
            for c, cell in enumerate(row):
                table.cell(r, c).text = cell
    document.save(str(path))
    return path


def write_xlsb(path: Path, rows: Sequence[Sequence[str]], far: int = 0) -> Path:
    """A workbook in Excel's binary form. `far` is a column, counted from 0, in which one more cell stands."""

    def record(kind: int, body: bytes = b"") -> bytes:
        size, length = len(body), b""
        while size > 0x7F:
            length += bytes([size & 0x7F | 0x80])
            size >>= 7
        number = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
        return number + length + bytes([size]) + body

    def text(words: str) -> bytes:
        return struct.pack("<I", len(words)) + words.encode("utf-16-le")

    def cell(column: int, words: str) -> bytes:
        return record(6, struct.pack("<II", column, 0) + text(words))

    sheet = (
        record(129) + record(148, struct.pack("<IIII", 0, len(rows) - 1, 0, max(far, len(rows[0]) - 1))) + record(145)
    )
    for number, row in enumerate(rows):
        sheet += record(0, struct.pack("<I", number) + bytes(13))
        sheet += b"".join(cell(column, words) for column, words in enumerate(row))
        sheet += cell(far, "far") if far and number == len(rows) - 1 else b""
    bundle = record(156, struct.pack("<II", 0, 1) + text("rId1") + text("Replies"))
    related = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.bin", record(131) + record(143) + bundle + record(144) + record(132))
        archive.writestr(
            "xl/_rels/workbook.bin.rels",
            f'<Relationships xmlns="{related}"><Relationship Id="rId1" Type="{office}/worksheet" '
            'Target="worksheets/sheet1.bin"/></Relationships>',
        )
        archive.writestr("xl/worksheets/sheet1.bin", sheet + record(146) + record(130))
    return path


def write_pdf(path: Path, pages: Sequence[Sequence[str]], encrypted: bool = False) -> Path:
    """Pages of lines. Each letter is a glyph with a number of its own, and a table says what it stands for."""
    letters = sorted({letter for page in pages for line in page for letter in line})
    numbers = {letter: number for number, letter in enumerate(letters, start=1)}
    mapped = "\n".join(f"<{number:04x}> <{letter.encode('utf-16-be').hex()}>" for letter, number in numbers.items())
    unicode_map = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def\n"
        f"1 begincodespacerange <0000> <ffff> endcodespacerange\n{len(letters)} beginbfchar\n{mapped}\nendbfchar\n"
        "endcmap end end"
    )
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{6 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append(
        "<< /Type /Font /Subtype /Type0 /BaseFont /Some /Encoding /Identity-H /DescendantFonts [4 0 R] "
        "/ToUnicode 5 0 R >>"
    )
    objects.append(
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Some /CIDSystemInfo << /Registry (Adobe) /Ordering "
        "(Identity) /Supplement 0 >> /DW 1000 >>"
    )
    objects.append(_stream(unicode_map))
    for number, page in enumerate(pages):
        shown = "".join(
            f"1 0 0 1 50 {780 - 16 * at} Tm <{''.join(f'{numbers[c]:04x}' for c in line)}> Tj\n"
            for at, line in enumerate(page)
            if line
        )
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {7 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(_stream(f"BT /F1 12 Tf\n{shown}ET"))
    body, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    start = len(body)
    body += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    body += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    lock = (
        " /Encrypt << /Filter /Standard /V 1 /R 2 /P -1 /O <" + "11" * 32 + "> /U <" + "22" * 32 + "> >>"
        f" /ID [<{'33' * 16}> <{'33' * 16}>]"
        if encrypted
        else ""
    )
    body += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R{lock} >>\nstartxref\n{start}\n%%EOF\n".encode()
    path.write_bytes(body)
    return path


def _stream(content: str) -> str:
    return f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"


def write_hwpx(path: Path, parts: Iterable[Part], encrypted: bool = False) -> Path:
    """Styles are "개요 1" and so on, or "" for the plain one."""
    body = "".join(_hwpx_part(part) for part in parts)
    styles = "".join(f'<hh:style id="{n}" type="PARA" name="개요 {n}" engName="Outline {n}"/>' for n in range(1, 4))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/hwp+zip", zipfile.ZIP_STORED)
        manifest = "<encryption-data/>" if encrypted else ""
        archive.writestr("META-INF/manifest.xml", f"<manifest>{manifest}</manifest>")
        archive.writestr("Contents/header.xml", f'<hh:head xmlns:hh="{_HEAD}">{styles}</hh:head>')
        archive.writestr("Contents/section0.xml", f'<hs:sec xmlns:hs="s" xmlns:hp="{_PARAGRAPH}">{body}</hs:sec>')
    return path


def _hwpx_part(part: Part) -> str:
    if isinstance(part, tuple) and isinstance(part[0], str):
        style = part[0].removeprefix("개요 ") or "0"
        return f'<hp:p styleIDRef="{style}"><hp:run><hp:t>{escape(str(part[1]))}</hp:t></hp:run></hp:p>'
    rows = "".join(
        "<hp:tr>"
        + "".join(
            f'<hp:tc><hp:subList><hp:p styleIDRef="0"><hp:run><hp:t>{escape(cell)}</hp:t></hp:run></hp:p></hp:subList>'
            "</hp:tc>"
            for cell in row
        )
        + "</hp:tr>"
        for row in part
    )
    return f'<hp:p styleIDRef="0"><hp:run><hp:tbl>{rows}</hp:tbl></hp:run></hp:p>'
