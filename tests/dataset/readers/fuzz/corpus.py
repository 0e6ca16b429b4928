"""What is mutated: the messy files, and a small file of every kind that can be opened."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq

from tests.dataset.readers.messy.writing import FILES, Sheet, open_document_sheet, some, word_document, workbook, zipped

ZIPPED = (".xlsx", ".ods", ".docx", ".hwpx")


@dataclass(frozen=True)
class Sample:
    """A good file. `zipped` ones can be taken apart, so that a mutation reaches what is packed in them."""

    name: str
    content: bytes

    @property
    def zipped(self) -> bool:
        return self.content.startswith(b"PK\x03\x04")


@cache
def samples() -> tuple[Sample, ...]:
    """Always in the same order."""
    pairs = some("support_english", 4, "fuzz") + some("support_korean", 4, "fuzz")
    rows = [("question", "answer"), *pairs]
    records = [{"question": q, "answer": a, "n": n, "tags": ["a", None]} for n, (q, a) in enumerate(pairs)]
    made = [
        Sample("small.xlsx", workbook([Sheet("One", rows), Sheet("Two", [(1.5, None, "x")], 3, 2, ("B3:C4",))])),
        Sample("small.ods", open_document_sheet("One", rows)),
        Sample("small.docx", word_document(["# Heading", *(a for _, a in pairs), rows, "# Another", "The end."])),
        Sample("small.hwpx", hwpx([f"{q} {a}" for q, a in pairs])),
        Sample("small.pdf", pdf([text for pair in pairs[:4] for text in pair])),
        Sample("small.parquet", _parquet(records)),
        Sample("small.arrow", _arrow(records)),
        Sample("small.json", json.dumps(records, ensure_ascii=False).encode()),
        Sample("small.jsonl", "\n".join(json.dumps(record) for record in records).encode()),
    ]
    return (*made, *(Sample(file.name, file.read_bytes()) for file in sorted(FILES.iterdir())))


def _parquet(records: list[dict[str, object]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), out, compression="snappy", row_group_size=3)
    return out.getvalue()


def _arrow(records: list[dict[str, object]]) -> bytes:
    table = pa.Table.from_pylist(records)
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return out.getvalue()


def hwpx(paragraphs: list[str]) -> bytes:
    """A document of Hangul's open form: one section, one run a paragraph."""
    kind = "http://www.hancom.co.kr/hwpml/2011"
    body = "".join(
        f'<hp:p id="{n}" paraPrIDRef="0"><hp:run charPrIDRef="0"><hp:t>{escape(text)}</hp:t></hp:run></hp:p>'
        for n, text in enumerate(paragraphs)
    )
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    package = "http://www.idpf.org/2007/opf/"
    return zipped(
        {
            "mimetype": "application/hwp+zip",
            "version.xml": f'{head}<hv:HCFVersion xmlns:hv="{kind}/version" major="5" minor="1" micro="0"/>',
            "META-INF/container.xml": f"{head}<ocf:container "
            'xmlns:ocf="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<ocf:rootfiles><ocf:rootfile full-path="Contents/content.hpf" '
            'media-type="application/hwpml-package+xml"/></ocf:rootfiles></ocf:container>',
            "Contents/content.hpf": f'{head}<opf:package xmlns:opf="{package}"><opf:manifest>'
            '<opf:item id="header" href="Contents/header.xml" media-type="application/xml"/>'
            '<opf:item id="section0" href="Contents/section0.xml" media-type="application/xml"/></opf:manifest>'
            '<opf:spine><opf:itemref idref="header"/><opf:itemref idref="section0"/></opf:spine></opf:package>',
            "Contents/header.xml": f'{head}<hh:head xmlns:hh="{kind}/head" version="1.4" secCnt="1"/>',
            "Contents/section0.xml": f'{head}<hs:sec xmlns:hs="{kind}/section" '
            f'xmlns:hp="{kind}/paragraph">{body}</hs:sec>',
        }
    )


def pdf(lines: list[str]) -> bytes:
    """A page of Latin text, uncompressed."""
    shown = "".join(f"({_pdf_text(line)}) Tj T* " for line in lines)
    stream = f"BT /F1 11 Tf 14 TL 50 780 Td {shown}ET"
    parts = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{part}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(parts) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(parts) + 1} /Root 1 0 R >>\n"
    return out + f"{end}startxref\n{len(out)}\n%%EOF\n".encode("latin-1")


def _pdf_text(text: str) -> str:
    return text.encode("ascii", "replace").decode().replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
