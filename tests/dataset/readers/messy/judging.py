"""Reads a messy file as the program does, and holds what comes out against the truth."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.detection.detect import detect
from studio.dataset.table import Table, cell_text
from tests.dataset.conftest import opened
from tests.dataset.readers.messy.truth import ANY, Messy, Truth

Verdict = Literal["right", "asks", "asks, though right", "refuses", "wrong"]


@dataclass(frozen=True)
class Outcome:
    """`mistakes` are what differs from the truth, in words; `asked` is why a person is asked."""

    name: str
    verdict: Verdict
    mistakes: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()

    def line(self) -> str:
        why = "; ".join((*self.mistakes, *(f"[{reason}]" for reason in self.asked)))
        return f"{self.name:<24} {self.verdict:<18} {why}"


def judge(messy: Messy, path: Path) -> Outcome:
    """Whether the file is read right, wrong or not without a question. Other errors than problems come through."""
    try:
        table = opened(path)
    except ProblemError as error:
        return Outcome(messy.name, "refuses", (error.problem.english(),))
    found = detect(table)
    asked: tuple[str, ...] = table.doubts if found.sure else (*table.doubts, "roles")
    mistakes = tuple(_mistakes(messy.truth, table, found.mapping))
    if asked:
        return Outcome(messy.name, "asks" if mistakes else "asks, though right", mistakes, asked)
    return Outcome(messy.name, "wrong" if mistakes else "right", mistakes)


def _mistakes(truth: Truth, table: Table, roles: ColumnMapping) -> list[str]:
    mistakes = [*_wrong_reading(truth, table), *_wrong_roles(truth, table, roles)]
    least, most = truth.rows if isinstance(truth.rows, tuple) else (truth.rows, truth.rows)
    if not least <= len(table.rows) <= most:
        mistakes.append(f"{len(table.rows)} rows, not {truth.rows}")
    for number, part, wanted in truth.cells:
        position = number - 1 if number > 0 else len(table.rows) + number
        if not 0 <= position < len(table.rows):
            continue
        column = getattr(roles, part)
        cell = cell_text(table.rows[position].get(column)) if isinstance(column, str) else ""
        if not _same(cell, wanted, truth.part_of_cells):
            mistakes.append(f"{part} in row {number} is {_short(cell)}, not {_short(wanted)}")
    if truth.told and not table.notes:
        mistakes.append("the damage isn't mentioned")
    return mistakes


def _wrong_reading(truth: Truth, table: Table) -> list[str]:
    mistakes = []
    right = {codecs.lookup(name).name for name in truth.encodings}
    if right and (not table.encoding or codecs.lookup(table.encoding).name not in right):
        mistakes.append(f"encoding {table.encoding or 'none'}, not {truth.encodings[0]}")
    if truth.delimiter and table.delimiter != truth.delimiter:
        mistakes.append(f"delimiter {table.delimiter!r}, not {truth.delimiter!r}")
    if truth.sheet and table.sheet != truth.sheet:
        mistakes.append(f"sheet {table.sheet!r}, not {truth.sheet!r}")
    return mistakes


def _wrong_roles(truth: Truth, table: Table, roles: ColumnMapping) -> list[str]:
    mistakes = [f"shape {roles.format}, not {truth.shape}"] if roles.format != truth.shape else []
    for part in ColumnMapping.model_fields:
        wanted = truth.roles.get(part)
        found = getattr(roles, part) if part in roles.model_dump(exclude_defaults=True) else None
        if part in truth.optional and found and not wanted:
            continue
        if isinstance(wanted, int):
            wanted = table.columns[wanted] if wanted < len(table.columns) else f"column {wanted}"
        if wanted == ANY and found:
            continue
        if truth.part_of_names and isinstance(wanted, str) and any(name in str(found) for name in wanted.split("|")):
            continue
        if (found or None) != wanted:
            mistakes.append(f"{part} is {found}, not {wanted}")
    return mistakes


def _same(cell: str, wanted: str, in_part: bool) -> bool:
    cell = cell.replace("\r\n", "\n")
    if in_part:
        return wanted in cell
    if wanted.startswith("["):
        try:
            return bool(json.loads(cell) == json.loads(wanted))
        except ValueError:
            return False
    return cell == wanted


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
