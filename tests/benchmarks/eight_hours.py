"""A window that watches a training for eight hours: bytes held after the first hour and after the last, on a line.

A step a second with the positions of its examples, an evaluation and a save point every five minutes, a notice an hour,
written as fast as the window takes them: `python -m tests.benchmarks.eight_hours`.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

import psutil
from PySide6.QtWidgets import QApplication

from studio.core.events import (
    CheckpointCommitted,
    CheckpointRemoved,
    Evaluated,
    NoticeLogged,
    ProcessStarted,
    StepDone,
)
from studio.core.journal import JournalWriter
from studio.core.recipe.recipe import Recipe, to_yaml
from studio.core.run_folder import RunFolder
from studio.core.translatable import sentence
from studio.runs.project import create_project
from studio.ui.app import make_application
from studio.ui.main_window import MainWindow
from studio.ui.state import background
from studio.ui.state.app_state import AppState
from studio.ui.train.page import TrainPage

HOUR, STEPS = 3_600, 8 * 3_600
AT_ONCE = 300


def main() -> None:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = make_application(["studio"])
    project = create_project("Night")
    run = RunFolder(project.runs_folder / "20260101-night")
    run.path.mkdir(parents=True)
    run.recipe.write_text(to_yaml(Recipe()), encoding="utf-8")
    app_state = AppState(project, wait=True)
    window = MainWindow(app_state)
    window.open_page("train")
    window.show()
    page = window.stack.currentWidget()
    assert isinstance(page, TrainPage)
    with run.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0))
        write_steps(writer, 1, HOUR)  # by then the curve has all the points that it will ever have
        app_state.begin()
        wait(app, lambda: len(app_state.state.losses) == HOUR)
        wait(app, lambda: page.run_view is not None and page.run_view.curve.is_drawn())
        settle(app, 5.0)  # what is loaded once beside the window
        before = held()
        for first in range(HOUR + 1, STEPS + 1, AT_ONCE):
            last = first + AT_ONCE - 1
            write_steps(writer, first, last)
            wait(app, lambda last=last: len(app_state.state.losses) == last)  # type: ignore[misc]
        settle(app, 2.0)
        print(before, held())
    app_state.close()
    if window.gpu_monitor is not None:
        window.gpu_monitor.stop()
    background.wait_for_all()


def write_steps(writer: JournalWriter, first: int, last: int) -> None:
    for step in range(first, last + 1):
        done = StepDone(
            step=step,
            total_steps=STEPS,
            epoch=3 * step / STEPS,
            loss=3 / step**0.3,
            learning_rate=1e-4,
            tokens=800,
            seconds=1,
            examples=tuple(range(8)),
        )
        writer.write(done)
        if step % 300 == 0:
            loss, folder = 1 / step**0.3, f"checkpoints/step-{step:06d}"
            writer.write(Evaluated(step=step, loss=loss, examples=4))
            writer.write(CheckpointCommitted(step=step, folder=folder, size=1, loss=loss))
            writer.write(CheckpointRemoved(step=step - 900, reason="rotated"))
        if step % HOUR == 0:
            writer.write(NoticeLogged(code="made.up", text=sentence("A made-up notice.")))


def held() -> int:
    """Bytes that are this process's alone."""
    gc.collect()
    return int(psutil.Process().memory_full_info().uss)


def settle(app: QApplication, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        app.processEvents()
        time.sleep(0.005)


def wait(app: QApplication, so: Callable[[], bool]) -> None:
    while not so():
        settle(app, 0.01)


if __name__ == "__main__":
    main()
