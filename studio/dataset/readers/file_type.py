"""What a file really is, from its first bytes: the ending of its name is only a hint."""

from __future__ import annotations

import zipfile
from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.dataset.readers.archives import damaged_archive, opened_archive
from studio.dataset.readers.encodings import utf16_without_mark
from studio.dataset.readers.text_formats import name_of_format
from studio.dataset.readers.unreadable import damaged_workbook, password_protected

SUFFIXES = (
    *(".csv", ".tsv", ".tab", ".txt", ".md", ".markdown", ".json", ".jsonl", ".ndjson"),
    *(".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".parquet", ".arrow", ".feather", ".docx", ".pdf", ".hwpx"),
    *(".html", ".htm", ".xml", ".tmx", ".ipynb", ".srt", ".vtt", ".db", ".sqlite", ".gz", ".bz2", ".xz", ".zip"),
)
"""The endings of names that are offered to choose from. What a file is, its contents decide."""

_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"{\\rtf", N_("a text document in an old form (RTF); save it as docx")),
    (b"\x89PNG", N_("a picture")),
    (b"\xff\xd8\xff", N_("a picture")),
    (b"GIF8", N_("a picture")),
    (b"BM", N_("a picture")),
    (b"RIFF", N_("a sound or a film")),
    (b"ID3", N_("a sound or a film")),
    (b"7z\xbc\xaf", N_("a packed archive")),
    (b"Rar!", N_("a packed archive")),
    (b"\x28\xb5\x2f\xfd", N_("a packed archive")),
    (b"\x7fELF", N_("a program")),
    (b"MZ", N_("a program")),
    (b"\x80\x02", N_("a Python pickle, which is never opened because it can run programs")),
    (b"\x80\x03", N_("a Python pickle, which is never opened because it can run programs")),
    (b"\x80\x04", N_("a Python pickle, which is never opened because it can run programs")),
    (b"\x80\x05", N_("a Python pickle, which is never opened because it can run programs")),
    (b"GGUF", N_("a language model")),
)

_OLD_EXCEL = N_("a spreadsheet in XML, as Excel wrote it before 2007; open it there and save it as xlsx")
_OLD_WORD = N_("a Word document in XML; open it there and save it as docx")


def kind_of(path: Path) -> str:
    """text, json, html, xml, xlsx, xls, xlsb, ods, parquet, arrow, sqlite, docx, hwpx, pdf or packed.

    Raises `ProblemError` for everything that can't be read, and OSError when the disk won't read.
    """
    with open(path, "rb") as file:
        head = file.read(64 * 1024)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"ARROW1") or (head.startswith(b"\xff\xff\xff\xff") and head[4:8] != b"\xff\xff\xff\xff"):
        return "arrow"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(path)
    if head.startswith(_COMPOUND):
        return _kind_of_compound(path)
    if head.lstrip().startswith(b"%PDF-") or (b"%PDF-" in head[:1024] and _is_binary(head)):
        return "pdf"
    if head.startswith(b"SQLite format 3\0"):
        return "sqlite"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "packed"
    if head[257:262] == b"ustar":
        raise not_a_table(path, N_("a packed archive of several files"))
    for mark, words in _OTHERS:
        if head.startswith(mark) and (len(mark) > 2 or _is_binary(head)):
            raise not_a_table(path, words)
    if _is_binary(head):
        raise not_a_table(path, N_("in a form that this program doesn't know"))
    start = _first_text(head)
    other = name_of_format(path, start)
    if start.startswith(("{", "[")) and other is None:
        return "json"
    if start.startswith("<"):
        kind = _kind_of_markup(path, start)
        if kind:
            return kind
    if other is not None:
        raise not_a_table(path, other)
    return "text"


def _kind_of_markup(path: Path, start: str) -> str:
    """html or xml; "" for a text that only begins with a bracket."""
    lower = start[:4000].lower()
    if (
        lower.startswith(("<!doctype html", "<html", "<table", "<head", "<body"))
        or "<html" in lower
        or path.suffix.lower() in (".html", ".htm", ".xhtml")
    ):
        return "html"
    if not lower.startswith("<?xml") and path.suffix.lower() not in (".xml", ".xls", ".doc"):
        return ""
    if "schemas-microsoft-com:office:spreadsheet" in lower:
        raise not_a_table(path, _OLD_EXCEL)
    if "/word/2003/wordml" in lower or "2006/xmlpackage" in lower:
        raise not_a_table(path, _OLD_WORD)
    if "<hwpml" in lower:
        raise not_a_table(path, N_("a Hangul document in XML (hml); save it as hwpx or docx"))
    if "<svg" in lower:
        raise not_a_table(path, N_("a picture"))
    return "xml"


def _is_binary(head: bytes) -> bool:
    """Text has no NULs except as UTF-16 or UTF-32, and hardly a control character."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return False
    if not head:
        return False
    if head.count(0):
        return not utf16_without_mark(head)
    controls = sum(head.count(code) for code in range(32) if code not in (7, 8, 9, 10, 11, 12, 13, 26, 27))
    return controls > 0.01 * len(head)


def _first_text(head: bytes) -> str:
    for mark, name in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            return head[len(mark) :].decode(name, "ignore").lstrip()
    return head.replace(b"\0", b"").decode("latin-1").lstrip()


def _kind_of_zip(path: Path) -> str:
    with opened_archive(path) as archive:
        names = archive.namelist()
        if "xl/workbook.xml" in names:
            return "xlsx"
        if "xl/workbook.bin" in names:
            return "xlsb"
        if "word/document.xml" in names:
            return "docx"
        if any(name.startswith("ppt/") for name in names):
            raise not_a_table(path, N_("a presentation; save it as PDF"))
        if _is_encrypted(archive):
            raise password_protected(path)
        if any(name.startswith("Contents/section") for name in names):
            return "hwpx"
        if "content.xml" in names and "mimetype" in names:
            if b"opendocument.spreadsheet" not in archive.read("mimetype"):
                raise not_a_table(path, N_("a document of LibreOffice; save it as docx"))
            return "ods"
    if not names or path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb", ".ods", ".docx", ".hwpx"):
        raise damaged_archive(path)
    return "packed"


def _is_encrypted(archive: zipfile.ZipFile) -> bool:
    """Whether the manifest of an ods or hwpx tells how its parts are encrypted."""
    manifest = "META-INF/manifest.xml"
    return manifest in archive.namelist() and b"encryption-data" in archive.read(manifest)


def _kind_of_compound(path: Path) -> str:
    """Old Office files and encrypted new ones share a container; its directory names the parts in UTF-16."""
    with open(path, "rb") as file:
        data = file.read(64 << 20)
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise password_protected(path)
    if "Workbook".encode("utf-16-le") in data or "Book\0".encode("utf-16-le") in data:
        return "xls"
    if "WordDocument".encode("utf-16-le") in data:
        raise not_a_table(path, N_("a Word document from before 2007; save it as docx"))
    if b"HWP Document File" in data or "HwpSummaryInformation".encode("utf-16-le") in data:
        raise not_a_table(path, N_("a Hangul document in its old form (hwp); save it as hwpx or docx"))
    raise damaged_workbook(path)


def not_a_table(path: Path, words: str) -> ProblemError:
    return problem(
        "data.not_a_table",
        N_("{name} is no file to learn from: it is {kind}."),
        N_("The name of a file may say one thing and its contents another; the contents were looked at."),
        N_(
            "Choose a CSV, Excel, JSON, JSON lines or Parquet file, or a docx, PDF or text document. Unpack "
            "archives first."
        ),
        remedy=Remedy.choose_file,
        name=path.name,
        kind=words,
    )
