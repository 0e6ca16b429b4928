"""How answers and problems look on a terminal and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from studio.core.problems import Problem
from studio.core.translatable import fill

if TYPE_CHECKING:  # loading it takes longer than a verb that answers without a model
    from pydantic import BaseModel

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def print_json(answer: Json) -> None:
    """One JSON document on standard output."""
    print(json.dumps(answer, ensure_ascii=False, indent=2, default=str))


def print_model(answer: BaseModel) -> None:
    """A model as one JSON document on standard output."""
    print(answer.model_dump_json(indent=2))


def print_problem(found: Problem, *, as_json: bool) -> None:
    """What happened, what it means and what to do, a line each, on standard error."""
    for part in found.sentences():
        print(part.english(), file=sys.stderr)
    if as_json:
        told = {name: fill(getattr(found, name), found.values) for name in ("what", "why", "fix")}
        print_json({"problem": {"code": found.code, **told}})


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows under each other in columns as wide as their widest cell; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
