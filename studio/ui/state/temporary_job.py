"""A job that is of no use without this window: it ends with it, and nothing of it stays."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic

from PySide6.QtCore import QObject, Signal, Slot

from studio.core.jobs import Job
from studio.core.problems import Problem
from studio.core.run_folder import JobFolder, StateT
from studio.ui.state.background import run_in_background
from studio.ui.state.job_state import JobState

OLD = 24 * 3600.0
"""Seconds after which a folder of such a job is nobody's any more: they take seconds, or a minute."""


class TemporaryJob(QObject, Generic[StateT]):
    """One job from its start to its end. `ended` comes when it ended by itself; after `drop` nothing comes."""

    updated = Signal()
    ended = Signal()

    def __init__(
        self,
        folder: JobFolder,
        job: Job,
        new_state: Callable[[], StateT],
        scratch: Path,
        parent: QObject | None = None,
    ) -> None:
        """`scratch` is the folder that is deleted in the end."""
        super().__init__(parent)
        self.folder = folder
        self.scratch = scratch
        self._dropped = False
        self._job = JobState(new_state, self)
        self._job.updated.connect(self._on_updated)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(self._on_ended)
        self._job.start(folder, job)

    @property
    def state(self) -> StateT:
        return self._job.state

    @property
    def problem(self) -> Problem | None:
        """Why it couldn't be started or followed."""
        return self._job.problem

    def drop(self) -> None:
        """End its process now and tell nobody: inside a library's code it wouldn't hear a request to end."""
        self._dropped = True
        self._job.kill()

    def leave(self) -> None:
        """The window closes: end the process now, and wait for nothing else."""
        self.drop()
        self._job.leave()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def clean_up(self, after: Callable[[], object] = lambda: None) -> None:
        """Delete what it left, beside the window, and what a window left behind that was killed."""
        scratch = self.scratch

        def sweep() -> None:
            shutil.rmtree(scratch, ignore_errors=True)
            kind = scratch.name.partition("-")[0]
            for other in scratch.parent.glob(f"{kind}-*"):
                with contextlib.suppress(OSError):
                    if time.time() - other.stat().st_mtime > OLD:
                        shutil.rmtree(other, ignore_errors=True)

        run_in_background(self, sweep, lambda _: after())

    @Slot()
    def _on_updated(self) -> None:
        if not self._dropped:
            self.updated.emit()

    @Slot()
    def _on_ended(self) -> None:
        if self._dropped:
            self.clean_up(self.deleteLater)
        else:
            self.ended.emit()


def delete_scratch(owner: QObject, folder: Path) -> None:
    """Delete a scratch folder beside the window."""
    run_in_background(owner, lambda: shutil.rmtree(folder, ignore_errors=True), lambda _: None)
