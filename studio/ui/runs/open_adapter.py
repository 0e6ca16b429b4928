"""Bringing in an add-on that another program made: its folder is asked for or dropped, and its base model fetched or
shown where it isn't found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from studio.core.events import Crashed, Failed
from studio.core.job_states import FetchState
from studio.core.jobs import FetchModel
from studio.core.problems import Problem
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.run_folder import RunFolder
from studio.models.base_model import is_hub_model_name
from studio.runs.delete import delete_run
from studio.runs.fetch import job_folder
from studio.ui.controls.overlay import Answer, Confirmation, Overlay
from studio.ui.controls.progress import ProgressCard
from studio.ui.design.language import tr, tr_sentence
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background
from studio.ui.state.job_state import JobState

if TYPE_CHECKING:
    from studio.runs.open_adapter import MethodKind, OpenedAdapter


class AdapterOpener(QObject):
    """Opens folders as runs of the app state's project, and asks over the window of `page` for what is missing."""

    opened = Signal(object)
    """The `RunFolder` that came of it."""
    show_wanted = Signal(object)
    """A person wants to see this `RunFolder`."""
    failed = Signal(object)
    """A `Problem`."""

    def __init__(self, app_state: AppState, page: QWidget) -> None:
        super().__init__(page)
        self._app_state = app_state
        self._page = page
        self.progress = ProgressCard(tr("Opening the add-on"))
        """Seen while an add-on is opened: a large base model is read once from end to end."""
        self.progress.stop.hide()
        self.progress.hide()
        self.confirmation: Confirmation | None = None
        self.fetching: FetchBase | None = None

    def choose(self) -> None:
        """Ask for the folder."""
        chosen = QFileDialog.getExistingDirectory(self._page, tr("Choose the folder of an add-on"), str(Path.home()))
        if chosen:
            self.open(Path(chosen))

    def open(
        self,
        folder: Path,
        base: ModelChoice | None = None,
        method: MethodKind | None = None,
        instead_of: RunFolder | None = None,
    ) -> None:
        """Make a run of what is in `folder`; `instead_of` is one that was made of it a moment ago, and goes."""
        project = self._app_state.project

        def work() -> OpenedAdapter:
            from studio.runs.open_adapter import open_adapter  # brings tokenizers and stores along

            opened = open_adapter(folder, project, base=base, method=method)
            if instead_of is not None and opened.run != instead_of:
                delete_run(instead_of, forever=True)
            return opened

        def done(opened: OpenedAdapter) -> None:
            self.progress.hide()
            self._show(folder, base, opened)

        def failed(problem: Problem) -> None:
            self.progress.hide()
            if problem.code == "adapter.no_base":
                self._ask_for_base(folder, problem)
            else:
                self.failed.emit(problem)

        self.progress.begin(tr("Opening the add-on. A large base model takes a moment the first time."))
        self.progress.show()
        run_in_background(self, work, done, failed)

    def _show(self, folder: Path, base: ModelChoice | None, opened: OpenedAdapter) -> None:
        run = opened.run
        self.opened.emit(run)
        answers = [Answer(tr("Open"), lambda: self.show_wanted.emit(run), "primary")]
        if opened.is_guessed:
            again = tr("It was trained on a base in 4 bits (QLoRA)")
            answers.append(Answer(again, lambda: self.open(folder, base, "qlora", instead_of=run)))
        told = [tr_sentence(one) for one in opened.origin.told]
        if not opened.is_new:
            told.insert(0, tr("This add-on was opened before."))
        self._ask(tr("The add-on is in your list of runs"), " ".join(told), answers, tr("Close"))

    def _ask_for_base(self, folder: Path, problem: Problem) -> None:
        name = str(problem.values.get("base", ""))
        answers = [Answer(tr("Choose its folder"), lambda: self._choose_base(folder))]
        if is_hub_model_name(name):
            answers.insert(0, Answer(tr("Fetch {name}", name=name), lambda: self._fetch(folder, name), "primary"))
        what, *why = (tr_sentence(one) for one in problem.sentences()[:2])
        self._ask(tr("Its base model is missing"), " ".join((what, *why)), answers, tr("Cancel"))

    def _ask(self, title: str, text: str, answers: list[Answer], cancel: str) -> None:
        self.confirmation = Confirmation(self._page.window(), title, text, tuple(answers), cancel)

    def _choose_base(self, folder: Path) -> None:
        chosen = QFileDialog.getExistingDirectory(self._page, tr("Choose the folder of its base model"), str(folder))
        if chosen:
            self.open(folder, ModelChoice(source=Source.folder, name=chosen))

    def _fetch(self, folder: Path, name: str) -> None:
        self.fetching = FetchBase(self._page.window(), name)
        self.fetching.fetched.connect(lambda: self.open(folder, ModelChoice(source=Source.hub, name=name)))
        self.fetching.failed.connect(self.failed)


class FetchBase(Overlay):
    """Fetches a base model while it is seen; what has arrived so far is kept for the next time."""

    fetched = Signal()
    failed = Signal(object)
    """A `Problem`."""

    def __init__(self, window: QWidget, name: str) -> None:
        super().__init__(window, tr("Fetching {name}", name=name), 520)
        self.progress = ProgressCard(tr("How much of the model is here"))
        self.card.body.addWidget(self.progress)
        self.job = JobState(FetchState, self)
        self.job.updated.connect(lambda: self.progress.show_state(self.job.state))
        self.job.ended.connect(self._on_ended)
        self.job.failed.connect(self._on_failed)
        self.progress.stopped.connect(self.dismiss)
        self.job.start(job_folder("fetch_model"), FetchModel(name=name))
        self.open(self.progress.stop)

    def dismiss(self) -> None:
        self.job.stop()
        super().dismiss()

    def _on_ended(self) -> None:
        state = self.job.state
        self.dismiss()
        if state.fetched is not None:
            self.fetched.emit()
        elif isinstance(state.ending, Failed | Crashed):
            self.failed.emit(state.ending.problem)

    def _on_failed(self, problem: Problem) -> None:
        self.dismiss()
        self.failed.emit(problem)
