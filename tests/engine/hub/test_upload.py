"""Uploading an export to a fake of the Hugging Face Hub, by real child processes that get the token as production
gives it to them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from studio.core.command_queue import new_id, send
from studio.core.commands import Stop
from studio.core.events import Failed, Finished, PhaseChanged, Progressed, Stopped
from studio.core.job_states import UploadState
from studio.core.jobs import Upload
from studio.core.problems import Problem, ProblemError
from studio.core.run_folder import JobFolder
from studio.engine.hub.upload import LARGEST_FILE, files_to_upload
from studio.models.base_model import require_new_hub_name
from studio.runs.start import JobProcess, start_job
from tests.fakes.hub import Account, BreakOff, FakeHub, HubModel

NAME = "person/support"
TOKEN = "hf_aSecretThatNobodyMayRead"
WEIGHTS = {"model-00001-of-00002.safetensors": os.urandom(300_000), "model-00002-of-00002.safetensors": b"w" * 200_000}
FILES = {"README.md": b"---\nlicense: mit\n---\n# Support\n", "config.json": b"{}", **WEIGHTS}


@dataclass
class Sent:
    """An upload's process and folder."""

    job: JobProcess

    def wait(self) -> UploadState:
        self.job.process.wait(60)
        return self.job.folder.fold(UploadState())

    def wait_until(self, reached: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < until and self.job.poll() is None, self.log
            time.sleep(0.02)

    @property
    def log(self) -> str:
        return self.job.folder.log.read_text(errors="replace")[-3000:]


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A finished export's folder, with what isn't part of it beside."""
    folder = tmp_path / "merged"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Children look for the Hub here. The person has a token of another account lying about, too."""
    for name in [n for n in os.environ if n.startswith(("HF_", "HUGGING")) or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "hf_ofAnotherAccount")
    accounts = {TOKEN: Account("person", owns=("person", "team")), "hf_read": Account("person", "read", ("person",))}
    with FakeHub({}, accounts=accounts) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.address)
        yield made


@pytest.fixture
def upload(tmp_path: Path, hub: FakeHub, export: Path) -> Iterator[Callable[..., Sent]]:
    """`upload()` starts a job; what still runs at the end of the test is ended."""
    begun: list[JobProcess] = []

    def begin(name: str = NAME, token: str = TOKEN, *, private: bool = True) -> Sent:
        job = Upload(folder=export, repository=name, private=private)
        begun.append(start_job(JobFolder(tmp_path / "jobs" / new_id()), job, secret=token))
        return Sent(begun[-1])

    yield begin
    for one in begun:
        one.process.kill()
        one.process.wait(10)


def problem_of(sent: Sent) -> Problem:
    ending = sent.wait().ending
    assert isinstance(ending, Failed), sent.log
    found = ending.problem
    assert found.fix and TOKEN not in found.english() and "\n" not in found.english()
    return found


def test_an_export_arrives_whole_as_one_commit_in_a_private_repository(
    upload: Callable[..., Sent], hub: FakeHub
) -> None:
    sent = upload()
    state = sent.wait()
    assert isinstance(state.ending, Finished), sent.log
    arrived = dict(hub.models[NAME].files)
    arrived.pop(".gitattributes")
    assert arrived == FILES and hub.models[NAME].private
    assert state.uploaded is not None
    assert (state.uploaded.address, state.uploaded.private) == (f"{hub.address}/{NAME}", True)
    assert (state.uploaded.files, state.uploaded.size) == (4, sum(map(len, FILES.values())))
    assert state.uploaded.commit == hub.models[NAME].commit
    assert sum(asked.path.endswith("/commit/main") for asked in hub.asked) == 1
    events = sent.job.folder.reader().read_new()
    assert [event.phase for event in events if isinstance(event, PhaseChanged)] == ["preparing", "reading", "uploading"]
    told = [event for event in events if isinstance(event, Progressed)]
    assert told[-1].done == told[-1].total == state.uploaded.size and told[-1].unit == "bytes"


def test_the_token_is_in_no_file_and_in_nothing_that_the_system_tells_of_the_process(
    upload: Callable[..., Sent], hub: FakeHub, tmp_path: Path
) -> None:
    hub.pause = 0.2
    sent = upload()
    sent.wait_until(lambda: any(asked.received for asked in hub.asked))
    process = psutil.Process(sent.job.pid)
    assert TOKEN not in " ".join(process.cmdline()) and TOKEN not in str(process.environ())
    hub.pause = 0.0
    assert isinstance(sent.wait().ending, Finished), sent.log
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sent.job.folder.log in files
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    # and no other account's was sent, though there was one in the environment
    assert {asked.token for asked in hub.asked} == {TOKEN, ""}


def test_what_is_there_is_never_overwritten(upload: Callable[..., Sent], hub: FakeHub) -> None:
    hub.models[NAME] = HubModel({"README.md": b"mine"}, private=True)
    assert problem_of(upload()).code == "hub.repository_exists"
    assert hub.models[NAME].files == {"README.md": b"mine"} and not hub.stored


def test_a_repository_that_everybody_sees_gets_nothing_that_is_to_be_private(
    upload: Callable[..., Sent], hub: FakeHub
) -> None:
    hub.models[NAME] = HubModel({".gitattributes": b""})
    assert problem_of(upload()).code == "hub.repository_public"
    assert set(hub.models[NAME].files) == {".gitattributes"} and not hub.stored


def test_a_stop_in_the_middle_leaves_an_empty_repository_and_the_next_attempt_sends_only_the_rest(
    upload: Callable[..., Sent], hub: FakeHub, export: Path
) -> None:
    long = b"w" * (24 << 20)  # more than what the system keeps of a connection
    (export / "model-00002-of-00002.safetensors").write_bytes(long)
    first, second = (hashlib.sha256(data).hexdigest() for data in (*list(WEIGHTS.values())[:1], long))
    hub.pause = 0.3
    sent = upload()
    sent.wait_until(lambda: any(asked.path == f"/lfs/{second}" and asked.received for asked in hub.asked))
    send(sent.job.folder, Stop(id=new_id(), keep=False))
    assert isinstance(sent.wait().ending, Stopped), sent.log
    assert set(hub.models[NAME].files) == {".gitattributes"} and set(hub.stored) == {first}
    hub.pause = 0.0
    before = len(hub.asked)
    assert isinstance(upload().wait().ending, Finished)
    assert [asked.path for asked in hub.asked[before:] if asked.method == "PUT"] == [f"/lfs/{second}"]
    assert {path.name for path in export.iterdir()} < set(hub.models[NAME].files)


def test_a_connection_that_breaks_for_a_moment_is_taken_up_again(upload: Callable[..., Sent], hub: FakeHub) -> None:
    hub.breaks[hashlib.sha256(WEIGHTS["model-00001-of-00002.safetensors"]).hexdigest()] = BreakOff(100_000, times=1)
    sent = upload()
    assert isinstance(sent.wait().ending, Finished), sent.log
    assert FILES.items() <= hub.models[NAME].files.items()


def test_everybody_sees_it_when_that_was_asked_for_and_large_files_go_in_parts(
    upload: Callable[..., Sent], hub: FakeHub
) -> None:
    hub.part_size = 120_000
    sent = upload("team/support", private=False)
    assert isinstance(sent.wait().ending, Finished), sent.log
    assert not hub.models["team/support"].private
    assert FILES.items() <= hub.models["team/support"].files.items()
    assert sum(asked.method == "PUT" for asked in hub.asked) == 3 + 2


@pytest.mark.parametrize(
    ("name", "token", "code"),
    [
        (NAME, "hf_mistyped", "hub.wrong_token"),
        (NAME, "hf_read", "hub.no_right_to_write"),
        ("stranger/support", TOKEN, "hub.no_right_to_write"),
        ("person/sup--port", TOKEN, "hub.bad_repository"),
    ],
)
def test_what_the_account_may_not_do_is_said_before_anything_is_sent(
    upload: Callable[..., Sent], hub: FakeHub, name: str, token: str, code: str
) -> None:
    assert problem_of(upload(name, token)).code == code
    assert not hub.models and not hub.stored


def test_without_a_token_nobody_is_asked(upload: Callable[..., Sent], hub: FakeHub) -> None:
    assert problem_of(upload(token="")).code == "hub.wrong_token"
    assert not hub.asked


def test_without_a_network_it_says_so(upload: Callable[..., Sent], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    assert problem_of(upload()).code == "hub.no_network"


def test_a_file_that_the_hub_finds_too_large_is_named(upload: Callable[..., Sent], hub: FakeHub) -> None:
    hub.largest = 250_000
    found = problem_of(upload())
    assert (
        found.code == "hub.not_taken"
        and "limit exceeded" in found.english()
        and "model-00001-of-00002.safetensors" in found.english()
    )
    assert set(hub.models[NAME].files) == {".gitattributes"}


def test_a_card_that_the_hub_refuses_is_told_before_the_weights_are_sent(
    upload: Callable[..., Sent], hub: FakeHub, export: Path
) -> None:
    (export / "README.md").write_text("---\ntags: []\n---\n", encoding="utf-8")
    found = problem_of(upload())
    assert found.code == "hub.bad_card" and "license" in found.english()
    assert not hub.stored


def test_where_the_base_model_lies_on_this_computer_is_not_told(
    upload: Callable[..., Sent], hub: FakeHub, export: Path, tmp_path: Path
) -> None:
    config = {"r": 16, "base_model_name_or_path": str(tmp_path / "mine" / "SmolLM2")}
    (export / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    assert isinstance(upload().wait().ending, Finished)
    arrived = hub.models[NAME].files["adapter_config.json"]
    assert json.loads(arrived) == {"r": 16, "base_model_name_or_path": "SmolLM2"}


def test_links_and_hidden_files_stay_here(export: Path, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("private", encoding="utf-8")
    (export / "link.txt").symlink_to(tmp_path / "private.txt")
    (export / ".cache").mkdir()
    (export / ".cache" / "token").write_text("secret", encoding="utf-8")
    assert {path.name for path in files_to_upload(export)} == set(FILES)


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(export: Path) -> None:
    with open(export / "huge.gguf", "wb") as file:
        file.truncate(LARGEST_FILE + 1)  # a hole: takes no room
    with pytest.raises(ProblemError) as caught:
        files_to_upload(export)
    assert caught.value.problem.code == "hub.file_too_large" and "huge.gguf" in caught.value.problem.english()


@pytest.mark.parametrize("name", ["", "support", "a/b/c", "person/.x", "person/x.", "person/a..b", "person/x.git"])
def test_names_that_the_hub_would_not_take_are_refused_here(name: str) -> None:
    with pytest.raises(ProblemError) as caught:
        require_new_hub_name(name)
    assert caught.value.problem.code == "hub.bad_repository"
    assert require_new_hub_name(" person/Support-2.1_x ") == "person/Support-2.1_x"
