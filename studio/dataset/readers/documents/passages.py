"""Documents cut into passages: at headings, and between them at the ends of sentences, never inside of a word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers.encodings import Encoding
from studio.dataset.readers.unreadable import empty
from studio.dataset.table import TableInfo, TableStream
from studio.dataset.text_batches import stream_rows

COLUMNS = ("document", "heading", "text")
_LEEWAY = 1.1
"""A passage may be a tenth longer than asked for, when a sentence ends there."""


@dataclass(frozen=True)
class Block:
    """A piece of a document. `level` is that of a heading, from 1; lines of lists, tables and code stay together."""

    kind: Literal["heading", "text", "list", "table", "code"]
    text: str
    level: int = 0


@dataclass(frozen=True)
class Passage:
    """`heading` names the headings that it stands under, from the outermost, as in "Returns / Refunds"."""

    heading: str
    text: str


def stream_passages(
    path: Path,
    blocks: Iterable[Block],
    choice: DataChoice,
    notes: Iterable[Sentence] = (),
    encoding: Encoding | None = None,
) -> TableStream:
    """The passages of one document as the rows of a table. Raises `ProblemError` when there are none."""
    passages = list(cut(blocks, choice.chunk_size))
    if not passages:
        raise empty(path)
    text = N_(
        "The document was cut into {count} {count:passage|passages} of up to about {length} characters, at "
        "headings and at the ends of sentences."
    )
    all_notes = [sentence(text, count=len(passages), length=choice.chunk_size), *notes]
    info = document_info(path, "document", COLUMNS, all_notes, encoding)
    return stream_rows(info, len(passages), ((path.name, passage.heading, passage.text) for passage in passages))


def document_info(
    path: Path, kind: str, columns: tuple[str, ...], notes: Iterable[Sentence], encoding: Encoding | None
) -> TableInfo:
    """Of a table that was made of a document; `encoding` is that of a text file."""
    if encoding is None:
        return TableInfo(path=path, format=kind, columns=columns, notes=tuple(notes))
    return TableInfo(
        path=path,
        format=kind,
        columns=columns,
        encoding=encoding.name,
        notes=(*encoding.notes(), *notes),
        doubts=() if encoding.sure else ("encoding",),
    )


def cut(blocks: Iterable[Block], length: int) -> Iterator[Passage]:
    """Passages of up to about `length` characters. A passage begins at each heading, unless what came before it is so
    short that it would hardly be an example alone."""
    headings: dict[int, str] = {}
    filling = _Filling(length)
    for block in blocks:
        text = block.text.strip("\n") if block.kind == "code" else block.text.strip()
        if not text:
            continue
        if block.kind != "heading":
            yield from filling.add(block.kind, text)
            continue
        if filling.size >= length / 4:
            yield from filling.flush()
        headings = {level: words for level, words in headings.items() if level < block.level}
        headings[block.level] = " ".join(text.lstrip("# ").split())[:200]
        filling.begin(" / ".join(headings.values()), text)
    yield from filling.flush()


class _Filling:
    """The passage that is being filled."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.size = 0
        """Characters of text under the headings."""
        self._heading = self._current_heading = ""
        self._parts: list[str] = []
        self._last_kind = ""

    def begin(self, heading: str, title: str) -> None:
        """A heading: the passage is named after it, unless it has begun before."""
        self._current_heading = heading
        if not self.size:
            self._heading = heading
        self._append("\n\n", title)
        self._last_kind = "heading"

    def add(self, kind: str, text: str) -> Iterator[Passage]:
        between = "\n" if kind == self._last_kind == "list" else "\n\n"
        most = self.length * _LEEWAY
        if self.size + len(text) > most:
            if self.size >= self.length / 2:
                yield from self.flush()
            if self.size + len(text) > most:
                pieces = lines(text) if kind in ("table", "code", "list") else [text]
                for piece in (small for line in pieces for small in sentences(line, self.length)):
                    if self.size and self.size + len(piece.text) > most:
                        yield from self.flush()
                    self._append(between, piece.text)
                    self.size += len(piece.text) + len(between)
                    between = piece.after
                self._last_kind = kind
                return
        self._append(between, text)
        self.size += len(text)
        self._last_kind = kind

    def _append(self, between: str, text: str) -> None:
        if self._parts:
            self._parts.append(between)
        self._parts.append(text)

    def flush(self) -> Iterator[Passage]:
        text = "".join(self._parts).strip("\n").rstrip()
        if text:
            yield Passage(self._heading, text)
        self._parts, self.size, self._last_kind = [], 0, ""
        self._heading = self._current_heading


@dataclass(frozen=True)
class Piece:
    """A part of a text, and what stands between it and the next."""

    text: str
    after: str


def lines(text: str) -> list[str]:
    return [line + "\n" for line in text.split("\n")]


_SENTENCE_END = re.compile(r"""[.!?…。！？]+["'”’)\]」』》]*(?=\s|$)|(?<=[。！？])(?=\S)|\n""")
_GAP = re.compile(r"\s")
_SPACE = re.compile(r"[ \t]*\n?")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|No|Nr|Fig|Vol|approx|cf|z\.B|\d{1,3})\.$"
)


def sentences(text: str, length: int) -> Iterator[Piece]:
    """The sentences of a text, English and Korean; one that is longer than `length` in parts that end between words."""
    start = 0
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
        if end <= start or _ABBREVIATION.search(text[max(start, end - 12) : end]):
            continue
        between = _SPACE.match(text, end)
        next_start = between.end() if between else end
        after = "\n" if "\n" in text[end - 1 : next_start] else " " if next_start > end else ""
        yield from _shorter(text[start:end].rstrip("\n"), length, after)
        start = next_start
    yield from _shorter(text[start:], length, "\n")


def _shorter(found: str, length: int, after: str) -> Iterator[Piece]:
    """Between words; where no word ends for so long, as in languages without spaces, anywhere."""
    found = found.rstrip()
    at = 0
    while len(found) - at > length * _LEEWAY:
        end = max(found.rfind(mark, at, at + length) for mark in " \n\t")
        if end < at + length // 4:
            later = _GAP.search(found, at + length, at + 2 * length)
            end = later.start() if later else at + length
        yield Piece(found[at:end].rstrip(), " " if found[end : end + 1].isspace() else "")
        at = end
        while found[at : at + 1].isspace():
            at += 1
    if found[at:].strip():
        yield Piece(found[at:], after)
