"""What the gauge costs: the same window with it and without it, in turns, through the stand-in for NVIDIA's library.

`python -m tests.benchmarks.gauge_cost [--pairs 6] [--seconds 10] [--script busy-card]` prints one JSON object.

In one process the window stands on its page for teaching, and in every second turn its gauge reads once a second, as
it does while a run is on. Processor time is counted and not the clock's, so that other programs disturb little:
`window` is the time of the thread that paints, `core` that of the whole process, both without what the same window
takes in the turns without a gauge; `reading` is the part of it that the reading thread spends in reading.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.hardware.snapshot import Snapshot

SETTLING = 3.0
"""Seconds that the window gets before anything is counted, and half of it at each change of turns."""

RUN = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; sys.stdin.read()'])"
"""Stands for a run: a process with a child, which do nothing."""


@dataclass
class Spent:
    """Seconds of processor time in one turn, and the readings taken in it."""

    window: float = 0.0
    process: float = 0.0
    reading: float = 0.0
    readings: int = 0


class CountedGauge:
    """The real gauge, with the processor time of its own thread added up."""

    spent = 0.0
    readings = 0

    def __init__(self) -> None:
        from studio.hardware.gauge import Gauge

        self._gauge = Gauge()

    def read(self, run_pid: int | None = None, *, everyone: bool = False) -> Snapshot:
        before = time.thread_time()
        reading = self._gauge.read(run_pid, everyone=everyone)
        CountedGauge.spent += time.thread_time() - before
        CountedGauge.readings += 1
        return reading

    def try_again(self) -> None:
        self._gauge.try_again()

    def close(self) -> None:
        self._gauge.close()


def show_window(pairs: int, seconds: float) -> None:
    """Open the window, take turns, and print what each turn spent."""
    from studio.runs.project import create_project
    from studio.ui.app import SWITCH_INTERVAL, make_application
    from studio.ui.gpu_monitor import monitor
    from studio.ui.main_window import MainWindow
    from studio.ui.state.app_state import AppState

    sys.setswitchinterval(SWITCH_INTERVAL)
    make_application([])
    monitor._real_gauge = CountedGauge
    run_pid = int(os.environ["STUDIO_NVML_RUN"])
    window = MainWindow(AppState(create_project("Gauge")))
    window.resize(1240, 820)
    window.open_page("data")
    window.show()
    wait_for(SETTLING)
    gauge = window.gpu_monitor
    assert gauge is not None
    gauge._make_gauge = CountedGauge
    gauge.stop()
    turns: dict[str, list[Spent]] = {"with": [], "without": []}
    for number in range(pairs):
        for kind in ("with", "without") if number % 2 else ("without", "with"):
            if kind == "with":
                gauge.set_run_pid(run_pid)
                wait_for(SETTLING / 2)
                reading = gauge.snapshot()
                assert reading is not None and reading.cards and reading.cards[0].this_run, "the card is not read"
            turns[kind].append(one_turn(seconds))
            gauge.stop()
            gauge.set_run_pid(None)
            gauge.stop()
            wait_for(SETTLING / 2)
    print(json.dumps(figures(turns["with"], turns["without"], seconds)), flush=True)
    os._exit(0)  # nothing of this window is to be kept


def one_turn(seconds: float) -> Spent:
    window, process = time.thread_time(), time.process_time()
    reading, readings = CountedGauge.spent, CountedGauge.readings
    wait_for(seconds)
    return Spent(
        window=time.thread_time() - window,
        process=time.process_time() - process,
        reading=CountedGauge.spent - reading,
        readings=CountedGauge.readings - readings,
    )


def figures(on: list[Spent], off: list[Spent], seconds: float) -> dict[str, float]:
    """Milliseconds of processor time a second of the clock; medians over the pairs, and how far the pairs scatter."""
    core = [1e3 * (a.process - b.process) / seconds for a, b in zip(on, off, strict=True)]
    window = [1e3 * (a.window - b.window) / seconds for a, b in zip(on, off, strict=True)]
    return {
        "pairs": len(on),
        "readings_per_second": round(sum(one.readings for one in on) / seconds / len(on), 2),
        "core_percent": round(statistics.median(core) / 10, 3),
        "core_percent_worst_pair": round(max(core) / 10, 3),
        "window_ms_per_second": round(statistics.median(window), 3),
        "window_ms_per_second_worst_pair": round(max(window), 3),
        "reading_ms_per_second": round(1e3 * statistics.median(one.reading for one in on) / seconds, 3),
        "same_window_without_ms_per_second": round(1e3 * statistics.median(one.window for one in off) / seconds, 3),
    }


def wait_for(seconds: float) -> None:
    """Run the event loop for that long."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def measure(pairs: int, seconds: float, script: str) -> dict[str, float]:
    """The figures, from a window in a process of its own. Raises `CannotBuildError` where there is no stand-in."""
    from studio.core import paths
    from tests.fakes import nvml

    environment = nvml.environment(script)
    if "DISPLAY" not in environment:
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    command = [sys.executable, "-m", "tests.benchmarks.gauge_cost", "--show", "--pairs", str(pairs)]
    with (
        tempfile.TemporaryDirectory(prefix="studio-bench-") as home,
        subprocess.Popen([sys.executable, "-c", RUN], stdin=subprocess.PIPE) as run,
    ):
        try:
            environment |= {paths.HOME_VARIABLE: home, "STUDIO_NVML_RUN": str(run.pid)}
            done = subprocess.run(
                [*command, "--seconds", str(seconds)], env=environment, capture_output=True, text=True, check=False
            )
        finally:
            if run.stdin is not None:
                run.stdin.close()  # both processes of the "run" end with their input
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0, help="of one turn")
    parser.add_argument("--script", default="busy-card")
    parser.add_argument("--show", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.show:
        show_window(arguments.pairs, arguments.seconds)
    print(json.dumps(measure(arguments.pairs, arguments.seconds, arguments.script)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
