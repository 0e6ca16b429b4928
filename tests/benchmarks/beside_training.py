"""A window beside a training on every core: how late its timer is, and how many tokens a second it costs.

`python -m tests.benchmarks.beside_training [--home FOLDER] [--pairs 20]` prints one JSON object. One training of
examples of equal length goes on all the time, and one window of the program's follows it, which is halted and let go on
again (SIGSTOP, SIGCONT) in many short stretches: on a machine whose speed drifts, neighbours are what can be compared.
How late a 16 ms timer is, in such a window and in a bare Qt loop, is measured in stretches of its own, because the
timer itself wakes a processor sixty times a second.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.starter_home import starter_home

if TYPE_CHECKING:
    from studio.core.run_folder import RunFolder

STRETCH = 25.0
"""Seconds for which a timer is watched."""

TURN = 8.0
"""Seconds of one turn with or without the window, a few steps long."""

SETTLING = 4.0
"""Seconds that a window gets before it is measured."""


def show_window(project_folder: Path, stretch: float, *, timed: bool) -> None:
    """Open the program's window on a run that goes on, let it settle, and print what it used."""
    from studio.runs.project import Project
    from studio.ui.app import SWITCH_INTERVAL, make_application
    from studio.ui.main_window import MainWindow
    from studio.ui.state.app_state import AppState
    from tests.benchmarks.timer_lateness import timer_lateness

    sys.setswitchinterval(SWITCH_INTERVAL)
    make_application([])
    app_state = AppState(Project(project_folder))
    window = MainWindow(app_state)
    window.open_page("train")
    window.show()
    app_state.begin()
    wait_for(SETTLING)
    assert app_state.is_training(), "the window did not find the run"
    began, used = time.time(), time.process_time()
    late = timer_lateness(stretch) if timed else wait_for(stretch)
    _print_stretch(began, time.process_time() - used, late)
    os._exit(0)  # the run goes on; nothing of this window is to be kept


def show_bare_loop() -> None:
    """An empty Qt program with the same timer."""
    from PySide6.QtWidgets import QApplication

    from tests.benchmarks.timer_lateness import timer_lateness

    application = QApplication([])
    began, used = time.time(), time.process_time()
    _print_stretch(began, time.process_time() - used, timer_lateness(STRETCH))
    del application


def wait_for(seconds: float) -> list[float]:
    """Run the event loop for that long, without any timer of ours."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()
    return []


def _print_stretch(began: float, used: float, late: list[float]) -> None:
    from tests.benchmarks.timer_lateness import percentile

    lateness = {"p99": percentile(late, 0.99) * 1e3, "worst": late[-1] * 1e3} if late else {}
    print(json.dumps({"began": began, "core": used / STRETCH, **lateness}))


def equal_examples(file: Path) -> Path:
    """A CSV of examples that have the same number of tokens, so that every step takes the same time."""
    lines = [
        f'"My parcel number {n} is late. Where is it now?","TEAM: delivery NEXT: look up {n}"' for n in range(100, 260)
    ]
    file.write_text("question,answer\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return file


def measure(pairs: int, scratch: Path) -> dict[str, object]:
    """Milliseconds of lateness, and the window's cost as a share of the training's tokens a second."""
    from studio.cli.preparing import prepared
    from studio.core.jobs import Train
    from studio.core.recipe.defaults import DefaultsContext
    from studio.core.recipe.recipe import Recipe, with_values
    from studio.runs.command import end_forcefully
    from studio.runs.create import create_run
    from studio.runs.project import create_project
    from studio.runs.start import start_job
    from studio.worker.client import WorkerClient

    project = create_project("Beside training")
    values = {
        "data.path": str(equal_examples(scratch / "equal.csv")),
        "data.validation_split": 0.0,
        "training.epochs": 50,
        "training.save_steps": 10**6,
    }
    recipe = with_values(Recipe(), values)
    with WorkerClient() as desk:
        data = prepared(recipe, desk, quiet=True)
    run = create_run(project, data.recipe, data.table, data.examples, DefaultsContext())
    process = start_job(run, Train())
    try:
        while len(run.state().losses) < 4:
            if process.poll() is not None:
                raise RuntimeError(run.log.read_text())
            time.sleep(0.5)
        speeds = _alternate(run, project.folder, pairs)
        late = {kind: _shown(kind, project.folder) for kind in ("timed", "bare")}
    finally:
        end_forcefully(run)
    ratios = [going / halted for halted, going in speeds]
    return {
        "pairs": pairs,
        "tokens_per_second_alone": round(statistics.median(halted for halted, _ in speeds), 1),
        "window_costs": round(1 - sum(g for _, g in speeds) / sum(h for h, _ in speeds), 4),
        "window_costs_standard_error": round(statistics.stdev(ratios) / len(ratios) ** 0.5, 4),
        "window_uses_of_a_core": round(late["timed"]["core"], 4),
        "late_ms": {
            name: {key: round(late[kind][key], 1) for key in ("p99", "worst")}
            for name, kind in (("window", "timed"), ("bare", "bare"))
        },
    }


def _alternate(run: RunFolder, project: Path, pairs: int) -> list[tuple[float, float]]:
    """Tokens a second with the window halted and with the window going, for each pair of turns."""
    command = [sys.executable, "-m", "tests.benchmarks.beside_training", "--show", "window", "--project", str(project)]
    window = subprocess.Popen([*command, "--stretch", str(2 * TURN * pairs + 60)])
    speeds = []
    try:
        time.sleep(2 * SETTLING)
        for number in range(pairs):
            pair = {}
            for kind in (signal.SIGSTOP, signal.SIGCONT) if number % 2 == 0 else (signal.SIGCONT, signal.SIGSTOP):
                window.send_signal(kind)
                time.sleep(0.5)  # the step that goes on now belongs to neither turn
                began = time.time()
                time.sleep(TURN)
                pair[kind] = _speed(run, began, TURN)
            speeds.append((pair[signal.SIGSTOP], pair[signal.SIGCONT]))
    finally:
        window.kill()
        window.wait()
    return speeds


def _shown(kind: str, project: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.beside_training", "--show", kind, "--project", str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _speed(run: RunFolder, began: float, seconds: float) -> float:
    """Tokens a second between the first and the last step that ended within the stretch."""
    from studio.core.events import StepDone

    steps = [e for e in run.reader().read_new() if isinstance(e, StepDone) and began <= e.at <= began + seconds]
    return sum(e.tokens for e in steps[1:]) / (steps[-1].at - steps[0].at)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", help="a data folder that has the starter model")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--show", choices=["window", "timed", "bare"])
    parser.add_argument("--project")
    parser.add_argument("--stretch", type=float, default=STRETCH)
    arguments = parser.parse_args()
    if "DISPLAY" not in os.environ:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if arguments.show in ("window", "timed"):
        show_window(Path(arguments.project), arguments.stretch, timed=arguments.show == "timed")
    elif arguments.show == "bare":
        show_bare_loop()
    else:
        with starter_home(arguments.home) as scratch:
            print(json.dumps(measure(arguments.pairs, scratch)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
