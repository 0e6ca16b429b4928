"""Run as a child process, with the NVML stand-in or without: reads the gauge and prints what it found as JSON.

python -m tests.hardware.play --at 0 1.5 4      seconds of the real clock at which to read
python -m tests.hardware.play --ticks 12        reads at once, a made-up second apart
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from pydantic import BaseModel, TypeAdapter

from studio.hardware.gauge import Gauge, cuda_card_present
from studio.hardware.shared_memory_fallback import FallbackWatch
from studio.hardware.snapshot import Snapshot


class Played(BaseModel):
    """What the child saw."""

    pid: int
    readings: tuple[Snapshot, ...]
    card_present: bool
    after_close: Snapshot
    torch_loaded: bool


PLAYED = TypeAdapter(Played)


class _Rising:
    """Shared memory of this process as Windows would count it: little at first, 2 GiB more from a moment on."""

    def __init__(self, at: float) -> None:
        self._at = time.monotonic() + at

    def read(self) -> dict[int, int]:
        return {os.getpid(): 100 << 20 if time.monotonic() < self._at else (100 << 20) + (2 << 30)}

    def close(self) -> None:
        return


class _Ticks:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=float, nargs="*", default=[0.0])
    parser.add_argument("--ticks", type=int)
    parser.add_argument("--run", type=int, default=os.getpid())
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--everyone", action="store_true")
    parser.add_argument("--other-pids", action="store_true")
    parser.add_argument("--spills-at", type=float, help="second at which a made-up counter of Windows rises by 2 GiB")
    parser.add_argument("--try-again-after", type=float, default=30.0)
    chosen = parser.parse_args()
    run = None if chosen.no_run else chosen.run
    ticks = _Ticks()
    gauge = Gauge(
        clock=time.monotonic if chosen.ticks is None else ticks,
        try_again_after=chosen.try_again_after,
        same_pids=not chosen.other_pids,
        fallback=None if chosen.spills_at is None else FallbackWatch(_Rising(chosen.spills_at)),
    )
    readings = []
    start = time.monotonic()
    for moment in chosen.at if chosen.ticks is None else range(chosen.ticks):
        if chosen.ticks is None:
            time.sleep(max(0.0, start + moment - time.monotonic()))
        readings.append(gauge.read(run, everyone=chosen.everyone))
        ticks.now += 1.0
    gauge.close()
    played = Played(
        pid=os.getpid(),
        readings=tuple(readings),
        card_present=cuda_card_present(),
        after_close=gauge.read(run),
        torch_loaded="torch" in sys.modules,
    )
    sys.stdout.write(PLAYED.dump_json(played).decode())


if __name__ == "__main__":
    main()
