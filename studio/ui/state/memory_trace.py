"""Tracing a draft in a process of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from studio.core.events import Failed
from studio.core.jobs import Trace, TracedWork
from studio.ui.state.memory_answers import Asked, TracedAnswer
from studio.ui.state.memory_scenario import RecipeScenario
from studio.ui.state.temporary_job import TemporaryJob


class MemoryTrace(QObject):
    """One trace at a time. `answered` carries what was asked and its `TracedAnswer`, and isn't emitted after `drop`."""

    answered = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.asked: Asked | None = None
        """What is being traced, None for nothing."""
        self._errand: TemporaryJob | None = None

    def start(self, asked: Asked, drafted: RecipeScenario) -> None:
        """Start the process."""
        from studio.runs.fetch import job_folder

        folder = job_folder("trace")
        try:
            place = drafted.folder or _written_config(drafted.model, folder.path)
            job = Trace(config=place.absolute(), work=TracedWork.model_validate(asked.work.model_dump()))
        except (OSError, ValueError):
            self.answered.emit(asked, TracedAnswer(None, None, time.monotonic()))
            return
        self.asked = asked
        self._errand = TemporaryJob(folder, job, folder.path, self)
        self._errand.ended.connect(self._on_ended)

    def drop(self) -> None:
        """End it: nobody waits for it any more."""
        if self._errand is not None:
            self._errand.drop()
        self._errand = self.asked = None

    def close(self) -> None:
        """The window closes."""
        if self._errand is not None:
            self._errand.leave()
        self._errand = self.asked = None

    @Slot()
    def _on_ended(self) -> None:
        errand, asked = self._errand, self.asked
        if errand is None or asked is None or self.sender() is not errand:
            return
        self._errand = self.asked = None
        ending = errand.state.ending
        problem = ending.problem if isinstance(ending, Failed) else None
        errand.clean_up()
        self.answered.emit(asked, TracedAnswer(errand.state.traced, problem, time.monotonic()))


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
