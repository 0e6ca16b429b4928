"""Downloading data sets from a fake of the Hugging Face Hub, by real child processes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from studio.core.command_queue import new_id, send
from studio.core.commands import Stop
from studio.core.events import Failed, Fetched, Finished, NoticeLogged, PhaseChanged, Progressed, Stopped
from studio.core.jobs import FetchData, Job, write_job
from studio.core.problems import Problem
from studio.core.run_folder import JobFolder
from studio.dataset.readers.hub_dataset import fetched_path
from tests.engine.conftest import ROOT, Child
from tests.fakes.hub import BreakOff, FakeHub, HubModel

Start = Callable[[JobFolder, Job], Child]
NAME = "owner/parcels"
TRAIN = "data/train-00000-of-00002.parquet"
MORE = "data/train-00001-of-00002.parquet"
TEST = "data/test-00000-of-00001.parquet"


def parquet(rows: list[dict[str, object]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def told(first: int, last: int) -> list[dict[str, object]]:
    return [
        {"question": f"Where is {n}?", "answer": f"택배 {n}", "said": [{"role": "user", "content": str(n)}]}
        for n in range(first, last)
    ]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A data set with two parts, one of them in two files; read and written is nothing of the person's own."""
    for name in [n for n in os.environ if n.startswith(("HF_", "HUGGING")) or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    kept = {
        NAME: HubModel(
            {
                "README.md": b"---\nlicense: mit\n---\n# Parcels\n",
                TRAIN: parquet(told(0, 40)),
                MORE: parquet(told(40, 60)),
                TEST: parquet(told(60, 65)),
            }
        ),
        "owner/one-part": HubModel({"test.jsonl": b'{"q": "a", "a": "b"}\n{"q": "c", "a": "d"}\n'}),
        "owner/several": HubModel(
            {
                "README.md": b"---\nconfigs:\n"
                b"- config_name: korean\n  data_files:\n  - split: train\n    path: ko.csv\n"
                b"- config_name: english\n  data_files:\n  - split: train\n    path: en.csv\n  sep: ';'\n---\n",
                "ko.csv": "질문,답변\n언제?,내일\n".encode(),
                "en.csv": b"q;a\nwhen?;tomorrow, or later\n",
            }
        ),
        "owner/programmed": HubModel({"programmed.py": b"open('canary', 'w')", "data.csv": b"a,b\n1,2\n"}),
        "owner/pictures": HubModel({"README.md": b"hello", "model.bin": b"\0" * 100}),
    }
    with FakeHub({}, kept) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.address)
        yield made


@pytest.fixture
def download(start: Start, tmp_path: Path, hub: FakeHub) -> Callable[..., Child]:
    """`download()` starts a job and waits for its end."""

    def begin(name: str = NAME, split: str = "train", *, wait: bool = True) -> Child:
        child = start(JobFolder(tmp_path / "jobs" / new_id()), FetchData(name=name, split=split))
        if wait:
            child.wait(90)
        return child

    return begin


def kept_rows(child: Child, name: str, split: str) -> list[dict[str, object]]:
    """It ended well and kept this part, and nothing else lies beside it."""
    events = child.events()
    assert isinstance(events[-1], Finished), child.folder.log.read_text(errors="replace")[-3000:]
    fetched = next(event for event in events if isinstance(event, Fetched))
    place = fetched_path(name, split)
    assert (fetched.folder, fetched.split, fetched.size) == (str(place), split, place.stat().st_size)
    assert [p.name for p in place.parent.iterdir() if p.name.startswith(".")] == []
    rows: list[dict[str, object]] = pq.read_table(place).to_pylist()
    return rows


def test_a_download_that_breaks_off_in_the_middle_of_a_file_is_taken_up_at_the_next_try(
    download: Callable[..., Child], hub: FakeHub
) -> None:
    hub.breaks[MORE] = BreakOff(after=300)
    broken = problem_of(download())
    assert broken.code == "hub.no_network"
    assert not fetched_path(NAME, "train").exists()
    hub.breaks.clear()
    before = len(hub.fetched())
    child = download()
    assert kept_rows(child, NAME, "train") == told(0, 60)
    assert [asked.file for asked in hub.fetched()[before:] if asked.file.endswith(".parquet")] == [MORE]
    size = len(hub.datasets[NAME].files[TRAIN]) + len(hub.datasets[NAME].files[MORE])
    progress = [event for event in child.events() if isinstance(event, Progressed)]
    assert (progress[-1].done, progress[-1].total, progress[-1].unit) == (60, 60, "examples")
    assert any(event.unit == "bytes" and event.done == event.total == size for event in progress)


@pytest.mark.faults
def test_a_download_whose_process_was_killed_or_whose_files_were_damaged_is_whole_at_the_next_try(
    download: Callable[..., Child], hub: FakeHub
) -> None:
    hub.pause = 0.3
    hub.datasets[NAME].files[MORE] = parquet([{**row, "answer": os.urandom(9000).hex()} for row in told(40, 60)])
    wanted = pq.read_table(io.BytesIO(hub.datasets[NAME].files[MORE])).to_pylist()
    child = download(wait=False)
    child.wait_for(PhaseChanged)
    until = time.monotonic() + 60
    while not any(asked.file == MORE and asked.sent for asked in hub.fetched()):
        assert time.monotonic() < until
        time.sleep(0.02)
    child.process.kill()
    child.wait()
    hub.pause = 0.0
    (staging,) = [p for p in fetched_path(NAME, "train").parent.iterdir() if p.name.startswith(".part")]
    (staging / "files" / TRAIN).write_bytes(b"as after a power cut")
    assert kept_rows(download(), NAME, "train") == [*told(0, 40), *wanted]


def test_a_download_can_be_stopped(download: Callable[..., Child], hub: FakeHub) -> None:
    hub.pause = 0.2
    hub.datasets[NAME].files[TRAIN] = parquet([{"a": os.urandom(1 << 20)} for _ in range(12)])
    child = download(wait=False)
    child.wait_for(Progressed, seconds=60)
    send(child.folder, Stop(id=new_id(), keep=False))
    assert child.wait(15) == 0
    assert isinstance(child.events()[-1], Stopped)
    assert not fetched_path(NAME, "train").exists()


def problem_of(child: Child) -> Problem:
    ending = child.events()[-1]
    assert ending.type == "failed", child.folder.log.read_text(errors="replace")[-3000:]
    assert isinstance(ending.problem, Problem)
    return ending.problem


REFUSED = [
    (NAME, "validation", "hub.no_such_split", "train, test"),
    ("owner/several", "train", "hub.several_collections", "korean, english"),
    ("owner/several:french", "train", "hub.no_such_collection", "korean, english"),
    ("owner/several:korean", "test", "hub.no_such_split", "train"),
    (f"{NAME}:french", "train", "hub.no_such_collection", "default"),
    ("owner/nothing-here", "train", "hub.no_such_data", "owner/nothing-here"),
    ("not a name", "train", "hub.no_such_data", "not a name"),
    ("owner/programmed", "train", "hub.data_needs_code", "owner/programmed"),
    ("owner/pictures", "train", "hub.no_data_files", "owner/pictures"),
]
TAKEN = [
    (NAME, "test", "test", told(60, 65)),
    (NAME, "", "train", told(0, 60)),
    ("owner/one-part", "", "test", [{"q": "a", "a": "b"}, {"q": "c", "a": "d"}]),
    ("owner/several:korean", "train", "train", [{"질문": "언제?", "답변": "내일"}]),
    ("owner/several:english", "", "train", [{"q": "when?", "a": "tomorrow, or later"}]),
]


def all_in_one_process(jobs: list[FetchData], folder: Path) -> list[JobFolder]:
    """Each job as its own process would do it, one after the other in a single one: the libraries load once."""
    folders = [JobFolder(folder / f"{number:02d}") for number in range(len(jobs))]
    for job, place in zip(jobs, folders, strict=True):
        write_job(place, job)
    code = (
        "import sys; from pathlib import Path; from studio.core.jobs import read_job; "
        "from studio.core.run_folder import JobFolder; "
        "from studio.engine.__main__ import prepare_environment, work_of; "
        "from studio.engine.job_context import JobContext; prepare_environment(online=True)\n"
        "for name in sys.argv[1:]:\n"
        "    folder = JobFolder(Path(name)); JobContext(folder, 'fetch_data').run(work_of(read_job(folder)))"
    )
    command = [sys.executable, "-c", code, *(str(place.path) for place in folders)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return folders


def test_parts_and_collections_are_taken_or_refused_with_the_names_of_what_there_is(
    hub: FakeHub, tmp_path: Path
) -> None:
    asked = [*REFUSED, *TAKEN]
    jobs = [FetchData(name=name, split=split) for name, split, *_ in asked]
    folders = all_in_one_process(jobs, tmp_path / "jobs")
    refused, taken = folders[: len(REFUSED)], folders[len(REFUSED) :]
    for (name, split, code, word), folder in zip(REFUSED, refused, strict=True):
        ending = folder.reader().read_new()[-1]
        assert isinstance(ending, Failed), (name, split)
        assert (ending.problem.code, word in ending.problem.english()) == (code, True), (name, ending.problem)
    for (name, split, part, rows), folder in zip(TAKEN, taken, strict=True):
        events = folder.reader().read_new()
        fetched = next((event for event in events if isinstance(event, Fetched)), None)
        assert fetched is not None, events
        assert (Path(fetched.folder), fetched.split) == (fetched_path(name, part), part)
        assert fetched.size == fetched_path(name, part).stat().st_size
        assert pq.read_table(fetched.folder).to_pylist() == rows
        assert any(isinstance(event, NoticeLogged) for event in events) == (split != part)
        assert ":" not in Path(fetched.folder).name  # not allowed in names on Windows
    downloaded = [one.file for one in hub.fetched() if one.file != "README.md"]
    assert sorted(downloaded) == sorted([TEST, TRAIN, MORE, "test.jsonl", "ko.csv", "en.csv"])  # each once, no program
    assert not list(ROOT.glob("canary")) and not list(tmp_path.rglob("canary"))
