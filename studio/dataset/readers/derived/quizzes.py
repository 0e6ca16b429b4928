"""Quizzes as Blackboard keeps them: a kind, a question, and answers with whether each is right, in columns without
names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from studio.core.translatable import N_, sentence
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows

_CHOICES = ("MC", "MA", "OPTION")
_WORDS = ("SR", "FIB", "FIL", "NUM")
_OTHERS = ("TF", "ESS", "ORD", "MAT", "FIB_PLUS", "JUMBLED_SENTENCE", "OP", "QUIZ_BOWL")
_KINDS = frozenset((*_CHOICES, *_WORDS, *_OTHERS))
_FEWEST = 2
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
        text = N_(
            "{count} {count:question|questions} without an answer in words (matching, essays, gaps) "
            "{count:was|were} left out."
        )
        notes.append(sentence(text, count=len(lines) - len(rows)))
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
