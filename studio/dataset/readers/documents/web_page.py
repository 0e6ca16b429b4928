"""Web pages, also those that were saved as .doc or .xls: their tables, questions with answers, or text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.documents.passages import Block, stream_passages
from studio.dataset.readers.documents.tables import Grid, table_in
from studio.dataset.readers.documents.transcripts import stream_turns, turns_in
from studio.dataset.readers.documents.written_pairs import (
    guessed_pairs,
    pairs_in,
    pairs_under_headings,
    stream_pairs,
)
from studio.dataset.readers.encodings import find_encoding
from studio.dataset.readers.file_type import not_a_table
from studio.dataset.table import TableStream

_PAGES = (".html", ".htm", ".xhtml", ".mht", ".doc", ".docx", ".hwp", ".txt", ".md")
_SKIPPED = frozenset(("script", "style", "title", "noscript", "svg", "nav", "footer", "aside", "select"))
_ALONE = frozenset(("br", "hr", "img", "input", "meta", "link", "wbr", "source", "area", "col", "base"))
_INSIDE = frozenset(
    ["a", "b", "i", "u", "em", "strong", "span", "font", "code", "sub", "sup", "small", "mark", "q", "s"]
)
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6, "summary": 6, "dt": 6}

_SPEAKERS = frozenset(("from_name", "author", "sender", "username", "user_name", "sender_name", "speaker"))
"""What pages that messengers write call the elements with the name above what is said, in their classes."""
_LONGEST_NAME = 40
_TIME_ALONE = re.compile(r"(?:\d{1,2}:\d{2}(?::\d{2})?(?: ?[AaPp][Mm])?|\d{1,2} \w+ \d{4})")


def read_web_page(path: Path, choice: DataChoice) -> TableStream:
    """Raises `ProblemError`, also where a page came instead of a file of another kind."""
    size = path.stat().st_size
    if size > limits.DOCUMENT_XML_BYTES:
        raise limits.too_large(path, size, limits.DOCUMENT_XML_BYTES)
    encoding = find_encoding(path, choice.encoding)
    page = _Page()
    page.feed(path.read_text(encoding=encoding.name, errors=encoding.errors))
    page.close()
    contents = list(page.contents())
    table = table_in(path, choice, contents)
    if table is not None:
        return replace(table, encoding=encoding.name)
    blocks = [content.block() if isinstance(content, Grid) else content for content in contents]
    lines = [line for block in blocks for line in block.text.split("\n")]
    turns = turns_in([line for line in lines if not _TIME_ALONE.fullmatch(line)])
    if turns is not None:
        return stream_turns(path, turns, encoding)
    pairs = pairs_in(lines) or pairs_under_headings(blocks)
    if pairs is not None:
        return stream_pairs(path, pairs, encoding)
    pairs = guessed_pairs(lines)
    if pairs is not None:
        return stream_pairs(path, pairs, encoding, guessed=True)
    if path.suffix.lower() not in _PAGES:
        raise not_a_table(path, N_("a web page; often a download asked for a password and this page came instead"))
    note = sentence(N_("It is a web page; menus and advertisements may be among its text."))
    stream = stream_passages(path, blocks, choice, [note], encoding)
    return replace(stream, doubts=(*stream.doubts, "kind"))


def page_text(html: str) -> str:
    """The words of a piece of a page, a paragraph a line."""
    page = _Page()
    page.feed(html)
    page.close()
    return "\n".join(part.text if isinstance(part, Block) else part.block().text for part in page.contents()).strip()


class _Page(HTMLParser):
    """Collects paragraphs, headings and tables; a table inside of a cell is text there."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._found: list[Block | Grid] = []
        self._text: list[str] = []
        self._heading = self._skipping = 0
        self._listed = self._named = self._is_button = False
        self._tables: list[list[list[str]]] = []
        self._cells: list[list[str]] = []
        self._wide = 1

    def contents(self) -> Iterator[Block | Grid]:
        self._flush()
        while self._tables:
            self._end_table()
        yield from self._found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "button":
            self._flush()
            self._is_button = True
        elif tag in _SKIPPED:
            self._skipping += 1
        elif tag not in _INSIDE:
            self._flush()
        if tag == "table":
            self._tables.append([])
        elif tag == "tr" and self._tables:
            self._end_cell()
            self._tables[-1].append([])
        elif tag in ("td", "th") and self._tables:
            self._end_cell()
            wide = dict(attrs).get("colspan") or "1"
            self._wide = min(int(wide), 64) if wide.isdecimal() else 1
            self._cells.append([])
        classes = set((dict(attrs).get("class") or "").lower().replace("-", "_").split())
        self._named = bool(classes & _SPEAKERS) or (self._named and tag in _INSIDE)
        self._heading = _HEADINGS.get(tag, self._heading)
        self._listed = tag == "li" or (self._listed and tag in _INSIDE)

    def handle_endtag(self, tag: str) -> None:
        if tag == "button":
            text = " ".join("".join(self._text).split())
            self._text, self._is_button = [], False
            if text.endswith(("?", "？")):  # which unfolds the answer; others are for those who look at the page
                self._found.append(Block("heading", text, 6))
        elif tag in _SKIPPED:
            self._skipping = max(0, self._skipping - 1)
        elif tag not in _INSIDE and tag not in _ALONE:
            self._flush()
        if tag in ("td", "th", "tr"):
            self._end_cell()
        elif tag == "table" and self._tables:
            self._end_table()
        if tag in _HEADINGS:
            self._heading = 0

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._text.append(data)

    def _flush(self) -> None:
        text = " ".join("".join(self._text).split())
        self._text = []
        if not text:
            return
        if len(self._cells) >= max(1, len(self._tables)):
            self._cells[-1].append(text)
        elif self._named and len(text) <= _LONGEST_NAME:
            self._found.append(Block("text", text + ":"))
        elif self._heading:
            self._found.append(Block("heading", text, self._heading))
        else:
            self._found.append(Block("list", "- " + text) if self._listed else Block("text", text))

    def _end_cell(self) -> None:
        """Where a cell of the innermost table is open."""
        self._flush()
        if self._tables and len(self._cells) == len(self._tables):
            text = "\n".join(self._cells.pop())
            if not self._tables[-1]:
                self._tables[-1].append([])
            self._tables[-1][-1].extend([text, *[""] * (self._wide - 1)])
            self._wide = 1

    def _end_table(self) -> None:
        self._end_cell()
        rows = tuple(tuple(row) for row in self._tables.pop() if row)
        if not rows:
            return
        grid = Grid(rows)
        if self._cells:
            self._cells[-1].append(grid.block().text)
        elif len(rows) == 1 or max(map(len, rows)) == 1:
            self._found.extend(Block("text", cell) for row in rows for cell in row if cell.strip())
        else:
            self._found.append(grid)
