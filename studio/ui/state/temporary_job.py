"""A job that is of no use without this window, such as a trace: followed, ended early, and its folder taken away."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from PySide6.QtCore import QObject, Signal, Slot

from studio.core.jobs import Job
from studio.core.problems import Problem
from studio.core.run_folder import JobFolder
from studio.core.run_state import RunState
from studio.ui.state.background import run_in_background
from studio.ui.state.job_state import JobState

OLD = 24 * 3600.0
"""Seconds after which a folder of such a job is nobody's any more: they take seconds, or a minute."""


class TemporaryJob(QObject):
    """One job from its start to its end. `ended` comes when it ended by itself; after `drop` nothing comes."""

    updated = Signal()
    ended = Signal()

    def __init__(self, folder: JobFolder, job: Job, litter: Path, parent: QObject | None = None) -> None:
        """`litter` is the folder that is deleted in the end."""
        super().__init__(parent)
        self.litter = litter
        self._dropped = False
        self._folder = folder
        self._job = JobState(self)
        self._job.updated.connect(self._on_updated)
        self._job.ended.connect(self._on_ended)
        self._job.failed.connect(self._on_ended)
        self._job.start(folder, job)

    @property
    def state(self) -> RunState:
        return self._job.state

    @property
    def problem(self) -> Problem | None:
        """Why it couldn't be started or followed."""
        return self._job.problem

    def drop(self) -> None:
        """End its process soon and tell nobody."""
        self._dropped = True
        with contextlib.suppress(OSError):  # its folder may not be there yet
            self._job.stop(keep=False)
        self._end_process()

    def leave(self) -> None:
        """The window closes: end the process now, and wait for nothing else."""
        self._dropped = True
        self._job.leave()
        self._end_process()
        shutil.rmtree(self.litter, ignore_errors=True)

    def clean_up(self, after: Callable[[], object] = lambda: None) -> None:
        """Delete what it left, beside the window, and what a window left behind that was killed."""
        litter = self.litter

        def sweep() -> None:
            shutil.rmtree(litter, ignore_errors=True)
            kind = litter.name.partition("-")[0]
            for other in litter.parent.glob(f"{kind}-*"):
                with contextlib.suppress(OSError):
                    if time.time() - other.stat().st_mtime > OLD:
                        shutil.rmtree(other, ignore_errors=True)

        run_in_background(self, sweep, lambda _: after())

    def _end_process(self) -> None:
        # A job in the middle of a library's code doesn't hear that it should end, and this one leaves nothing behind.
        if self._job.state.ending is not None:
            return
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if child.cmdline()[-1:] == [str(self._folder.path)]:
                    child.kill()

    @Slot()
    def _on_updated(self) -> None:
        if self._dropped:
            self._end_process()
        else:
            self.updated.emit()

    @Slot()
    def _on_ended(self) -> None:
        if self._dropped:
            self.clean_up(self.deleteLater)
        else:
            self.ended.emit()
