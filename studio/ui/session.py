"""The one state that all pages share: project, draft recipe, data, base model, and the run on show.

Pages paint from it and keep nothing that matters themselves, so they can be rebuilt at any time.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.automatic import Facts
from studio.core.data_choice import DataChoice, Roles
from studio.core.jobs import Train
from studio.core.journal import lock_is_held
from studio.core.model_choice import Source
from studio.core.presets import Preset, presets
from studio.core.problems import Problem, ProblemError
from studio.core.recipe import Recipe, value_of, with_values
from studio.core.run import RunFolder, RunState
from studio.runs.project import Project, create_project, projects
from studio.ui import preferences, session_problems
from studio.ui.base_model import BaseModel
from studio.ui.followed_job import FollowedJob
from studio.ui.language import tr
from studio.ui.tasks import run_in_background

if TYPE_CHECKING:
    from studio.data.examples import ExampleSet
    from studio.data.table import Table
    from studio.device.gauge import Reading


MOST_LOOKED_AT = 50
"""Of a project's runs, newest first, so many are asked whether they still go on when it is opened."""


@dataclass(frozen=True)
class _Read:
    """What a background reading brought: a table, roles that were guessed for it, examples, or why not."""

    table: Table | None
    roles: Roles
    examples: ExampleSet | None
    problem: Problem | None


class Session(QObject):
    """Read the attributes, call the methods, listen to the signals."""

    recipe_changed = Signal()
    data_changed = Signal()
    model_changed = Signal()
    """The base model was looked up, or a download of it moved on."""
    run_changed = Signal()
    """Another run is on show, or none."""
    run_updated = Signal()
    """`state` changed, at most ten times a second."""
    project_changed = Signal()
    job_updated = Signal(str)
    """Another job of the run on show moved on; its kind, such as check."""
    device_read = Signal()
    """There is a new `reading` of cards and memory."""
    problem_raised = Signal(object)
    """A `Problem` that a page should show."""

    def __init__(self, project: Project | None = None, parent: QObject | None = None, *, wait: bool = False) -> None:
        """With `wait`, nothing is read in the background before `begin` is called."""
        super().__init__(parent)
        self.table: Table | None = None
        self.data_problem: Problem | None = None
        self.examples: ExampleSet | None = None
        self.reading_data = False
        self.starting = False
        self.run: RunFolder | None = None
        self.cuda: bool | None = None
        self.presets: tuple[Preset, ...] = presets()
        self.model = BaseModel(self)
        self.model.changed.connect(self._on_model_changed)
        self.model.fetch_updated.connect(self.model_changed)
        self.training = FollowedJob(self)
        self.training.updated.connect(self.run_updated)
        self.training.failed.connect(self.problem_raised)
        self._reading = 0  # the number of the newest reading; older ones are ignored when they arrive
        self._unsaved = False
        self._save_soon = QTimer(self)
        self._save_soon.setSingleShot(True)
        self._save_soon.setInterval(300)
        self._save_soon.timeout.connect(self.save_draft)
        self._jobs: dict[str, FollowedJob] = {}
        self.reading: Reading | None = None
        self.project: Project = project or _last_project()
        self.recipe: Recipe = self.project.load_recipe()
        if not wait:
            self.begin()

    def begin(self) -> None:
        """Start reading what the project has: its data, its base model and its newest run."""
        self.open_project(self.project)

    # The project and its draft

    def open_project(self, project: Project) -> None:
        """Show this project: its draft, its data, and the run that is still going on, else the newest."""
        self.save_draft()
        self.training.leave()
        self.project = project
        self.recipe = project.load_recipe()
        self._forget_run()
        preferences.set_project(project.folder.name)
        self.project_changed.emit()
        self.recipe_changed.emit()
        self.open_data(self.recipe.data)
        self.model.choose(self.recipe.model)
        runs = project.runs()
        going = (run for run in runs[:MOST_LOOKED_AT] if lock_is_held(run.lock))
        shown = next(going, runs[0] if runs else None)
        if shown is not None:
            self.attach(shown)
        else:
            self.run_changed.emit()

    def rename_project(self, name: str) -> None:
        self.project.rename(name)
        self.set_value("name", name[:120])
        self.project_changed.emit()

    @property
    def preset_key(self) -> str | None:
        """The preset whose settings the draft has now, None where something was changed by hand."""
        for preset in self.presets:
            if all(value_of(self.recipe, key) == value for key, value in preset.settings.items()):
                return preset.key
        return None

    def set_value(self, key: str, value: object) -> None:
        """Change one setting of the draft by its dotted key. Raises ProblemError for a value it can't take."""
        self.set_values({key: value})

    def set_values(self, values: Mapping[str, object]) -> None:
        """Change several settings at once. Raises ProblemError; then nothing is changed."""
        self.set_recipe(with_values(self.recipe, values))

    def set_recipe(self, recipe: Recipe) -> None:
        """Take `recipe` as the draft and look again at whatever it changes."""
        before, self.recipe = self.recipe, recipe
        if recipe == before:
            return
        self._draft_changed()
        self.recipe_changed.emit()
        source_of_data = {"roles", "instructions", "held_out"}
        if recipe.data.model_dump(exclude=source_of_data) != before.data.model_dump(exclude=source_of_data):
            self.open_data(recipe.data)
        elif (recipe.data.roles, recipe.data.instructions) != (before.data.roles, before.data.instructions):
            self._read(recipe.data, self.table)
        if recipe.model != before.model:
            self.model.choose(recipe.model)

    def _draft_changed(self) -> None:
        self._unsaved = True
        self._save_soon.start()

    @Slot()
    def save_draft(self) -> None:
        """Write the draft now if it isn't written yet."""
        if not self._unsaved:
            return
        self._save_soon.stop()
        try:
            self.project.save_recipe(self.recipe)
            self._unsaved = False
        except OSError as error:
            self.problem_raised.emit(session_problems.not_saved(error))

    # Data

    def open_data(self, choice: DataChoice | str | Path) -> None:
        """Read a file beside the window; `data_changed` says when it is there, or what is wrong with it.

        A path (not a `DataChoice`) starts afresh: columns, sheet and encoding are guessed again.
        """
        if not isinstance(choice, DataChoice):
            fresh = DataChoice(path=str(choice), instructions=self.recipe.data.instructions)
            choice = fresh.model_copy(update={"held_out": self.recipe.data.held_out})
        if choice != self.recipe.data:
            self.recipe = self.recipe.model_copy(update={"data": choice})
            self._draft_changed()
            self.recipe_changed.emit()
        self.table = self.examples = self.data_problem = None
        if not choice.path:
            self._reading += 1
            self.reading_data = False
            self.data_changed.emit()
            return
        self._read(choice, None)

    def _read(self, choice: DataChoice, table: Table | None) -> None:
        self._reading += 1
        number = self._reading
        self.reading_data = True
        self.data_changed.emit()

        def arrived(read: _Read) -> None:
            if number != self._reading:
                return
            self.reading_data = False
            self.table, self.examples, self.data_problem = read.table, read.examples, read.problem
            if read.roles != self.recipe.data.roles:
                data = self.recipe.data.model_copy(update={"roles": read.roles})
                self.recipe = self.recipe.model_copy(update={"data": data})
                self._draft_changed()
                self.recipe_changed.emit()
            self.data_changed.emit()
            self.recipe_changed.emit()  # automatic values depend on the number of examples

        def failed(problem: Problem) -> None:
            if number == self._reading:
                self.reading_data = False
                self.data_problem = problem
                self.data_changed.emit()

        run_in_background(self, lambda: _read_examples(choice, table), arrived, failed)

    def facts(self) -> Facts:
        """What automatic values depend on, as far as it is known now."""
        return Facts(
            examples=len(self.examples.examples) if self.examples is not None else None,
            parameters=self.model.facts.parameters if self.model.facts is not None else None,
            cuda=bool(self.cuda),
            windows=sys.platform == "win32",
        )

    # The base model

    def fetch_model(self) -> None:
        """Bring the chosen base model onto this computer; `model_changed` follows its progress."""
        self.model.start_fetching()

    def use_starter(self) -> None:
        """Choose the starter model, and fetch it where it isn't here yet."""
        if self.recipe.model.source is not Source.starter:
            self.set_values({"model.source": "starter", "model.name": "", "model.revision": ""})
        elif self.model.can_be_fetched():
            self.fetch_model()

    @Slot()
    def _on_model_changed(self) -> None:
        self.model_changed.emit()
        self.recipe_changed.emit()

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
        project, recipe, table, facts = self.project, self.recipe, self.table, self.facts()
        assert table is not None
        self.starting = True
        self.run_changed.emit()

        def prepare() -> RunFolder:
            from studio.runs.follow import standing
            from studio.runs.start import create_run

            if any(standing(run) in ("running", "silent") for run in project.runs()):
                raise ProblemError(session_problems.already_going())
            return create_run(project, recipe, table, facts)

        def ready(run: RunFolder) -> None:
            self.starting = False
            self._forget_run()
            self.run = run
            self.training.start(run, Train())
            self.run_changed.emit()

        def failed(problem: Problem) -> None:
            self.starting = False
            self.run_changed.emit()
            self.problem_raised.emit(problem)

        run_in_background(self, prepare, ready, failed)

    def obstacle(self) -> Problem | None:
        """What keeps training from starting now, as far as it can be seen without looking at the disk."""
        if self.is_training():
            return session_problems.already_going()
        if self.data_problem is not None:
            return self.data_problem
        if self.table is None:
            return session_problems.still_reading() if self.reading_data else session_problems.no_data()
        if self.model.folder is None:
            return self.model.problem or session_problems.no_model()
        return None

    def stop_training(self, keep: bool = True) -> None:
        """Ask the run to end; its ending arrives as an event."""
        self.training.stop(keep)

    def save_now(self) -> None:
        self.training.save_now()

    def attach(self, run: RunFolder) -> None:
        """Show this run, whether it is still going on, ended or was interrupted."""
        self._forget_run()
        self.run = run
        self.training.attach(run)
        checks = run.jobs("check")
        if checks:
            self.job("check").attach(checks[-1])
        self.run_changed.emit()

    def new_run(self) -> None:
        """Forget the run on show and go back to the draft. A run that is going on stays on show."""
        if self.is_training():
            return
        self._forget_run()
        self.run_changed.emit()

    def job(self, kind: str) -> FollowedJob:
        """Another job of the run on show (check, chat, merge), kept here so that it survives the page that shows it.

        It is the same object for as long as the same run is on show; the newest check is attached to by itself.
        """
        if kind not in self._jobs:
            job = FollowedJob(self)
            job.updated.connect(lambda: self.job_updated.emit(kind))
            self._jobs[kind] = job
        return self._jobs[kind]

    def _forget_run(self) -> None:
        self.run = None
        self.training.clear()
        for job in self._jobs.values():
            job.leave()
            job.deleteLater()
        self._jobs.clear()

    # The machine

    @Slot(object)
    def take_reading(self, reading: Reading) -> None:
        """What the gauge found. `recipe_changed` follows where automatic values depend on it."""
        self.reading = reading
        cuda = any(card.problem is None for card in reading.cards)
        if cuda != self.cuda:
            self.cuda = cuda
            self.recipe_changed.emit()
        self.device_read.emit()

    def close(self) -> None:
        """Save the draft and stop following; a run that is going on goes on."""
        self.save_draft()
        self.training.leave()
        self.model.fetch.leave()
        for job in self._jobs.values():
            job.leave()


def _last_project() -> Project:
    """The project that was open last, else the one changed last, else a first one."""
    known = projects()
    last = preferences.project()
    for project in known:
        if project.folder.name == last:
            return project
    return known[0] if known else create_project(tr("My first project"))


def _read_examples(choice: DataChoice, table: Table | None) -> _Read:
    """Runs in a thread. A table whose columns don't fit is still shown, with the problem beside it."""
    from studio.data.examples import examples_from
    from studio.data.readers import open_table
    from studio.data.roles import check_roles, guess_roles

    table = table if table is not None else open_table(choice)
    roles = choice.roles if choice.roles != Roles() else guess_roles(table)
    try:
        check_roles(table, roles)
        return _Read(table, roles, examples_from(table, roles, choice.instructions), None)
    except ProblemError as error:
        return _Read(table, roles, None, error.problem)
