"""The worker reads files in a process of its own that is ended when it takes too long, too much, or nobody waits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import DataChoice
from studio.dataset.samples import sample
from studio.dataset.store import StoredExamples, open_table_at
from studio.worker.client import Cancelled, Patience, WorkerClient
from studio.worker.protocol import (
    BuildExamples,
    Built,
    EncoderSettings,
    ExampleRead,
    FirstRows,
    Measured,
    MeasureLengths,
    Opened,
    OpenTable,
    Progress,
    ReadExample,
)


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerClient]:
    """One for all tests that end none."""
    with WorkerClient() as client:
        yield client


def opened(worker: WorkerClient, path: Path | str, **choice: str) -> Opened:
    return worker.ask(OpenTable(choice=DataChoice.model_validate({"path": str(path), **choice})), Opened)


def built(worker: WorkerClient, path: Path) -> Path:
    table = opened(worker, path)
    choice = DataChoice(path=str(path), mapping=table.mapping)
    return worker.ask(BuildExamples(table=table.table, choice=choice), Built).examples


def written(path: Path, rows: int) -> Path:
    with open(path, "w", encoding="utf-8") as out:
        out.write("question,answer\n")
        for number in range(rows):
            out.write(f"What is the number after {number - 1}?,It is {number} of course.\n")
    return path


def test_a_small_file_is_opened_built_into_examples_and_checked_without_what_takes_long_to_load(tmp_path: Path) -> None:
    """Arrow's `array` looks for pandas, numpy's `unique` for masked arrays, and `pyarrow.compute` documents itself,
    which takes as long as the rest of the work."""
    words = (
        "import sys\n"
        "from studio.core.recipe.data_choice import DataChoice\n"
        "from studio.worker.protocol import BuildExamples, Examine, OpenTable\n"
        "from studio.worker.server import WorkerServer\n"
        "replies = []\n"
        "server = WorkerServer(replies.append)\n"
        "choice = DataChoice(path=sys.argv[1])\n"
        "server.answer(OpenTable(choice=choice))\n"
        "opened = replies[-1]\n"
        "mapped = choice.model_copy(update={'mapping': opened.mapping})\n"
        "server.answer(BuildExamples(table=opened.table, choice=mapped))\n"
        "server.answer(Examine(examples=replies[-1].examples))\n"
        "print(replies[-1].report.examples, {'pandas', 'numpy.ma', 'pyarrow.compute'} & set(sys.modules))"
    )
    file = written(tmp_path / "new.csv", 40)
    told = subprocess.run([sys.executable, "-c", words, str(file)], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["40", "set()"]


def test_a_table_is_read_once_and_mapped_from_then_on(worker: WorkerClient) -> None:
    first = opened(worker, sample("en"))
    table = open_table_at(first.table)
    assert (len(table.rows), table.encoding, first.sure) == (165, "utf-8", True)
    assert first.mapping.question == "message" and first.mapping.answer == "reply"
    changed = (first.table / "table.arrow").stat().st_mtime_ns
    again = opened(worker, sample("en"))
    assert again == first
    assert (again.table / "table.arrow").stat().st_mtime_ns == changed
    stored = StoredExamples(built(worker, sample("en")))
    assert (len(stored), stored.about.skipped_count) == (165, 0)
    assert stored[0].question == table.rows[0]["message"]
    assert stored.rows[164] == 165


def test_a_file_that_changed_is_read_again(worker: WorkerClient, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("question,answer\nhow,so\nwhy,because\n", encoding="utf-8")
    first = opened(worker, file)
    file.write_text("question,answer\nhow,so\nwhy,because\nwho,me\n", encoding="utf-8")
    second = opened(worker, file)
    assert first.table != second.table
    assert len(open_table_at(second.table).rows) == 3


def test_what_is_wrong_with_a_file_comes_back_in_words_and_the_worker_goes_on(
    worker: WorkerClient, tmp_path: Path
) -> None:
    (tmp_path / "photo.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    with pytest.raises(ProblemError) as caught:
        opened(worker, tmp_path / "photo.csv")
    assert caught.value.problem.code == "data.not_a_table"
    process = worker.pid
    assert opened(worker, sample("ko")).sure
    assert worker.pid == process


@pytest.mark.parametrize("name", ["x" * 5_000 + ".csv", "nul\0.csv", "~nobody-is-called-so/a.csv"])
def test_a_name_that_no_disk_takes_is_a_problem(worker: WorkerClient, name: str) -> None:
    with pytest.raises(ProblemError) as caught:
        opened(worker, name)
    assert caught.value.problem.code in ("data.missing", "data.unreadable")


def test_the_first_rows_of_a_large_file_come_before_the_rest(worker: WorkerClient, tmp_path: Path) -> None:
    file = written(tmp_path / "large.csv", 80_000)
    heard: list[Progress | FirstRows] = []
    done = worker.ask(OpenTable(choice=DataChoice(path=str(file))), Opened, heard.append)
    first = next(said for said in heard if isinstance(said, FirstRows))
    assert first.info.columns == ("question", "answer")
    assert first.rows[0] == ("What is the number after -1?", "It is 0 of course.")
    assert any(isinstance(said, Progress) for said in heard)
    assert len(open_table_at(done.table).rows) == 80_000


def test_a_beginning_that_cannot_be_read_by_itself_keeps_nobody_from_the_whole(
    worker: WorkerClient, tmp_path: Path
) -> None:
    """The first of its lines are longer than what is looked at for a beginning."""
    long = json.dumps({"question": "x" * 3_000_000, "answer": "y"})
    (tmp_path / "long.jsonl").write_text(f"{long}\n{long}\n")
    assert len(open_table_at(opened(worker, tmp_path / "long.jsonl").table).rows) == 2


def test_what_an_example_made_necessary_is_not_said_of_the_next_file(
    worker: WorkerClient, tmp_path: Path, small_model: Path
) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
    days = [
        [{"role": "user", "content": f"How warm is it on day {n}?"}, {"role": "assistant", "content": f"{n} degrees."}]
        for n in range(3)
    ]
    with_tools, plain = tmp_path / "tools.jsonl", tmp_path / "plain.jsonl"
    with_tools.write_text("\n".join(json.dumps({"messages": turns, "tools": tools}) for turns in days))
    plain.write_text("\n".join(json.dumps({"messages": turns}) for turns in days))
    encoder = EncoderSettings(model=small_model, max_length=512)

    def read(file: Path) -> ExampleRead:
        return worker.ask(ReadExample(examples=built(worker, file), position=0, encoder=encoder), ExampleRead)

    alone = read(plain)
    worker.ask(MeasureLengths(examples=built(worker, with_tools), encoder=encoder, most=3), Measured)
    assert read(with_tools).adaptations
    assert read(plain) == alone
    assert not alone.adaptations


def test_a_worker_that_neither_speaks_nor_works_is_ended() -> None:
    with WorkerClient(patience=0.7) as worker:
        worker.start()
        process = worker.pid
        assert process is not None
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(ProblemError) as caught:
            opened(worker, sample("en"))
        assert caught.value.problem.code == "data.took_too_long"
        assert not psutil.pid_exists(process)
        worker._patience = 30.0
        assert opened(worker, sample("en")).sure


BUSY = """
import time
while True:
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
    time.sleep(0.04)
"""


def test_patience_counts_the_processor_time_of_the_worker_alone() -> None:
    """A child that gets a third of a processor, as beside others, and never says a word."""
    code = (
        "import time\nwhile True:\n    until = time.process_time() + .02\n    while time.process_time() < until: pass\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code + "    time.sleep(.04)\n"], text=True)
    try:
        patience = Patience(child, 1.0)
        spent = 0.0
        while not patience.is_over():
            time.sleep(0.02)
            times = psutil.Process(child.pid).cpu_times()
            spent = times.user + times.system
        assert spent >= 0.5
    finally:
        child.kill()
        child.wait()


def test_a_worker_that_takes_too_much_memory_is_ended() -> None:
    with WorkerClient(memory=20 << 20) as worker, pytest.raises(ProblemError) as caught:
        opened(worker, sample("en"))
    assert caught.value.problem.code == "data.took_too_much"


def test_a_crash_of_a_library_is_a_sentence() -> None:
    with WorkerClient() as worker:
        worker.start()
        process = worker.pid
        assert process is not None
        os.kill(process, signal.SIGSEGV)
        psutil.wait_procs([psutil.Process(process)] if psutil.pid_exists(process) else [], timeout=5)
        # It may have been noticed and replaced before the request, or die over it: both end in a reply.
        try:
            assert opened(worker, sample("en")).sure
        except ProblemError as error:
            assert error.problem.code == "data.reader_died"
        assert opened(worker, sample("en")).sure


def test_cancelling_ends_the_work_and_leaves_nothing_half_done(home: Path, tmp_path: Path) -> None:
    request = OpenTable(choice=DataChoice(path=str(written(tmp_path / "large.csv", 150_000))))
    cancelled = threading.Event()
    with WorkerClient() as worker:
        with pytest.raises(Cancelled):
            worker.ask(request, Opened, lambda said: cancelled.set(), cancelled)
        assert worker.pid is None
        tables = home / "tables"
        assert not tables.exists() or not [p for p in tables.iterdir() if not p.name.startswith(".")]
        assert opened(worker, sample("en")).sure


def test_closing_the_worker_frees_whoever_waits() -> None:
    worker = WorkerClient()
    worker.start()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    outcome: list[str] = []

    def wait() -> None:
        try:
            opened(worker, sample("en"))
        except Cancelled:
            outcome.append("cancelled")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    worker.close()
    thread.join(10)
    assert outcome == ["cancelled"]
