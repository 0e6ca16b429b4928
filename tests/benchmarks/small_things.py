"""Small things of every day: verbs of the command line, and a file that is dropped on the open window.

`python -m tests.benchmarks.small_things --home FOLDER [--rounds 8]` prints a line each and one JSON object: the least
processor time of all rounds, of every process that takes part, in seconds and as a multiple of what `python -c "from
pydantic import BaseModel"` takes, which is measured in turns with them. Files have 220 rows.

first_rows           of a file dropped on the window, until they are painted: with the start of the worker that reads
                     it, as where a file is dropped at once, or pasted
first_rows_expected  without that start, as where somebody drags a file in and drops it seconds later, or looks for one
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from studio.core import paths
from tests.benchmarks.figures import ROOT

ROWS = 220
_LIMIT = 60.0
"""Seconds until the first rows have to be there."""


def main() -> None:
    """The command; with `--open` the window that it starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--open", nargs=2, metavar=("FILE", "EXPECTED"))
    chosen = parser.parse_args()
    if chosen.open:
        print(json.dumps(first_rows(Path(chosen.open[0]), expected=chosen.open[1] == "expected")))
        return
    print(json.dumps(measure(chosen.home, chosen.rounds)))


def measure(home: Path, rounds: int) -> dict[str, dict[str, float]]:
    """For each small thing its `seconds` of processor time, and `ratio` to loading pydantic; prints as it goes."""
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        file = _written(home / f"support-{number}.csv", number)
        studio = [sys.executable, "-m", "studio"]
        commands = {
            "pydantic": [sys.executable, "-c", "from pydantic import BaseModel"],
            "help": [*studio, "--help"],
            "runs_list": [*studio, "runs", "list"],
            "data_check": [*studio, "data", "check", str(file)],
            "data_check_again": [*studio, "data", "check", str(file)],
        }
        for name, command in commands.items():
            found.setdefault(name, []).append(_processor_time(command, home))
        for expected in ("unexpected", "expected"):
            file = _written(home / f"support-{number}-{expected}.csv", rounds + number)
            words = ["--home", str(home), "--open", str(file), expected]
            told = json.loads(_run([sys.executable, "-m", "tests.benchmarks.small_things", *words], home))
            name = "first_rows" if expected == "unexpected" else "first_rows_expected"
            found.setdefault(name, []).append(told["cpu"])
            found.setdefault(f"{name}_wall", []).append(told["wall"])
    base = min(found["pydantic"])
    for name, seconds in found.items():
        print(f"{name:<26}{min(seconds):>8.3f} s{min(seconds) / base:>7.1f}")
    return {name: {"seconds": min(seconds), "ratio": min(seconds) / base} for name, seconds in found.items()}


def _written(file: Path, seed: int) -> Path:
    rows = (
        f'"Where is parcel {seed}-{n * 37 % 1009}, which I sent to town {n}?","It left our house on day {n % 28 + 1}; '
        f'it will reach you {n % 9 + 1} days later, number {n}."'
        for n in range(ROWS)
    )
    file.write_text("question,answer\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return file


def _run(command: list[str], home: Path) -> str:
    environment = {**os.environ, paths.HOME_VARIABLE: str(home / "home")}
    environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def _processor_time(command: list[str], home: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(command, home)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_rows(file: Path, *, expected: bool) -> Mapping[str, float]:
    """Opens the window on an empty page, drops the file there: `wall` seconds, and `cpu` of window and worker."""
    from PySide6.QtCore import QCoreApplication, QMimeData, QPoint, Qt, QUrl
    from PySide6.QtGui import QDragEnterEvent, QDropEvent

    from studio.runs.project import create_project
    from studio.ui.app import _import_plots, let_go, make_application
    from studio.ui.data.page import DataPage
    from studio.ui.main_window import MainWindow
    from studio.ui.state.app_state import AppState

    make_application(["studio"])
    app_state = AppState(create_project("Empty"))
    window = MainWindow(app_state)
    window.resize(1200, 800)
    window.show()
    page = window.findChild(DataPage)
    assert page is not None
    _import_plots()  # as the program does ahead of time
    _go_on(1.0)
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(file))])
    how = (Qt.DropAction.CopyAction, files, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    before, began = _spent(os.getpid()), time.perf_counter()
    QCoreApplication.sendEvent(page.drop, QDragEnterEvent(QPoint(40, 40), *how))
    if expected:
        _go_on(3.0)
        before, began = _spent(os.getpid()), time.perf_counter()
    QCoreApplication.sendEvent(page.drop, QDropEvent(QPoint(40, 40).toPointF(), *how))
    while not page.table.view.model().rowCount() and time.perf_counter() - began < _LIMIT:
        QCoreApplication.processEvents()
        time.sleep(0.002)
    page.table.view.grab()  # painted, also where a screen would have let it wait
    told = {"wall": time.perf_counter() - began, "cpu": _spent(os.getpid()) - before}
    app_state.close()
    let_go(window, app_state)
    return told


def _go_on(seconds: float) -> None:
    from PySide6.QtCore import QCoreApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QCoreApplication.processEvents()
        time.sleep(0.01)


def _spent(process: int) -> float:
    """Seconds of processor time of this process and of those that it started and that live."""
    import psutil

    root = psutil.Process(process)
    times = [one.cpu_times() for one in (root, *root.children(recursive=True))]
    return sum(one.user + one.system for one in times)


if __name__ == "__main__":
    main()
