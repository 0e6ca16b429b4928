"""How a finding and a stretch of text are put for people."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.translatable import Sentence, sentence, type_of_value
from studio.dataset.quality.personal_data import Mark
from studio.dataset.quality.report import NAMED_ROWS, Excerpt, Finding, Severity

EXCERPTS = 5
_AROUND = 60
_SHOWN = 160


def found(
    code: str,
    severity: Severity,
    one: str,
    many: str,
    why: Sentence,
    count: int,
    rows: Sequence[int] = (),
    excerpts: Sequence[Excerpt] = (),
    repairs: tuple[str, ...] = (),
    **values: type_of_value,
) -> Finding:
    """A finding that says `one` when it concerns one example, else `many` with `count` filled in."""
    what = sentence(one, **values) if count == 1 else sentence(many, count=count, **values)
    return Finding(
        code=code,
        severity=severity,
        what=what,
        why=why,
        count=count,
        rows=tuple(rows[:NAMED_ROWS]),
        excerpts=tuple(excerpts[:EXCERPTS]),
        fixes=repairs,
    )


def excerpt(row: int, text: str, mark: Mark = (0, 0)) -> Excerpt:
    """A short stretch of a text around a mark, on one line."""
    start, end = mark
    end = min(end, start + 80)
    first = max(0, start - _AROUND)
    last = min(len(text), (end if end > start else first + _SHOWN - _AROUND) + _AROUND)
    before, after = "…" if first else "", "…" if last < len(text) else ""
    shown = before + "".join(" " if letter.isspace() else letter for letter in text[first:last]) + after
    moved = len(before) - first
    # Half of a pair of surrogates can't be written as JSON.
    shown = shown.encode("utf-8", "replace").decode("utf-8")
    return Excerpt(
        row=row, shown=shown, start=start + moved if end > start else 0, end=end + moved if end > start else 0
    )
