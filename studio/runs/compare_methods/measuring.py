"""`python -m studio.runs.compare_methods.measuring FOLDER`: waits for the runs of a comparison, then measures each.

One of it is at work at a time, by a lock in the comparison's folder. It knows nothing that isn't in the folders of the
runs: killed in whatever moment, the next one goes on where it was, and the queue, which trains the runs, doesn't need
it. What is measured of one run and fails is told by that job, and the others go on.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from studio.core.events import Finished, Stopped
from studio.core.jobs import Exam, Job, MeasureAnswerSpeed
from studio.core.problems import ProblemError, Remedy
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.storage import cannot_write
from studio.core.writer_lock import WriterLock
from studio.runs import queue
from studio.runs.command import stop
from studio.runs.compare_methods.comparison import ComparisonFolder, MethodComparison
from studio.runs.compare_methods.results import RunResults
from studio.runs.follow import ending_of, follow, job_status
from studio.runs.queue_file import Entry, read_queue
from studio.runs.start import spawn, start_job

LOOK_EVERY = 1.0
"""Seconds between two looks at runs that go on."""

_log = logging.getLogger(__name__)


def begin(folder: ComparisonFolder) -> None:
    """Put the runs that aren't trained to their end into the queue, and have all of them measured. What goes on already
    goes on, and what is known isn't done again. Raises `ProblemError`, and for runs that can't be started only where
    that is so of all that are left."""
    (folder.path / "stopped").unlink(missing_ok=True)
    waiting = {entry.run: entry for entry in read_queue().entries}
    left = [run for run in folder.runs() if run.path.absolute() in waiting or _may_go_on(run)]
    refused: list[ProblemError] = []
    for run in left:
        try:
            _let_wait(run, waiting.get(run.path.absolute()), folder.path.name)
        except ProblemError as error:
            refused.append(error)
    if left and len(refused) == len(left):
        raise refused[0]
    queue.ensure_runner()
    if not folder.job.is_at_work():
        try:
            process = spawn(
                [sys.executable, "-m", "studio.runs.compare_methods.measuring", str(folder.path)], folder.job
            )
        except OSError as error:
            raise cannot_write(folder.path, error, remedy=Remedy.try_again) from error
        while process.poll() is None and not folder.job.is_at_work():  # until whoever looks sees it
            time.sleep(0.02)


def _let_wait(run: RunFolder, entry: Entry | None, group: str) -> None:
    if entry is None:
        queue.add([run], group=group)
    elif queue.status_of(entry) in ("held", "paused"):
        queue.release(entry.run)


def _may_go_on(run: RunFolder) -> bool:
    """Whether it wasn't begun, was paused, or everything that did it is gone without its doing."""
    if job_status(run) in ("none", "interrupted"):
        return True
    ending = ending_of(run)
    return ending is not None and (
        ending.type == "paused" or (ending.type == "crashed" and ending.problem.code == "crashed.interrupted")
    )


def end(folder: ComparisonFolder) -> None:
    """Begin nothing any more: what waits leaves the queue, the run that goes on stops and keeps what it learned, and
    what is just measured is left. Raises `ProblemError`."""
    try:
        (folder.path / "stopped").touch()
    except OSError as error:
        raise cannot_write(folder.path, error, remedy=Remedy.try_again) from error
    waiting = {entry.run for entry in read_queue().entries}
    for run in folder.runs():
        with contextlib.suppress(ProblemError):  # it began or ended just now
            if job_status(run) in ("running", "silent"):
                stop(run)
            elif run.path.absolute() in waiting:
                queue.remove(run.path.absolute())
        for job in _measuring_jobs(run):
            if job.is_at_work():
                stop(job)


def _measuring_jobs(run: RunFolder) -> list[JobFolder]:
    return [*run.jobs("exam"), *run.jobs("answer_speed")]


class Measuring:
    """Of the comparison in `folder`, from `wait` to `measure`."""

    def __init__(self, folder: ComparisonFolder) -> None:
        self._folder = folder
        self._comparison: MethodComparison = folder.read()
        self._runs = folder.runs()
        self._results = {run: RunResults(run) for run in self._runs}

    @property
    def stopped(self) -> bool:
        return (self._folder.path / "stopped").exists()

    def wait(self) -> None:
        """Until none of the runs waits in the queue or goes on; those whose minutes are over are stopped."""
        told: set[RunFolder] = set()
        while not self.stopped and any(self._goes_on(run) for run in self._runs):
            queue.ensure_runner()
            for run in self._runs:
                if run not in told and self._is_over(run):
                    told.add(run)
                    stop(run)
            time.sleep(LOOK_EVERY)

    def _goes_on(self, run: RunFolder) -> bool:
        entry = next((one for one in read_queue().entries if one.run == run.path.absolute()), None)
        if entry is not None:
            return queue.status_of(entry) in queue.GOING
        return job_status(run) in ("running", "silent")

    def _is_over(self, run: RunFolder) -> bool:
        minutes = self._comparison.minutes
        if minutes is None or not run.is_at_work():
            return False
        self._results[run].look()
        return self._results[run].seconds >= 60 * minutes

    def measure(self) -> None:
        """What isn't known of the trained runs: their answers, then how fast they answer."""
        for run in self._trained():
            if RunResults(run).exam is None:
                # the base and what several runs know of it is asked once
                job = Exam(run=run.path, general=True, known_from=tuple(one.path for one in self._runs if one != run))
                self._do(run, "exam", job)
        for run in self._trained():
            if RunResults(run).answer_speed is None:
                self._do(run, "answer_speed", MeasureAnswerSpeed(run=run.path))

    def _trained(self) -> Iterator[RunFolder]:
        for run in self._runs:
            if not self.stopped and isinstance(ending_of(run), Finished | Stopped):
                yield run

    def _do(self, run: RunFolder, kind: str, job: Job) -> None:
        """The job to its end; one that a process before this one began is waited for first."""
        for before in run.jobs(kind):
            if before.is_at_work():
                self._follow(before)
                return
        folder = run.job(kind)
        try:
            process = start_job(folder, job)
        except ProblemError as error:
            _log.info("%s of %s: %s", kind, run.path.name, error)
            return
        for _ in follow(folder, process, poll=LOOK_EVERY / 4):
            pass

    @staticmethod
    def _follow(job: JobFolder) -> None:
        for _ in follow(job, poll=LOOK_EVERY / 4):
            pass


def main(arguments: Sequence[str]) -> int:
    """0 when all was done that could be, 1 where another process is at it, or the comparison can't be read."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    folder = ComparisonFolder(Path(arguments[0]).absolute())
    lock = WriterLock(folder.job.lock)
    if not lock.acquire_patiently():
        return 1
    try:
        measuring = Measuring(folder)
        measuring.wait()
        measuring.measure()
    except (ProblemError, OSError) as error:  # a folder that is gone meanwhile; what was measured stays
        _log.info("%s", error)
        return 1
    finally:
        lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
