"""The base model that the draft names: where it is, what is known of it, and fetching it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from studio.core.job_states import FetchState
from studio.core.jobs import FetchModel, FetchStarter
from studio.core.problems import Problem
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.ui.state.background import run_in_background
from studio.ui.state.job_state import JobState

if TYPE_CHECKING:
    from studio.models.base_model import ModelFacts


class BaseModelState(QObject):
    """Looks the chosen model up beside the window. `changed` follows every look and every step of a download."""

    changed = Signal()
    fetch_updated = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.choice = ModelChoice()
        self.folder: Path | None = None
        self.facts: ModelFacts | None = None
        self.problem: Problem | None = None
        self.looking = False
        self.fetch = JobState(FetchState, self)
        self.fetch.updated.connect(self.fetch_updated)
        self.fetch.ended.connect(self._on_fetch_ended)
        self.fetch.failed.connect(self._on_fetch_ended)

    def choose(self, choice: ModelChoice) -> None:
        self.choice = choice
        self.folder = self.facts = self.problem = None
        self.looking = True

        def look() -> tuple[Path, ModelFacts]:
            from studio.models.base_model import locate, model_facts

            folder = locate(choice)
            return folder, model_facts(folder)

        def found(result: tuple[Path, ModelFacts]) -> None:
            if self.choice is choice:
                self.folder, self.facts = result
                self.looking = False
                self.changed.emit()

        def missing(problem: Problem) -> None:
            if self.choice is choice:
                self.problem, self.looking = problem, False
                self.changed.emit()

        run_in_background(self, look, found, missing)
        self.changed.emit()

    def can_be_fetched(self) -> bool:
        if self.folder is not None or self.looking:
            return False
        return self.choice.source is Source.starter or (self.choice.source is Source.hub and bool(self.choice.name))

    def start_fetching(self) -> None:
        """Bring the chosen model here; what an earlier attempt fetched is used again."""
        if self.fetch.is_running():
            return
        from studio.runs.fetch import job_folder

        if self.choice.source is Source.starter:
            self.fetch.start(job_folder("fetch_starter"), FetchStarter())
        elif self.choice.source is Source.hub and self.choice.name:
            job = FetchModel(name=self.choice.name, revision=self.choice.revision)
            self.fetch.start(job_folder("fetch_model"), job)
        self.fetch_updated.emit()

    def is_fetching(self) -> bool:
        return self.fetch.is_running()

    def stop_fetching(self) -> None:
        """What has arrived so far is kept for the next time."""
        self.fetch.stop()

    @Slot()
    def _on_fetch_ended(self) -> None:
        self.fetch_updated.emit()
        self.choose(self.choice)
