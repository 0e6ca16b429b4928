"""Starting the processes of one training on this computer, by torchrun's own agent, and what their endings mean."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import uuid
from pathlib import Path
from types import FrameType

import psutil
import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from studio.core.command_queue import new_id, send
from studio.core.commands import Pause
from studio.core.events import BatchChanged, Event, Failed, NoticeLogged, ProcessStarted
from studio.core.jobs import FRESH_START, Train
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_, sentence
from studio.engine.distributed.ranks import STORE
from studio.engine.job_context import JobContext

GRACE = 10
"""Seconds that processes have to end by themselves when one of them is lost."""


def launch(run: RunFolder, job: Train) -> int:
    """Train `run` with as many processes as `job` says, each of them `python -m studio.engine train` again, and wait
    for the end. The exit code is that of a training in one process."""
    refusal = refused(job)
    if refusal is not None:
        return JobContext(run, job.job).run(lambda _: _raise(refusal))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _Leaving(run))
    with tempfile.TemporaryDirectory(prefix="studio-ranks-") as scratch:
        os.environ.update(_environment(job, Path(scratch)))
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=job.where.processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint=str(Path(scratch) / "agent"),
            rdzv_configs={"store_type": "file"},
            local_addr="127.0.0.1",
            max_restarts=0,
            signals_to_handle="SIGQUIT",  # the others are told to the training, which saves before it ends
            virtual_local_rank=torch.cuda.is_available(),
            shutdown_timeout=GRACE,
        )
        try:
            elastic_launch(config, sys.executable)("-m", "studio.engine", job.job, str(run.path))
        except ChildFailedError as error:
            codes = {rank: int(failure.exitcode) for rank, failure in error.failures.items()}
            return meaning(run, job, codes)
    return 0


def refused(job: Train) -> ProblemError | None:
    """Why so many processes can't train here; None where they can. Nothing has been loaded yet."""
    if not distributed.is_available() or not distributed.is_gloo_available():
        return problem(
            "processes.no_gloo",
            N_("The installed torch can't train in several processes."),
            N_("It was built without gloo, through which they speak to each other."),
            N_("Train on one card, or install the torch that the program comes with."),
        )
    if not job.where.cards:
        return None
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found < len(job.where.cards):
        return problem(
            "processes.too_few_cards",
            N_("{wanted} graphics cards were chosen, and {found} can be used here."),
            N_("The others aren't there, or the driver or another program's settings hide them."),
            N_("Choose among the cards that `studio doctor` shows, or train on one."),
            remedy=Remedy.see_settings,
            wanted=len(job.where.cards),
            found=found,
        )
    if not distributed.is_nccl_available():
        return problem(
            "processes.no_nccl",
            N_("Several graphics cards can't train together on this computer."),
            N_("That needs NVIDIA's library NCCL, which torch has under Linux only."),
            N_("Train on one card. Under Windows, WSL has it."),
            remedy=Remedy.see_settings,
        )
    return None


def _raise(error: ProblemError) -> None:
    raise error


def _environment(job: Train, scratch: Path) -> dict[str, str]:
    """Of the processes: how they find each other, on the loopback alone, and the cores that each of them has."""
    chosen = {STORE: str(scratch / "store")}
    if sys.platform == "linux":
        chosen |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    if not job.where.cards:
        usable = len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else psutil.cpu_count(logical=False)
        chosen["OMP_NUM_THREADS"] = str(max(1, (usable or 1) // job.where.processes))
    return chosen


class _Leaving:
    """The session or the computer ends: the training is told to save and pause."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._told = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._told:
            self._told = True
            with contextlib.suppress(OSError):
                send(self._run, Pause(id=new_id()))


def meaning(run: RunFolder, job: Train, codes: dict[int, int]) -> int:
    """The exit code that the training ends with, after ranks have ended with these `codes`, negative for a signal.

    What rank 0 met it has told itself. What another one met stands in its own journal, and comes into the run's: how
    much less it computes at once from now on, and the problem that ended it.
    """
    if codes.get(0, FRESH_START) >= 0 and codes.get(0, FRESH_START) != FRESH_START:
        return codes[0]
    told = [event for rank in range(1, job.where.processes) for event in _last_words(run, rank)]
    smaller = sorted((e for e in told if isinstance(e, BatchChanged)), key=lambda event: event.batch_size)[:1]
    failures = [event for event in told if isinstance(event, Failed)][:1]
    killed = any(code < 0 for code in codes.values())
    words: list[Event] = [*smaller, *(e for e in told if isinstance(e, NoticeLogged)), *failures]
    if killed and not failures:
        text = sentence(
            N_("One of the {count} processes was ended from outside. All of them go on from the last save point."),
            count=job.where.processes,
        )
        words.append(NoticeLogged(code="processes.one_lost", text=text))
    with contextlib.suppress(ProblemError, OSError), run.writer() as writer:
        for event in words:
            writer.write(event, durable=True)
    if failures:
        return 2
    others = [code for code in codes.values() if code != FRESH_START]
    return others[0] if others and not killed else FRESH_START


def _last_words(run: RunFolder, rank: int) -> list[Event]:
    """What a rank has told since it was last started."""
    try:
        events = run.rank(rank).reader().read_new()
    except (ProblemError, OSError):
        return []
    begun = max((place for place, event in enumerate(events) if isinstance(event, ProcessStarted)), default=0)
    return events[begun:]
