"""The desk reads files in a process of its own that is ended when it takes too long, too much, or nobody waits."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import DataChoice
from studio.dataset.samples import sample
from studio.dataset.store import StoredExamples, open_table_at
from studio.worker.client import Cancelled, WorkerClient
from studio.worker.protocol import BuildExamples, Built, FirstRows, Opened, OpenTable, Progress


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))


def opened(desk: WorkerClient, path: Path | str, **choice: str) -> Opened:
    return desk.ask(OpenTable(choice=DataChoice.model_validate({"path": str(path), **choice})), Opened)


def test_a_table_is_read_once_and_mapped_from_then_on(tmp_path: Path) -> None:
    with WorkerClient() as desk:
        first = opened(desk, sample("en"))
        table = open_table_at(first.table)
        assert (len(table.rows), table.encoding, first.sure) == (165, "utf-8", True)
        assert first.mapping.question == "message" and first.mapping.answer == "reply"
        written = (first.table / "table.arrow").stat().st_mtime_ns
        again = opened(desk, sample("en"))
        assert again == first
        assert (again.table / "table.arrow").stat().st_mtime_ns == written
        choice = DataChoice(path=str(sample("en")), mapping=first.mapping)
        made = desk.ask(BuildExamples(table=first.table, choice=choice), Built)
        stored = StoredExamples(made.examples)
        assert (made.count, made.skipped_count, len(stored)) == (165, 0, 165)
        assert stored[0].question == table.rows[0]["message"]
        assert stored.rows[164] == 165


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("question,answer\nhow,so\nwhy,because\n", encoding="utf-8")
    with WorkerClient() as desk:
        first = opened(desk, file)
        file.write_text("question,answer\nhow,so\nwhy,because\nwho,me\n", encoding="utf-8")
        second = opened(desk, file)
    assert first.table != second.table
    assert len(open_table_at(second.table).rows) == 3


def test_what_is_wrong_with_a_file_comes_back_in_words_and_the_desk_goes_on(tmp_path: Path) -> None:
    (tmp_path / "photo.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    with WorkerClient() as desk:
        with pytest.raises(ProblemError) as caught:
            opened(desk, tmp_path / "photo.csv")
        assert caught.value.problem.code == "data.not_a_table"
        process = desk.pid
        assert opened(desk, sample("ko")).sure
        assert desk.pid == process


def test_the_first_rows_of_a_large_file_come_before_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    with open(file, "w", encoding="utf-8") as out:
        out.write("question,answer\n")
        for number in range(120_000):
            out.write(f"What is the number after {number - 1}?,It is {number} of course.\n")
    heard: list[Progress | FirstRows] = []
    with WorkerClient() as desk:
        done = desk.ask(OpenTable(choice=DataChoice(path=str(file))), Opened, heard.append)
    first = next(said for said in heard if isinstance(said, FirstRows))
    assert first.columns == ("question", "answer")
    assert first.rows[0] == ("What is the number after -1?", "It is 0 of course.")
    assert any(isinstance(said, Progress) for said in heard)
    assert len(open_table_at(done.table).rows) == 120_000


def test_a_desk_that_is_silent_too_long_is_ended(tmp_path: Path) -> None:
    with WorkerClient(patience=0.7) as desk:
        desk.start()
        process = desk.pid
        assert process is not None
        os.kill(process, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(ProblemError) as caught:
            opened(desk, sample("en"))
        assert caught.value.problem.code == "data.took_too_long"
        assert time.monotonic() - began < 5
        assert not psutil.pid_exists(process)
    with WorkerClient() as desk:
        assert opened(desk, sample("en")).sure


def test_a_desk_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    with WorkerClient(memory=20 << 20) as desk, pytest.raises(ProblemError) as caught:
        opened(desk, sample("en"))
    assert caught.value.problem.code == "data.took_too_much"


def test_a_crash_of_a_library_is_a_sentence(tmp_path: Path) -> None:
    with WorkerClient() as desk:
        desk.start()
        process = desk.pid
        assert process is not None
        os.kill(process, signal.SIGSEGV)
        psutil.wait_procs([psutil.Process(process)] if psutil.pid_exists(process) else [], timeout=5)
        # It may have been noticed and replaced before the question, or die over it: both end in an answer.
        try:
            assert opened(desk, sample("en")).sure
        except ProblemError as error:
            assert error.problem.code == "data.reader_died"
        assert opened(desk, sample("en")).sure


def test_cancelling_ends_the_work_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    file = tmp_path / "large.csv"
    with open(file, "w", encoding="utf-8") as out:
        out.write("question,answer\n")
        for number in range(300_000):
            out.write(f"What is the number after {number - 1}?,It is {number} of course.\n")
    cancelled = threading.Event()
    with WorkerClient() as desk:
        desk.start()
        threading.Timer(0.6, cancelled.set).start()
        with pytest.raises(Cancelled):
            desk.ask(OpenTable(choice=DataChoice(path=str(file))), Opened, cancelled=cancelled)
        tables = tmp_path / "home" / "tables"
        assert not tables.exists() or not [p for p in tables.iterdir() if not p.name.startswith(".")]
        assert opened(desk, sample("en")).sure


def test_closing_the_desk_frees_whoever_waits(tmp_path: Path) -> None:
    desk = WorkerClient()
    desk.start()
    assert desk.pid is not None
    os.kill(desk.pid, signal.SIGSTOP)
    outcome: list[str] = []

    def wait() -> None:
        try:
            opened(desk, sample("en"))
        except Cancelled:
            outcome.append("cancelled")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    desk.close()
    thread.join(10)
    assert outcome == ["cancelled"]
