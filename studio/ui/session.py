"""The one state that all pages share: project, draft recipe, data, base model, and the run on show.

Pages paint from it and keep nothing that matters themselves, so they can be rebuilt at any time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.automatic import Facts
from studio.core.data_choice import DataChoice, Repair, Roles
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
from studio.ui.data_work import MADE_AS, READ_AS, DataWork
from studio.ui.fitting import Fitting
from studio.ui.followed_job import FollowedJob
from studio.ui.language import tr
from studio.ui.tasks import run_in_background

if TYPE_CHECKING:
    from studio.core.words import Sentence
    from studio.data.desk.questions import ExampleRead, Reader
    from studio.data.doctor.findings import Report
    from studio.data.doctor.repairs import Step
    from studio.data.examples import ExampleSet
    from studio.data.lengths import Lengths
    from studio.data.table import Table
    from studio.device.gauge import Reading


MOST_LOOKED_AT = 50
"""Of a project's runs, newest first, so many are asked whether they still go on when it is opened."""


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
        self.data = DataWork(self)
        self.data.changed.connect(self._on_data_moved)
        self.data.roles_found.connect(self._on_roles_found)
        self._undone: list[Repair] = []
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
        self._unsaved = False
        self._save_soon = QTimer(self)
        self._save_soon.setSingleShot(True)
        self._save_soon.setInterval(300)
        self._save_soon.timeout.connect(self.save_draft)
        self._jobs: dict[str, FollowedJob] = {}
        self.reading: Reading | None = None
        self.project: Project = project or _last_project()
        self.recipe: Recipe = self.project.load_recipe()
        self.fitting = Fitting(self)
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
        read = _differs(recipe.data, before.data, READ_AS)
        if read or _differs(recipe.data, before.data, MADE_AS):
            if read:
                self._undone.clear()
            self.data.open(recipe, keep=not read)
        elif recipe.data.held_out != before.data.held_out or recipe.training.seed != before.training.seed:
            self.data.examine_again(recipe)
        if recipe.training.learn_from != before.training.learn_from:
            self._measure()
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
        self._undone.clear()
        self.data.open(self.recipe)

    @Slot(object)
    def _on_roles_found(self, roles: Roles) -> None:
        if roles != self.recipe.data.roles:
            data = self.recipe.data.model_copy(update={"roles": roles})
            self.recipe = self.recipe.model_copy(update={"data": data})
            self._draft_changed()

    @Slot()
    def _on_data_moved(self) -> None:
        self.data_changed.emit()
        if not self.data.reading:
            self.recipe_changed.emit()  # automatic values depend on the number of examples
            self._measure()

    def cancel_data(self) -> None:
        """Stop reading or examining; what is known by then stays."""
        self.data.cancel()

    def paste_data(self, text: str) -> None:
        """Keep pasted text as a file of the project and open it."""
        try:
            self.open_data(self.project.keep_pasted(text))
        except OSError as error:
            self.problem_raised.emit(session_problems.not_pasted(error))

    def repair(self, do: str, rows: tuple[int, ...] = ()) -> None:
        """Record one more repair; the examples are made again."""
        self._undone.clear()
        self.set_value("data.repairs", [*self._repairs(), Repair(do=do, rows=rows).model_dump()])

    def undo_repair(self) -> None:
        """Take the last repair back."""
        repairs = self.recipe.data.repairs
        if repairs:
            self._undone.append(repairs[-1])
            self.set_value("data.repairs", self._repairs()[:-1])

    def redo_repair(self) -> None:
        """Do again what was taken back last."""
        if self._undone:
            again = self._undone.pop()
            self.set_value("data.repairs", [*self._repairs(), again.model_dump()])

    @property
    def can_undo(self) -> bool:
        return bool(self.recipe.data.repairs)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def _repairs(self) -> list[dict[str, object]]:
        return [repair.model_dump() for repair in self.recipe.data.repairs]

    def read_example(
        self, position: int, done: Callable[[ExampleRead], None], failed: Callable[[Problem], None]
    ) -> None:
        """Show one example as the base model reads it; the answer comes later, unless a newer one is asked for."""
        reader = self._reader()
        if reader is not None:
            self.data.read_example(position, reader, done, failed)

    def _reader(self) -> Reader | None:
        if self.model.folder is None:
            return None
        from studio.data.desk.questions import Reader

        training = self.recipe.training
        return Reader(
            model=self.model.folder,
            max_length=training.max_length,
            learn_from=training.learn_from,
            too_long=self.recipe.data.too_long,
        )

    def _measure(self) -> None:
        if self.examples is not None:
            self.data.measure(self._reader())

    @property
    def table(self) -> Table | None:
        """Its rows stay on disk; the first ones only, while a large file is still being read."""
        return self.data.table

    @property
    def examples(self) -> ExampleSet | None:
        """Lazy: cheap to count and to index."""
        return self.data.examples

    @property
    def data_problem(self) -> Problem | None:
        return self.data.problem

    @property
    def reading_data(self) -> bool:
        return self.data.reading

    @property
    def examining(self) -> bool:
        return self.data.examining

    @property
    def data_progress(self) -> tuple[int, int, Sentence] | None:
        """Done, total (0 where it isn't known) and what is being done."""
        return self.data.progress

    @property
    def guess_sure(self) -> bool:
        """Whether the parts of the columns are beyond doubt; `guess_why` says how they were found out."""
        return self.data.sure

    @property
    def guess_why(self) -> tuple[Sentence, ...]:
        return self.data.why

    @property
    def report(self) -> Report | None:
        """What the doctor found; None before he has looked."""
        return self.data.report

    @property
    def lengths(self) -> Lengths | None:
        """In word pieces of the base model, of `lengths_of` examples."""
        return self.data.lengths

    @property
    def lengths_of(self) -> int:
        return self.data.lengths_of

    @property
    def data_notes(self) -> tuple[Sentence, ...]:
        """What should be known about how the file was read and the examples were made."""
        return (*(self.table.notes if self.table is not None else ()), *self.data.notes)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What each recorded repair did."""
        return self.data.steps

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
        self._measure()

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
        made = self.examples.examples if self.examples is not None else None
        assert table is not None
        self.starting = True
        self.run_changed.emit()

        def prepare() -> RunFolder:
            from studio.data.store import StoredExamples
            from studio.runs.follow import standing
            from studio.runs.start import create_run

            assert isinstance(made, StoredExamples)

            if any(standing(run) in ("running", "silent") for run in project.runs()):
                raise ProblemError(session_problems.already_going())
            return create_run(project, recipe, table, made, facts)

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
        if self.examples is None or self.reading_data:
            return session_problems.still_reading() if self.reading_data else session_problems.no_data()
        if not self.examples.examples:
            return session_problems.no_data()
        if self.lengths is not None and self.lengths.nothing_left_at(self.recipe.training.max_length) == len(
            self.lengths
        ):
            return session_problems.nothing_left(self.recipe.training.max_length)
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
        self.fitting.close()
        self.data.close()
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


def _differs(one: DataChoice, other: DataChoice, names: set[str]) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in names)
