"""Where the job computes and in which number format: an NVIDIA card when there is one, else the processor."""

from __future__ import annotations

import contextlib
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from studio.core.events import DeviceChosen

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}

OF_FREE_MEMORY = 0.97
"""The part of a card's free memory that a process under Windows may take; the screen's own needs come and go."""


@dataclass(frozen=True)
class Device:
    """`dtype` is what is computed in; `memory` bytes of the card, or of the computer for a processor; `uuid`
    is what the driver calls the card."""

    torch_device: torch.device
    name: str
    dtype: torch.dtype
    memory: int | None
    uuid: str = ""

    @property
    def is_cuda(self) -> bool:
        return self.torch_device.type == "cuda"

    def as_event(self, cards: tuple[str, ...] = ("",)) -> DeviceChosen:
        """`cards` are the UUIDs of what all processes of the job compute on, this one's first; "" for a processor."""
        return DeviceChosen(
            device="cuda" if self.is_cuda else "cpu",
            name=self.name,
            dtype=str(self.dtype).removeprefix("torch."),
            memory_total=self.memory,
            uuid=self.uuid,
            processes=len(cards),
            others=tuple(card for card in cards[1:] if card),
        )


def choose(wanted_dtype: str | None = None) -> Device:
    """The device of this machine; `wanted_dtype` (a name from the recipe) goes before what is fast."""
    wanted = DTYPES.get(wanted_dtype) if wanted_dtype else None
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        cap_memory()
        fast = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        uuid = f"GPU-{card.uuid}"  # torch leaves out how the driver begins it
        return Device(torch.device("cuda", 0), str(card.name), wanted or fast, int(card.total_memory), uuid)
    return Device(torch.device("cpu"), processor_name(), wanted or fast_on_cpu(), psutil.virtual_memory().total)


def common_dtype(every: Sequence[Device]) -> torch.dtype:
    """What all of them compute in together: that of the first, or float16 where only some cards know bfloat16."""
    first = every[0]
    return torch.float16 if first.is_cuda and any(one.dtype is torch.float16 for one in every) else first.dtype


def cap_memory(platform: str = sys.platform) -> float | None:
    """Under Windows, limit this process to what is free on the card now; the share of the card, or None elsewhere.

    The Windows driver goes on in the computer's memory, 36 times slower, instead of running out. A limit turns that
    back into an error that can be dealt with. Called again, it counts what this process holds already as its own.
    """
    if platform != "win32":
        return None
    free, total = torch.cuda.mem_get_info(0)
    share = min(1.0, OF_FREE_MEMORY * (free + torch.cuda.memory_reserved(0)) / total)
    torch.cuda.set_per_process_memory_fraction(share, 0)
    return share


def fast_on_cpu() -> torch.dtype:
    """bfloat16 where a matrix product in it is really faster than in float32: flags don't tell, a clock does."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(256, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
        laps = []
        with torch.inference_mode():
            for _ in range(6):
                start = time.perf_counter()
                torch.mm(left, right)
                laps.append(time.perf_counter() - start)
        seconds[dtype] = min(laps)
    return torch.bfloat16 if seconds[torch.bfloat16] < seconds[torch.float32] else torch.float32


def processor_name() -> str:
    """As the computer's maker calls it, where the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def memory_now(device: Device) -> tuple[int | None, int | None]:
    """Bytes of the card that this process holds now and at most so far; None on a processor.

    Reserved, not allocated: that is what others can't have.
    """
    if not device.is_cuda:
        return None, None
    return torch.cuda.memory_reserved(), torch.cuda.max_memory_reserved()


def memory_limit(device: Device) -> int | None:
    """Bytes of the card that this process could hold now: what it holds and what is free. None on a processor."""
    if not device.is_cuda:
        return None
    free, total = torch.cuda.mem_get_info(device.torch_device)
    allowed = total
    with contextlib.suppress(AttributeError, RuntimeError):  # a cap on the process, where one is set
        allowed = int(total * torch.cuda.get_per_process_memory_fraction(device.torch_device))
    return min(allowed, free + torch.cuda.memory_reserved(device.torch_device))
