"""Whether a zipped workbook is safe to open: how much it really unpacks to, and how wide its sheets spread.

The reader keeps a sheet as a full rectangle, so two cells in opposite corners of an otherwise empty sheet would take
more memory than any computer has; and a zip file may unpack to a thousand times its size.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.dataset.readers import limits

_BLOCK = 1 << 20
_CELL = re.compile(rb"""<(?:\w+:)?(?:c|row)\s[^>]*?\br=["']([A-Za-z]{0,3})(\d{1,10})["']""")
_LONGEST_TAG = 4096
# A result that is an empty text has the type str.
_UNCOUNTED = re.compile(
    rb"<(?:\w+:)?c(?:\s(?![^<>]*\bt=[\"']str)[^<>]*)?>\s{0,9}<(?:\w+:)?f(?:\s[^<>]*)?>[^<]*</(?:\w+:)?f>\s{0,9}"
    rb"(?:<(?:\w+:)?v\s{0,9}/>|<(?:\w+:)?v>\s{0,9}</(?:\w+:)?v>)?\s{0,9}</(?:\w+:)?c>"
)


def zip_names(path: Path) -> list[str]:
    """Names of the parts. Raises `ProblemError` when the zip is torn."""
    with _opened(path) as archive:
        return archive.namelist()


def guard_xlsx(path: Path) -> bool:
    """Whether a formula stands in it without the result that a spreadsheet program saves beside it; programs that only
    write workbooks leave it out. Raises `ProblemError` when the workbook would unpack to too much."""
    uncounted = False
    with _opened(path) as archive:
        _guard_declared(path, archive)
        for part in archive.infolist():
            blocks = _blocks(path, archive, part)
            if part.filename.startswith("xl/worksheets/") and part.filename.endswith(".xml"):
                uncounted |= _guard_spread(path, blocks)
            else:
                for _ in blocks:
                    pass
    return uncounted


def guard_ods(path: Path) -> None:
    """As `guard_xlsx`; repeated cells count as often as they are repeated."""
    with _opened(path) as archive:
        _guard_declared(path, archive)
        for part in archive.infolist():
            blocks = _blocks(path, archive, part)
            if part.filename == "content.xml":
                _guard_repeats(path, blocks)
            else:
                for _ in blocks:
                    pass


def guard_xlsb(path: Path) -> None:
    """As `guard_xlsx`, for sheets in Excel's binary form (published as MS-XLSB)."""
    with opened_zip(path) as archive:
        _guard_declared(path, archive)
        for part in archive.infolist():
            blocks = _blocks(path, archive, part)
            if part.filename.startswith("xl/worksheets/") and part.filename.endswith(".bin"):
                _guard_records(path, blocks)
            else:
                for _ in blocks:
                    pass


def guard_document(path: Path) -> None:
    """For docx and hwpx: also refuses XML that nests deeper than documents do, or declares entities.

    Raises `ProblemError`.
    """
    with _opened(path) as archive:
        _guard_declared(path, archive, limits.DOCUMENT_UNPACKED_BYTES)
        parts = archive.infolist()
        texts = [part for part in parts if part.filename.lower().endswith((".xml", ".rels", ".hpf"))]
        if sum(part.file_size for part in texts) > limits.DOCUMENT_XML_BYTES:
            raise limits.unpacks_too_large(path, limits.DOCUMENT_XML_BYTES)
        for part in parts:
            blocks = _blocks(path, archive, part)
            if part in texts:
                _guard_xml(path, blocks)
            else:
                for _ in blocks:
                    pass


def part_blocks(path: Path, archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """The unpacked bytes of one part, a block at a time. Raises `ProblemError` for torn and for missing parts."""
    try:
        part = archive.getinfo(name)
    except KeyError as error:
        raise broken_document(path) from error
    return _blocks(path, archive, part)


def opened_zip(path: Path) -> zipfile.ZipFile:
    """Raises `ProblemError` when the zip is torn."""
    return _opened(path)


def _guard_xml(path: Path, blocks: Iterator[bytes]) -> None:
    parser = expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > limits.XML_DEPTH:
            raise limits.unpacks_too_large(path, limits.DOCUMENT_XML_BYTES)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1

    def declared(*about: object) -> None:
        raise limits.unpacks_too_large(path, limits.DOCUMENT_XML_BYTES)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = declared
    try:
        for block in blocks:
            parser.Parse(block, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # also for an encoding that nobody knows
        raise broken_document(path) from error


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise broken_zip(path) from error


def _guard_declared(path: Path, archive: zipfile.ZipFile, most: int | None = None) -> None:
    parts = archive.infolist()
    most = limits.UNPACKED_BYTES if most is None else min(most, limits.UNPACKED_BYTES)
    if len(parts) > 10_000 or sum(part.file_size for part in parts) > most:
        raise limits.unpacks_too_large(path, most)


def _blocks(path: Path, archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """The unpacked bytes, stopping at what was declared: a part that holds more than it says is a trap."""
    if part.flag_bits & 1:
        raise broken_zip(path)
    try:
        with archive.open(part) as file:
            while block := file.read(_BLOCK):
                yield block
        if part.compress_type == zipfile.ZIP_DEFLATED and _really_holds_more(path, part):
            raise limits.unpacks_too_large(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise broken_zip(path) from error


def _really_holds_more(path: Path, part: zipfile.ZipInfo) -> bool:
    with open(path, "rb") as file:
        file.seek(part.header_offset)
        header = file.read(30)
        file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
        unpacker, seen = zlib.decompressobj(-15), 0
        left = part.compress_size
        while left > 0 and (block := file.read(min(left, _BLOCK))):
            left -= len(block)
            while block:
                seen += len(unpacker.decompress(block, _BLOCK))
                if seen > part.file_size:
                    return True
                block = unpacker.unconsumed_tail
    return not unpacker.eof


def _guard_spread(path: Path, blocks: Iterator[bytes]) -> bool:
    uncounted = False
    widest, lowest, tail = 1, 1, b""
    for block in blocks:
        text = tail + block
        for letters, digits in _CELL.findall(text):
            lowest = max(lowest, int(digits))
            column = 0
            for letter in letters.upper():
                column = column * 26 + letter - 64
            widest = max(widest, column)
        if widest * lowest > limits.SHEET_CELLS:
            raise limits.unpacks_too_large(path)
        uncounted = uncounted or bool(_UNCOUNTED.search(text))
        tail = text[-_LONGEST_TAG:]
    return uncounted


_ROW_RECORD = 0
_CELL_RECORDS = range(1, 12)


def _guard_records(path: Path, blocks: Iterator[bytes]) -> None:
    """A sheet as a run of records: a number and a length in 7 bits a byte, and that many bytes. A row and a cell begin
    with their place."""
    widest = lowest = 1
    held, at = b"", 0
    for block in blocks:
        held, at = held[at:] + block, 0
        while True:
            head = _record_at(held, at)
            if head is None:
                break
            kind, begin, end = head
            if kind == _ROW_RECORD and end - begin >= 4:
                lowest = max(lowest, int.from_bytes(held[begin : begin + 4], "little") + 1)
            elif kind in _CELL_RECORDS and end - begin >= 4:
                widest = max(widest, int.from_bytes(held[begin : begin + 4], "little") + 1)
            if widest * lowest > limits.SHEET_CELLS or end - begin > 4 * limits.CELL_CHARACTERS:
                raise limits.unpacks_too_large(path)
            if end > len(held):
                break
            at = end


def _record_at(held: bytes, at: int) -> tuple[int, int, int] | None:
    """(number, where its bytes begin, where they end); None where its head isn't there yet."""
    kind = size = 0
    place = at
    for shift in (0, 7):
        if place >= len(held):
            return None
        byte = held[place]
        place += 1
        kind |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    for shift in (0, 7, 14, 21):
        if place >= len(held):
            return None
        byte = held[place]
        place += 1
        size |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    if place + min(size, 4) > len(held):
        return None
    return kind, place, place + size


def _guard_repeats(path: Path, blocks: Iterator[bytes]) -> None:
    """Rows times columns up to the last cell that holds something, as the reader would lay them out."""
    spread = _OdsSpread(path)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = spread.start
    parser.EndElementHandler = spread.end
    try:
        for block in blocks:
            parser.Parse(block, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # also for an encoding that nobody knows
        raise broken_zip(path) from error


class _OdsSpread:
    """Follows the tables of a content.xml. Entities can't blow it up: expat limits their amplification itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.row = self.column = self.lowest = self.widest = self.filled = self.depth = 0
        self.repeated_rows = 1

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > limits.JSON_DEPTH:
            raise limits.unpacks_too_large(self.path)
        name = tag.rpartition(" ")[2]
        if name == "table":
            self.row = self.lowest = self.widest = 0
        elif name == "table-row":
            self.repeated_rows, self.column, self.filled = _times(attributes, "number-rows-repeated"), 0, 0
        elif name in ("table-cell", "covered-table-cell"):
            self.column += _times(attributes, "number-columns-repeated")
            if any(key.endswith(" value-type") for key in attributes):
                self.filled = self.column

    def end(self, tag: str) -> None:
        self.depth -= 1
        if tag.rpartition(" ")[2] == "table-row":
            self.row += self.repeated_rows
            if self.filled:
                self.lowest, self.widest = self.row, max(self.widest, self.filled)
            if self.lowest * self.widest > limits.SHEET_CELLS:
                raise limits.unpacks_too_large(self.path)


def _times(attributes: dict[str, str], name: str) -> int:
    text = next((value for key, value in attributes.items() if key.endswith(" " + name)), "1")
    return min(int(text[:12]), 1 << 31) if text.isdecimal() else 1


def broken_zip(path: Path) -> ProblemError:
    """In the words for what the file says it is."""
    if path.suffix.lower() in (".docx", ".hwpx"):
        return broken_document(path)
    return broken_workbook(path)


def broken_workbook(path: Path) -> ProblemError:
    return problem(
        "data.broken_workbook",
        N_("{name} is damaged: it can't be opened as a spreadsheet."),
        N_("Often a download or a copy was cut short."),
        N_("Open it in your spreadsheet program and save it again, or fetch it once more."),
        remedy=Remedy.choose_file,
        name=path.name,
    )


def broken_document(path: Path) -> ProblemError:
    return problem(
        "data.broken_document",
        N_("{name} is damaged: it can't be opened as a document."),
        N_("Often a download or a copy was cut short."),
        N_("Open it in the program that it was written with and save it again, or fetch it once more."),
        remedy=Remedy.choose_file,
        name=path.name,
    )
