"""A column of labels: which ones a file has, and the question that lets a model choose among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from studio.core.translatable import N_
from studio.dataset.columns.formats.cells import CannotLearn, text_of
from studio.dataset.table import Row

MOST_LABELS = 200
LONGEST_LABEL = 80
_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?")


def label_text(row: Row, column: str) -> str:
    """A label with its spaces put in order: "2   " and "2" are one."""
    return " ".join(text_of(row, column).split())


def labels_of(rows: Iterable[Row], column: str, most: int = MOST_LABELS) -> tuple[str, ...]:
    """All labels of the file in the order of the alphabet, numbers by size; one more than `most` at the most."""
    seen: set[str] = set()
    add = seen.add
    for row in rows:
        cell = row.get(column)
        if type(cell) is str and cell in seen:
            continue
        label = label_text(row, column)
        if label and label not in seen:
            add(label)
            if len(seen) > most:
                break
    return tuple(sorted(seen, key=_order))


def _order(label: str) -> tuple[float, str, str]:
    if _NUMBER.fullmatch(label):
        return float(label), "", label
    return float("inf"), label.casefold(), label


def asked(text: str, labels: Sequence[str]) -> str:
    """The text with all labels below it."""
    return f"{text}\n\nAnswer with one of: {', '.join(labels)}."


def answered(row: Row, column: str) -> str:
    """The label of a row. Raises `CannotLearn`."""
    label = label_text(row, column)
    if not label:
        raise CannotLearn(N_("The label is empty."))
    return label
