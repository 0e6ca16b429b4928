"""Quizzes as learning platforms keep them in tables without names: Blackboard a question a row, with whether each of
its answers is right, and Brightspace a row for each part of a question."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from studio.core.translatable import N_, sentence
from studio.dataset.readers.encodings import Encoding
from studio.dataset.readers.unreadable import header_only
from studio.dataset.table import TableInfo, TableStream
from studio.dataset.text_batches import stream_rows

_CHOICES = ("MC", "MA", "OPTION")
_WORDS = ("SR", "FIB", "FIL", "NUM")
_OTHERS = ("TF", "ESS", "ORD", "MAT", "FIB_PLUS", "JUMBLED_SENTENCE", "OP", "QUIZ_BOWL")
_KINDS = frozenset((*_CHOICES, *_WORDS, *_OTHERS))
_FEWEST = 2
WITHOUT_WORDS = N_(
    "{count} {count:question|questions} without an answer in words (matching, essays, gaps) {count:was|were} left out."
)
_FEWER_CELLS = N_("{count} {count:row has|rows have} fewer cells than there are columns.")


def with_quiz(stream: TableStream) -> TableStream:
    """The questions with their right answers where a table is such a quiz; other tables as they are."""
    if len(stream.columns) < 3 or any(name != f"column {n}" for n, name in enumerate(stream.columns, 1)):
        return stream
    batches = list(stream.batches)
    whole = replace(stream, batches=iter(batches))
    columns = [[cell or "" for batch in batches for cell in batch.column(name).to_pylist()] for name in stream.columns]
    lines = list(zip(*columns, strict=True))
    if len(lines) < _FEWEST or not all(line[0].strip().upper() in _KINDS for line in lines):
        return whole
    rows = [row for line in lines for row in _asked(line)]
    if len(rows) < _FEWEST:
        return whole
    notes = [
        sentence(
            N_(
                "It is a quiz of Blackboard: {count} {count:question with its right answer|questions, each with its "
                "right answer}."
            ),
            count=len(rows),
        )
    ]
    if len(rows) < len(lines):
        notes.append(sentence(WITHOUT_WORDS, count=len(lines) - len(rows)))
    kept = [note for note in stream.notes if note.text != _FEWER_CELLS]  # each kind of question has as many as it needs
    doubts = tuple(doubt for doubt in stream.doubts if doubt not in ("header", "delimiter"))
    info = replace(stream.info, columns=("question", "answer"), notes=(*kept, *notes), doubts=doubts)
    return stream_rows(info, len(rows), rows)


def _asked(line: Sequence[str]) -> Iterator[tuple[str, str]]:
    kind, question = line[0].strip().upper(), line[1].strip()
    cells = [cell.strip() for cell in line[2:]]
    if not question or not any(cells):
        return
    if kind == "TF" or kind in _WORDS:
        yield question, cells[0]
    elif kind in _CHOICES:
        options = [
            (text, mark.casefold() == "correct") for text, mark in zip(cells[::2], cells[1::2], strict=False) if text
        ]
        lettered = [f"{chr(65 + place)}. {text}" for place, (text, _) in enumerate(options)]
        right = [words for words, (_, is_right) in zip(lettered, options, strict=True) if is_right]
        if right and len(options) > 1:
            yield f"{question}\n\n" + "\n".join(lettered), "\n".join(right)


_BEGIN = "NewQuestion"
_HEAD = 4096
_TRUE_OR_FALSE = ("TRUE", "FALSE")


def is_in_parts(beginning: str) -> bool:
    """Whether a table begins as Brightspace's quizzes do, whose remarks begin with two slashes."""
    if _BEGIN not in beginning[:_HEAD]:
        return False
    lines = beginning[:_HEAD].lstrip("\ufeff").splitlines()
    return next((line for line in lines if line.strip(" ,") and not line.startswith("//")), "").startswith(_BEGIN + ",")


def read_parts(path: Path, encoding: Encoding) -> TableStream:
    """The questions of such a quiz with their options and right answers. Raises `ProblemError` where there are none."""
    with open(path, encoding=encoding.name, errors=encoding.errors, newline="") as file:
        lines = [[cell.strip() for cell in (*row, "", "", "")] for row in csv.reader(file) if row]
    parts: list[list[list[str]]] = []
    for line in lines:
        if line[0].lstrip("\ufeff") == _BEGIN:
            parts.append([])
        elif parts:
            parts[-1].append(line)
    rows = [row for part in parts for row in _asked_in_parts(part)]
    if not rows:
        raise header_only(path)
    text = N_(
        "It is a quiz of Brightspace: {count} {count:question with its right answer|questions, each with its "
        "right answer}."
    )
    notes = [sentence(text, count=len(rows))]
    if len(rows) < len(parts):
        notes.append(sentence(WITHOUT_WORDS, count=len(parts) - len(rows)))
    columns, said = ("question", "answer"), (*encoding.notes(), *notes)
    info = TableInfo(path=path, format="csv", columns=columns, encoding=encoding.name, delimiter=",", notes=said)
    return stream_rows(info, len(rows), rows)


def _is_positive(share: str) -> bool:
    try:
        return float(share) > 0
    except ValueError:
        return False


def _asked_in_parts(part: Sequence[Sequence[str]]) -> Iterator[tuple[str, str]]:
    question = next((line[1] for line in part if line[0] == "QuestionText"), "")
    points = [(line[2], line[1]) for line in part if line[0] == "Option"]
    points += [(line[0].capitalize(), line[1]) for line in part if line[0] in _TRUE_OR_FALSE]
    told = [line[2] or line[1] for line in part if line[0] == "Answer"]
    lettered = [f"{chr(65 + place)}. {text}" for place, (text, _) in enumerate(points)]
    right = [words for words, (_, share) in zip(lettered, points, strict=True) if _is_positive(share)]
    if question and points and right:
        yield f"{question}\n\n" + "\n".join(lettered), "\n".join(right)
    elif question and told:
        yield question, told[0]
