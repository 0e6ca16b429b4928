"""Should I train at all? The questions that the draft would set aside, asked of the base as it is and with examples
in its prompt, before anything is trained."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from studio.core.events import Crashed, Failed
from studio.core.job_states import ExamState
from studio.core.jobs import IN_PROMPT, Exam
from studio.core.problems import Problem
from studio.core.run_folder import RunFolder
from studio.dataset.examples import read_frozen
from studio.dataset.nearest import NearestExamples, as_prompt
from studio.ui.state.background import run_in_background
from studio.ui.state.recipe_editor import RecipeEditor
from studio.ui.state.temporary_job import TemporaryJob, delete_scratch


class UntrainedExam(QObject):
    """One at a time. `changed` comes when it began, moved on or ended."""

    changed = Signal()

    def __init__(self, editor: RecipeEditor) -> None:
        super().__init__(editor)
        self._editor = editor
        self.running = False
        self.result: ExamState | None = None
        """Of the last one that came to its end."""
        self.prompt = ""
        """The examples that were shown before the first question, as text for any program."""
        self.problem: Problem | None = None
        """Why the last one brought no result."""
        self._job: TemporaryJob[ExamState] | None = None
        self._run: RunFolder | None = None

    @property
    def state(self) -> ExamState | None:
        """Of its process, once there is one."""
        return self._job.state if self._job is not None else None

    def start(self) -> None:
        """Freeze what the draft has now and ask. Nothing happens while one is on, or without examples."""
        from studio.runs.fetch import job_folder

        table, examples = self._editor.data.table, self._editor.data.examples
        if self.running or table is None or examples is None:
            return
        recipe, facts, scratch = self._editor.recipe, self._editor.facts(), job_folder("untrained_exam").path
        self.running, self.problem, self.result = True, None, None

        def prepare() -> RunFolder:
            from studio.runs.create import create_run
            from studio.runs.project import Project

            scratch.mkdir(parents=True, exist_ok=True)
            return create_run(Project(scratch), recipe, table, examples, facts)

        def ready(run: RunFolder) -> None:
            if not self.running:  # cancelled meanwhile
                delete_scratch(self, scratch)
                return
            self._run = run
            job = Exam(run=run.path, in_prompt=IN_PROMPT, untrained=True)
            self._job = TemporaryJob(run.job("exam"), job, ExamState, scratch, self)
            self._job.updated.connect(self.changed)
            self._job.ended.connect(self._on_ended)
            self.changed.emit()

        def failed(problem: Problem) -> None:
            delete_scratch(self, scratch)
            self.running, self.problem = False, problem
            self.changed.emit()

        run_in_background(self, prepare, ready, failed)
        self.changed.emit()

    def cancel(self) -> None:
        """End it; nothing of it is kept."""
        if self._job is not None:
            self._job.drop()
        self._job, self.running = None, False
        self.changed.emit()

    def close(self) -> None:
        if self._job is not None:
            self._job.leave()
        self._job, self.running = None, False

    @Slot()
    def _on_ended(self) -> None:
        job, run = self._job, self._run
        if job is None or run is None or self.sender() is not job:
            return
        self._job, self.running = None, False
        ending = job.state.ending
        if job.state.completed is None:
            self.problem = ending.problem if isinstance(ending, Failed | Crashed) else job.problem
            job.clean_up()
            self.changed.emit()
            return
        self.result = job.state

        def found(prompt: str) -> None:
            self.prompt = prompt
            job.clean_up()
            self.changed.emit()

        run_in_background(self, lambda: _shown(run), found)


def _shown(run: RunFolder) -> str:
    """The prompt of the first held-out question. Reads files."""
    asked = [one for one in read_frozen(run.held_out_data) if one.messages]
    if not asked:
        return ""
    index = NearestExamples([one for one in read_frozen(run.train_data) if one.messages])
    return as_prompt(asked[0], index.nearest(asked[0].question, IN_PROMPT))
