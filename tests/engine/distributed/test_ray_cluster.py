"""A run is trained on a real Ray cluster of this computer, a node of which is killed in the middle.

Needs the extra `cluster`, which the tests' environment doesn't have: `pytest -m slow` where it is installed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from studio.core.events import CheckpointCommitted, Event, Failed, Finished
from studio.core.jobs import Placement, Train
from studio.core.problems import ProblemError
from studio.core.run_folder import RunFolder
from studio.engine.distributed.cluster import connect
from studio.runs.follow import follow, processes_of
from studio.runs.start import start_training
from tests.engine.conftest import do_here
from tests.engine.distributed.test_ranks import SETTINGS, assert_same_course

pytest.importorskip("ray", reason="Ray isn't installed: it comes with the extra `cluster`")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

HEAD, DASHBOARD, CLIENT = 6397, 8397, 9397


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A head and two more nodes with one core each; its address."""
    programs = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    scratch = Path("/tmp") / f"ray-{os.getpid()}"  # a socket's path in there mustn't be long
    head = ["--head", f"--port={HEAD}", f"--dashboard-port={DASHBOARD}", f"--ray-client-server-port={CLIENT}"]
    head += ["--include-dashboard=true", f"--temp-dir={scratch}"]
    for place in (head, [f"--address=127.0.0.1:{HEAD}"], [f"--address=127.0.0.1:{HEAD}"]):
        subprocess.run(
            [f"{programs}/ray", "start", "--num-cpus=1", *place], check=True, capture_output=True, cwd=tmp_path
        )
    for port in (CLIENT, DASHBOARD):
        wait_for(port)
    yield f"ray://127.0.0.1:{CLIENT}"
    for process in psutil.process_iter(["cmdline"]):
        if any(str(scratch) in word for word in process.info["cmdline"] or ()):
            process.kill()


def wait_for(port: int) -> None:
    until = time.monotonic() + 180
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < until, f"nobody listens at port {port}"
            time.sleep(0.5)


def killed_node() -> bool:
    """Kill a node on which a process of the training is and the cluster's head isn't."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "studio.engine" in words and any("studio-rank-" in word for word in words):
            raylet = next((one for one in process.parents() if one.name() == "raylet"), None)
            if raylet is not None and "--head" not in raylet.cmdline():
                raylet.kill()
                return True
    return False


def test_a_node_is_killed_in_the_middle_and_the_run_goes_on_elsewhere(
    cluster: str, make_run: Callable[..., RunFolder]
) -> None:
    settings = {**SETTINGS, "training.epochs": 50.0, "training.save_steps": 5}
    one, there = (make_run(name, 13, 3, **settings) for name in ("one", "there"))
    assert do_here(one, Train()) == 0
    supervisor = start_training(there, Train(where=Placement(processes=2, cluster=cluster)))
    told: list[Event] = []
    killed = False
    try:
        for events in follow(there, supervisor):
            told += events
            if not killed and any(isinstance(event, CheckpointCommitted) for event in events):
                killed = killed_node()
    finally:
        for process in processes_of(there):
            process.kill()
    assert killed
    assert supervisor.process.wait(60) == 0
    assert isinstance(told[-1], Finished)
    assert "cluster.lost" in [notice.code for notice in there.state().notices]
    assert_same_course(one, there)


def test_a_cluster_too_small_is_refused_by_the_cluster_itself(cluster: str, make_run: Callable[..., RunFolder]) -> None:
    run = make_run("wide")
    address = f"http://127.0.0.1:{DASHBOARD}"
    assert do_here(run, Train(where=Placement(processes=9, cluster=address))) == 2
    ending = run.state().ending
    assert isinstance(ending, Failed) and ending.problem.code in ("cluster.too_small", "cluster.not_there")


def test_a_cluster_that_is_not_there_is_refused_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(ProblemError) as refused:
        connect("ray://127.0.0.1:9")
    assert refused.value.problem.code == "cluster.not_there"
    assert time.monotonic() - began < 30
