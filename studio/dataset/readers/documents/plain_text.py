"""txt and md: a table after all, questions and answers below each other, or a document."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.dialect import find_dialect
from studio.dataset.readers.documents.labelled_lines import labelled_lines, stream_labels
from studio.dataset.readers.documents.passages import Block, stream_passages
from studio.dataset.readers.documents.stories import stories_in, stream_stories
from studio.dataset.readers.documents.transcripts import stream_turns, turns_in
from studio.dataset.readers.documents.written_pairs import (
    guessed_pairs,
    pairs_in,
    pairs_under_headings,
    stream_pairs,
)
from studio.dataset.readers.encodings import Encoding, find_encoding
from studio.dataset.readers.header import is_known, lay_out, names_parts
from studio.dataset.readers.unreadable import empty
from studio.dataset.table import TableStream

_PROBE = 128 * 1024
_PROBE_LINES = 400
_LONGEST_LINE = 4 * limits.MEGABYTE


def is_table(path: Path, choice: DataChoice) -> bool:
    """Whether a .txt is a table: tabs or bars in every line, or commas under names or between short cells."""
    if choice.delimiter or choice.header_row is not None:
        return True
    try:
        encoding = find_encoding(path, choice.encoding, beginning_only=True)
    except ProblemError:
        return True  # whoever reads it will say so
    with open(path, encoding=encoding.name, errors=encoding.errors, newline="") as file:
        probe = file.read(_PROBE)
    if probe.lstrip("\ufeff").lower().startswith("sep="):
        return True
    lines = probe.splitlines(keepends=True)
    bare = [line.rstrip("\r\n") for line in lines]
    if pairs_in(bare) is not None or turns_in(bare) is not None or labelled_lines(bare) is not None:
        return False
    if stories_in(bare[:-1] if len(probe) == _PROBE else bare) is not None:
        return False
    delimiter = find_dialect(probe, len(probe) < _PROBE).delimiter
    if not delimiter:
        return False
    try:
        rows = [row for row in islice(csv.reader(lines, delimiter=delimiter), _PROBE_LINES) if any(row)]
    except csv.Error:
        return False
    layout = lay_out(rows)
    if layout is None or len(rows) < 2:
        return False
    fitting = sum(len(row) == len(layout.columns) for row in rows)
    if delimiter != "\t" and fitting < 0.8 * len(rows) and not names_parts(layout.columns):
        return False  # a table keeps nearly all of its lines
    if delimiter == "\t" or (delimiter == "|" and "<|" not in probe) or any(map(is_known, layout.columns)):
        return True
    # Lines of prose have the same count of commas only by chance, and end as sentences do.
    ends = sum(row[-1].rstrip().endswith((".", "!", "?", "。", ",")) for row in rows)
    return len(rows) >= 4 and ends < 0.3 * len(rows) and not layout.doubtful and len(layout.columns) > 1


def read_text(path: Path, choice: DataChoice) -> TableStream:
    """Raises `ProblemError`."""
    size = path.stat().st_size
    if size > limits.DOCUMENT_BYTES:
        raise limits.too_large(path, size, limits.DOCUMENT_BYTES)
    encoding = find_encoding(path, choice.encoding)
    is_markdown = path.suffix.lower() in (".md", ".markdown")
    if stories_in(islice(_lines(path, encoding), _PROBE_LINES)) is not None:
        stories = stories_in(_lines(path, encoding))
        if stories is not None:
            return stream_stories(path, stories, encoding)
    if pairs_in(islice(_lines(path, encoding), _PROBE_LINES)) is not None:
        pairs = pairs_in(_lines(path, encoding))
        if pairs is not None:
            return stream_pairs(path, pairs, encoding)
    if turns_in(islice(_lines(path, encoding), _PROBE_LINES)) is not None:
        turns = turns_in(_lines(path, encoding))
        if turns is not None:
            return stream_turns(path, turns, encoding)
    if is_markdown and (pairs := pairs_under_headings(markdown(_lines(path, encoding)))) is not None:
        return stream_pairs(path, pairs, encoding)
    if not any(line.strip() for line in _lines(path, encoding)):
        raise empty(path)
    if is_markdown:
        pairs = guessed_pairs(line.strip("*_ ") for line in _lines(path, encoding))
        if pairs is not None:
            return stream_pairs(path, pairs, encoding, guessed=True)
        return stream_passages(path, markdown(_lines(path, encoding)), choice, encoding=encoding)
    if has_cues(islice(_lines(path, encoding), _PROBE_LINES)):
        note = sentence(N_("Subtitles were read as one running text, without their numbers and times."))
        lines = list(without_cues(_lines(path, encoding)))
        if (turns := turns_in(lines)) is not None:
            return stream_turns(path, turns, encoding, [sentence(_CUES_LEFT)])
        stream = stream_passages(path, prose(lines), choice, [note], encoding)
        return replace(stream, doubts=(*stream.doubts, "kind"))
    if labelled_lines(islice(_lines(path, encoding), _PROBE_LINES)) is not None:
        kept = [line for line in _lines(path, encoding) if line.strip()]
        labels = labelled_lines(kept)
        if labels is not None:
            return stream_labels(path, labels, len(kept), encoding)
    if guessed_pairs(islice(_lines(path, encoding), _PROBE_LINES)) is not None:
        pairs = guessed_pairs(_lines(path, encoding))
        if pairs is not None:
            return stream_pairs(path, pairs, encoding, guessed=True)
    stream = stream_passages(path, prose(_lines(path, encoding)), choice, encoding=encoding)
    if not _stand_in_columns(islice(_lines(path, encoding), _PROBE_LINES)):
        return stream
    note = sentence(N_("Its lines have wide gaps within, as those of tables do; it was read as a text."))
    return replace(stream, notes=(*stream.notes, note), doubts=(*stream.doubts, "kind"))


_GAP = re.compile(r"\S(?: {3,}|\t+)\S")


def _stand_in_columns(lines: Iterable[str]) -> bool:
    """Whether most lines have a gap, which passages don't keep."""
    kept = [line for line in lines if line.strip()]
    return len(kept) >= 6 and sum(bool(_GAP.search(line)) for line in kept) >= 0.6 * len(kept)


def _lines(path: Path, encoding: Encoding) -> Iterator[str]:
    with open(path, encoding=encoding.name, errors=encoding.errors) as file:
        first = True
        while line := file.readline(_LONGEST_LINE):
            yield (line.lstrip("\ufeff") if first else line).rstrip("\r\n")
            first = False


_TIME = r"(?:\d{1,2}:)?\d{1,2}:\d{2}[,.]\d{3}"
_CUE = re.compile(rf"{_TIME}(?: --> |,){_TIME}.*")
_CUE_VOICE = re.compile(r"<v(?:\.\w+)? (?P<who>[^<>]{1,40})>")
_CUES_LEFT = N_("The numbers and times of the subtitles were left out.")
_CUE_TAG = re.compile(r"</?[a-z][^<>]{0,60}>|<[\d:.]+>|\{\\[^{}]{1,40}\}", re.IGNORECASE)


def has_cues(lines: Iterable[str]) -> bool:
    """Whether these are subtitles (srt, vtt, sbv): lines with two times above what is said."""
    return sum(bool(_CUE.fullmatch(line.strip())) for line in lines) >= 2


def without_cues(lines: Iterable[str]) -> Iterator[str]:
    """Subtitles without their numbers, times and marks of how they look, as one running text."""
    said = False
    before: list[str] = []
    for line in lines:
        if _CUE.fullmatch(line.strip()):
            # What stood last before a cue is its number or name, and what stands before the first one is no subtitle.
            if said:
                yield from before[:-1] if before and before[-1].strip().isdecimal() else before
            before, said = [], True
        elif line.strip():
            before.append(_CUE_TAG.sub("", _CUE_VOICE.sub(r"\g<who>: ", line)))
    yield from before


_END_OF_TEXT = "<|endoftext|>"
"""What stands between the texts of collections for continued learning."""
_DOCUMENT = re.compile(r"\s*(?:<doc\b(?:[^<>]*?\btitle=\"(?P<title>[^\"<>]*)\")?[^<>]*>|</doc>)\s*")
"""What the tools that take pages out of a Wikipedia put around each of them."""
_CHAPTER = re.compile(
    r"\s*(?:제\s*\d+\s*[장편부절조항](?:\s.*)?|(?:chapter|part|section|article)\s+[\dIVXLC]+\b.*|부칙|머리말|맺음말|서론|결론|"
    r"\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+\S.*|[IVX]{1,5}\.\s+\S.*|■.*|□.*|◆.*|◇.*|【.*】)\s*",
    re.IGNORECASE,
)
_ITEM = re.compile(r"\s*(?:[-*+•·○●▪◦※]|\d{1,3}[.)]|[가-하][.)]|[①-⑳]|\([\da-z가-하]{1,2}\))\s*\S")


def is_title(line: str, before_blank: bool) -> bool:
    """Whether a line of plain text is a heading: numbered as chapters are, short, alone, and not a sentence."""
    text = line.strip()
    if not text or len(text) > 80 or text.endswith((".", "?", "!", ",", ";", "다", "요", "。")):
        return False
    return before_blank and bool(_CHAPTER.fullmatch(text))


def prose(lines: Iterable[str]) -> Iterator[Block]:
    """Paragraphs, lists and chapter titles of plain text. Very long paragraphs come in parts."""
    held: list[str] = []
    size = 0
    blank = True
    title = ""
    for line in (part for whole in lines for part in whole.split(_END_OF_TEXT)):
        if found := _DOCUMENT.fullmatch(line):
            yield from _paragraph(held, alone=blank)
            held, size, blank, title = [], 0, True, found["title"] or ""
            if title:
                yield Block("heading", title, 1)
            continue
        if not line.strip() or line.strip() == title:
            title = title if not line.strip() else ""
            yield from _paragraph(held, alone=blank)
            held, size, blank = [], 0, True
            continue
        held.append(line.rstrip())
        size += len(line)
        if size > 100_000:
            yield from _paragraph(held, alone=False)
            held, size, blank = [], 0, False
    yield from _paragraph(held, alone=blank)


def _paragraph(held: list[str], alone: bool) -> Iterator[Block]:
    if not held:
        return
    if (
        alone
        and is_title(held[0], before_blank=True)
        and not (len(held) > 1 and _ITEM.match(held[0]) and _ITEM.match(held[1]))
    ):
        yield Block("heading", held[0].strip(), _level(held[0]))
        held = held[1:]
    if held:
        items = sum(bool(_ITEM.match(line)) for line in held)
        yield Block("list" if items > 0.6 * len(held) else "text", "\n".join(held))


def _level(title: str) -> int:
    if re.match(r"\s*(?:제\s*\d+\s*[절조항]|section|article)", title, re.IGNORECASE):
        return 2
    numbered = re.match(r"\s*(\d{1,2}(?:\.\d{1,2})*)", title)
    return 1 + numbered.group(1).count(".") if numbered else 1


_FOLD = re.compile(r"\s*</?details\b[^<>]*>\s*")
_SUMMARY = re.compile(r"\s*<summary>\s*(?:<b>)?(?P<title>[^<>]+)(?:</b>)?\s*</summary>\s*")


def _without_folds(line: str) -> str:
    """A line of Markdown, with the title of a part that can be folded as a heading."""
    found = _SUMMARY.fullmatch(_FOLD.sub("", line))
    return f"###### {found['title'].strip()}" if found else "" if _FOLD.fullmatch(line) else line


_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
_ATX = re.compile(r"\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")


def markdown(lines: Iterable[str]) -> Iterator[Block]:
    """Headings, paragraphs, lists, tables and code of Markdown, as they are written."""
    held: list[str] = []
    fence = ""
    front = False
    for number, line in enumerate(map(_without_folds, lines)):
        if number == 0 and line.strip() == "---":
            front = True  # settings above the text
            continue
        if front:
            front = line.strip() not in ("---", "...") and number < 100
            continue
        mark = _FENCE.match(line)
        if fence:
            held.append(line)
            if (mark and mark.group(1).startswith(fence)) or len(held) > 5_000:
                yield Block("code", "\n".join(held))
                held, fence = [], ""
            continue
        if mark:
            yield from _of_markdown(held)
            held, fence = [line], mark.group(1)
        elif title := _ATX.match(line):
            yield from _of_markdown(held)
            held = []
            if title.group(2):
                yield Block("heading", line.strip(), len(title.group(1)))
        elif held and len(held) == 1 and re.fullmatch(r"\s{0,3}(=+|-{2,})\s*", line):
            yield Block("heading", held[0].strip(), 1 if "=" in line else 2)
            held = []
        elif not line.strip() or len(held) > 5_000:
            yield from _of_markdown(held)
            held = [line] if line.strip() else []
        else:
            held.append(line)
    yield from [Block("code", "\n".join(held))] if fence else _of_markdown(held)


def _of_markdown(held: list[str]) -> Iterator[Block]:
    if not held:
        return
    if all(line.lstrip().startswith("|") for line in held):
        yield Block("table", "\n".join(held))
    else:
        items = sum(bool(_ITEM.match(line)) for line in held)
        yield Block("list" if items > 0.6 * len(held) else "text", "\n".join(held))
