"""How the cells of a sheet look, as far as people mean something by it: hidden rows and columns, texts that are struck
through, colours, percentages. The library that reads workbooks tells only what stands in the cells."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import join, normpath

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers.archives import opened_archive, part_blocks

_SHEET = re.compile(rb"<(?:\w+:)?sheet\s[^<>]*:id=[\"'](?P<id>[^\"']+)")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s(?P<about>[^<>]*)>")
_ATTRIBUTE = re.compile(rb"(?<![\w:])(?P<name>\w+)=[\"'](?P<value>[^\"']*)[\"']")
_STRUCK = re.compile(rb"<(?:\w+:)?strike\s*(?:val=[\"'](?:1|true)[\"']\s*)?/?>")
_MOST_LOOKED_FOR = 500
_LONGEST_TAG = 1024
_MOST_STYLES = 4 << 20
_MOST_COLUMNS = 16_384
_MOST_PERCENTAGES = 300_000
_PERCENT_FORMATS = (9, 10)
"""The formats of percentages that no workbook writes down, since all programs know them."""
_COLOURED_MOST = 0.6
_YES = (b"1", b"true")


@dataclass
class SheetLooks:
    """Rows and columns are numbered from 0, as they stand in the sheet."""

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    struck_rows: set[int] = field(default_factory=set)
    coloured_rows: set[int] = field(default_factory=set)
    percentages: dict[int, set[int]] = field(default_factory=dict)
    """For each column the rows that show percentages."""

    def is_percentage(self, row: int, column: int) -> bool:
        return row in self.percentages.get(column, ())

    def notes(self, first: int, count: int, columns: Mapping[int, str]) -> tuple[list[Sentence], bool]:
        """What a person should know about a table of `count` rows below its row `first`, with its columns' names; and
        whether they have to confirm that all its rows are meant."""
        hidden, struck, coloured = (
            sum(row >= first for row in rows) for rows in (self.hidden_rows, self.struck_rows, self.coloured_rows)
        )
        notes: list[Sentence] = []
        if hidden:
            text = N_(
                "{count} {count:row is|rows are} hidden in the sheet, perhaps by a filter, and {count:was|were} read "
                "all the same."
            )
            notes.append(sentence(text, count=hidden))
        if struck:
            text = N_("In {count} {count:row|rows} a text is struck through; it was read all the same.")
            notes.append(sentence(text, count=struck))
        if names := [name for place, name in columns.items() if place in self.hidden_columns]:
            text = N_("These columns are hidden in the sheet, and were read, too: {columns}.")
            notes.append(sentence(text, columns=", ".join(names)[:200]))
        if 1 < coloured <= _COLOURED_MOST * count:
            text = N_("Cells of {count} rows are coloured; what the colours mean isn't read.")
            notes.append(sentence(text, count=coloured))
        return notes, bool(hidden or struck)


def looks_of(path: Path, place: int) -> SheetLooks:
    """The looks of the sheet at a place in an xlsx workbook, counted from 0; nothing is told of what can't be found.
    Raises `ProblemError` for what is torn."""
    looks = SheetLooks()
    with opened_archive(path) as archive:
        part = _part_of(archive, place)
        if not part:
            return looks
        styles = _Styles.of(archive)
        row = 0
        for tag, about in _tags(archive, part, styles.looked_for):
            if tag == b"row":
                row = int(about[b"r"]) if about.get(b"r", b"").isdigit() else row + 1
                if about.get(b"hidden") in _YES:
                    looks.hidden_rows.add(row - 1)
            elif tag == b"col":
                if (
                    about.get(b"hidden") in _YES
                    and about.get(b"min", b"").isdigit()
                    and about.get(b"max", b"").isdigit()
                ):
                    last = min(int(about[b"max"]), _MOST_COLUMNS)
                    looks.hidden_columns.update(range(int(about[b"min"]) - 1, last))
            else:
                styles.mark(looks, row - 1, about)
    return looks


@dataclass(frozen=True)
class _Styles:
    """The numbers of the styles, as text, that strike a text through, colour a cell, or show a percentage."""

    struck: frozenset[bytes] = frozenset()
    coloured: frozenset[bytes] = frozenset()
    percent: frozenset[bytes] = frozenset()

    @staticmethod
    def of(archive: zipfile.ZipFile) -> _Styles:
        try:
            text = b"".join(part_blocks(archive, "xl/styles.xml"))[:_MOST_STYLES]
        except KeyError:
            return _Styles()
        fonts = _parts(text, b"fonts", b"font")
        fills = _parts(text, b"fills", b"fill")
        struck = {n for n, font in enumerate(fonts) if _STRUCK.search(font)}
        coloured = {n for n, fill in enumerate(fills) if re.search(rb"patternType=[\"']solid", fill)}
        formats = {
            int(found[b"numFmtId"])
            for about in re.findall(rb"<(?:\w+:)?numFmt\s([^<>]*)>", text)
            if (found := _attributes(about)).get(b"numFmtId", b"").isdigit() and b"%" in found.get(b"formatCode", b"")
        } | set(_PERCENT_FORMATS)
        cells = re.search(rb"<(?:\w+:)?cellXfs\b.*?</(?:\w+:)?cellXfs>", text, re.DOTALL)
        styles = [_attributes(about) for about in re.findall(rb"<(?:\w+:)?xf\s([^<>]*)>", cells[0])] if cells else []

        def numbers(name: bytes, among: set[int]) -> frozenset[bytes]:
            return frozenset(str(n).encode() for n, one in enumerate(styles) if int(one.get(name, b"0") or 0) in among)

        return _Styles(numbers(b"fontId", struck), numbers(b"fillId", coloured), numbers(b"numFmtId", formats))

    @property
    def looked_for(self) -> list[bytes]:
        return sorted(self.struck | self.coloured | self.percent)[:_MOST_LOOKED_FOR]

    def mark(self, looks: SheetLooks, row: int, about: Mapping[bytes, bytes]) -> None:
        """Note what a cell's style says of it."""
        style = about.get(b"s", b"")
        if style in self.struck:
            looks.struck_rows.add(row)
        if style in self.coloured:
            looks.coloured_rows.add(row)
        if style in self.percent and about.get(b"t", b"n") == b"n":
            column = _column_of(about.get(b"r", b""))
            if column is not None and sum(map(len, looks.percentages.values())) < _MOST_PERCENTAGES:
                looks.percentages.setdefault(column, set()).add(row)


def _parts(text: bytes, group: bytes, name: bytes) -> list[bytes]:
    found = re.search(rb"<(?:\w+:)?" + group + rb"\b.*?</(?:\w+:)?" + group + rb">", text, re.DOTALL)
    return re.split(rb"<(?:\w+:)?" + name + rb"(?=[\s/>])", found[0])[1:] if found else []


def _attributes(about: bytes) -> dict[bytes, bytes]:
    return {found["name"]: found["value"] for found in _ATTRIBUTE.finditer(about)}


def _column_of(reference: bytes) -> int | None:
    letters = reference.rstrip(b"0123456789").upper()
    if not letters or not letters.isalpha():
        return None
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number - 1


def _part_of(archive: zipfile.ZipFile, place: int) -> str:
    try:
        sheets = _SHEET.findall(b"".join(part_blocks(archive, "xl/workbook.xml")))
        relations = b"".join(part_blocks(archive, "xl/_rels/workbook.xml.rels"))
    except KeyError:
        return ""
    targets = {one.get(b"Id"): one.get(b"Target", b"") for one in map(_attributes, _RELATION.findall(relations))}
    target = targets.get(sheets[place], b"").decode("utf-8", "replace") if place < len(sheets) else ""
    part = normpath(target.lstrip("/") if target.startswith("/") else join("xl", target)) if target else ""
    return part if part in archive.namelist() else ""


def _tags(archive: zipfile.ZipFile, part: str, styles: list[bytes]) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    """The tags of rows, columns, and cells of these styles in their order, with their attributes."""
    of_cells = rb"|c(?=\s[^<>]*\bs=[\"'](?:" + b"|".join(styles) + rb")[\"'])" if styles else b""
    tags = re.compile(rb"<(?:\w+:)?(?P<name>row|col" + of_cells + rb")\s(?P<about>[^<>]*)>")
    tail = b""
    for block in part_blocks(archive, part):
        text = tail + block
        end = text.rfind(b">") + 1
        for found in tags.finditer(text, 0, end):
            yield found["name"], _attributes(found["about"])
        tail = text[end:][-_LONGEST_TAG:]
