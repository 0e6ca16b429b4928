"""The NVIDIA driver's own library, asked through `pynvml`: typed answers, and one exception with a code.

Nothing here decides what a failure means; `gauge` does. All memory is in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NewType

Handle = NewType("Handle", object)
"""What the library calls a card by. Valid until `close`."""


class Code(IntEnum):
    """The library's error codes that the gauge tells apart (nvml.h, nvmlReturn_t)."""

    UNINITIALIZED = 1
    INVALID_ARGUMENT = 2
    NOT_SUPPORTED = 3
    NO_PERMISSION = 4
    NOT_FOUND = 6
    DRIVER_NOT_LOADED = 9
    LIBRARY_NOT_FOUND = 12
    FUNCTION_NOT_FOUND = 13
    GPU_IS_LOST = 15
    RESET_REQUIRED = 16
    LIB_RM_VERSION_MISMATCH = 18
    ARGUMENT_VERSION_MISMATCH = 25
    UNKNOWN = 999


class NvmlError(Exception):
    """The library answered with an error. `code` is the library's number, whether `Code` names it or not."""

    def __init__(self, code: int) -> None:
        super().__init__(f"NVML error {code}")
        self.code = code


@dataclass(frozen=True)
class Memory:
    """Of one card, in bytes."""

    total: int
    used: int
    free: int


@dataclass(frozen=True)
class Process:
    """One process on a card. `memory` in bytes, None where the driver doesn't tell (Windows, WDDM)."""

    pid: int
    memory: int | None


def _ask(name: str, *arguments: object) -> Any:
    # Imported at the first question, so that a window that never asks doesn't pay for it.
    import pynvml

    function: Callable[..., Any] = getattr(pynvml, name)
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        raise NvmlError(int(error.value)) from None
    except pynvml.NVMLLibraryMismatchError:
        # What pynvml makes of FUNCTION_NOT_FOUND where it knows an older name of the function.
        raise NvmlError(Code.FUNCTION_NOT_FOUND) from None


def open_library() -> None:
    """Load the library and start it. Each call needs its own `close_library`."""
    _ask("nvmlInit")


def close_library() -> None:
    """Give back what `open_library` took. Never raises: at the end there is nobody left to tell."""
    try:
        _ask("nvmlShutdown")
    except NvmlError:
        return


def count() -> int:
    return int(_ask("nvmlDeviceGetCount"))


def handle(index: int) -> Handle:
    """The card at `index`, in the driver's order (by slot)."""
    return Handle(_ask("nvmlDeviceGetHandleByIndex", index))


def parts(card: Handle) -> list[Handle]:
    """The parts of a card that is divided by MIG; empty when it isn't."""
    try:
        if int(_ask("nvmlDeviceGetMigMode", card)[0]) != 1:
            return []
        places = int(_ask("nvmlDeviceGetMaxMigDeviceCount", card))
    except NvmlError:
        return []
    found = []
    for place in range(places):
        try:
            found.append(Handle(_ask("nvmlDeviceGetMigDeviceHandleByIndex", card, place)))
        except NvmlError:
            continue  # Places may be empty, and a part may belong to someone else.
    return found


def name(card: Handle) -> str:
    return str(_ask("nvmlDeviceGetName", card))


def compute_capability(card: Handle) -> tuple[int, int]:
    """The generation of the chip, such as (8, 6), which decides what kernels run on it."""
    major, minor = _ask("nvmlDeviceGetCudaComputeCapability", card)
    return int(major), int(minor)


def uuid(card: Handle) -> str:
    """What stays the same when cards change places."""
    return str(_ask("nvmlDeviceGetUUID", card))


def memory(card: Handle, version: int) -> Memory:
    """Memory of the card. `version` 1 counts what the driver keeps for itself as used, 2 doesn't."""
    import pynvml

    answer = _ask("nvmlDeviceGetMemoryInfo", card, pynvml.nvmlMemory_v2 if version == 2 else None)
    return Memory(total=int(answer.total), used=int(answer.used), free=int(answer.free))


def temperature(card: Handle) -> int:
    """Degrees Celsius of the chip."""
    import pynvml

    return int(_ask("nvmlDeviceGetTemperature", card, pynvml.NVML_TEMPERATURE_GPU))


def utilisation(card: Handle) -> int:
    """Percent of the last sampling period in which anything ran."""
    return int(_ask("nvmlDeviceGetUtilizationRates", card).gpu)


def power(card: Handle) -> float:
    """Watts."""
    return int(_ask("nvmlDeviceGetPowerUsage", card)) / 1000


def clock_limits(card: Handle) -> int:
    """Why the card's clock isn't higher now, as the bits of nvml.h (nvmlClocksEventReason...)."""
    try:
        return int(_ask("nvmlDeviceGetCurrentClocksEventReasons", card))
    except NvmlError as error:
        if error.code != Code.FUNCTION_NOT_FOUND:
            raise
        return int(_ask("nvmlDeviceGetCurrentClocksThrottleReasons", card))  # what drivers before 535 call it


def computing(card: Handle) -> list[Process]:
    """Processes that compute on the card. Takes milliseconds and holds the driver's lock: ask seldom."""
    return [_process(found) for found in _ask("nvmlDeviceGetComputeRunningProcesses", card)]


def drawing(card: Handle) -> list[Process]:
    """Processes that draw with the card. As slow as `computing`."""
    return [_process(found) for found in _ask("nvmlDeviceGetGraphicsRunningProcesses", card)]


def _process(found: Any) -> Process:
    amount = found.usedGpuMemory
    return Process(pid=int(found.pid), memory=None if amount is None else int(amount))
