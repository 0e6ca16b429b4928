"""Other runs that can be talked to beside one, on the base model that is loaded for it, and why others can't."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from studio.core.events import ModelUnderTest
from studio.core.problems import Problem, ProblemError
from studio.core.run_folder import RunFolder
from studio.models.shared_base import BaseForm, base_form
from studio.runs.history import list_runs
from studio.runs.project import Project

MOST = 40
"""Runs that are offered at most, the newest."""


@dataclass(frozen=True)
class Companion:
    """`title` is what people call the run; `apart` says why it can't be talked to on the same base, None where it
    can."""

    run: Path
    title: str
    apart: Problem | None = None

    @property
    def model(self) -> ModelUnderTest:
        return ModelUnderTest(kind="other_run", name=self.run.name)


def companions(run: RunFolder, project: Project) -> tuple[Companion, ...]:
    """Runs of all projects on the base of `run`, and those of its own project that are on another, newest first.
    Reads the disk; nothing that lies in a run's folder makes it raise."""
    try:
        mine = base_form(run)
    except (ProblemError, OSError):
        return ()
    found: list[Companion] = []
    for one in list_runs():
        if one.run == run or one.problem is not None or not any(one.run.checkpoints.glob("step-*")):
            continue
        apart = _why_apart(mine, one.run)
        if apart is None or one.project == project.folder.name:
            found.append(Companion(one.run.path, one.name or one.run.path.name, apart))
        if len(found) == MOST:
            break
    same = Counter(one.title for one in found)
    return tuple(one if same[one.title] == 1 else replace(one, title=_told_apart(one)) for one in found)


def _told_apart(one: Companion) -> str:
    """Runs on the same data are mostly called the same: with the time at which this one was made."""
    made = re.match(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)", one.run.name)
    return "{} ({}-{}-{} {}:{})".format(one.title, *made.groups()) if made else f"{one.title} ({one.run.name})"


def _why_apart(mine: BaseForm, other: RunFolder) -> Problem | None:
    try:
        return mine.why_apart(base_form(other), other.path.name)
    except ProblemError as error:
        return error.problem
