"""The queue's runner: which run it starts, where and when, and that nothing is lost or started twice by its death."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from studio.core.events import (
    CheckpointCommitted,
    Crashed,
    DeviceChosen,
    Ending,
    Failed,
    Finished,
    Paused,
)
from studio.core.jobs import Train
from studio.core.problems import Problem, ProblemError
from studio.core.run_folder import RunFolder
from studio.core.writer_lock import WriterLock, lock_is_held
from studio.hardware.gauge import Gauge
from studio.hardware.snapshot import Card, Snapshot
from studio.hardware.visible_cards import visible
from studio.runs import queue
from studio.runs.queue_file import AtTime, WhenFree, queue_file, queue_folder, read_queue
from studio.runs.queue_runner import FREE_FOR, MOST_STARTS, QueueRunner, main
from studio.runs.start import JobProcess
from tests.fakes import nvml
from tests.runs.conftest import MakeRun, Trainings

GIB = 1 << 30
SMALL = Card(index=0, name="small", uuid="GPU-small", total=12 * GIB, used=GIB, utilisation=0)
LARGE = Card(index=1, name="large", uuid="GPU-large", total=24 * GIB, used=GIB, utilisation=0)
WHY = Problem(code="test.failed", what="It didn't work.")
UNSEEN = Crashed(exit_code=None, signal=None, log_end="", problem=WHY)


@dataclass
class Night:
    """A runner, with clock, cards and trainings that the test moves."""

    trainings: Trainings
    cards: tuple[Card, ...] = ()
    problem: Problem | None = None
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 27, 21, 0).astimezone())
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """What a fresh process knows: nothing."""
        queue_folder().path.mkdir(parents=True, exist_ok=True)
        self.lock = WriterLock(queue_folder().lock)
        self.lock.acquire()
        self.runner = QueueRunner(
            self.lock,
            now=lambda: self.now,
            monotonic=lambda: self.seconds,
            look=lambda: Snapshot(self.cards, Gauge().read().system, self.problem),
            start=self.trainings.start,
        )

    def die(self) -> None:
        self.lock.release()

    def step(self, seconds: float = 60.0) -> bool:
        """One look after so many seconds: by then a run that was started has shown itself."""
        self.pass_time(seconds)
        return self.runner.step()

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.fixture
def night(trainings: Trainings) -> Night:
    return Night(trainings)


def test_one_after_the_other_in_their_order_and_then_it_ends(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    runs = [make_run(name) for name in ("one", "two", "three")]
    queue.add(runs)
    queue.move(runs[2].path, 0)
    for name in ("three", "one", "two"):
        assert night.step()
        assert night.step()
        assert trainings.names()[-1] == name
        (path,) = trainings.going()
        trainings.end(RunFolder(path), Finished())
    assert lock_is_held(queue_folder().lock)
    assert not night.step()
    assert not lock_is_held(queue_folder().lock), "a run that is added now starts the next runner"
    result = queue.take_result()
    assert result is not None
    assert result.sentence.english() == "The queue is done: 3 runs finished."


def test_a_run_on_every_card_the_largest_first(make_run: MakeRun, night: Night, trainings: Trainings) -> None:
    night.cards = (SMALL, LARGE)
    runs = [make_run(name) for name in ("one", "two", "three")]
    queue.add(runs)
    night.step()
    night.step()
    assert trainings.started == [("one", False, "GPU-large"), ("two", False, "GPU-small")]
    trainings.end(runs[1], Finished())
    night.step()
    assert trainings.started[-1] == ("three", False, "GPU-small")


def test_a_run_that_is_to_have_two_cards_waits_for_both_and_nobody_takes_them_meanwhile(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    night.cards = (SMALL, LARGE)
    first, wide, last = (make_run(name) for name in ("first", "wide", "last"))
    queue.add([first])
    queue.add([wide], processes=2)
    queue.add([last])
    night.step()
    night.step()
    assert trainings.started == [("first", False, "GPU-large")]
    trainings.end(first, Finished())
    night.step()
    night.step()
    assert trainings.started[1:] == [("wide", False, "GPU-large,GPU-small")]
    trainings.end(wide, Finished())
    night.step()
    assert trainings.names() == ["first", "wide", "last"]


def test_a_run_that_is_to_have_more_cards_than_there_are_is_passed_over(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    night.cards = (SMALL, LARGE)
    queue.add([make_run("wide")], processes=3)
    queue.add([make_run("last")])
    night.step()
    assert trainings.names() == ["last"]
    (ended,) = read_queue().ended
    assert ended.problem is not None and ended.problem.code == "queue.too_few_cards"


def test_a_run_that_somebody_started_on_two_cards_takes_both(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    night.cards = (SMALL, LARGE)
    by_hand, waiting = make_run("by_hand"), make_run("waiting")
    trainings.start(by_hand, Train())
    told = DeviceChosen(
        device="cuda", name="two", dtype="bfloat16", uuid="GPU-large", processes=2, others=("GPU-small",)
    )
    trainings.tell(by_hand, told)
    queue.add([waiting])
    night.step()
    night.step()
    assert trainings.names() == ["by_hand"]


def test_a_run_that_somebody_started_takes_its_card(make_run: MakeRun, night: Night, trainings: Trainings) -> None:
    night.cards = (SMALL, LARGE)
    by_hand, one = make_run("by_hand"), make_run("one")
    trainings.start(by_hand, Train())
    queue.add([one])
    night.step()
    assert trainings.names() == ["by_hand"], "it hasn't said yet where it computes"
    trainings.tell(by_hand, DeviceChosen(device="cuda", name="large", dtype="bfloat16", uuid="GPU-large"))
    night.step()
    assert trainings.started[-1] == ("one", False, "GPU-small")


def test_a_run_that_somebody_started_on_the_processor_takes_no_card(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    by_hand, one = make_run("by_hand"), make_run("one")
    trainings.start(by_hand, Train())
    trainings.tell(by_hand, DeviceChosen(device="cpu", name="processor", dtype="float32"))
    queue.add([one])
    night.step()
    assert trainings.names() == ["by_hand"], "there is no card, so both would be on the processor"
    night.cards = (SMALL,)
    night.step()
    assert trainings.started[-1] == ("one", False, "GPU-small")


def test_cards_that_cannot_be_asked_start_nothing(make_run: MakeRun, night: Night, trainings: Trainings) -> None:
    queue.add([make_run("one")])
    night.problem = WHY
    assert night.step()
    night.problem, night.cards = None, (Card(index=0, name="lost", uuid="GPU-lost", problem=WHY),)
    assert night.step()
    assert trainings.started == []


def test_a_single_card_that_does_not_tell_its_number_is_taken_all_the_same(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    night.cards = (Card(index=0, name="old", uuid="", total=8 * GIB, used=GIB),)
    queue.add([make_run("one"), make_run("two")])
    for _ in range(3):
        night.step()
    assert trainings.started == [("one", False, "")]


def test_a_queue_of_a_newer_version_is_left_to_it(make_run: MakeRun) -> None:
    queue.add([make_run("one")])
    newer = queue_file().read_bytes().replace(b'"format":1', b'"format":2')
    queue_file().write_bytes(newer)
    assert main() == 1
    assert queue_file().read_bytes() == newer


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(None, "small large"), ("", ""), ("-1", ""), ("1", "large"), ("GPU-large,0", "small large"), ("GPU-s", "small")],
)
def test_cards_that_the_computers_owner_hides_stay_hidden(wanted: str | None, expected: str) -> None:
    assert " ".join(card.name for card in visible((SMALL, LARGE), wanted)) == expected


def test_when_the_card_is_free_means_free_for_a_while(make_run: MakeRun, night: Night, trainings: Trainings) -> None:
    playing = Card(index=0, name="small", uuid="GPU-small", total=12 * GIB, used=5 * GIB, utilisation=3)
    drawing = Card(index=0, name="small", uuid="GPU-small", total=12 * GIB, used=GIB, utilisation=70)
    patient, hasty = make_run("patient"), make_run("hasty")
    queue.add([patient], WhenFree())
    for card in (playing, SMALL, drawing, SMALL):
        night.cards = (card,)
        night.step(FREE_FOR - 1)
        assert trainings.started == []
    queue.add([hasty])
    night.step(FREE_FOR - 1)
    assert trainings.names() == ["hasty"], "it doesn't wait behind the one that waits for others"
    trainings.end(hasty, Finished())
    night.step(FREE_FOR)
    night.step(FREE_FOR)
    assert trainings.names() == ["hasty", "patient"]


def test_a_clock_time_is_waited_for_across_midnight_and_through_a_clock_that_jumps(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    at = queue.next_clock_time("6:30", night.now)
    assert at.day == 28
    late, early = make_run("late"), make_run("early")
    queue.add([late], AtTime(at=at))
    queue.add([early], AtTime(at=queue.next_clock_time("22:00", night.now)))
    assert night.step()
    night.now = datetime(2026, 11, 27, 22, 0).astimezone()
    night.step(1)
    assert trainings.names() == ["early"]
    trainings.end(early, Finished())
    night.now = datetime(2026, 11, 27, 3, 0).astimezone()
    assert night.step()
    night.now = datetime(2026, 11, 28, 6, 28).astimezone()
    assert night.step()
    assert trainings.names() == ["early"]
    assert night.step(120)
    assert trainings.names() == ["early", "late"]
    night.now = datetime(2020, 1, 1).astimezone()
    assert night.step()
    trainings.kill(late)
    assert night.step(), "a start of long ago by a clock that was set back is no start of now"
    assert trainings.names() == ["early", "late", "late"]


@pytest.mark.parametrize("ending", [None, UNSEEN])
def test_an_interrupted_run_is_continued_before_others_begin(
    make_run: MakeRun, night: Night, trainings: Trainings, ending: Ending | None
) -> None:
    one, two = make_run("one"), make_run("two")
    queue.add([one, two])
    night.step()
    queue.move(two.path, 0)
    night.die()
    if ending is None:
        trainings.kill(one)
    else:
        trainings.end(one, ending)
    night.restart()
    night.step()
    assert trainings.started == [("one", False, ""), ("one", True, "")]


def test_a_run_that_never_gets_further_is_given_up_and_the_others_go_on(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    one, two = make_run("one"), make_run("two")
    queue.add([one, two])
    for _ in range(MOST_STARTS):
        night.step()
        trainings.kill(one)
    night.step()
    night.step()
    assert trainings.names() == ["one"] * MOST_STARTS + ["two"]
    (ended,) = read_queue().ended
    assert (ended.run, ended.outcome) == (one.path, "failed")
    assert ended.problem is not None and ended.problem.code == "queue.no_progress"


def test_a_run_that_gets_further_each_time_is_continued_as_often_as_it_takes(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    one = make_run("one")
    queue.add([one])
    for step in range(1, 2 * MOST_STARTS):
        night.step()
        trainings.tell(one, CheckpointCommitted(step=step, folder=f"checkpoints/{step}", size=1))
        trainings.kill(one)
    assert len(trainings.started) == 2 * MOST_STARTS - 1


def test_a_paused_run_blocks_nothing_and_goes_on_when_it_is_released(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    one, two = make_run("one"), make_run("two")
    queue.add([one, two])
    night.step()
    trainings.end(one, Paused(step=3))
    night.step()
    assert trainings.names() == ["one", "two"]
    trainings.end(two, Finished())
    assert not night.step(), "a run that is paused waits for a person"
    queue.release(one.path)
    night.restart()
    assert night.step()
    assert trainings.started[-1] == ("one", True, "")


@pytest.mark.parametrize("error", [ProblemError(WHY), PermissionError(13, "not allowed")])
def test_what_cannot_be_started_is_passed_over(
    make_run: MakeRun, night: Night, trainings: Trainings, error: Exception
) -> None:
    gone, fails, good = (make_run(name) for name in ("gone", "fails", "good"))
    queue.add([gone, fails, good])
    shutil.rmtree(gone.path)

    def start(run: RunFolder, job: Train) -> JobProcess:
        if run == fails:
            raise error
        return trainings.start(run, job)

    night.runner._start = start
    night.step()
    night.step()
    assert trainings.names() == ["good"]
    assert [entry.run.name for entry in read_queue().entries] == ["gone", "good"]
    (ended,) = read_queue().ended
    assert (ended.run, ended.outcome) == (fails.path, "failed")
    assert ended.problem is not None and ended.problem.what


def test_a_run_that_was_deleted_while_it_was_queued_is_told_at_the_end(
    make_run: MakeRun, night: Night, trainings: Trainings
) -> None:
    gone, bad = make_run("gone"), make_run("bad")
    queue.add([gone, bad])
    shutil.rmtree(gone.path)
    night.step()
    trainings.end(bad, Failed(problem=WHY))
    assert not night.step()
    result = queue.take_result()
    assert result is not None
    assert result.sentence.english() == "The queue is done: 0 of 2 runs finished. Not finished: bad, gone."


def runner_process() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "studio.runs.queue_runner"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_of_two_runners_at_once_one_ends_by_itself(make_run: MakeRun) -> None:
    tomorrow = datetime.now().astimezone() + timedelta(days=1)
    run = make_run("one")
    queue.add([run], AtTime(at=tomorrow))
    runners = [runner_process() for _ in range(3)]
    try:
        until = time.monotonic() + 60
        while sum(runner.poll() is None for runner in runners) > 1:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert sorted(runner.poll() or 0 for runner in runners) == [0, 1, 1]
        assert queue.ensure_runner()
        queue.remove(run.path)
        assert [runner.wait(60) for runner in runners if runner.returncode is None] == [0]
    finally:
        for runner in runners:
            runner.kill()
            runner.communicate()


def test_a_runner_that_is_killed_is_followed_by_another(make_run: MakeRun) -> None:
    run = make_run("one")
    queue.add([run], AtTime(at=datetime.now().astimezone() + timedelta(days=1)))
    first = runner_process()
    try:
        until = time.monotonic() + 60
        while not queue.runner_is_going():
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert not queue.runner_is_going()
        assert [entry.run for entry in read_queue().entries] == [run.path]
        assert queue.ensure_runner()
        while not queue.runner_is_going():
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        first.kill()
        first.communicate()
        queue.remove(run.path)
        while queue.runner_is_going():
            time.sleep(0.05)


def test_nothing_is_started_where_nothing_waits() -> None:
    assert queue.ensure_runner() is False
    assert not Path(queue_folder().log).exists()


TAKES_CARDS = """
import sys
from studio.core.writer_lock import WriterLock
from studio.runs.queue_file import queue_folder
from studio.runs.queue_runner import QueueRunner
from studio.runs.start import start_training
def start(run, job):
    print(run.path.name, *job.where.cards)
    run.path.joinpath("log.txt").mkdir()  # so that nothing is really started
    return start_training(run, job)
lock = WriterLock(queue_folder().lock)
lock.acquire()
QueueRunner(lock, start=start).step()
"""


def test_cards_are_those_of_the_driver(make_run: MakeRun) -> None:
    try:
        environment = nvml.environment("two-cards")
    except nvml.CannotBuildError as error:
        pytest.skip(str(error))
    queue.add([make_run(name) for name in ("one", "two", "three")])
    done = subprocess.run(
        [sys.executable, "-c", TAKES_CARDS], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == [
        "one GPU-4090d0e0-0000-0000-0000-000000000001",
        "two GPU-2000d0e0-0000-0000-0000-000000000002",
    ], done.stderr
    assert [(ended.run.name, ended.outcome) for ended in read_queue().ended] == [("one", "failed"), ("two", "failed")]
    assert [entry.run.name for entry in read_queue().entries] == ["three"]
