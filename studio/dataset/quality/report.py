"""What a data check says: findings with how many, where, and what would fix them; a grade and one advice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.problems import Problem
from studio.core.translatable import N_, Sentence, sentence, type_of_value
from studio.dataset.examples import Skipped

Span = tuple[int, int]
"""Where something starts and ends in a text."""

Severity = Literal["stop", "warn", "note"]
"""stop: training on this would be wrong. warn: worth fixing. note: good to know."""

Grade = Literal["good", "fair", "poor", "unusable"]

NAMED_ROWS = 200
"""Row numbers kept with a finding; its count goes on."""
EXCERPTS = 5
_AROUND = 60
_SHOWN = 160

NOT_LOOKED_FOR = (N_("names of people"), N_("postal addresses"), N_("dates of birth"))
"""Personal data that no check finds. A report says so, lest somebody takes silence for none."""


class Excerpt(BaseModel):
    """One place where something was found. `row` counts from 1 in the file; `shown` is a short stretch of text and
    `start` to `end` the characters in it that are meant (equal where the whole is meant)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    row: int
    shown: str
    start: int = 0
    end: int = 0


class Finding(BaseModel):
    """`code` is dotted and never translated (`duplicates.exact`); `count` examples are concerned; `rows` are the first
    of them in the file; `fixes` name entries of `studio.dataset.quality.checks.FIXES`, the recommended one first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    severity: Severity
    what: Sentence
    why: Sentence
    count: int
    rows: tuple[int, ...] = ()
    excerpts: tuple[Excerpt, ...] = ()
    fixes: tuple[str, ...] = ()

    def as_problem(self) -> Problem:
        """What to say where training is refused because of this."""
        return Problem(
            code=self.code,
            what=self.what.text,
            why=self.why.text,
            fix=N_("Change it on the Data page, or bring other examples."),
            values={**self.why.values, **self.what.values},
        )


class Report(BaseModel):
    """`findings` in the order in which they matter; `examples` were looked at, `held_out` of them are set aside.
    `looked_for` and `not_looked_for` are kinds of personal data, in English words that can be translated."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    examples: int
    held_out: int
    findings: tuple[Finding, ...]
    grade: Grade
    advice: Sentence
    looked_for: tuple[str, ...] = ()
    not_looked_for: tuple[str, ...] = NOT_LOOKED_FOR

    @property
    def stop(self) -> Finding | None:
        """The first finding with which training would be wrong."""
        return next((finding for finding in self.findings if finding.severity == "stop"), None)


class Change(BaseModel):
    """One example before and after a fix, shortened to where they differ. `after` is "" where it was left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    row: int
    before: str
    after: str = ""


class Step(BaseModel):
    """What one fix did to how many examples, with the first few of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    do: str
    changed: int
    dropped: int
    excerpts: tuple[Change, ...] = ()


class ExamplesAbout(BaseModel):
    """What is known of stored examples beside themselves. `skipped` names the first of `skipped_count` rows, `steps`
    say what each fix did, `notes` what should be known about how they were built."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    skipped: tuple[Skipped, ...]
    skipped_count: int
    steps: tuple[Step, ...]
    notes: tuple[Sentence, ...] = ()
    pairs: int = 0
    """Examples with a worse answer beside theirs."""
    good: int = 0
    bad: int = 0
    """Examples that somebody called good, and bad."""


def finding(
    code: str,
    severity: Severity,
    one: str,
    many: str,
    why: Sentence,
    count: int,
    rows: Sequence[int] = (),
    excerpts: Sequence[Excerpt] = (),
    fixes: tuple[str, ...] = (),
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
        fixes=fixes,
    )


def excerpt(row: int, text: str, span: Span = (0, 0)) -> Excerpt:
    """A short stretch of a text around a span, on one line."""
    start, end = span
    end = min(end, start + 80)
    first = max(0, start - _AROUND)
    last = min(len(text), (end if end > start else first + _SHOWN - _AROUND) + _AROUND)
    before, after = "…" if first else "", "…" if last < len(text) else ""
    shown = before + "".join(" " if character.isspace() else character for character in text[first:last]) + after
    moved = len(before) - first
    # Half of a pair of surrogates can't be written as JSON.
    shown = shown.encode("utf-8", "replace").decode("utf-8")
    return Excerpt(
        row=row, shown=shown, start=start + moved if end > start else 0, end=end + moved if end > start else 0
    )
