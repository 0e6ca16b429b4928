"""What runs in a Ray cluster: `python -m studio.engine.distributed.cluster_job`, in the folder that was sent there.

Ray Train gives each process a node; there it starts the engine, `python -m studio.engine train`, as torchrun does on
one computer. Beside the first process a `Courier` hands its journal and save points to whoever follows the run.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

import studio
from studio.core.command_queue import send
from studio.core.commands import COMMAND
from studio.core.events import Failed
from studio.core.jobs import FRESH_START, Placement, Train, write_job
from studio.core.problems import Problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.core.versions import EXACT_WITH, library_versions

NAMESPACE = "studio"
ORDER = "order.json"
PROBLEM = "STUDIO-PROBLEM "
"""Begins the line of the job's log that says why it didn't start."""

CHUNK = 8 << 20
"""Bytes of a file that are handed over at once."""

HANDING_OVER = 900.0
"""Seconds that a process which has ended waits until its last save point was taken."""


class Order(BaseModel):
    """What is to be done: `name` is that of the courier, `versions` those of the computer that sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    job: Train
    processes: int
    versions: dict[str, str]


class Courier:
    """Reads the run's folder on the node of its first process, and puts commands there."""

    def __init__(self, folder: str) -> None:
        self._run = RunFolder(Path(folder))
        self._taken = False

    def journal(self, offset: int) -> bytes:
        """What was written after `offset` bytes, at most a chunk."""
        try:
            with open(self._run.events, "rb") as file:
                file.seek(offset)
                return file.read(CHUNK)
        except FileNotFoundError:
            return b""

    def files(self, folder: str) -> dict[str, int]:
        """The sizes of a save point's files by their names; none where it is gone again."""
        place = self._run.path / folder
        return {file.name: file.stat().st_size for file in place.iterdir()} if place.is_dir() else {}

    def read(self, file: str, offset: int) -> bytes:
        with open(self._run.path / file, "rb") as opened:
            opened.seek(offset)
            return opened.read(CHUNK)

    def command(self, text: str) -> None:
        send(self._run, COMMAND.validate_json(text))

    def taken(self) -> None:
        """Everything has been handed over."""
        self._taken = True

    def is_taken(self) -> bool:
        return self._taken


def differences(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """Of the libraries that numbers depend on, those that another computer has in another version, or not at all."""
    differ = [name for name in EXACT_WITH if ours.get(name) != theirs.get(name)]
    return ", ".join(f"{name} {theirs.get(name, '-')} ({ours.get(name, '-')})" for name in differ)


def refuse(found: Problem) -> int:
    print(PROBLEM + Failed(problem=found).model_dump_json(), flush=True)  # noqa: T201 - the job's log is what its client reads
    return 3


def main() -> int:
    """Exit codes: 0 when the training came to an ending, which its journal tells, 3 when it can't begin."""
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    order = Order.model_validate_json(Path(ORDER).read_bytes())
    ray.init(namespace=NAMESPACE, log_to_driver=True)
    has = ray.cluster_resources()
    cards, cores = int(has.get("GPU", 0)), int(has.get("CPU", 0))
    processes = order.processes
    if processes > (cards or cores):
        return refuse(
            Problem(
                code="cluster.too_small",
                what=N_("The cluster has no room for {count} processes."),
                why=N_("It has {cards} graphics cards and {cores} processor cores."),
                fix=N_("Choose fewer processes, or add computers to the cluster."),
                values={"count": processes, "cards": cards, "cores": cores},
            )
        )
    told = _versions_of_nodes(ray)
    other = {node: words for node, theirs in told.items() if (words := differences(order.versions, theirs))}
    if other:
        return refuse(
            Problem(
                code="cluster.other_libraries",
                what=N_("The computers of the cluster have other versions of the training libraries than this one."),
                why=N_("{nodes}. In brackets: what is installed here. Another version may compute something else."),
                fix=N_("Install the same versions on all of them, for instance with the program's own lock file."),
                values={"nodes": "; ".join(f"{node}: {words}" for node, words in other.items())},
            )
        )
    with tempfile.TemporaryDirectory(prefix="studio-ray-train-") as storage:
        trainer: Any = DataParallelTrainer(
            _work,
            train_loop_config=order.model_dump(mode="json"),
            scaling_config=ScalingConfig(num_workers=processes, use_gpu=cards > 0, placement_strategy="SPREAD"),
            run_config=RunConfig(name=order.name, storage_path=storage),
        )
        trainer.fit()
    return 0


def _versions_of_nodes(ray: Any) -> dict[str, dict[str, str]]:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    alive = [node for node in ray.nodes() if node["Alive"]]
    asked = [
        ray.remote(library_versions)
        .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote()
        for node in alive
    ]
    return {node["NodeManagerHostname"]: found for node, found in zip(alive, ray.get(asked), strict=True)}


def _work(values: dict[str, Any]) -> None:
    """On a node: one process of the training, from the run's folder as it was sent."""
    import ray
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    order, here = Order.model_validate(values), Path(studio.__file__).resolve().parents[1]
    rank, world_size = get_context().get_world_rank(), get_context().get_world_size()
    scratch = Path(tempfile.mkdtemp(prefix=f"studio-rank-{rank}-"))
    run = RunFolder(scratch / "run")
    shutil.copytree(here / "run", run.path)
    # with a node each, every process has a folder of its own, and says there that it isn't alone
    write_job(run, order.job.model_copy(update={"where": Placement(processes=world_size)}))
    host, port = broadcast_from_rank_zero(_meeting(ray) if rank == 0 else None)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": host,
        "MASTER_PORT": str(port),
    }
    courier: Any = None
    if rank == 0:
        node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        made: Any = ray.remote(Courier)
        courier = made.options(name=order.name, num_cpus=0, scheduling_strategy=node).remote(str(run.path))
        ray.get(courier.is_taken.remote())
    command = [sys.executable, "-m", "studio.engine", "train", str(run.path)]
    try:
        code = subprocess.call(command, cwd=here, env=environment)
        if rank == 0:
            until = time.monotonic() + HANDING_OVER
            while code != FRESH_START and time.monotonic() < until and not ray.get(courier.is_taken.remote()):
                time.sleep(0.5)
        if code not in (0, 2):  # of 2 the journal tells why
            raise RuntimeError(f"the process of rank {rank} ended with exit code {code}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _meeting(ray: Any) -> tuple[str, int]:
    """Where the processes meet: this node, at a port that is free now."""
    host = str(ray.util.get_node_ip_address())
    with socket.socket() as found:
        found.bind((host, 0))
        return host, int(found.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
