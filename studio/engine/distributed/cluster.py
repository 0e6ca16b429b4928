"""A training on a Ray cluster, followed from here: sent there by Ray's own job client, its journal and save points
copied into the run's folder as they come, so that every page works as ever.

When a computer of the cluster dies, the run goes on elsewhere in it, from the last save point that was copied.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from studio.core import paths
from studio.core.command_queue import new_id
from studio.core.commands import Command, Pause, SaveNow, Stop
from studio.core.events import (
    EVENT,
    CheckpointCommitted,
    CheckpointRemoved,
    CommandReceived,
    Ending,
    Event,
    Failed,
    ProcessStarted,
    StepDone,
)
from studio.core.jobs import HERE, Train
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.storage import size_of, staged
from studio.core.translatable import N_
from studio.core.versions import library_versions
from studio.engine.distributed.cluster_job import NAMESPACE, ORDER, PROBLEM, Order
from studio.engine.job_context import FreshStart, JobContext
from studio.models.base_model import base_of_run

LOOK_EVERY = 0.5
"""Seconds between two looks at what the cluster has done."""

REACHED_WITHIN = 8.0
"""Seconds in which a cluster that is there answers."""

CLIENT_PORT = 10001
"""Where Ray's client server listens unless it is told otherwise; files are handed over through it."""

MOST_SENT = 450 << 20
"""Bytes that Ray takes along with a job. A larger base has to be on the computers of the cluster."""

_FAILED: TypeAdapter[Failed] = TypeAdapter(Failed)


def train(context: JobContext, job: Train) -> Ending | None:
    """Train the run in the job's own folder on the cluster that the job names. Raises `ProblemError`."""
    run = RunFolder(context.folder.path)
    context.pausing = True
    name = f"studio-{run.path.name}-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="studio-cluster-") as scratch:
        with context.interruptible():
            context.phase("preparing", N_("Looking for the cluster."))
            client = connect(job.where.cluster)
            context.phase("preparing", N_("Sending the run to the cluster."), long=True)
            pack(run, job, name, Path(scratch))
        known = (Path(scratch) / "run" / run.events.name).read_bytes().count(b"\n")
        client.submit_job(
            entrypoint="python -m studio.engine.distributed.cluster_job",
            submission_id=name,
            runtime_env={"working_dir": scratch, "env_vars": {"HF_HUB_OFFLINE": "1"}},
            metadata={"studio": run.path.name},
        )
    try:
        context.phase("preparing", N_("The cluster is starting it."), long=True)
        return _Follower(context, run, client, name, known).follow()
    except BaseException:  # nobody follows it any more
        with contextlib.suppress(Exception):
            client.stop_job(name)
        raise


def connect(address: str) -> Any:
    """Ray's job client, with its connection for files. `address` is ray://HOST:PORT, or http://HOST:PORT of the
    dashboard. Raises `ProblemError` before anything is sent."""
    try:
        import ray
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise problem(
            "cluster.no_ray",
            N_("Ray isn't installed, so a cluster can't be reached."),
            N_("It comes with the extra `cluster` of this program, about 300 MB."),
            N_("Install it with: pip install {words}. Or train on this computer."),
            words='"ray[default,train]"',
        ) from error
    parts = urlsplit(address)
    if parts.scheme not in ("ray", "http", "https") or not parts.hostname:
        raise problem(
            "cluster.bad_address",
            N_("{address} isn't the address of a Ray cluster."),
            fix=N_(
                "It begins with ray:// or http://, for instance ray://192.168.0.5:10001 or http://192.168.0.5:8265."
            ),
            address=address,
        )
    files = f"ray://{parts.hostname}:{parts.port if parts.scheme == 'ray' and parts.port else CLIENT_PORT}"
    for url in {files, address}:
        _require_answer(address, urlsplit(url))
    try:
        with _no_address_from_outside():
            client = _same_versions(ray, lambda: JobSubmissionClient(address))
            _require_same_ray(client.get_address(), ray.__version__)
            _same_versions(ray, lambda: ray.init(files, namespace=NAMESPACE, log_to_driver=False))
    except (ConnectionError, RuntimeError, OSError) as error:
        raise _not_there(address, str(error)) from error
    return client


def pack(run: RunFolder, job: Train, name: str, folder: Path) -> None:
    """Put what the cluster needs into `folder`: this program, the run with its newest save point, and its base where
    that is small enough to be sent along."""
    package = Path(__file__).resolve().parents[2]
    shutil.copytree(package, folder / "studio", ignore=shutil.ignore_patterns("__pycache__", "ui"))
    if not (package / "_resources").is_dir():
        shutil.copytree(
            paths.resources(), folder / "resources", ignore=shutil.ignore_patterns("fonts", "icons", "i18n")
        )
    ignored = [
        "commands",
        "ranks",
        "jobs",
        "exports",
        "trainer",
        "*.lock",
        "heartbeat",
        "log.txt",
        "checkpoints",
        "job.json",
    ]
    sent = RunFolder(folder / "run")
    shutil.copytree(run.path, sent.path, ignore=shutil.ignore_patterns(*ignored, ".tmp-*"))
    newest = max(run.checkpoints.glob("step-*"), default=None, key=lambda place: place.name)
    if newest is not None:
        shutil.copytree(newest, sent.checkpoints / newest.name)
    base = base_of_run(run, load(run.recipe).model)
    if size_of(base) + size_of(folder) <= MOST_SENT:
        shutil.copytree(base, sent.brought_base)
    order = Order(
        name=name,
        job=job.model_copy(update={"where": HERE}),
        processes=job.where.processes,
        versions=library_versions(),
    )
    (folder / ORDER).write_text(order.model_dump_json(), encoding="utf-8")


class _Follower:
    """Copies what the cluster tells, and tells it what a person wants."""

    def __init__(self, context: JobContext, run: RunFolder, client: Any, name: str, known: int) -> None:
        """`known` lines of the journal were sent along, and come back first."""
        import ray

        self._ray = ray
        self._context = context
        self._run = run
        self._client = client
        self._name = name
        self._courier: Any = None
        self._offset = 0
        self._torn = b""
        self._told = False
        self._learns = False
        self._known = known

    def follow(self) -> Ending | None:
        """Until the training there has come to an ending."""
        while True:
            over = self._client.get_job_status(self._name).is_terminal()
            try:
                ending = self._take()
                if ending is not None:
                    self._ask(lambda courier: courier.taken.remote())
                    return _as_ours(ending)
                self._pass_on()
            except self._ray.exceptions.RayError:  # its computer is gone
                over = True
            if over:
                self._lost()
            time.sleep(LOOK_EVERY)

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """The courier's answer, None where there is no courier yet. Ray's client, which doesn't know its class, wants
        arguments by their names."""
        if self._courier is None:
            try:
                self._courier = self._ray.get_actor(self._name, namespace=NAMESPACE)
            except ValueError:  # it isn't there yet
                return None
        return self._ray.get(question(self._courier), timeout=60.0)

    def _take(self) -> Ending | None:
        """Copy what is new in the journal there; its ending, where it has come to one."""
        while new := self._ask(lambda courier: courier.journal.remote(offset=self._offset)):
            self._offset += len(new)
            *lines, self._torn = (self._torn + new).split(b"\n")
            for line in lines:
                if self._known > 0:
                    self._known -= 1
                    continue
                try:
                    event = EVENT.validate_json(line)
                except ValidationError:
                    continue
                if isinstance(event, Ending):
                    return event
                self._write(event)
        return None

    def _write(self, event: Event) -> None:
        match event:
            case ProcessStarted() | CommandReceived():  # of processes there
                return
            case CheckpointRemoved() if not self._learns:  # it wasn't sent along, and stays here
                return
            case CheckpointCommitted():
                if not self._fetch(event.folder):
                    return
                self._context.write(event, durable=True)
            case CheckpointRemoved():
                shutil.rmtree(self._run.checkpoints / f"step-{event.step:06d}", ignore_errors=True)
                self._context.write(event)
            case _:
                self._learns |= isinstance(event, StepDone)
                self._context.write(event)

    def _fetch(self, folder: str) -> bool:
        """Copy a save point. False where it has given way to newer ones already."""
        sizes = self._ask(lambda courier: courier.files.remote(folder=folder))
        if not sizes:
            return False
        with staged(self._run.path / folder) as place:
            for name, size in sizes.items():
                with open(place / Path(name).name, "wb") as file:
                    while file.tell() < size:
                        file.write(self._ask(_reading(f"{folder}/{name}", file.tell())))
        return True

    def _pass_on(self) -> None:
        commands: list[Command] = [one for one in self._context.commands() if isinstance(one, SaveNow)]
        if self._context.stopping and not self._told:
            commands.append(Pause(id=new_id()) if self._context.pausing else Stop(id=new_id(), keep=self._context.keep))
        for command in commands:
            if self._courier is not None:
                self._ask(_telling(command))
                self._told |= not isinstance(command, SaveNow)
            elif not isinstance(command, SaveNow):  # nothing has begun yet
                self._client.stop_job(self._name)
                self._context.obey_stop()

    def _lost(self) -> None:
        """The job there is over without an ending. Raises `ProblemError` where it says why, else `FreshStart`."""
        log = str(self._client.get_job_logs(self._name))
        print(log[-20_000:])  # noqa: T201 - it goes to the run's log
        for line in log.splitlines():
            if PROBLEM in line:
                raise ProblemError(_FAILED.validate_json(line.partition(PROBLEM)[2]).problem)
        self._context.obey_stop()
        self._client.stop_job(self._name)
        if not self._context.supervised:
            raise problem(
                "cluster.job_failed",
                N_("The training in the cluster ended without saying why."),
                N_("The end of its log stands in the run's log."),
                N_("Continue it, on the cluster or here. What was saved is kept."),
                remedy=Remedy.open_log,
            )
        self._context.notice(
            "cluster.lost",
            N_("A computer of the cluster was lost. The run goes on in it from the last save point that is here."),
        )
        raise FreshStart


def _reading(file: str, offset: int) -> Callable[[Any], Any]:
    return lambda courier: courier.read.remote(file=file, offset=offset)


def _telling(command: Command) -> Callable[[Any], Any]:
    return lambda courier: courier.command.remote(text=command.model_dump_json())


def _as_ours(ending: Ending) -> Ending:
    if isinstance(ending, Failed):
        raise ProblemError(ending.problem)
    return ending


def _require_answer(address: str, parts: Any) -> None:
    try:
        with socket.create_connection((parts.hostname, parts.port or 8265), timeout=REACHED_WITHIN):
            pass
    except OSError as error:
        where = f"{parts.hostname}:{parts.port or 8265}"
        raise _not_there(address, f"{where}: {error.strerror or error}") from error


def _not_there(address: str, reason: str) -> ProblemError:
    return problem(
        "cluster.not_there",
        N_("There is no Ray cluster at {address}, or it doesn't answer."),
        N_("The computer says: {reason}"),
        N_(
            "Start it with `ray start --head` on its first computer, let its ports 8265 and 10001 through, and check "
            "the address. Or train on this computer."
        ),
        remedy=Remedy.try_again,
        address=address,
        reason=reason[:300],
    )


def _require_same_ray(dashboard: str, ours: str) -> None:
    with urllib.request.urlopen(f"{dashboard}/api/version", timeout=REACHED_WITHIN) as answer:
        theirs = str(json.load(answer).get("ray_version", "-"))
    if theirs != ours:
        raise _other_version(f"Ray {theirs}", f"Ray {ours}")


def _same_versions(ray: Any, reach: Callable[[], Any]) -> Any:
    """What `reach` gives. Raises `ProblemError` where Ray itself refuses to speak with another version."""
    try:
        return reach()
    except RuntimeError as error:
        if "version mismatch" not in str(error).lower():
            raise
        raise _other_version(str(error)[:200], f"Ray {ray.__version__}") from error


def _other_version(theirs: str, ours: str) -> ProblemError:
    return problem(
        "cluster.other_version",
        N_("The cluster runs another version than this computer: {theirs} there, {ours} here."),
        N_("Ray and Python have to be the same on both."),
        N_("Install the same versions on all computers. Or train on this computer."),
        theirs=theirs,
        ours=ours,
    )


@contextlib.contextmanager
def _no_address_from_outside() -> Iterator[None]:
    """Ray puts its own variables of the environment before the address that a person gave."""
    kept = {name: os.environ.pop(name) for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
