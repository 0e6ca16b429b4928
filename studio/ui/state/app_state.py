"""The one state that all pages share: the draft (project, recipe, data, base model), and the run on show.

Pages paint from it and keep nothing that matters themselves, so they can be rebuilt at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.job_states import ExamState, FetchState, UploadState
from studio.core.jobs import HERE, Placement, Train
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.core.translatable import N_
from studio.runs.project import Project, create_project, projects
from studio.ui.design.language import tr
from studio.ui.state import preferences
from studio.ui.state.background import run_in_background
from studio.ui.state.export_queue import ExportQueue
from studio.ui.state.job_state import JobState
from studio.ui.state.memory_fit import MemoryFit
from studio.ui.state.method_comparison import MethodComparisonState
from studio.ui.state.queue_state import QueueRow, QueueState
from studio.ui.state.recipe_editor import RecipeEditor, already_going
from studio.ui.state.untrained_exam import UntrainedExam

if TYPE_CHECKING:
    from studio.runs.queue_file import When
    from studio.runs.resume import Resumption
    from studio.runs.start import JobProcess

MOST_LOOKED_AT = 50
"""Of a project's runs, newest first, so many are asked whether they still go on when it is opened."""

LOOK_ELSEWHERE = 5_000
"""Milliseconds between two looks whether a run goes on in another project."""


@dataclass(frozen=True)
class RunElsewhere:
    """A run that goes on without being on show, in this project or another."""

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

    run_queued = Signal()
    """A run, or several, was set down and waits in the queue."""
    where_changed = Signal()
    """The next run is to be computed elsewhere."""
    elsewhere_changed = Signal()
    """A run that isn't on show began or ended."""

    def __init__(self, project: Project | None = None, parent: QObject | None = None, *, wait: bool = False) -> None:
        """With `wait`, nothing is read in the background before `begin` is called."""
        super().__init__(project or _last_project(), parent)
        self.starting = False
        self.where: Placement = HERE
        """Where the next run is computed."""
        self.run: RunFolder | None = None
        self.training = JobState(RunState, self)
        self.training.updated.connect(self.run_updated)
        self.training.failed.connect(self.problem_raised)
        self.exam = JobState(ExamState, self)
        """The newest exam of the run on show."""
        self.exports = ExportQueue(self)
        """Of any run; kept here so that it survives the page that shows it."""
        self.upload = JobState(UploadState, self)
        """An export on its way to the Hub, of whichever run."""
        self.data_fetch = JobState(FetchState, self)
        """A download of a data set, whichever project is open."""
        self.exam.updated.connect(lambda: self.job_updated.emit("exam"))
        self.exports.changed.connect(lambda: self.job_updated.emit("export"))
        self.queue = QueueState(self)
        self.queue.problem_raised.connect(self.problem_raised)
        self.edited: QueueRow | None = None
        """The run in the queue whose settings the draft shows, to be changed there."""
        self.queueing = False
        """Whether a run is being set down to wait in the queue."""
        self.memory_fit = MemoryFit(self, self.obstacle, self.is_training)
        self.run_changed.connect(self.memory_fit.on_run_changed)
        self.untrained_exam = UntrainedExam(self)
        self.method_comparison = MethodComparisonState(self, self)
        self.training.ended.connect(self._on_training_ended)
        self.resumption: Resumption | None = None
        """From where the run on show would go on, or why it can't; None while it goes on, and until that is known."""
        self.elsewhere: RunElsewhere | None = None
        self._looking_elsewhere = False
        self._seen_again = False
        self._elsewhere_timer = QTimer(self, interval=LOOK_ELSEWHERE)
        self._elsewhere_timer.timeout.connect(self.look_elsewhere)
        if not wait:
            self.begin()

    def begin(self) -> None:
        """Start reading what the project has: its data, its base model and its newest run."""
        self.open_project(self.project)
        self._elsewhere_timer.start()
        self.queue.begin()

    def open_project(self, project: Project) -> None:
        """Show this project: its draft, its data, and the run that is still going on, else the newest."""
        self.save_draft()
        try:
            recipe = project.load_recipe()
        except ProblemError as error:  # written by another version of the program
            self.problem_raised.emit(error.problem)
            return
        self.training.leave()
        self.project, self.recipe, self.starting, self.edited = project, recipe, False, None
        self._forget_run()
        preferences.set_project(project.folder.name)
        self.project_changed.emit()
        self.recipe_changed.emit()
        self.open_data(self.recipe.data)
        self.model.choose(self.recipe.model)
        runs = [run for run in project.runs() if run.events.exists() or run.is_at_work()]  # begun, not waiting
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
        """Find out beside the window whether another run goes on, or the one on show again: the queue and the command
        line start runs, too."""
        if self._looking_elsewhere:
            return
        self._looking_elsewhere = True
        shown = self.run

        def found(going: list[RunElsewhere]) -> None:
            self._looking_elsewhere = False
            if shown != self.run:
                self.look_elsewhere()
                return
            again = not self.is_training() and any(one.run == shown for one in going)
            # a process may take a moment to leave after its last word: once is none
            if again and self._seen_again and shown is not None:
                self.attach(shown)
            self._seen_again = again
            elsewhere = next((one for one in going if one.run != shown), None)
            if elsewhere != self.elsewhere:
                self.elsewhere = elsewhere
                self.elsewhere_changed.emit()

        run_in_background(self, _going_on, found)

    def open_elsewhere(self) -> None:
        if self.elsewhere is not None:
            there = self.elsewhere
            if self.project != there.project:
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

    def set_where(self, where: Placement) -> None:
        """Compute the next run there."""
        if where != self.where:
            self.where = where
            self.where_changed.emit()

    def start_training(self) -> None:
        """Freeze draft and data into a new run and start it. What is in the way goes to `problem_raised`."""
        obstacle = self.obstacle()
        if obstacle is not None:
            self.problem_raised.emit(obstacle)
            return
        project, create, where = self.project, self._creator(), self.where
        self.starting = True
        self.run_changed.emit()
        from studio.runs.start import start_training

        def prepare() -> RunFolder:
            from studio.runs.follow import job_status

            if any(job_status(run) in ("running", "silent") for run in project.runs()):
                raise ProblemError(already_going())
            return create()

        def ready(run: RunFolder) -> None:
            if project != self.project:  # another one was opened meanwhile: the run starts all the same
                run_in_background(
                    self, lambda: start_training(run, Train(where=where)), lambda _: self.look_elsewhere()
                )
                return
            self.starting = False
            self._forget_run()
            self.run = run
            self.training.start(run, Train(where=where))
            self.run_changed.emit()

        def failed(problem: Problem) -> None:
            if project == self.project:
                self.starting = False
                self.run_changed.emit()
            self.problem_raised.emit(problem)

        run_in_background(self, prepare, ready, failed)

    def _creator(self) -> Callable[[], RunFolder]:
        """Freezes the draft as it is now into a run folder, when it is called beside the window."""
        self.memory_fit.current()
        project, recipe, table, facts = self.project, self.recipe, self.data.table, self.facts()
        if self.is_training():  # what is free now isn't what will be
            facts = replace(facts, budget=())
        examples = self.data.examples
        assert table is not None and examples is not None

        def create() -> RunFolder:
            from studio.runs.create import create_run

            return create_run(project, recipe, table, examples, facts)

        return create

    # The queue

    def add_to_queue(self, when: When | None = None) -> None:
        """Freeze the draft into a run that waits in the queue until its turn, or `when`, has come."""
        if not self._may_be_queued():
            return
        create, processes = self._creator(), self.where.processes

        def work() -> None:
            from studio.runs.queue import add

            add([create()], when, processes=processes)

        self._queue(work)

    def try_three_strengths(self) -> None:
        """Queue three runs of the draft, gentler, as it is and stronger, to be compared when all are done."""
        if not self._may_be_queued():
            return
        project, recipe, table, facts = self.project, self.recipe, self.data.table, self.facts()
        examples = self.data.examples
        assert table is not None and examples is not None
        name = recipe.name[:100]
        strengths = (tr("gentler"), tr("as it is"), tr("stronger"))
        names = [f"{name}, {strength}" if name else strength for strength in strengths]

        def work() -> None:
            from studio.runs.queue import add
            from studio.runs.variants import create_variants, three_strengths

            found = three_strengths(recipe, facts)
            if len(found) == len(names):
                found = tuple(one.model_copy(update={"name": name}) for one, name in zip(found, names, strict=True))
            runs, group = create_variants(project, found, table, examples, facts)
            add(runs, group=group.id)

        self._queue(work)

    def _may_be_queued(self) -> bool:
        obstacle = _only_here() if self.where.cluster else self.draft_obstacle()
        if obstacle is not None:
            self.problem_raised.emit(obstacle)
        return obstacle is None and not self.queueing

    def _queue(self, work: Callable[[], None]) -> None:
        self.queueing = True
        self.run_changed.emit()

        def both() -> None:
            from studio.runs.queue import ensure_runner

            work()
            ensure_runner()

        def ready(_: None) -> None:
            self.queueing = False
            self.run_changed.emit()
            self.queue.look()
            self.run_queued.emit()

        def failed(problem: Problem) -> None:
            self.queueing = False
            self.run_changed.emit()
            self.queue.look()
            self.problem_raised.emit(problem)

        run_in_background(self, both, ready, failed)

    def edit_waiting(self, row: QueueRow) -> None:
        """Take the settings of a run that waits into the draft; `save_edited` puts them back."""
        from studio.runs.project import project_of

        run = RunFolder(row.run)
        try:
            recipe = load(run.recipe)
        except ProblemError as error:
            self.problem_raised.emit(error.problem)
            return
        project = project_of(run)
        if project != self.project:
            self.open_project(project)
        self.edited = row
        self._forget_run()
        self.set_recipe(recipe)
        self.run_changed.emit()

    def save_edited(self, done: Callable[[], object]) -> None:
        """Give the run that waits the settings of the draft."""

        def saved() -> None:
            self.leave_edited()
            done()

        if self.edited is not None:
            self.queue.edit(self.edited.run, self.recipe, saved)

    def leave_edited(self) -> None:
        if self.edited is not None:
            self.edited = None
            self.run_changed.emit()

    def obstacle(self) -> Problem | None:
        """What keeps training from starting now, as far as it can be seen without looking at the disk."""
        return already_going() if self.is_training() else self.draft_obstacle()

    def attach(self, run: RunFolder) -> None:
        """Show this run, whether it is still going on, ended, was interrupted or hasn't begun yet."""
        self._forget_run()
        self.run = run
        if run.events.exists() or run.is_at_work():
            self.training.attach(run)
        exams = run.jobs("exam")
        if exams:
            self.exam.attach(exams[-1])
        self.run_changed.emit()

    def continue_run(self) -> None:
        """Go on with the run on show from its newest save point. What is in the way goes to `problem_raised`."""

        def begin(run: RunFolder) -> JobProcess:
            from studio.runs.resume import resume_run

            return resume_run(run)

        self._go_on(begin)

    def extend_run(self, epochs: float) -> None:
        """Train the run on show for so many passes more."""

        def begin(run: RunFolder) -> JobProcess:
            from studio.runs.resume import extend_run

            return extend_run(run, epochs)

        self._go_on(begin)

    def draft_from_weights(self) -> None:
        """Let the draft, with its data and settings of now, begin with what the run on show has learned."""
        run, recipe = self.run, self.recipe
        if run is None:
            return

        def draft() -> Recipe:
            from studio.runs.create import from_weights_of

            return from_weights_of(run, recipe)

        def ready(found: Recipe) -> None:
            if run == self.run:
                self.new_run()
                self.set_recipe(found)

        run_in_background(self, draft, ready, self.problem_raised.emit)

    def _go_on(self, begin: Callable[[RunFolder], JobProcess]) -> None:
        run = self.run
        if run is None or self.is_training():
            return
        self.starting = True
        self.run_changed.emit()

        def ready(process: JobProcess) -> None:
            if run != self.run:  # another one was opened meanwhile
                self.look_elsewhere()
                return
            self.starting, self.resumption = False, None
            self.training.launch(run, lambda: process)
            self.run_changed.emit()

        def failed(problem: Problem) -> None:
            if run == self.run:
                self.starting = False
                self.run_changed.emit()
            self.problem_raised.emit(problem)

        run_in_background(self, lambda: begin(run), ready, failed)

    def end_run(self) -> None:
        """End the run on show within 15 seconds, however little it answers; its ending follows in the journal."""
        run = self.run
        if run is None:
            return

        def end_it() -> bool:
            from studio.runs.command import end

            return end(run)

        run_in_background(self, end_it, lambda gone: None if gone else self.problem_raised.emit(not_ended()))

    def new_run(self) -> None:
        """Go back to the draft. A run that is going on goes on, and is found among those elsewhere."""
        if self.starting:
            return
        self._forget_run()
        self.run_changed.emit()
        self.look_elsewhere()

    def was_begun(self) -> bool:
        """Whether the run on show has a history, and doesn't only wait."""
        return self.training.folder is not None

    def _forget_run(self) -> None:
        self.run = self.resumption = None
        self._seen_again = False
        self.training.clear()
        self.exam.clear()

    @Slot()
    def _on_training_ended(self) -> None:
        run, state = self.run, self.state
        if run is None:
            return
        if state.probed is not None:
            self.memory_fit.keep(run)

        def look() -> Resumption:
            from studio.runs.resume import resumable

            return resumable(run, state)

        def seen(found: Resumption) -> None:
            if run == self.run and not self.is_training():
                self.resumption = found
                self.run_updated.emit()

        run_in_background(self, look, seen)

    def close(self) -> None:
        """Save the draft and stop following; a run that is going on goes on."""
        self._elsewhere_timer.stop()
        self.queue.close()
        self.save_draft()
        self.memory_fit.close()
        self.untrained_exam.close()
        self.data.close()
        self.training.leave()
        self.model.fetch.leave()
        self.exam.leave()
        self.exports.leave()
        self.upload.leave()


def _going_on() -> list[RunElsewhere]:
    """All runs that go on now. Reads the disk."""
    found = []
    for project in projects():
        with contextlib.suppress(OSError):  # it may be deleted just now
            found += [RunElsewhere(project, run) for run in project.runs()[:MOST_LOOKED_AT] if run.is_at_work()]
    return found


def not_ended() -> Problem:
    return Problem(
        code="run.not_ended",
        what=N_("The run can't be ended."),
        why=N_("Its process doesn't answer, and the system keeps it."),
        fix=N_("Restart the computer; then continue the run from its last save point."),
    )


def _last_project() -> Project:
    """The project that was open last, else the one changed last that this version can read, else a first one."""
    last = preferences.project()
    for project in sorted(projects(), key=lambda project: project.folder.name != last):
        with contextlib.suppress(ProblemError):
            project.load_recipe()
            return project
    return create_project(tr("My first project"))


def _only_here() -> Problem:
    return Problem(
        code="queue.no_cluster",
        what=N_("The queue starts runs on this computer only."),
        fix=N_('Choose "This computer" under "Where to run", or press Train.'),
    )
