"""What is sent to a Ray cluster, what comes back, and what is refused before anything is loaded.

Ray itself is stood in for by a module with what is asked of it; behind that, its dashboard's HTTP answers on the
loopback. The real one is in test_ray_cluster.py.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from studio.core.command_queue import new_id, send
from studio.core.commands import Pause
from studio.core.events import (
    CheckpointCommitted,
    CheckpointRemoved,
    Failed,
    Finished,
    NoticeLogged,
    Paused,
    ProcessStarted,
    StepDone,
)
from studio.core.jobs import FRESH_START, HERE, Placement, Train
from studio.core.problems import Problem, ProblemError
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.versions import library_versions
from studio.core.writer_lock import WriterLock
from studio.engine.distributed import cluster
from studio.engine.distributed.cluster_job import ORDER, PROBLEM, Courier, Order, differences
from tests.engine.conftest import do_here
from tests.engine.distributed.test_ranks import SETTINGS, assert_same_course

MakeRun = Callable[..., RunFolder]


class _Lost(Exception):
    """Ray's RayError."""


class _Remote:
    """A courier as Ray's client gives it: methods with `remote`, which wants names."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._courier, name)
        return types.SimpleNamespace(remote=lambda **values: lambda: method(**values))


class FakeRay:
    """Ray with one job, whose folder on its node is `there`. `lost` says that the node is gone."""

    version = "2.60.0"

    def __init__(self) -> None:
        self.there: RunFolder | None = None
        self.lost = False
        self.log = ""
        self.status_over = False
        self.sent: Path | None = None
        self.stopped: list[str] = []
        self.keep = Path()

    def module(self) -> Any:
        made: Any = types.ModuleType("ray")
        made.__version__ = self.version
        made.init = lambda *_, **__: None
        made.exceptions = types.SimpleNamespace(RayError=_Lost)
        made.get_actor = self._actor
        made.get = lambda question, timeout=None: self._answer(question)
        return made

    def _actor(self, name: str, namespace: str) -> _Remote:
        if self.there is None:
            raise ValueError(name)
        return _Remote(Courier(str(self.there.path)))

    def _answer(self, question: Callable[[], Any]) -> Any:
        if self.lost:
            raise _Lost
        return question()


@pytest.fixture
def dashboard() -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"version": "4", "ray_version": FakeRay.version}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, name="dashboard", daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch, dashboard: str, tmp_path: Path) -> FakeRay:
    fake = FakeRay()

    class JobSubmissionClient:
        def __init__(self, address: str) -> None:
            self._address = address

        def get_address(self) -> str:
            return dashboard

        def submit_job(self, *, runtime_env: dict[str, Any], **_: object) -> None:
            fake.sent = tmp_path / "sent"
            shutil.copytree(runtime_env["working_dir"], fake.sent)
            if fake.there is not None:  # whose journal goes on where the one that was sent ends
                own = fake.there.events.read_bytes().partition(b"\n")[2]
                fake.there.events.write_bytes(RunFolder(fake.sent / "run").events.read_bytes() + own)

        def get_job_status(self, name: str) -> Any:
            return types.SimpleNamespace(is_terminal=lambda: fake.status_over)

        def get_job_logs(self, name: str) -> str:
            return fake.log

        def stop_job(self, name: str) -> None:
            fake.stopped.append(name)

    submission: Any = types.ModuleType("ray.job_submission")
    submission.JobSubmissionClient = JobSubmissionClient
    monkeypatch.setitem(sys.modules, "ray", fake.module())
    monkeypatch.setitem(sys.modules, "ray.job_submission", submission)
    monkeypatch.setattr(cluster, "CLIENT_PORT", int(dashboard.rpartition(":")[2]))
    monkeypatch.setattr(cluster, "LOOK_EVERY", 0.05)
    return fake


def on(dashboard: str) -> Train:
    return Train(where=Placement(processes=2, cluster=dashboard))


def test_journal_and_save_points_come_back_as_they_are(ray: FakeRay, dashboard: str, make_run: MakeRun) -> None:
    there, here = make_run("there", 13, 3, **SETTINGS), make_run("here", 13, 3, **SETTINGS)
    assert do_here(there, Train()) == 0
    ray.there = there
    assert do_here(here, on(dashboard)) == 0
    assert_same_course(there, here)
    told = here.reader().read_new()
    assert isinstance(told[-1], Finished)
    assert sum(isinstance(event, ProcessStarted) for event in told) == 1, "those of other computers mean nothing here"
    assert choose_checkpoint(here).name == choose_checkpoint(there).name
    assert [c.step for c in here.state().checkpoints] == [c.step for c in there.state().checkpoints]


def test_what_is_sent_is_the_recipe_unchanged_with_all_that_it_needs(
    ray: FakeRay, dashboard: str, make_run: MakeRun
) -> None:
    there, here = make_run("there"), make_run("here")
    assert do_here(there, Train()) == 0
    ray.there = there
    assert do_here(here, on(dashboard)) == 0
    assert ray.sent is not None
    sent = RunFolder(ray.sent / "run")
    assert sent.recipe.read_bytes() == here.recipe.read_bytes()
    assert sent.train_data.read_bytes() == here.train_data.read_bytes()
    assert (sent.brought_base / "config.json").is_file()
    assert (ray.sent / "studio" / "engine" / "__main__.py").is_file()
    assert not (ray.sent / "studio" / "ui").exists()
    order = Order.model_validate_json((ray.sent / ORDER).read_bytes())
    assert (order.processes, order.job.where, order.versions) == (2, HERE, library_versions())


def test_a_pause_goes_there_and_its_ending_comes_back(ray: FakeRay, dashboard: str, make_run: MakeRun) -> None:
    here, there = make_run("here"), make_run("there")
    with there.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0))
        ray.there = there

        def node() -> None:
            """Somebody pauses the run when it is there; the training there hears it."""
            until = time.monotonic() + 60
            here.events.touch()
            asked = False
            while time.monotonic() < until and not list(there.commands.glob("*.json")):
                if not asked and b"The cluster is starting it." in here.events.read_bytes():
                    asked = True
                    time.sleep(0.5)  # it has been asked for news once
                    send(here, Pause(id=new_id()))
                time.sleep(0.05)
            writer.write(Paused(step=0))

        thread = threading.Thread(target=node, name="node")
        thread.start()
        assert do_here(here, on(dashboard)) == 0
        thread.join()
    assert [path.suffix for path in there.commands.iterdir()] == [".json"]
    assert isinstance(here.state().ending, Paused)


def test_a_node_that_dies_means_a_fresh_start_from_the_last_save_point_that_is_here(
    ray: FakeRay, dashboard: str, make_run: MakeRun
) -> None:
    here, there = make_run("here"), make_run("there")
    assert do_here(there, Train()) == 0
    ray.there = there
    lines = there.events.read_bytes().splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if b"checkpoint_committed" in line)
    there.events.write_bytes(b"".join(lines[: last + 1]))  # it came no further
    ray.status_over = True
    watching = WriterLock(here.supervisor_lock)
    watching.acquire()
    assert do_here(here, on(dashboard)) == FRESH_START
    watching.release()
    assert "cluster.lost" in [event.code for event in here.reader().read_new() if isinstance(event, NoticeLogged)]
    ray.there, ray.status_over = None, True
    shutil.rmtree(ray.sent or Path())
    do_here(here, Train(resume=True, where=on(dashboard).where))
    assert ray.sent is not None
    newest = max(place.name for place in here.checkpoints.iterdir())
    assert [place.name for place in (ray.sent / "run" / "checkpoints").iterdir()] == [newest]


def test_save_points_that_were_not_sent_along_stay_here(ray: FakeRay, dashboard: str, make_run: MakeRun) -> None:
    here, there = make_run("here", **SETTINGS), make_run("there")
    assert do_here(here, Train()) == 0
    before = {place.name for place in here.checkpoints.iterdir()}
    with there.writer() as writer:
        writer.write(CheckpointRemoved(step=int(min(before).removeprefix("step-")), reason="rotated"))
        writer.write(Finished())
    ray.there = there
    do_here(here, Train(resume=True, where=on(dashboard).where))
    assert {place.name for place in here.checkpoints.iterdir()} == before


def test_why_the_cluster_did_not_begin_is_said_in_its_words(ray: FakeRay, dashboard: str, make_run: MakeRun) -> None:
    here = make_run("here")
    why = Problem(code="cluster.other_libraries", what="Other versions.", values={"nodes": "one: torch 2.1 (2.13)"})
    ray.log = f"some line\n(worker) {PROBLEM}{Failed(problem=why).model_dump_json()}\n"
    ray.status_over = True
    assert do_here(here, on(dashboard)) == 2
    ending = here.state().ending
    assert isinstance(ending, Failed) and ending.problem == why
    assert not any(isinstance(event, StepDone | CheckpointCommitted) for event in here.reader().read_new())


def test_versions_that_differ_are_named() -> None:
    ours = library_versions()
    assert differences(ours, ours) == ""
    assert differences(ours, {**ours, "torch": "2.1.0"}) == f"torch 2.1.0 ({ours['torch']})"
    assert "peft -" in differences(ours, {name: one for name, one in ours.items() if name != "peft"})


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("ray://127.0.0.1:9", "cluster.not_there"),
        ("http://127.0.0.1:9", "cluster.not_there"),
        ("127.0.0.1:10001", "cluster.bad_address"),
        ("ssh://somewhere", "cluster.bad_address"),
    ],
)
def test_a_cluster_that_is_not_there_is_refused_before_anything_is_sent(ray: FakeRay, address: str, code: str) -> None:
    with pytest.raises(ProblemError) as refused:
        cluster.connect(address)
    assert refused.value.problem.code == code
    assert ray.sent is None


def test_another_ray_there_is_refused(ray: FakeRay, dashboard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeRay, "version", "2.9.0")
    with pytest.raises(ProblemError) as refused:
        cluster.connect(dashboard)
    assert refused.value.problem.code == "cluster.other_version"


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ProblemError) as refused:
        cluster.connect("ray://127.0.0.1:10001")
    assert refused.value.problem.code == "cluster.no_ray"
