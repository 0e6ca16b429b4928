"""The one state that all pages share: the draft (project, recipe, data, base model), and the run on show.

Pages paint from it and keep nothing that matters themselves, so they can be rebuilt at any time.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.job_states import ExamState, ExportState, FetchState
from studio.core.jobs import Train
from studio.core.problems import Problem, ProblemError
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.runs.project import Project, create_project, projects
from studio.ui.design.language import tr
from studio.ui.state import preferences
from studio.ui.state.background import run_in_background
from studio.ui.state.job_state import JobState
from studio.ui.state.memory_fit import MemoryFit
from studio.ui.state.recipe_editor import RecipeEditor, already_going

MOST_LOOKED_AT = 50
"""Of a project's runs, newest first, so many are asked whether they still go on when it is opened."""

LOOK_ELSEWHERE = 5_000
"""Milliseconds between two looks whether a run goes on in another project."""


@dataclass(frozen=True)
class RunElsewhere:
    """A run that goes on in a project that isn't open."""

    project: Project
    run: RunFolder


class AppState(RecipeEditor):
    """Read the attributes, call the methods, listen to the signals."""

    run_changed = Signal()
    """Another run is on show, or none."""
    run_updated = Signal()
    """`state` changed, at most ten times a second."""
    job_updated = Signal(str)
    """Another job of the run on show moved on; its kind, such as exam."""

    elsewhere_changed = Signal()
    """A run in another project began or ended."""

    def __init__(self, project: Project | None = None, parent: QObject | None = None, *, wait: bool = False) -> None:
        """With `wait`, nothing is read in the background before `begin` is called."""
        super().__init__(project or _last_project(), parent)
        self.starting = False
        self.run: RunFolder | None = None
        self.training = JobState(RunState, self)
        self.training.updated.connect(self.run_updated)
        self.training.failed.connect(self.problem_raised)
        self.exam = JobState(ExamState, self)
        """The newest exam of the run on show."""
        self.export = JobState(ExportState, self)
        """Of the run on show, too; kept here so that it survives the page that shows it."""
        self.data_fetch = JobState(FetchState, self)
        """A download of a data set, whichever project is open."""
        self.exam.updated.connect(lambda: self.job_updated.emit("exam"))
        self.export.updated.connect(lambda: self.job_updated.emit("export"))
        self.memory_fit = MemoryFit(self, self.obstacle, self.is_training)
        self.run_changed.connect(self.memory_fit.on_run_changed)
        self.training.ended.connect(self._on_training_ended)
        self.elsewhere: RunElsewhere | None = None
        self._looking_elsewhere = False
        self._elsewhere_timer = QTimer(self, interval=LOOK_ELSEWHERE)
        self._elsewhere_timer.timeout.connect(self.look_elsewhere)
        if not wait:
            self.begin()

    def begin(self) -> None:
        """Start reading what the project has: its data, its base model and its newest run."""
        self.open_project(self.project)
        self._elsewhere_timer.start()

    def open_project(self, project: Project) -> None:
        """Show this project: its draft, its data, and the run that is still going on, else the newest."""
        self.save_draft()
        try:
            recipe = project.load_recipe()
        except ProblemError as error:  # written by another version of the program
            self.problem_raised.emit(error.problem)
            return
        self.training.leave()
        self.project, self.recipe, self.starting = project, recipe, False
        self._forget_run()
        preferences.set_project(project.folder.name)
        self.project_changed.emit()
        self.recipe_changed.emit()
        self.open_data(self.recipe.data)
        self.model.choose(self.recipe.model)
        runs = project.runs()
        going = (run for run in runs[:MOST_LOOKED_AT] if run.is_at_work())
        shown = next(going, runs[0] if runs else None)
        if shown is not None:
            self.attach(shown)
        else:
            self.run_changed.emit()
        self.look_elsewhere()

    # Other projects

    @Slot()
    def look_elsewhere(self) -> None:
        """Find out beside the window whether a run goes on in another project."""
        if self._looking_elsewhere:
            return
        self._looking_elsewhere = True
        here = self.project.folder

        def found(elsewhere: RunElsewhere | None) -> None:
            self._looking_elsewhere = False
            if here != self.project.folder:
                self.look_elsewhere()
            elif elsewhere != self.elsewhere:
                self.elsewhere = elsewhere
                self.elsewhere_changed.emit()

        run_in_background(self, lambda: _run_elsewhere(here), found)

    def open_elsewhere(self) -> None:
        if self.elsewhere is not None:
            there = self.elsewhere
            self.open_project(there.project)
            if self.run != there.run:
                self.attach(there.run)

    # The run

    @property
    def state(self) -> RunState:
        """Of the run on show; an empty one where there is none."""
        return self.training.state

    def is_training(self) -> bool:
        """Whether the run on show is being started or going on."""
        return self.starting or self.training.is_running()

    def start_training(self) -> None:
        """Freeze draft and data into a new run and start it. What is in the way goes to `problem_raised`."""
        obstacle = self.obstacle()
        if obstacle is not None:
            self.problem_raised.emit(obstacle)
            return
        project, recipe, table, facts = self.project, self.recipe, self.data.table, self.facts()
        examples = self.data.examples
        assert table is not None and examples is not None
        self.starting = True
        self.run_changed.emit()
        from studio.runs.start import start_training

        def prepare() -> RunFolder:
            from studio.runs.create import create_run
            from studio.runs.follow import job_status

            if any(job_status(run) in ("running", "silent") for run in project.runs()):
                raise ProblemError(already_going())
            return create_run(project, recipe, table, examples, facts)

        def ready(run: RunFolder) -> None:
            if project != self.project:  # another one was opened meanwhile: the run starts all the same
                run_in_background(self, lambda: start_training(run, Train()), lambda _: self.look_elsewhere())
                return
            self.starting = False
            self._forget_run()
            self.run = run
            self.training.start(run, Train())
            self.run_changed.emit()

        def failed(problem: Problem) -> None:
            if project == self.project:
                self.starting = False
                self.run_changed.emit()
            self.problem_raised.emit(problem)

        run_in_background(self, prepare, ready, failed)

    def obstacle(self) -> Problem | None:
        """What keeps training from starting now, as far as it can be seen without looking at the disk."""
        return already_going() if self.is_training() else self.draft_obstacle()

    def attach(self, run: RunFolder) -> None:
        """Show this run, whether it is still going on, ended or was interrupted."""
        self._forget_run()
        self.run = run
        self.training.attach(run)
        exams = run.jobs("exam")
        if exams:
            self.exam.attach(exams[-1])
        self.run_changed.emit()

    def new_run(self) -> None:
        """Forget the run on show and go back to the draft. A run that is going on stays on show."""
        if self.is_training():
            return
        self._forget_run()
        self.run_changed.emit()

    def _forget_run(self) -> None:
        self.run = None
        self.training.clear()
        self.exam.clear()
        self.export.clear()

    @Slot()
    def _on_training_ended(self) -> None:
        if self.run is not None and self.state.probed is not None:
            self.memory_fit.keep(self.run)

    def close(self) -> None:
        """Save the draft and stop following; a run that is going on goes on."""
        self._elsewhere_timer.stop()
        self.save_draft()
        self.memory_fit.close()
        self.data.close()
        self.training.leave()
        self.model.fetch.leave()
        self.exam.leave()
        self.export.leave()


def _run_elsewhere(here: Path) -> RunElsewhere | None:
    """The first run found that goes on in a project other than the one in the folder `here`. Reads the disk."""
    for project in projects():
        if project.folder != here:
            with contextlib.suppress(OSError):  # it may be deleted just now
                for run in project.runs()[:MOST_LOOKED_AT]:
                    if run.is_at_work():
                        return RunElsewhere(project, run)
    return None


def _last_project() -> Project:
    """The project that was open last, else the one changed last that this version can read, else a first one."""
    last = preferences.project()
    for project in sorted(projects(), key=lambda project: project.folder.name != last):
        with contextlib.suppress(ProblemError):
            project.load_recipe()
            return project
    return create_project(tr("My first project"))
