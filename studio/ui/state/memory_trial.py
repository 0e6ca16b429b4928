"""The 30-second trial: the draft frozen into a run that is thrown away, and its longest batch computed for real."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from studio.core.events import Crashed, Failed
from studio.core.jobs import MemoryProbe
from studio.core.problems import Problem
from studio.core.recipe.defaults import resolve_defaults
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.run_state import RunState
from studio.ui.state.background import run_in_background
from studio.ui.state.memory_answers import Asked, ProvenAnswer
from studio.ui.state.memory_scenario import RecipeScenario
from studio.ui.state.temporary_job import TemporaryJob

if TYPE_CHECKING:
    from studio.ui.state.app_state import AppState

RAN_OUT = "memory.trial_failed"
"""The code of the problem with which a trial ends that needs more memory than there is."""


class MemoryTrial(QObject):
    """One trial at a time. `answered` carries what was asked and its `ProvenAnswer`."""

    answered = Signal(object, object)
    changed = Signal()
    """It began, moved on or ended."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.asked: Asked | None = None
        """What is being tried, None for nothing."""
        self.problem: Problem | None = None
        """Why the last one brought no answer."""
        self.ended_at = -math.inf
        """On the monotonic clock."""
        self._errand: TemporaryJob | None = None
        self._run: RunFolder | None = None
        self._journal: JobFolder | None = None
        self._drafted: RecipeScenario | None = None

    @property
    def state(self) -> RunState | None:
        """Of its process, once there is one."""
        return self._errand.state if self._errand is not None else None

    def start(self, session: AppState, asked: Asked, drafted: RecipeScenario) -> None:
        """Freeze what the session has now and start the process."""
        from studio.runs.fetch import job_folder
        from studio.runs.project import Project

        litter = job_folder("memory_probe").path
        made = session.examples.examples if session.examples is not None else None
        table, facts = session.table, session.facts()
        self.asked, self._drafted, self.problem = asked, drafted, None

        def prepare() -> RunFolder:
            from studio.dataset.store import StoredExamples
            from studio.runs.create import create_run

            assert isinstance(made, StoredExamples) and table is not None
            litter.mkdir(parents=True, exist_ok=True)
            return create_run(Project(litter), drafted.recipe, table, made, facts)

        def ready(run: RunFolder) -> None:
            if self.asked is not asked:  # cancelled meanwhile
                _throw_away(self, litter)
                return
            self._run, self._journal = run, run.job("memory_probe")
            self._errand = TemporaryJob(self._journal, MemoryProbe(run=run.path), litter, self)
            self._errand.updated.connect(self.changed)
            self._errand.ended.connect(self._on_ended)
            self.changed.emit()

        def failed(problem: Problem) -> None:
            _throw_away(self, litter)
            if self.asked is asked:
                self.asked, self.problem = None, problem
                self.changed.emit()

        run_in_background(self, prepare, ready, failed)
        self.changed.emit()

    def cancel(self) -> None:
        """End it; nothing of it is kept."""
        if self.asked is None:
            return
        if self._errand is not None:
            self._errand.drop()
        self._forget()
        self.changed.emit()

    def close(self) -> None:
        """The window closes."""
        if self._errand is not None:
            self._errand.leave()
        self._forget()

    def _forget(self) -> None:
        self._errand = self.asked = None
        self.ended_at = time.monotonic()

    @Slot()
    def _on_ended(self) -> None:
        errand, asked, drafted, run = self._errand, self.asked, self._drafted, self._run
        if errand is None or asked is None or drafted is None or run is None or self.sender() is not errand:
            return
        self._forget()
        ending, done = errand.state.ending, errand.state.trial
        problem = ending.problem if isinstance(ending, Failed | Crashed) else errand.problem
        ran_out = problem if problem is not None and problem.code == RAN_OUT else None
        if done is not None or ran_out is not None:
            recipe = resolve_defaults(drafted.recipe, drafted.facts)
            found = ProvenAnswer(done, ran_out, recipe, drafted.facts.examples, time.monotonic())
            keep_measured(self, run, errand.clean_up, self._journal)
            self.answered.emit(asked, found)
        else:
            self.problem = problem
            errand.clean_up()
        self.changed.emit()


def keep_measured(
    owner: QObject, run: RunFolder, after: Callable[[], object], journal: JobFolder | None = None
) -> None:
    """Write down beside the window what a run needed; `after` is called in the window's thread, whatever came of it."""

    def keep() -> None:
        from studio.runs.measurements import record

        record(run, journal)

    run_in_background(owner, keep, lambda _: after(), lambda _: after())


def _throw_away(owner: QObject, litter: object) -> None:
    run_in_background(owner, lambda: shutil.rmtree(str(litter), ignore_errors=True), lambda _: None)
