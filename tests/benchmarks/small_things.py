"""Small things of every day: verbs of the command line, and a file that is dropped on the open window.

`python -m tests.benchmarks.small_things --home FOLDER [--rounds 8]` prints a line each and one JSON object: the least
processor time of all rounds, of every process that takes part, in seconds and as a multiple of what `python -c "from
pydantic import BaseModel"` takes, which is measured in turns with them. Files have 220 rows.

first_rows           of a file whose path is pasted into a window that has been open for seconds, until they are painted
first_rows_dragged   the same where the window has stood open for long, so that the process that reads files has ended,
                     and the file is dragged in and dropped seconds later, or looked for
first_rows_at_once   the same where it is dropped at once: with the start of that process
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
FIRST_ROWS = ("first_rows", "first_rows_dragged", "first_rows_at_once")
_LIMIT = 60.0
"""Seconds until the first rows have to be there."""


def main() -> None:
    """The command; with `--open` the window that it starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--open", nargs=2, metavar=("FILE", "HOW"))
    chosen = parser.parse_args()
    if chosen.open:
        print(json.dumps(first_rows(Path(chosen.open[0]), chosen.open[1])))
        return
    print(json.dumps(measure(chosen.home, chosen.rounds)))


def measure(home: Path, rounds: int) -> dict[str, dict[str, float]]:
    """For each small thing its `seconds` of processor time, and `ratio` to loading pydantic; prints as it goes."""
    # As `packaging/bootstrap.py` does it, in case Python may not write beside the modules here.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(ROOT / "studio")], check=True)
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
        for name in FIRST_ROWS:
            file = _written(home / f"support-{number}-{name}.csv", rounds + number)
            words = ["--home", str(home), "--open", str(file), name]
            told = json.loads(_run([sys.executable, "-m", "tests.benchmarks.small_things", *words], home))
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


def first_rows(file: Path, how: str) -> Mapping[str, float]:
    """Opens the window on an empty page, brings the file there in one of the `FIRST_ROWS`: `wall` seconds, and `cpu`
    of window and worker."""
    from PySide6.QtCore import QCoreApplication, QMimeData, QPoint, Qt, QUrl
    from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication

    from studio.runs.project import create_project
    from studio.ui.app import get_ready, import_plots, let_go, make_application
    from studio.ui.data.page import DataPage
    from studio.ui.main_window import MainWindow
    from studio.ui.state.app_state import AppState

    app = make_application(["studio"])
    app_state = AppState(create_project("Empty"))
    window = MainWindow(app_state)
    window.resize(1200, 800)
    window.show()
    page = window.findChild(DataPage)
    assert page is not None
    if how == "first_rows":
        get_ready(app, window)
        _go_on(4.0)
    else:
        import_plots()
        _go_on(1.0)
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(file))])
    action = (Qt.DropAction.CopyAction, files, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    before, began = _spent(os.getpid()), time.perf_counter()
    if how == "first_rows":
        QGuiApplication.clipboard().setText(str(file))
        page.sources.paste()
    else:
        QCoreApplication.sendEvent(page.drop, QDragEnterEvent(QPoint(40, 40), *action))
        if how == "first_rows_dragged":
            _go_on(3.0)
            before, began = _spent(os.getpid()), time.perf_counter()
        QCoreApplication.sendEvent(page.drop, QDropEvent(QPoint(40, 40).toPointF(), *action))
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
