"""A journal has one writer, any number of readers, and survives a torn end."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from studio.core.events import Crashed, Event, Finished, NoticeLogged, PhaseChanged, ProcessStarted, StepDone
from studio.core.journal import JournalReader
from studio.core.problems import Problem, ProblemError
from studio.core.run_folder import JobFolder
from studio.core.translatable import sentence
from studio.core.writer_lock import lock_is_held


def some_events() -> list[Event]:
    return [
        ProcessStarted(job="train", pid=1, started=1.0),
        PhaseChanged(phase="loading", text=sentence("Loading {name}.", name="모델")),
        StepDone(step=1, total_steps=2, epoch=0.5, loss=1.25, learning_rate=1e-4, tokens=100, seconds=2.0),
        NoticeLogged(code="x", text=sentence("line\nbreak \u2028 and \u0000")),
        Crashed(
            exit_code=1,
            signal=None,
            log_end="\udcff".encode("utf-8", "replace").decode(),
            problem=Problem(code="c", what="w"),
        ),
        Finished(),
    ]


def test_every_event_comes_back_as_it_was_written(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    with folder.writer() as writer:
        for event in some_events():
            writer.write(event)
    assert folder.reader().read_new() == some_events_like(folder)


def some_events_like(folder: JobFolder) -> list[Event]:
    times = [event.at for event in folder.reader().read_new()]
    return [event.model_copy(update={"at": at}) for event, at in zip(some_events(), times, strict=True)]


def test_a_reader_gets_only_what_is_new_and_only_whole_lines(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    reader = folder.reader()
    assert reader.read_new() == []
    with folder.writer() as writer:
        writer.write(Finished())
        assert len(reader.read_new()) == 1
        assert reader.read_new() == []
    with open(folder.events, "ab") as file:
        file.write(b'{"at":1.0,"type":"fini')
    assert reader.read_new() == []
    with open(folder.events, "ab") as file:
        file.write(b'shed"}\n')
    assert [event.type for event in reader.read_new()] == ["finished"]


def test_every_prefix_of_a_journal_can_be_read_and_continued(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "whole")
    with folder.writer() as writer:
        for event in some_events():
            writer.write(event)
    whole = folder.events.read_bytes()
    ends = [i for i, byte in enumerate(whole) if byte == 0x0A]
    torn = JobFolder(tmp_path / "torn")
    torn.path.mkdir()
    for length in range(len(whole) + 1):
        torn.events.write_bytes(whole[:length])
        complete = max(0, sum(1 for end in ends if end < length) - 1)  # the first line is the format
        assert len(torn.reader().read_new()) == complete
        with torn.writer() as writer:
            writer.write(Finished())
        reader = torn.reader()
        assert len(reader.read_new()) == complete + 1
        assert reader.bad == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files stands for a full disk")
def test_a_line_that_a_full_disk_cuts_off_takes_no_other_along(tmp_path: Path) -> None:
    import resource

    folder = JobFolder(tmp_path)
    with folder.writer() as writer:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        for _ in range(3):
            writer.write(Finished())
            resource.setrlimit(resource.RLIMIT_FSIZE, (folder.events.stat().st_size + 10, before[1]))
            try:
                with pytest.raises(OSError):
                    writer.write(Finished())
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
        writer.write(Finished())
    reader = folder.reader()
    assert len(reader.read_new()) == 4
    assert reader.bad == 0


def test_nuls_and_foreign_lines_are_counted_and_skipped(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    with folder.writer() as writer:
        writer.write(Finished())
    with open(folder.events, "ab") as file:
        file.write(b"\x00" * 512 + b"\n" + b'{"type":"from_the_future"}\n' + b"[]\n")
    with folder.writer() as writer:
        writer.write(Finished())
    reader = folder.reader()
    assert [event.type for event in reader.read_new()] == ["finished", "finished"]
    assert reader.bad == 3


@pytest.mark.parametrize(
    ("first_line", "words"),
    [
        (b'{"format":999}', "newer version"),
        (b'{"format":0}', "older version"),
        (b'{"type":"finished","at":1.0}', "older version"),  # from before journals had a format
    ],
)
def test_a_journal_in_another_format_is_refused_in_words(tmp_path: Path, first_line: bytes, words: str) -> None:
    folder = JobFolder(tmp_path)
    folder.events.write_bytes(first_line + b'\n{"type":"finished","at":1.0}\n')
    reader = folder.reader()
    for _ in range(2):  # not only the first time
        with pytest.raises(ProblemError, match=words) as caught:
            reader.read_new()
        assert caught.value.problem.code == "journal.other_format"


def test_a_damaged_first_line_does_not_hide_the_rest(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    folder.events.write_bytes(b"\x00" * 20 + b'\n{"type":"finished","at":1.0}\n')
    reader = folder.reader()
    assert [event.type for event in reader.read_new()] == ["finished"]
    assert reader.bad == 1


def test_a_second_writer_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    with folder.writer():
        assert lock_is_held(folder.lock)
        with pytest.raises(ProblemError) as caught:
            folder.writer()
        assert caught.value.problem.code == "journal.in_use"
    assert not lock_is_held(folder.lock)


def _race(path: Path, start: Barrier, answers: Connection) -> None:
    start.wait()
    try:
        writer = JobFolder(path).writer()
    except ProblemError:
        answers.send(False)
        return
    answers.send(True)
    answers.recv()  # holds the lock until both have answered
    writer.close()


@pytest.mark.parametrize("times", [pytest.param(3), pytest.param(200, marks=pytest.mark.faults)])
def test_of_two_processes_that_race_for_a_run_one_writes(tmp_path: Path, times: int) -> None:
    context = multiprocessing.get_context("fork")
    for attempt in range(times):
        start = context.Barrier(2)
        pairs = [context.Pipe() for _ in range(2)]
        racers = [context.Process(target=_race, args=(tmp_path / str(attempt), start, end)) for _, end in pairs]
        for racer in racers:
            racer.start()
        writes = [ours.recv() for ours, _ in pairs]
        for ours, _ in pairs:
            ours.send("done")
        for racer in racers:
            racer.join()
        assert sorted(writes) == [False, True]


@pytest.mark.parametrize(("most", "kept"), [(1, [5]), (2, [2, 5]), (3, [1, 3, 5]), (9, [1, 2, 3, 4, 5])])
def test_steps_can_be_left_out_but_for_a_few_and_the_last(tmp_path: Path, most: int, kept: list[int]) -> None:
    folder = JobFolder(tmp_path)
    with folder.writer() as writer:
        for step in range(1, 6):
            writer.write(StepDone(step=step, total_steps=5, epoch=1, loss=1.0, learning_rate=1e-4))
        writer.write(Finished())
    events = JournalReader(folder.events).read_new(thin=b'"type":"step_done"', thin_to=most)
    assert [getattr(event, "step", None) for event in events] == [*kept, None]
