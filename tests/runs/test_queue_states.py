"""Whatever is done to the queue in whatever order, and wherever its processes are killed meanwhile: no run is lost,
none is started twice at once, and the file agrees with a model of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from studio.core import paths, storage
from studio.core.events import CheckpointCommitted, Finished, Paused, Stopped
from studio.core.jobs import Train
from studio.core.problems import ProblemError
from studio.core.run_folder import RunFolder
from studio.core.writer_lock import WriterLock
from studio.hardware.snapshot import Snapshot
from studio.hardware.system import system_memory
from studio.runs import queue
from studio.runs.project import create_project
from studio.runs.queue_file import AtOnce, AtTime, queue_folder, read_queue
from studio.runs.queue_runner import QueueRunner
from studio.runs.start import JobProcess
from tests.runs.conftest import Trainings

NO_CARD = Snapshot((), system_memory())


class Killed(BaseException):
    """Stands for kill -9: nothing may catch it and go on."""


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, write: int) -> Iterator[None]:
    """End at the `write`-th step of writing from now: before the new file gets its name, or after."""
    left = [write]

    def rename(source: Path, target: Path, attempts: int = 40) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        real(source, target, attempts)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    real = storage.rename
    with monkeypatch.context() as patched:
        patched.setattr(storage, "rename", rename)
        try:
            yield
        except Killed:
            return


class QueueMachine(RuleBasedStateMachine):
    """`waiting` is the order in which runs wait; `going` is what computes; `ended` is what has come to an end."""

    runs: Bundle[RunFolder] = Bundle("runs")
    base_model: Path

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="studio-queue-"))
        self.patches = pytest.MonkeyPatch()
        self.patches.setenv(paths.HOME_VARIABLE, str(self.home))
        self.project = create_project("Night")
        self.trainings = Trainings()
        self.now = datetime(2026, 11, 27, 21, 0).astimezone()
        self.waiting: list[Path] = []
        self.ended: set[Path] = set()
        self.made = 0
        self.runner: QueueRunner | None = None
        self.lock = WriterLock(queue_folder().lock)

    def teardown(self) -> None:
        for path in self.trainings.going():
            self.trainings.kill(RunFolder(path))
        self.lock.release()
        self.patches.undo()
        shutil.rmtree(self.home)

    # What a person does

    @rule(target=runs, later=st.integers(0, 2), held=st.booleans())
    def add(self, later: int, held: bool) -> RunFolder:
        self.made += 1
        run = RunFolder(self.project.runs_folder / f"run-{self.made}")
        run.train_data.parent.mkdir(parents=True)
        run.train_data.write_text("{}\n")
        run.recipe.write_text(f"model: {{source: folder, name: {self.base_model}}}")
        queue.add([run], AtTime(at=self.now + timedelta(hours=later)) if later else AtOnce(), held=held)
        self.waiting.append(run.path)
        return run

    @rule(run=runs, position=st.integers(0, 4))
    def move(self, run: RunFolder, position: int) -> None:
        if self._done(lambda: queue.move(run.path, position)):
            self.waiting.remove(run.path)
            self.waiting.insert(position, run.path)

    @rule(run=runs)
    def remove(self, run: RunFolder) -> None:
        if self._done(lambda: queue.remove(run.path)):
            self.waiting.remove(run.path)
            assert run.recipe.is_file()

    @rule(run=runs, held=st.booleans())
    def hold_or_release(self, run: RunFolder, held: bool) -> None:
        self._done(lambda: (queue.hold if held else queue.release)(run.path))

    @rule(run=runs)
    def add_again(self, run: RunFolder) -> None:
        if self._done(lambda: queue.add([run])):
            self.waiting.append(run.path)
            self.ended.discard(run.path)

    @rule(run=runs, write=st.integers(1, 2))
    def be_killed_while_changing(self, run: RunFolder, write: int) -> None:
        """The change is made or not, and nothing else is."""
        before = [entry.run for entry in read_queue().entries]
        with killed_at(self.patches, write):
            self._done(lambda: queue.move(run.path, 0))
        after = [entry.run for entry in read_queue().entries]
        moved = [run.path, *(path for path in before if path != run.path)]
        assert after in (before, moved)
        self.waiting = after

    # What the runner does

    def _started(self) -> QueueRunner:
        """The runner that is at work, else the next one."""
        if self.runner is None:
            queue_folder().path.mkdir(parents=True, exist_ok=True)
            assert self.lock.acquire()
            self.runner = QueueRunner(self.lock, now=lambda: self.now, look=lambda: NO_CARD, start=self._start)
        return self.runner

    @rule(minutes=st.integers(1, 90))
    def look(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        if not self._started().step():
            self.runner = None
            assert self.trainings.going() == []

    @rule(minutes=st.integers(1, 90), write=st.integers(1, 6))
    def be_killed_while_looking(self, minutes: int, write: int) -> None:
        self.now += timedelta(minutes=minutes)
        with killed_at(self.patches, write):
            self._started().step()
        self.kill_runner()

    @rule()
    def kill_runner(self) -> None:
        self.lock.release()
        self.lock = WriterLock(queue_folder().lock)
        self.runner = None

    @rule(hours=st.integers(-30, 30))
    def set_the_clock(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    def _start(self, run: RunFolder, job: Train) -> JobProcess:
        assert not self.trainings.going(), "one run at once on a processor"
        assert run.path not in self.ended, "a run that has ended isn't started by itself"
        assert job.resume == run.events.exists()
        return self.trainings.start(run, job)

    # What becomes of the run that computes

    @precondition(lambda self: bool(self.trainings.going()))
    @rule(ending=st.sampled_from([Finished(), Stopped(step=1)]))
    def end(self, ending: Finished | Stopped) -> None:
        (path,) = self.trainings.going()
        self.trainings.end(RunFolder(path), ending.model_copy(update={"at": float(len(self.trainings.started))}))
        self.ended.add(path)

    @precondition(lambda self: bool(self.trainings.going()))
    @rule()
    def pause(self) -> None:
        (path,) = self.trainings.going()
        self.trainings.end(RunFolder(path), Paused(step=1, at=float(len(self.trainings.started))))

    @precondition(lambda self: bool(self.trainings.going()))
    @rule()
    def switch_off(self) -> None:
        """The computer: the runner and what computes are gone."""
        (path,) = self.trainings.going()
        number = len(self.trainings.started)
        self.trainings.tell(RunFolder(path), CheckpointCommitted(step=number, folder=f"checkpoints/{number}", size=1))
        self.trainings.kill(RunFolder(path))
        self.kill_runner()

    # What holds always

    @invariant()
    def nothing_is_lost(self) -> None:
        found = read_queue()
        assert found.set_aside == ()
        left = [entry.run for entry in found.entries]
        told = {ended.run for ended in found.ended}
        assert left == [path for path in self.waiting if path in left]
        assert set(self.waiting) - set(left) <= told & self.ended
        self.waiting = left

    def _done(self, change: Callable[[], object]) -> bool:
        try:
            change()
        except ProblemError:
            return False
        return True


QueueMachine.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


@pytest.fixture(autouse=True, scope="module")
def _base(base_model: Path) -> None:
    QueueMachine.base_model = base_model


TestQueue = QueueMachine.TestCase
