"""pdf: the text of its pages, without what repeats on each of them, lines joined into paragraphs again."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pypdf
from pypdf.errors import DependencyError, PyPdfError

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.documents.passages import stream_passages
from studio.dataset.readers.documents.plain_text import prose
from studio.dataset.readers.documents.written_pairs import begins_part, pairs_in, stream_pairs
from studio.dataset.readers.unreadable import damaged_document, password_protected
from studio.dataset.table import TableStream

_SECONDS = 25.0
"""Of processor time."""
_EDGE_LINES = 2
_FEWEST_CHARACTERS = 20


def read_pdf(path: Path, choice: DataChoice) -> TableStream:
    """Raises `ProblemError`."""
    size = path.stat().st_size
    if size > limits.DOCUMENT_BYTES:
        raise limits.too_large(path, size, limits.DOCUMENT_BYTES)
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells a log about every oddity that it gets over
    pages, notes = _pages(path)
    lines = list(_paragraphs(_without_edges(pages)))
    pairs = pairs_in(lines)
    if pairs is not None:
        return stream_pairs(path, pairs)
    return stream_passages(path, prose(lines), choice, notes)


def _pages(path: Path) -> tuple[list[list[str]], list[Sentence]]:
    """The lines of each page that has text."""
    began = time.process_time()
    pages: list[list[str]] = []
    bare = held = 0
    try:
        reader = pypdf.PdfReader(path, strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise password_protected(path)
        count = len(reader.pages)
        if count > limits.PAGES:
            raise too_many_pages(path, count)
        for page in reader.pages:
            text = page.extract_text()
            held += len(text)
            if held > limits.DOCUMENT_BYTES:
                raise limits.unpacks_too_large(path, limits.DOCUMENT_BYTES)
            if time.process_time() - began > _SECONDS:
                raise too_slow(path)
            lines = [" ".join(line.split()) for line in _readable(text).splitlines()]
            if sum(map(len, lines)) < _FEWEST_CHARACTERS:
                bare += 1
            pages.append(lines)
    except (ProblemError, MemoryError, PermissionError, FileNotFoundError):
        raise
    except DependencyError as error:  # newer locks need a library that isn't part of this program
        raise password_protected(path) from error
    except (PyPdfError, Exception) as error:  # hostile and torn files run into whatever the library assumes
        raise damaged_document(path) from error
    if not pages or bare == len(pages):
        raise scanned(path)
    notes = []
    if bare:
        text = N_("{count} of {pages} pages hold no text, only pictures; they were left out.")
        notes.append(sentence(text, count=bare, pages=len(pages)))
    return pages, notes


def _readable(text: str) -> str:
    """Without halves of surrogate pairs and without control characters but line ends and tabs."""
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return re.sub(r"[\x00-\x08\x0e-\x1f\x7f]", "", text)


def _without_edges(pages: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    """Pages without the lines at their top and bottom that stand on most of them, and without page numbers."""

    def shape(line: str) -> str:
        return re.sub(r"\d+", "#", line)

    seen: Counter[str] = Counter()
    stripped = [[line for line in page if line] for page in pages]
    for page in stripped:
        seen.update({shape(line) for line in (*page[:_EDGE_LINES], *page[-_EDGE_LINES:])})
    often = {
        line for line, times in seen.items() if times >= 3 and times > 0.5 * len(pages) and len(line) <= _LONGEST_EDGE
    }
    number = re.compile(r"\W*(?:page\s*)?\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?\W*", re.IGNORECASE)
    for page in stripped:
        begin, end = 0, len(page)
        while begin < min(end, _EDGE_LINES) and (shape(page[begin]) in often or number.fullmatch(page[begin])):
            begin += 1
        while end > max(begin, len(page) - _EDGE_LINES) and (
            shape(page[end - 1]) in often or number.fullmatch(page[end - 1])
        ):
            end -= 1
        yield page[begin:end]


_ENDS = re.compile(r"""[.!?。…:：]["'”’)\]]*$""")
_BEGINS = re.compile(r"\s*(?:[-*•·○●▪※■□◆]|\(?\d{1,3}[.)]|[가-하][.)]|[①-⑳]|제\s*\d+\s*[장절조])")
_LONGEST_EDGE = 80


def _paragraphs(pages: Iterator[Sequence[str]]) -> Iterator[str]:
    """Lines joined into paragraphs: a line goes on in the next one when it is long and no sentence ends there."""
    held, was_short = "", False
    for page in pages:
        widths = sorted(len(line) for line in page)
        full = 0.7 * widths[int(0.8 * len(widths))] if widths else 0
        for line in page:
            if held and (
                _BEGINS.match(line) or begins_part(line) or was_short or (_ENDS.search(held) and len(line) < 0.5 * full)
            ):
                yield from (held, "")
                held = ""
            broken_word = held.endswith("-") and line[:1].islower()
            held = held[:-1] + line if broken_word else f"{held} {line}".lstrip()
            was_short = len(line) < full
    if held:
        yield held


def scanned(path: Path) -> ProblemError:
    return problem(
        "data.scanned",
        N_("{name} holds pictures of pages, not text."),
        N_("It was scanned. A model learns from text, and there is none in it."),
        N_("Have the text recognised first (OCR; many scanners and PDF programs can), then choose that file."),
        remedy=Remedy.choose_file,
        name=path.name,
    )


def too_many_pages(path: Path, count: int) -> ProblemError:
    return problem(
        "data.too_many_pages",
        N_("{name} has {count} pages; up to {limit} are read at once."),
        N_("Reading more would take too long."),
        N_("Split it into several files, put these into a folder, and choose the folder."),
        remedy=Remedy.choose_file,
        name=path.name,
        count=count,
        limit=limits.PAGES,
    )


def too_slow(path: Path) -> ProblemError:
    return problem(
        "data.too_slow",
        N_("Reading {name} takes too long."),
        N_("It has very many pages, or is built in a way that takes very long to read."),
        N_("Split it into several files, or save it as plain text and choose that."),
        remedy=Remedy.choose_file,
        name=path.name,
    )
