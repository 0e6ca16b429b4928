"""The processes of one training, and what they tell each other.

Rank 0 is the training: it has the journal, hears commands, scores, saves and ends it. The others compute their share of
each step and nothing else; whenever rank 0 is gone they are of no use, and end. So a stop needs nobody's agreement.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
from torch import distributed

from studio.engine.environment import rank_of_process
from studio.engine.job_context import FreshStart, parent_lives

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""How long a process waits for another one, which may be scoring or saving. A dead one is noticed at once."""

LOOK_EVERY = 0.3
"""Seconds between two looks whether rank 0 has ended."""

BUCKET = 2**25
"""Bytes of gradients that are summed at once: enough to be fast, little enough to be no burden."""

MEETING = timedelta(minutes=10)
"""How long the first process waits for the last one to have loaded its libraries."""

STORE = "STUDIO_RANKS"
"""The variable of the environment that names the file through which processes on one computer find each other."""

_OVER = "studio/over"


@dataclass(frozen=True)
class Ranks:
    """`rank` of `world_size` processes; alone without any others."""

    rank: int = 0
    world_size: int = 1
    pids: tuple[int, ...] = ()
    """Process ids by rank, where all of them are on this computer."""
    _store: Any = field(default=None, repr=False)

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.world_size > 1

    @property
    def is_one_lost(self) -> bool:
        """Whether another process on this computer is gone."""
        return any(not _lives(pid) for pid in self.pids)

    def from_main(self, found: T | None) -> T:
        """What rank 0 found, for every rank. Waits for it."""
        if not self.several:
            assert found is not None
            return found
        told: list[Any] = [found]
        with _together():
            distributed.broadcast_object_list(told, src=0)
        received: T = told[0]
        return received

    def from_all(self, found: T) -> list[T]:
        """What each rank found, by rank."""
        if not self.several:
            return [found]
        told: list[Any] = [None] * self.world_size
        with _together():
            distributed.all_gather_object(told, found)
        return told

    def wait(self) -> None:
        """Until every rank has come here."""
        self.from_all(None)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """`values` summed over the ranks, in place, where they are: nothing waits for the card."""
        if self.several:
            with _together():
                distributed.all_reduce(values)
        return values

    def copy_from_main(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give every rank the weights of rank 0."""
        if self.several:
            with torch.no_grad(), _together():
                for parameter in parameters:
                    distributed.broadcast(parameter.data, src=0)

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Sum the gradients of `parameters`, the same ones in the same order on every rank. One without a gradient on
        any rank stays so; one with a gradient on some has the sum on all of them."""
        if not self.several or not parameters:
            return
        present = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32)
        self.sum(present)  # in the computer's own memory: no card is waited for
        there = [p for p, ranks in zip(parameters, present.tolist(), strict=True) if ranks]
        for parameter in there:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        with torch.no_grad():
            for bucket in buckets(there):
                gradients = [p.grad for p in bucket if p.grad is not None]
                whole = self.sum(torch.cat([g.reshape(-1) for g in gradients]))
                for gradient, part in zip(gradients, torch.split(whole, [g.numel() for g in gradients]), strict=True):
                    gradient.copy_(part.view_as(gradient))

    def seed_step(self, seed: int, step: int) -> None:
        """What is drawn at random in a step depends on the recipe's seed, the step and the rank alone."""
        torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed}-{step}-{self.rank}".encode()).digest()[:8]))

    def release(self) -> None:
        """Tell the others that rank 0 is done: whatever they wait for, they end."""
        if self.several and self.is_main:
            with contextlib.suppress(Exception):
                self._store.set(_OVER, "1")

    def wait_for_the_end(self) -> None:
        """On any rank but 0: what comes now is decided by rank 0 alone."""
        while self.several and not self.is_main:
            time.sleep(LOOK_EVERY)


ALONE = Ranks()


def join() -> Ranks:
    """Meet the other processes of this training, as torchrun's variables of the environment tell; alone without.

    On one computer they find each other through the file named in `STORE`: nothing listens but on the loopback.
    Afterwards the variables are gone: transformers and accelerate would take over what is done here. They compute as in
    a process of its own; its gradients are summed once a step. Raises torch's `DistError`.
    """
    rank = rank_of_process()
    if rank is None:
        return ALONE
    world_size, file = int(os.environ["WORLD_SIZE"]), os.environ.get(STORE)
    from torch.distributed.rendezvous import rendezvous  # a torch without it trains in one process

    meeting = Path(file).as_uri() if file else f"tcp://{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    store, _, _ = next(rendezvous(f"{meeting}?rank={rank}&world_size={world_size}", timeout=MEETING))
    watched = store.clone()  # another thread waits for the end there
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=PATIENCE)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    threading.Thread(target=_end_with_main, args=(watched, rank), name="rank 0's end", daemon=True).start()
    ranks = Ranks(rank, world_size, _store=watched)
    return replace(ranks, pids=tuple(ranks.from_all(os.getpid()))) if file else ranks


def _end_with_main(store: Any, rank: int) -> None:
    """End this process when rank 0 is done, or when nobody is left who could tell."""
    parent = os.getppid()
    while True:
        time.sleep(LOOK_EVERY)
        try:
            over = bool(store.check([_OVER]))
        except Exception:
            os._exit(1)
        if over and rank:
            os._exit(0)
        if not parent_lives(parent):
            os._exit(1)


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """What fails between processes fails because one of them is gone: all begin again from the last save point."""
    lost = False
    try:
        yield
    except RuntimeError as error:  # torch's DistBackendError among them
        if "out of memory" in str(error).lower():
            raise
        lost = True
    if lost:
        raise FreshStart


def buckets(parameters: Sequence[torch.nn.Parameter], most: int = BUCKET) -> list[list[torch.nn.Parameter]]:
    """`parameters` in their order, in groups of one number format and device and at most about `most` bytes."""
    found: list[list[torch.nn.Parameter]] = []
    size: float = math.inf
    for parameter in parameters:
        before = found[-1][-1] if found else None
        same = before is not None and (before.dtype, before.device) == (parameter.dtype, parameter.device)
        needed = parameter.numel() * parameter.element_size()
        if not same or size + needed > most:
            found.append([])
            size = 0
        found[-1].append(parameter)
        size += needed
    return found


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
