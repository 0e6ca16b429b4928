"""docx: paragraphs, headings by their style, tables; a table of questions and answers in one is read as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import docx
from docx.oxml.ns import qn

from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import DataChoice
from studio.dataset.readers import limits
from studio.dataset.readers.archives import opened_archive
from studio.dataset.readers.documents.passages import Block, stream_passages
from studio.dataset.readers.documents.tables import Grid, table_in
from studio.dataset.readers.documents.written_pairs import guessed_pairs, pairs_in, pairs_under_headings, stream_pairs
from studio.dataset.readers.unreadable import damaged_document
from studio.dataset.table import TableStream

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element

_PARAGRAPH, _TABLE, _ROW, _CELL = qn("w:p"), qn("w:tbl"), qn("w:tr"), qn("w:tc")
_TEXT, _TAB, _BREAK, _HYPHEN = qn("w:t"), qn("w:tab"), qn("w:br"), qn("w:noBreakHyphen")
_WRAPPERS = tuple(map(qn, ("w:sdt", "w:sdtContent", "w:ins", "w:smartTag", "w:customXml", "w:moveTo")))
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_LIST = 100
# Fallback repeats what stands in Choice; a text box repeats the paragraph it is tied to; moveFrom is where it was.
_SKIPPED = (*map(qn, ("w:txbxContent", "w:del", "w:moveFrom", "w:tabs")), _FALLBACK)


def read_docx(path: Path, choice: DataChoice) -> TableStream:
    """Raises `ProblemError`."""
    size = path.stat().st_size
    if size > limits.DOCUMENT_BYTES:
        raise limits.too_large(path, size, limits.DOCUMENT_BYTES)
    with opened_archive(path, limits.DOCUMENT_UNPACKED_BYTES) as archive:
        if (
            sum(part.file_size for part in archive.infolist() if part.filename.endswith(".xml"))
            > limits.DOCUMENT_XML_BYTES
        ):
            raise limits.unpacks_too_large(path, limits.DOCUMENT_XML_BYTES)
    try:
        document = docx.Document(str(path))
        contents = list(_contents(document))
    except ProblemError:
        raise
    except (MemoryError, PermissionError, FileNotFoundError):
        raise
    except Exception as error:  # the library raises whatever its own assumptions happen to run into
        raise damaged_document(path) from error
    table = table_in(path, choice, contents)
    if table is not None:
        return replace(table, format="docx")
    blocks = [content.block() if isinstance(content, Grid) else content for content in contents]
    pairs = pairs_in(line for block in blocks for line in block.text.split("\n"))
    pairs = pairs or pairs_under_headings(blocks)
    if pairs is not None:
        return stream_pairs(path, pairs)
    pairs = guessed_pairs(line for block in blocks for line in block.text.split("\n"))
    if pairs is not None:
        return stream_pairs(path, pairs, guessed=True)
    return stream_passages(path, blocks, choice)


def _contents(document: Document) -> Iterator[Block | Grid]:
    levels = _levels(document)
    for element in _flat(document.element.body):
        if element.tag == _TABLE:
            grid = Grid(tuple(_rows(element)))
            if len(grid.rows) == 1 and len(grid.rows[0]) == 1:
                yield Block("text", grid.rows[0][0])  # a frame around a paragraph
            elif grid.rows:
                yield grid
            continue
        style = element.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
        name = style.get(qn("w:val"), "") if style is not None else ""
        level = levels.get(name, 0)
        if level < 0:
            continue
        text = _text(element)
        if not text.strip():
            continue
        outline = element.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
        if outline is not None and outline.get(qn("w:val"), "9").isdecimal():
            level = int(outline.get(qn("w:val"), "9")) + 2
        listed = level == _LIST or element.find(f"{qn('w:pPr')}/{qn('w:numPr')}") is not None
        if 1 <= level <= 10:
            yield Block("heading", text, level)
        elif listed:
            yield Block("list", "- " + text)
        else:
            yield Block("text", text)


def _levels(document: Document) -> dict[str, int]:
    """For each style its level as a heading, from 1; -1 for the lines of a table of contents, `_LIST` for lists."""
    levels: dict[str, int] = {}
    for style in document.styles.element.iter(qn("w:style")):
        name = style.find(qn("w:name"))
        words = (name.get(qn("w:val"), "") if name is not None else "").lower()
        outline = style.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
        level = 0
        if words.startswith(("toc ", "목차")):
            level = -1
        elif words.startswith(("list ", "목록")):
            level = _LIST
        elif words.startswith(("heading ", "제목 ")) and words[-1].isdecimal():
            level = int(words[-1]) + 1  # below the title of the document
        elif words in ("title", "제목"):
            level = 1
        elif outline is not None and outline.get(qn("w:val"), "9").isdecimal():
            level = (int(outline.get(qn("w:val"), "9")) + 2) % 11
        levels[style.get(qn("w:styleId"), "")] = level
    return levels


def _flat(parent: _Element) -> Iterator[_Element]:
    """Paragraphs and tables, also those inside of forms and of tracked changes."""
    for element in parent:
        if element.tag in (_PARAGRAPH, _TABLE):
            yield element
        elif element.tag in _WRAPPERS:
            yield from _flat(element)


def _rows(table: _Element) -> Iterator[tuple[str, ...]]:
    for row in table.iter(_ROW):
        if row.getparent() is not table and row.getparent().tag not in _WRAPPERS:
            continue  # of a table inside of this one, whose text comes with its cell
        cells: list[str] = []
        for cell in row:
            if cell.tag != _CELL:
                cell = cell.find(f".//{_CELL}") if cell.tag in _WRAPPERS else None
            if cell is None:
                continue
            cells.append("\n".join(filter(None, map(_text, cell.iter(_PARAGRAPH)))))
            span = cell.find(f"{qn('w:tcPr')}/{qn('w:gridSpan')}")
            wide = span.get(qn("w:val"), "1") if span is not None else "1"
            cells.extend([""] * (min(int(wide), 64) - 1 if wide.isdecimal() else 0))
        yield tuple(cells)


def _text(paragraph: _Element) -> str:
    """The text of a paragraph, with what was inserted or linked and without what was deleted."""
    parts: list[str] = []
    waiting = [iter(paragraph)]
    while waiting:
        element = next(waiting[-1], None)
        if element is None:
            waiting.pop()
        elif element.tag == _TEXT:
            parts.append(element.text or "")
        elif element.tag == _TAB:
            parts.append("\t")
        elif element.tag == _BREAK:
            parts.append("\n" if element.get(qn("w:type")) in (None, "textWrapping") else "")
        elif element.tag == _HYPHEN:
            parts.append("-")
        elif element.tag not in _SKIPPED:
            waiting.append(iter(element))
    return "".join(parts).strip()
