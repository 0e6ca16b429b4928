"""The history: an index that is always what the folders say, whatever happens to it or to them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.core import paths
from studio.core.events import Continued, Crashed, Failed, Paused, ProcessStarted, StepDone, Stopped
from studio.core.problems import Problem
from studio.core.recipe.recipe import Recipe
from studio.core.recipe.settings import value_of
from studio.core.run_folder import RunFolder
from studio.core.writer_lock import WriterLock
from studio.runs import history
from studio.runs.history import Column, list_runs, with_details
from studio.runs.project import Project, create_project
from studio.runs.read_run import read_run
from studio.runs.summary import RunDetails, RunSummary
from tests.runs.made_runs import AT, make_run, steps, write_events


def details_of(run: RunFolder) -> RunDetails:
    return with_details([run])[0][1]


@pytest.fixture
def project() -> Project:
    return create_project("Letters")


def names(found: list[RunSummary]) -> list[str]:
    return [one.run.path.name for one in found]


def test_every_run_of_every_project_is_listed_newest_first(project: Project) -> None:
    other = create_project("Recipes")
    make_run(project, "first", at=AT)
    make_run(other, "third", at=AT + 2000)
    make_run(project, "second", at=AT + 1000)
    assert names(list_runs()) == ["third", "second", "first"]
    assert names(list_runs(project=project)) == ["second", "first"]


def test_a_line_of_the_list_says_what_there_is_to_know(project: Project) -> None:
    run = make_run(project, "first", losses=(2.0, 0.5, 1.0), method__rank=8)
    (one,) = list_runs()
    assert (one.run, one.project_name, one.name, one.data) == (run, "Letters", "first", "letters.csv")
    assert (one.model, one.method) == ("HuggingFaceTB/SmolLM2-135M-Instruct", "qlora")
    assert (one.outcome, one.best_loss, one.step, one.total_steps) == ("finished", 0.5, 3, 3)
    assert (one.started_at, one.seconds) == (AT, 16.0)
    assert one.size > 3 * 1100
    assert one.clearable == 1100
    assert one.problem is None
    known = details_of(run)
    assert known.settings["method.rank"] == 8
    assert known.versions["torch"] == "2.13.0"
    assert known.losses == ((1, 2.2), (2, 0.55), (3, 1.1))
    assert known.held_out_losses == ((1, 2.0), (2, 0.5), (3, 1.0))
    assert len(known.data_fingerprint) == 64


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", ["b", "a"]),
        ("rank=8", ["a"]),
        ("RANK=16", ["b"]),
        ("letters.csv rank=8", ["a"]),
        ("starter", ["b", "a"]),
        ("stopped", ["b"]),
        ("kept", ["b"]),
        ("Briefe", ["b", "a"]),
        ("a briefe finished", ["a"]),
        ("nothing like it", []),
        ("'; DROP TABLE runs --", []),
    ],
)
def test_search_finds_words_in_names_settings_and_outcomes(search: str, found: list[str]) -> None:
    project = create_project("Die Briefe")
    make_run(project, "a", method__rank=8, at=AT)
    make_run(project, "b", at=AT + 10, ending=Stopped(at=AT + 20, step=2))
    assert names(list_runs(search)) == found


def test_outcomes_are_found_by_the_words_on_the_screen(project: Project) -> None:
    make_run(project, "a")
    words = {"Finished": "끝남"}
    assert names(list_runs("끝남", translate=lambda text: words.get(text, text))) == ["a"]
    assert list_runs("끝남") == []


@pytest.mark.parametrize("column", ["name", "model", "data", "method", "outcome", "best_loss", "started_at", "size"])
def test_each_column_sorts_both_ways_and_what_is_unknown_comes_last(project: Project, column: Column) -> None:
    make_run(project, "b", losses=(1.0,))
    make_run(project, "a", losses=(3.0, 2.0), at=AT + 10)
    rising = list_runs(sort_by=column, descending=False)
    assert [getattr(one, column) for one in rising] == sorted(getattr(one, column) for one in rising)
    assert list_runs(sort_by=column) == rising[::-1]
    RunFolder(project.runs_folder / "new").path.mkdir()
    (project.runs_folder / "new" / "recipe.yaml").write_text("name: new\n")
    if column in ("best_loss", "started_at"):
        assert [list_runs(sort_by=column, descending=down)[-1].name for down in (True, False)] == ["new", "new"]


def _paused(run: RunFolder) -> None:
    write_events(run, [*steps(run, (1.0,)), Paused(at=AT + 6, step=1)])


def _failed(run: RunFolder) -> None:
    write_events(run, [*steps(run, (1.0,)), Failed(at=AT + 6, problem=Problem(code="x", what="No room."))])


def _crashed(run: RunFolder) -> None:
    found = Problem(code="crashed.killed", what="Ended from outside.")
    write_events(
        run, [*steps(run, (1.0,)), Crashed(at=AT + 9e5, exit_code=None, signal="SIGKILL", log_end="", problem=found)]
    )


def _interrupted(run: RunFolder) -> None:
    write_events(run, steps(run, (1.0,)))


def _going_on_again(run: RunFolder) -> None:
    write_events(
        run,
        [*steps(run, (1.0,)), Stopped(at=AT + 6, step=1), ProcessStarted(at=AT + 900, job="train", pid=1, started=0)],
    )


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        (lambda run: None, "not_started"),
        (_paused, "paused"),
        (_failed, "failed"),
        (_crashed, "crashed"),
        (_interrupted, "interrupted"),
        (_going_on_again, "interrupted"),
    ],
)
def test_every_outcome_has_its_word(project: Project, what: Callable[[RunFolder], None], outcome: str) -> None:
    run = RunFolder(project.runs_folder / "run")
    run.path.mkdir(parents=True)
    run.recipe.write_text("name: R\n")
    what(run)
    (one,) = list_runs()
    assert one.outcome == outcome
    assert one.clearable == 0
    assert one.seconds is None or one.seconds < 100, "a crash is noticed later than it happened"


def test_a_run_is_going_on_while_its_process_holds_the_lock(project: Project) -> None:
    run = RunFolder(project.runs_folder / "run")
    run.path.mkdir(parents=True)
    run.recipe.write_text("name: R\n")
    with run.writer() as writer:
        for event in steps(run, (1.0,)):
            writer.write(event)
        assert [one.outcome for one in list_runs()] == ["running"]
        assert list_runs("going on") != []
    assert [one.outcome for one in list_runs()] == ["interrupted"]


def test_time_between_a_pause_and_going_on_is_not_counted(project: Project) -> None:
    run = RunFolder(project.runs_folder / "run")
    run.path.mkdir(parents=True)
    run.recipe.write_text("name: R\n")
    write_events(run, [*steps(run, (1.0, 0.9)), Paused(at=AT + 11, step=2)])
    again = AT + 9000
    step = StepDone(at=again + 30, step=2, total_steps=2, epoch=1, loss=1.0, learning_rate=1e-4)
    going_on = Continued(at=again + 1, step=1, folder="checkpoints/step-000001", repeated=1)
    write_events(run, [ProcessStarted(at=again, job="train", pid=1, started=0), going_on, step, Stopped(at=again + 31)])
    (one,) = list_runs()
    assert (one.outcome, one.seconds) == ("stopped", 42.0)
    assert details_of(run).losses == ((1, 1.1), (2, 1.0))


def test_a_long_curve_is_thinned_and_keeps_its_last_point(project: Project) -> None:
    run = RunFolder(project.runs_folder / "run")
    run.path.mkdir(parents=True)
    run.recipe.write_text("name: R\n")
    told = [StepDone(step=n, total_steps=999, epoch=1, loss=n / 10, learning_rate=1e-4) for n in range(1, 1000)]
    write_events(run, told)
    losses = details_of(run).losses
    assert 150 <= len(losses) <= 200
    assert losses[-1] == (999, 99.9)
    assert all(loss == step / 10 for step, loss in losses), "measured points, not means"


def test_only_what_changed_is_read_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_run(project, "first")
    make_run(project, "second")
    list_runs()
    read: list[str] = []

    def noted(run: RunFolder) -> tuple[RunSummary, RunDetails]:
        read.append(run.path.name)
        return read_run(run)

    monkeypatch.setattr("studio.runs.read_run.read_run", noted)
    assert len(list_runs()) == 2
    assert read == []
    write_events(first, [ProcessStarted(job="train", pid=1, started=0)])
    list_runs()
    assert read == ["first"]
    shutil.rmtree(first.checkpoints)
    assert next(one.size for one in list_runs() if one.run == first) < 5000
    assert read == ["first", "first"]


def test_a_search_while_somebody_types_need_not_look_at_the_folders(project: Project) -> None:
    make_run(project, "first")
    assert names(list_runs("first", refresh=False)) == ["first"], "without an index it is made all the same"
    make_run(project, "first-again")
    assert names(list_runs("first", refresh=False)) == ["first"]
    assert len(list_runs("first")) == 2


def test_the_last_run_that_goes_is_gone_from_the_index(project: Project) -> None:
    run = make_run(project, "first")
    list_runs()
    shutil.rmtree(run.path)
    assert list_runs() == []
    assert list_runs("first", refresh=False) == []


def test_a_link_that_leads_nowhere_hides_no_run(project: Project) -> None:
    run = make_run(project, "first")
    (run.path / "exports").symlink_to(run.path / "on a disk that is away")
    (project.runs_folder / "no run.txt").write_text("notes")
    (project.runs_folder / "empty").mkdir()
    if sys.platform == "linux":
        shutil.copytree(run.path, os.fsdecode(os.fsencode(project.runs_folder) + b"/\xff"), symlinks=True)
    assert names(list_runs()) == ["first"]


def test_runs_that_go_come_and_move_are_followed(project: Project) -> None:
    first = make_run(project, "first")
    make_run(project, "second", at=AT + 1)
    assert names(list_runs()) == ["second", "first"]
    first.path.rename(first.path.with_name("renamed"))
    shutil.rmtree(project.runs_folder / "second")
    shutil.copytree(project.runs_folder / "renamed", project.runs_folder / "copied")
    assert sorted(names(list_runs())) == ["copied", "renamed"]
    project.rename("Other letters")
    assert {one.project_name for one in list_runs()} == {"Other letters"}


def test_a_home_that_moves_takes_its_history_along(
    project: Project, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(project, "first")
    list_runs()
    home.rename(home.with_name("elsewhere"))
    monkeypatch.setenv("STUDIO_HOME", str(home.with_name("elsewhere")))
    monkeypatch.setattr("studio.runs.read_run.read_run", lambda run: pytest.fail("read again"))
    assert [one.run.path.parent.parent.parent.parent.name for one in list_runs()] == ["elsewhere"]


# The index is damaged


def garble(file: Path, chance: random.Random) -> None:
    """One thing that can happen to a file."""
    written = bytearray(file.read_bytes())
    match chance.randrange(6):
        case 0:
            file.unlink()
        case 1:
            file.write_bytes(b"")
        case 2:
            file.write_bytes(written[: chance.randrange(len(written))])
        case 3:
            for _ in range(chance.choice((1, 1, 30))):
                written[chance.randrange(len(written))] ^= 1 << chance.randrange(8)
            file.write_bytes(written)
        case 4:
            begin = chance.randrange(len(written))
            written[begin : begin + 4096] = bytes(len(written[begin : begin + 4096]))
            file.write_bytes(written)
        case _:
            file.write_bytes(chance.randbytes(chance.randrange(1, 9000)))


@pytest.mark.parametrize("seed", range(25))
def test_an_index_garbled_anyhow_is_made_anew_equal(project: Project, home: Path, seed: int) -> None:
    runs = [make_run(project, f"run-{n}", at=AT + n, method__rank=n + 1) for n in range(3)]
    before = list_runs(), with_details(runs)
    chance = random.Random(seed)
    for name in chance.choice((["history.sqlite"], ["history.sum"], ["history.sqlite", "history.sum"])):
        garble(home / name, chance)
    assert (list_runs(), with_details(runs)) == before
    assert names(list_runs("rank=2")) == ["run-1"]


@pytest.mark.parametrize("what", ["_FORMAT", "_STORED"])
def test_an_index_of_another_version_is_made_anew(project: Project, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(project, "first")
    list_runs()
    monkeypatch.setattr(f"studio.runs.history.{what}", getattr(history, what) * 2)
    assert not history._is_as_written(paths.home() / "history.sqlite")


def test_an_index_damaged_while_it_is_asked_is_made_anew(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(project, "first")
    before = list_runs()
    looks = 0
    real = history._is_as_written

    def damaged_after(file: Path, *, whole: bool = True) -> bool:
        nonlocal looks
        looks += 1
        found = real(file, whole=whole)
        if looks == 1:
            file.write_bytes(b"SQLite format 3\0" + bytes(9000))
        return found

    monkeypatch.setattr("studio.runs.history._is_as_written", damaged_after)
    assert list_runs() == before
    assert looks > 2, "it was asked once more"


def _killed_on_the_way(runs: int) -> None:
    read = 0

    def read_some(run: RunFolder) -> tuple[RunSummary, RunDetails]:
        nonlocal read
        read += 1
        if read == runs:
            os.kill(os.getpid(), signal.SIGKILL)
        return read_run(run)

    sys.modules["studio.runs.read_run"].read_run = read_some  # type: ignore[attr-defined]
    list_runs()


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_what_was_read_before_a_kill_is_not_read_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.history._BATCH", 2)
    for n in range(6):
        make_run(project, f"run-{n}")
    child = multiprocessing.get_context("fork").Process(target=_killed_on_the_way, args=(5,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    read: list[str] = []

    def noted(run: RunFolder) -> tuple[RunSummary, RunDetails]:
        read.append(run.path.name)
        return read_run(run)

    monkeypatch.setattr("studio.runs.read_run.read_run", noted)
    assert len(list_runs()) == 6
    assert len(read) == 2


def _list_and_compare(expected: list[RunSummary], times: int) -> None:
    assert [list_runs() == expected for _ in range(times)] == [True] * times


@pytest.mark.faults
@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_an_index_garbled_while_three_processes_list_is_never_wrong(project: Project, home: Path) -> None:
    for n in range(4):
        make_run(project, f"run-{n}", at=AT + n)
    expected = list_runs()
    context = multiprocessing.get_context("fork")
    listers = [context.Process(target=_list_and_compare, args=(expected, 400)) for _ in range(3)]
    for lister in listers:
        lister.start()
    chance = random.Random(5)
    lock = WriterLock(home / "history.lock")
    while any(lister.is_alive() for lister in listers):
        # not between a writer's last byte and its sum over the file: what stands there then is what it wrote
        if lock.acquire():
            with contextlib.suppress(OSError, ValueError):  # the file isn't there, or empty
                garble(home / chance.choice(["history.sqlite", "history.sqlite", "history.sum"]), chance)
            lock.release()
        time.sleep(chance.random() / 5)
    assert [lister.exitcode for lister in listers] == [0, 0, 0]


def test_a_folder_in_the_place_of_the_index_stops_nothing(project: Project, home: Path) -> None:
    make_run(project, "first")
    (home / "history.sqlite").mkdir()
    assert names(list_runs()) == ["first"]


def test_a_journal_of_sqlite_left_by_a_killed_process_harms_nothing(project: Project, home: Path) -> None:
    make_run(project, "first")
    before = list_runs()
    (home / "history.sqlite-journal").write_bytes(random.Random(1).randbytes(3000))
    assert list_runs() == before
    make_run(project, "second")
    assert len(list_runs()) == 2


def _list_often(count: int) -> None:
    seen = [len(list_runs()) for _ in range(15)]
    assert seen == sorted(seen), "runs only come"
    assert seen[-1] <= count


def test_several_processes_may_refresh_at_once(project: Project) -> None:
    context = multiprocessing.get_context("fork")
    racers = [context.Process(target=_list_often, args=(12,)) for _ in range(3)]
    make_run(project, "run-0")
    for racer in racers:
        racer.start()
    for n in range(1, 12):
        make_run(project, f"run-{n}")
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0, 0, 0]
    assert len(list_runs()) == 12


# A run's folder isn't as it should be


def _without_recipe(run: RunFolder) -> None:
    run.recipe.unlink()


def _broken_recipe(run: RunFolder) -> None:
    run.recipe.write_text("training: {epochs: [")


def _newer_recipe(run: RunFolder) -> None:
    run.recipe.write_text("version: 999\n")


def _newer_journal(run: RunFolder) -> None:
    run.events.write_text('{"format":999}\n')


def _zeros(run: RunFolder) -> None:
    run.events.write_bytes(bytes(5000) + b"\n")


def _journal_is_a_folder(run: RunFolder) -> None:
    run.events.unlink()
    run.events.mkdir()


def _save_points_left_behind(run: RunFolder) -> None:
    shutil.rmtree(run.checkpoints)


def _numbers_no_database_takes(run: RunFolder) -> None:
    written = run.events.read_text(encoding="utf-8").replace('"step":2', f'"step":{10**30}').replace("2.0", "NaN")
    run.events.write_text(written, encoding="utf-8")
    (run.path / "group.json").write_text('{"id": "\\ud800"}')


def _examples_left_behind(run: RunFolder) -> None:
    run.train_data.unlink()


def _odd_side_files(run: RunFolder) -> None:
    run.fingerprint.write_text("[" * 100_000)
    (run.path / "group.json").write_bytes(b"\xff\xfe")
    (run.path / "parent.json").mkdir()


@pytest.mark.parametrize(
    ("damage", "outcome", "words"),
    [
        (_without_recipe, "finished", "has no recipe.yaml"),
        (_broken_recipe, "finished", "isn't valid YAML"),
        (_newer_recipe, "finished", "newer version"),
        (_newer_journal, "unreadable", "newer version"),
        (_zeros, "unreadable", "journal of this run is damaged"),
        (_journal_is_a_folder, "unreadable", "folder of this run can't be read"),
        (_save_points_left_behind, "finished", "2 of its 2 save points are missing"),
        (_examples_left_behind, "finished", "its examples are missing"),
        (_odd_side_files, "finished", ""),
        (_numbers_no_database_takes, "finished", ""),
    ],
)
def test_a_folder_that_is_not_whole_is_listed_with_the_reason(
    project: Project, damage: Callable[[RunFolder], None], outcome: str, words: str
) -> None:
    run = make_run(project, "run")
    make_run(project, "whole", at=AT + 1)
    list_runs()
    damage(run)
    whole, one = list_runs()
    assert (whole.name, whole.problem) == ("whole", None)
    assert one.outcome == outcome
    assert words in (one.problem.english() if one.problem is not None else "")
    assert one.problem is None or one.problem.fix


def _list_as_nobody(home: Path, answer: multiprocessing.Queue[list[str]]) -> None:
    if os.getuid() == 0:
        os.setuid(65534)
    answer.put([f"{one.name} {one.outcome} {one.problem.code if one.problem else ''}" for one in list_runs()])


@pytest.mark.skipif(sys.platform == "win32", reason="folders are closed in another way there")
def test_folders_that_nobody_may_change_or_open_are_listed(project: Project, home: Path) -> None:
    read_only = make_run(project, "read-only", at=AT + 2)
    write_events(read_only, [ProcessStarted(at=AT + 9, job="train", pid=1, started=0)])
    closed = make_run(project, "closed", at=AT + 1)
    other = create_project("Closed")
    make_run(other, "unseen")
    for folder in (read_only.path, home):
        folder.chmod(0o555)
    for above in home.parents:
        if above.owner() == home.owner() and above.stat().st_mode & 0o777 == 0o700:
            above.chmod(0o755)
    for folder in (closed.path, other.runs_folder):
        folder.chmod(0)
    context = multiprocessing.get_context("fork")
    answer: multiprocessing.Queue[list[str]] = context.Queue()
    child = context.Process(target=_list_as_nobody, args=(home, answer))
    child.start()
    try:
        found = answer.get(timeout=60)
    finally:
        child.join(60)
        for folder in (read_only.path, closed.path, other.runs_folder, home):
            folder.chmod(0o755)
    assert found == ["read-only interrupted ", "closed unreadable run.unreadable"]


def test_a_recipe_in_a_folder_of_a_run_elsewhere_can_be_read_as_well(tmp_path: Path) -> None:
    run = make_run(Project(tmp_path / "anywhere"), "run", method__rank=4)
    assert details_of(run).settings["method.rank"] == 4
    assert value_of(Recipe(), "method.rank") != 4
