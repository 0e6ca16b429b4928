"""The queue: what waits, in which order, and what becomes of a file that a hand or a power failure has spoiled."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from studio.core.events import Crashed, Ending, Failed, Finished, Paused, Stopped
from studio.core.jobs import Train
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import load, with_values
from studio.runs import queue
from studio.runs.queue_file import AtOnce, AtTime, Entry, Queue, WhenFree, opened, queue_file, queue_folder, read_queue
from tests.dataset.conftest import problem_of
from tests.runs.conftest import MakeRun, Trainings

WHY = Problem(code="test.failed", what="It didn't work.")


def names(found: Queue | None = None) -> list[str]:
    return [entry.run.name for entry in (found or read_queue()).entries]


def refused(ask: Callable[[], object]) -> str:
    """The code of the refusal, which leaves the queue as it was."""
    before = read_queue()
    code = problem_of(ask).code
    assert read_queue() == before
    return code


def test_runs_wait_in_their_order_and_are_moved_and_taken_out(make_run: MakeRun) -> None:
    one, two, three = (make_run(name) for name in ("one", "two", "three"))
    queue.add([one, two])
    assert names(queue.add([three], WhenFree())) == ["one", "two", "three"]
    assert names(queue.move(three.path, 0)) == ["three", "one", "two"]
    assert names(queue.move(three.path, 99)) == ["one", "two", "three"]
    assert names(queue.remove(two.path)) == ["one", "three"]
    assert two.recipe.is_file(), "the run itself stays"
    assert read_queue().entry(three.path).when == WhenFree()
    queue.reschedule(three.path, AtOnce())
    assert read_queue().entry(three.path).when == AtOnce()


def test_what_cannot_wait_is_refused_and_the_rest_stays(make_run: MakeRun, trainings: Trainings) -> None:
    waits, goes_on, finished, gone = (make_run(name) for name in ("waits", "goes_on", "finished", "gone"))
    queue.add([waits])
    trainings.start(goes_on, Train())
    trainings.start(finished, Train())
    trainings.end(finished, Finished())
    shutil.rmtree(gone.path)
    assert refused(lambda: queue.add([waits])) == "queue.already_there"
    assert refused(lambda: queue.add([goes_on])) == "queue.goes_on"
    assert refused(lambda: queue.add([finished])) == "queue.finished"
    assert refused(lambda: queue.add([gone])) == "run.gone"
    assert refused(lambda: queue.remove(gone.path)) == "queue.not_there"


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (Finished(), "ended"),
        (Stopped(step=3), "ended"),
        (Failed(problem=WHY), "ended"),
        (Crashed(exit_code=1, signal=None, log_end="", problem=WHY), "ended"),
        (Crashed(exit_code=None, signal=None, log_end="", problem=WHY), "interrupted"),
        (Paused(step=3), "paused"),
        (None, "interrupted"),
    ],
)
def test_how_an_entry_stands_is_what_its_run_tells(
    make_run: MakeRun, trainings: Trainings, ending: Ending | None, status: str
) -> None:
    run = make_run("one")
    queue.add([run])
    later = datetime.now().astimezone() + timedelta(hours=1)
    assert queue.status_of(read_queue().entries[0], later) == "waiting"
    with opened() as file:
        file.write(
            file.queue.with_entry(file.queue.entries[0].model_copy(update={"begun": datetime.now().astimezone()}))
        )
    assert queue.status_of(read_queue().entries[0]) == "running", "its process may not have come so far yet"
    assert queue.status_of(read_queue().entries[0], later) == "waiting", "it never came so far"
    trainings.start(run, Train())
    assert queue.status_of(read_queue().entries[0], later) == "running"
    if ending is None:
        trainings.kill(run)
    else:
        trainings.end(run, ending)
    assert queue.status_of(read_queue().entries[0], later) == status


def test_a_run_that_was_stopped_can_wait_to_be_continued(make_run: MakeRun, trainings: Trainings) -> None:
    run = make_run("one")
    trainings.start(run, Train())
    trainings.end(run, Stopped(step=3))
    queue.add([run])
    assert queue.status_of(read_queue().entries[0]) == "waiting"
    trainings.start(run, Train(resume=True))
    trainings.end(run, Finished())
    assert queue.status_of(read_queue().entries[0]) == "ended"


def test_a_held_run_waits_again_when_it_is_released(make_run: MakeRun, trainings: Trainings) -> None:
    run = make_run("one")
    queue.add([run], held=True)
    assert queue.status_of(read_queue().entries[0]) == "held"
    queue.release(run.path)
    assert queue.status_of(read_queue().entries[0]) == "waiting"
    queue.hold(run.path)
    assert queue.status_of(read_queue().entries[0]) == "held"
    trainings.start(run, Train())
    assert refused(lambda: queue.hold(run.path)) == "queue.running"
    assert refused(lambda: queue.remove(run.path)) == "queue.running"


def test_a_run_that_has_ended_meanwhile_is_not_released_to_be_started_again(
    make_run: MakeRun, trainings: Trainings
) -> None:
    run = make_run("one")
    queue.add([run])
    trainings.start(run, Train())
    trainings.end(run, Finished())
    (entry,) = queue.release(run.path).entries
    assert queue.status_of(entry) == "ended"


def test_settings_are_edited_until_the_run_begins(make_run: MakeRun, trainings: Trainings) -> None:
    run = make_run("one")
    queue.add([run])
    recipe = with_values(load(run.recipe), {"training.learning_rate": 3e-4, "name": "gentler"})
    queue.edit(run.path, recipe)
    edited = load(run.recipe)
    assert (edited.training.learning_rate, edited.name) == (3e-4, "gentler")
    queue.edit(run.path, with_values(edited, {"training.learning_rate": None, "training.epochs": None}))
    assert (load(run.recipe).training.learning_rate, load(run.recipe).training.epochs) == (5e-4, 10), "automatic ones"
    recipe = load(run.recipe)
    other_data = with_values(recipe, {"data.path": "elsewhere.csv"})
    assert refused(lambda: queue.edit(run.path, other_data)) == "queue.other_data"
    trainings.start(run, Train())
    assert refused(lambda: queue.edit(run.path, recipe)) == "queue.running"
    trainings.kill(run)
    assert refused(lambda: queue.edit(run.path, recipe)) == "queue.begun"


def test_a_run_whose_folder_data_or_model_is_gone_is_named_and_comes_back_with_it(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run("one")
    queue.add([run])
    entry = read_queue().entries[0]
    for place in (run.path, run.train_data, run.recipe, Path(load(run.recipe).model.name) / "config.json"):
        aside = tmp_path / "aside"
        shutil.move(place, aside)
        assert queue.status_of(entry) == "unusable"
        found = queue.problem_of(entry)
        assert found is not None and found.fix
        shutil.move(aside, place)
        assert queue.status_of(entry) == "waiting"


def test_what_can_be_read_of_a_spoiled_file_is_kept_and_the_rest_is_set_aside(make_run: MakeRun) -> None:
    one, two = make_run("one"), make_run("two")
    queue.add([one, two])
    header, first, second = queue_file().read_bytes().splitlines(keepends=True)
    spoiled = [
        b"\0" * 40 + b"\n",
        first,  # twice
        b'{"type":"entry","run":"elsewhere"}\n',
        second.replace(b'"held"', b'"helt"').replace(b"two", b"three"),
        b"\xff\xfe\n",
    ]
    queue_file().write_bytes(header + first + b"".join(spoiled) + second)
    found = read_queue()
    assert names(found) == ["one", "two"]
    assert "5 lines of the queue can't be read" in found.set_aside[0].english()
    assert "line 3" in found.set_aside[0].english()
    queue.move(two.path, 0)
    kept = (queue_folder().path / "set-aside.jsonl").read_bytes()
    assert kept == b"".join(spoiled)
    assert names() == ["two", "one"]
    assert read_queue().set_aside == found.set_aside, "it is told until somebody has seen it"
    assert queue.dismiss_set_aside().set_aside == ()
    assert (queue_folder().path / "set-aside.jsonl").read_bytes() == kept


def test_a_file_cut_anywhere_keeps_the_entries_before_the_cut(make_run: MakeRun) -> None:
    queue.add([make_run("one"), make_run("two")])
    whole = queue_file().read_bytes()
    lines = whole.splitlines(keepends=True)
    ends = {"one": len(lines[0] + lines[1]) - 1, "two": len(whole) - 1}
    for length in range(len(whole)):
        queue_file().write_bytes(whole[:length])
        assert names() == [name for name, end in ends.items() if length >= end]


def test_a_file_of_a_newer_version_is_left_alone(make_run: MakeRun) -> None:
    run = make_run("one")
    queue.add([run])
    newer = queue_file().read_bytes().replace(b'"format":1', b'"format":2')
    queue_file().write_bytes(newer)
    assert problem_of(read_queue).code == "queue.other_format"
    assert problem_of(lambda: queue.remove(run.path)).code == "queue.other_format"
    assert queue_file().read_bytes() == newer


def test_a_home_that_cannot_be_written_is_a_sentence(make_run: MakeRun, home: Path) -> None:
    run = make_run("one")
    (home / "queue").write_text("a file where a folder belongs")
    assert problem_of(lambda: queue.add([run])).code == "storage.cannot_write"


def test_two_never_change_the_queue_at_once(make_run: MakeRun) -> None:
    run = make_run("one")
    with opened(), pytest.raises(ProblemError) as waited, opened(patience=0.1):
        raise AssertionError("both have it")
    assert waited.value.problem.code == "queue.in_use"
    queue.add([run])


def test_the_result_is_there_as_soon_as_the_last_run_has_ended(make_run: MakeRun, trainings: Trainings) -> None:
    run = make_run("one")
    queue.add([run])
    trainings.start(run, Train())
    assert queue.take_result() is None
    trainings.end(run, Finished())
    result = queue.take_result()
    assert result is not None
    assert result.sentence.english() == "The queue is done: its run finished."
    assert read_queue() == Queue()


def test_what_several_processes_add_at_once_is_all_there(make_run: MakeRun) -> None:
    imports = "import sys, pathlib\nfrom studio.core.run_folder import RunFolder\nfrom studio.runs import queue\n"
    script = imports + "for place in sys.argv[1:]: queue.add([RunFolder(pathlib.Path(place))])"
    runs = [[make_run(f"{process}-{number}").path for number in range(5)] for process in range(3)]
    started = [subprocess.Popen([sys.executable, "-c", script, *map(str, places)]) for places in runs]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    found = [entry.run for entry in read_queue().entries]
    assert [[run for run in found if run in places] for places in runs] == runs, "each in its order"
    assert len(found) == 15


def test_the_result_is_given_once_when_nothing_goes_on_any_more(make_run: MakeRun, trainings: Trainings) -> None:
    good, bad, held, gone = (make_run(name) for name in ("good", "bad", "held", "gone"))
    queue.add([good, bad, gone])
    queue.add([held], held=True)
    shutil.rmtree(gone.path)
    for run, ending in ((good, Finished()), (bad, Failed(problem=WHY))):
        assert queue.take_result() is None
        trainings.start(run, Train())
        trainings.end(run, ending)
        with opened() as file:
            file.write(queue.settled(file.queue))
    result = queue.take_result()
    assert result is not None
    assert [(ended.run.name, ended.outcome) for ended in result.ended] == [("good", "finished"), ("bad", "failed")]
    assert result.ended[1].problem == WHY
    assert [path.name for path, _ in result.skipped] == ["gone"]
    assert result.sentence.english() == "The queue is done: 1 of 3 runs finished. Not finished: bad, gone."
    assert queue.take_result() is None
    assert names() == ["gone", "held"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22:00", "2026-11-27 22:00"),
        ("17:31", "2026-11-27 17:31"),
        ("17:30", "2026-11-28 17:30"),
        ("0:05", "2026-11-28 00:05"),
        ("2026-12-01 06:00", "2026-12-01 06:00"),
    ],
)
def test_a_time_of_the_clock_is_the_next_one(text: str, expected: str) -> None:
    at = queue.next_clock_time(text, datetime(2026, 11, 27, 17, 30, 20))
    assert f"{at:%Y-%m-%d %H:%M}" == expected
    assert at.tzinfo is not None


@pytest.mark.parametrize("text", ["", "soon", "25:00", "22:60", "22", "2026-13-01 10:00", "10:00 pm"])
def test_what_is_no_time_is_a_sentence(text: str) -> None:
    assert problem_of(lambda: queue.next_clock_time(text, datetime(2026, 11, 27, 17, 30))).code == "queue.no_time"


def test_a_time_written_by_hand_without_a_zone_is_this_computers() -> None:
    written = '{"run":"/runs/one","when":{"kind":"at_time","at":"2026-11-27T22:00:00"}}'
    when = Entry.model_validate_json(written).when
    assert isinstance(when, AtTime)
    assert when.at == datetime(2026, 11, 27, 22).astimezone()
