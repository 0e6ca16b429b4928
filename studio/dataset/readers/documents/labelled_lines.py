"""Lines that each hold a text and a label, as collections for classification are written down."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from studio.core.translatable import N_, sentence
from studio.dataset.readers.documents.passages import document_info
from studio.dataset.readers.encodings import Encoding
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows

_FORMS = (
    re.compile(r"(?P<text>\S.*?)\s+@(?P<label>[\w-]{1,40})"),
    re.compile(r"__label__(?P<label>\S{1,60})\s+(?P<text>\S.*)"),
    re.compile(r"(?P<label>[A-Z][A-Z_]*:[\w-]{1,40})\s+(?P<text>\S.*)"),
    re.compile(r"(?P<text>\S.*?)\s*\t(?:__label__|#)(?P<label>[\w-]{1,40})"),
)
_FEWEST = 8


def labelled_lines(lines: Iterable[str]) -> list[tuple[str, str]] | None:
    """(text, label) where nearly every line is one, and few labels come again and again; else None."""
    kept = [line.strip() for line in lines if line.strip()]
    if len(kept) < _FEWEST:
        return None
    for form in _FORMS:
        found = [(match["text"], match["label"]) for line in kept if (match := form.fullmatch(line))]
        if len(found) >= 0.95 * len(kept) and 2 <= len({label for _, label in found}) <= 0.25 * len(found) + 2:
            return found
    return None


def stream_labels(path: Path, found: list[tuple[str, str]], lines: int, encoding: Encoding) -> TableStream:
    """The texts and labels as rows; `lines` is how many lines that hold something the file has."""
    text = N_("Each of {count} lines holds a text and a label, or so it seems.")
    notes = [sentence(text, count=len(found))]
    if lines > len(found):
        notes.append(
            sentence(
                N_("{count} {count:line doesn't hold both and was|lines don't hold both and were} left out."),
                count=lines - len(found),
            )
        )
    info = document_info(path, "table", ("text", "label"), notes, encoding)
    return stream_rows(replace(info, doubts=(*info.doubts, "kind")), len(found), found)
