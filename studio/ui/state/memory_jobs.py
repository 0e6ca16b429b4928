"""Jobs that are of no use without this window: a trace of the draft, and the 30-second trial of its longest batch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from studio.core.events import Crashed, Failed
from studio.core.job_states import MemoryProbeState, TraceState
from studio.core.jobs import MemoryProbe, Trace
from studio.core.problems import Problem
from studio.core.recipe.defaults import resolve_defaults
from studio.core.run_folder import JobFolder, RunFolder
from studio.ui.state.background import run_in_background
from studio.ui.state.memory_scenario import FitKey, RecipeScenario, TraceResult, TrialResult
from studio.ui.state.recipe_editor import RecipeEditor
from studio.ui.state.temporary_job import TemporaryJob, delete_scratch

RAN_OUT = "memory.trial_failed"
"""The code of the problem with which a trial ends that needs more memory than there is."""


class MemoryTrace(QObject):
    """One trace at a time. `answered` carries what was asked and its `TraceResult`, and isn't emitted after `drop`."""

    answered = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.key: FitKey | None = None
        """What is being traced, None for nothing."""
        self._job: TemporaryJob[TraceState] | None = None

    def start(self, key: FitKey, draft: RecipeScenario) -> None:
        """Start the process. It counts what the kernels of the card at hand take, where that tells its generation."""
        from studio.runs.fetch import job_folder

        folder = job_folder("trace")
        try:
            config = draft.folder or _written_config(draft.model, folder.path)
            job = Trace(config=config.absolute(), work=key.work)
        except (OSError, ValueError):
            self.answered.emit(key, TraceResult(None, None, time.monotonic()))
            return
        self.key = key
        self._job = TemporaryJob(folder, job, TraceState, folder.path, self)
        self._job.ended.connect(self._on_ended)

    def drop(self) -> None:
        """End it: nobody waits for it any more."""
        if self._job is not None:
            self._job.drop()
        self._job = self.key = None

    def close(self) -> None:
        if self._job is not None:
            self._job.leave()
        self._job = self.key = None

    @Slot()
    def _on_ended(self) -> None:
        job, key = self._job, self.key
        if job is None or key is None or self.sender() is not job:
            return
        self._job = self.key = None
        ending = job.state.ending
        problem = ending.problem if isinstance(ending, Failed) else None
        job.clean_up()
        self.answered.emit(key, TraceResult(job.state.traced, problem, time.monotonic()))


class MemoryTrial(QObject):
    """The draft frozen into a run that is thrown away, and its longest batch computed for real, one trial at a time.
    `answered` carries what was asked and its `TrialResult`."""

    answered = Signal(object, object)
    changed = Signal()
    """It began, moved on or ended."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.key: FitKey | None = None
        """What is being tried, None for nothing."""
        self.problem: Problem | None = None
        """Why the last one brought no answer."""
        self.ended_at = -math.inf
        """On the monotonic clock."""
        self._job: TemporaryJob[MemoryProbeState] | None = None
        self._run: RunFolder | None = None
        self._draft: RecipeScenario | None = None

    @property
    def state(self) -> MemoryProbeState | None:
        """Of its process, once there is one."""
        return self._job.state if self._job is not None else None

    def start(self, editor: RecipeEditor, key: FitKey, draft: RecipeScenario) -> None:
        """Freeze what the draft has now and start the process."""
        from studio.runs.fetch import job_folder
        from studio.runs.project import Project

        scratch = job_folder("memory_probe").path
        built = editor.data.examples
        table, facts = editor.data.table, draft.facts
        self.key, self._draft, self.problem = key, draft, None

        def prepare() -> RunFolder:
            from studio.runs.create import create_run

            assert built is not None and table is not None
            scratch.mkdir(parents=True, exist_ok=True)
            return create_run(Project(scratch), draft.recipe, table, built, facts)

        def ready(run: RunFolder) -> None:
            if self.key is not key:  # cancelled meanwhile
                delete_scratch(self, scratch)
                return
            self._run = run
            self._job = TemporaryJob(
                run.job("memory_probe"), MemoryProbe(run=run.path), MemoryProbeState, scratch, self
            )
            self._job.updated.connect(self.changed)
            self._job.ended.connect(self._on_ended)
            self.changed.emit()

        def failed(problem: Problem) -> None:
            delete_scratch(self, scratch)
            if self.key is key:
                self.key, self.problem = None, problem
                self.changed.emit()

        run_in_background(self, prepare, ready, failed)
        self.changed.emit()

    def cancel(self) -> None:
        """End it; nothing of it is kept."""
        if self.key is None:
            return
        if self._job is not None:
            self._job.drop()
        self._forget()
        self.changed.emit()

    def close(self) -> None:
        if self._job is not None:
            self._job.leave()
        self._forget()

    def _forget(self) -> None:
        self._job = self.key = None
        self.ended_at = time.monotonic()

    @Slot()
    def _on_ended(self) -> None:
        job, key, draft, run = self._job, self.key, self._draft, self._run
        if job is None or key is None or draft is None or run is None or self.sender() is not job:
            return
        self._forget()
        ending, done = job.state.ending, job.state.probed
        problem = ending.problem if isinstance(ending, Failed | Crashed) else job.problem
        ran_out = problem if problem is not None and problem.code == RAN_OUT else None
        if done is not None or ran_out is not None:
            recipe = resolve_defaults(draft.recipe, draft.facts)
            found = TrialResult(done, ran_out, recipe, draft.facts.examples, time.monotonic())
            keep_measured(self, run, job.clean_up, job.folder)
            self.answered.emit(key, found)
        else:
            self.problem = problem
            job.clean_up()
        self.changed.emit()


def keep_measured(
    owner: QObject, run: RunFolder, after: Callable[[], object], journal: JobFolder | None = None
) -> None:
    """Write down beside the window what a run needed; `after` is called in the window's thread, whatever came of it."""

    def keep() -> None:
        from studio.runs.measurements import record

        record(run, journal)

    run_in_background(owner, keep, lambda _: after(), lambda _: after())


def _written_config(name: str, folder: Path) -> Path:
    """The config.json of a model of the catalogue, in `folder`. Raises OSError, ValueError for a name not in it."""
    from studio.models.catalogue import named

    model = named(name)
    if model is None:
        raise ValueError(name)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "config.json"
    place.write_text(json.dumps(model.config), encoding="utf-8")
    return place
