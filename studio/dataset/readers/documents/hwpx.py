"""hwpx, the document of Hancom Office: a zip of XML (OWPML, the Korean standard KS X 6101)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from studio.core.recipe.data_choice import DataChoice
from studio.dataset.readers import limits
from studio.dataset.readers.archives import opened_archive, part_blocks
from studio.dataset.readers.documents.passages import Block, stream_passages
from studio.dataset.readers.documents.plain_text import is_title
from studio.dataset.readers.documents.tables import Grid, table_in
from studio.dataset.readers.documents.written_pairs import guessed_pairs, pairs_in, stream_pairs
from studio.dataset.readers.unreadable import damaged_document
from studio.dataset.table import TableStream

_SECTION = re.compile(r"Contents/section(\d+)\.xml", re.IGNORECASE)
_HEADING_NAME = re.compile(r"(?:개요|outline|제목|heading)\s*(\d)", re.IGNORECASE)


def read_hwpx(path: Path, choice: DataChoice) -> TableStream:
    """Raises `ProblemError`."""
    size = path.stat().st_size
    if size > limits.DOCUMENT_BYTES:
        raise limits.too_large(path, size, limits.DOCUMENT_BYTES)
    with opened_archive(path, limits.DOCUMENT_UNPACKED_BYTES) as archive:
        names = archive.namelist()
        sections = sorted((int(m.group(1)), name) for name in names if (m := _SECTION.fullmatch(name)))
        if not sections:
            raise damaged_document(path)
        try:
            levels = _Styles(archive).levels if "Contents/header.xml" in names else {}
            contents: list[Block | Grid] = []
            for _, name in sections:
                contents.extend(_Section(levels).read(archive, name))
        except (expat.ExpatError, LookupError) as error:  # also for an encoding that nobody knows
            raise damaged_document(path) from error
    table = table_in(path, choice, contents)
    if table is not None:
        return table
    blocks = [content.block() if isinstance(content, Grid) else content for content in contents]
    pairs = pairs_in(line for block in blocks for line in block.text.split("\n"))
    if pairs is not None:
        return stream_pairs(path, pairs)
    pairs = guessed_pairs(line for block in blocks for line in block.text.split("\n"))
    if pairs is not None:
        return stream_pairs(path, pairs, guessed=True)
    return stream_passages(path, blocks, choice)


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]


def _parser() -> expat.XMLParserType:
    parser = expat.ParserCreate()

    def refuse(*about: object) -> None:
        raise ValueError("no document declares entities of its own")

    parser.StartDoctypeDeclHandler = refuse
    return parser


class _Styles:
    """Which styles are headings, by their numbers in the header of the document."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.levels: dict[str, int] = {}
        parser = _parser()
        parser.StartElementHandler = self._start
        for block in part_blocks(archive, "Contents/header.xml"):
            parser.Parse(block, False)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if _local(tag) == "style":
            for name in (attributes.get("name", ""), attributes.get("engName", "")):
                if match := _HEADING_NAME.match(name):
                    self.levels[attributes.get("id", "")] = int(match.group(1)) or 1


class _Section:
    """One section, read as it streams by: paragraphs outside of tables, and tables as grids of cells."""

    def __init__(self, levels: dict[str, int]) -> None:
        self.levels = levels
        self._found: list[Block | Grid] = []
        self._tables: list[list[list[str]]] = []
        self._cells: list[list[str]] = []
        self._wide: list[int] = []
        self._paragraphs: list[tuple[list[str], int]] = []
        self._in_text = self._skipping = 0

    def read(self, archive: zipfile.ZipFile, name: str) -> list[Block | Grid]:
        """Raises what expat and zipfile raise."""
        parser = _parser()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        for block in part_blocks(archive, name):
            parser.Parse(block, False)
        parser.Parse(b"", True)
        return list(self._titled())

    def _titled(self) -> Iterator[Block | Grid]:
        """Where no style says so, lines such as 제1장 are headings all the same."""
        for content in self._found:
            if isinstance(content, Block) and content.kind == "text" and is_title(content.text, before_blank=True):
                yield Block("heading", content.text, 1)
            else:
                yield content

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        if name in ("header", "footer", "footNote", "endNote", "hiddenComment", "script"):
            self._skipping += 1
        elif name == "p":
            self._paragraphs.append(([], self.levels.get(attributes.get("styleIDRef", ""), 0)))
        elif name == "t":
            self._in_text += 1
        elif name == "tbl":
            self._tables.append([])
        elif name == "tr" and self._tables:
            self._tables[-1].append([])
        elif name == "tc":
            self._cells.append([])
            self._wide.append(1)
        elif name == "cellSpan" and self._wide:
            wide = attributes.get("colSpan", "1")
            self._wide[-1] = min(int(wide), 64) if wide.isdecimal() else 1
        elif self._in_text and name in ("tab", "lineBreak", "nbSpace", "fwSpace", "hyphen"):
            self._text({"tab": "\t", "lineBreak": "\n", "hyphen": "-"}.get(name, " "))

    def _text(self, text: str) -> None:
        if self._in_text and not self._skipping and self._paragraphs:
            self._paragraphs[-1][0].append(text)

    def _end(self, tag: str) -> None:
        name = _local(tag)
        if name in ("header", "footer", "footNote", "endNote", "hiddenComment", "script"):
            self._skipping -= 1
        elif name == "t":
            self._in_text -= 1
        elif name == "p":
            parts, level = self._paragraphs.pop()
            text = "".join(parts).strip()
            if not text:
                return
            if self._cells:
                self._cells[-1].append(text)
            else:
                self._found.append(Block("heading", text, level) if level else Block("text", text))
        elif name == "tc":
            text = "\n".join(self._cells.pop())
            wide = self._wide.pop()
            if self._tables and self._tables[-1]:
                self._tables[-1][-1].extend([text, *[""] * (wide - 1)])
        elif name == "tbl":
            self._end_of_table(tuple(tuple(row) for row in self._tables.pop() if row))

    def _end_of_table(self, rows: tuple[tuple[str, ...], ...]) -> None:
        if not rows:
            return
        grid = Grid(rows)
        if self._cells:  # a table inside of a cell is text there
            self._cells[-1].append(grid.block().text)
        elif len(rows) == 1 and len(rows[0]) == 1:
            self._found.append(Block("text", rows[0][0]))
        else:
            self._found.append(grid)
