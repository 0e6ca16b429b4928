"""What the doctor says: findings with how many, where, and what would repair them; a grade and one advice."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.problems import Problem
from studio.core.translatable import N_, Sentence

Severity = Literal["stop", "warn", "note"]
"""stop: training on this would be wrong. warn: worth repairing. note: good to know."""

Grade = Literal["good", "fair", "poor", "unusable"]

NAMED_ROWS = 200
"""Row numbers kept with a finding; its count goes on."""


class Excerpt(BaseModel):
    """One place where something was found. `row` counts from 1 in the file; `shown` is a short stretch of text and
    `start` to `end` the letters in it that are meant (equal where the whole is meant)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    row: int
    shown: str
    start: int = 0
    end: int = 0


class Finding(BaseModel):
    """`code` is dotted and never translated (`duplicates.exact`); `count` examples are concerned; `rows` are the first
    of them in the file; `fixes` name steps of `studio.dataset.quality.fixes`, the recommended one first."""

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
    """`findings` in the order in which they matter; `examples` were looked at, `held_out` of them are set aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    examples: int
    held_out: int
    findings: tuple[Finding, ...]
    grade: Grade
    advice: Sentence

    @property
    def stop(self) -> Finding | None:
        """The first finding with which training would be wrong."""
        return next((finding for finding in self.findings if finding.severity == "stop"), None)
