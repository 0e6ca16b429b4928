"""Takes pictures of the real window, with a real project, run, test and conversation.

Those that the README shows go to docs/screenshots, all others to build/pictures, to be looked at.

    .venv/bin/python packaging/screenshots.py [--home FOLDER] [--variants en-light,ko-dark] [--without-training]

Without `--home`, a data folder is made among the temporary files, under a name that may stand in a picture, and kept
for the next time; where it has no run yet, `studio demo` makes one, which takes some minutes. Then one more run is
started, to be seen while it goes on, paused, interrupted, in the queue's company and compared, and deleted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from studio.core.events import THIS_RUN

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "screenshots"
OTHERS = ROOT / "build" / "pictures"
VARIANTS = ("en-light", "en-dark", "ko-light", "ko-dark")
sys.path.insert(0, str(ROOT))


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir()) / "studio")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="of " + ", ".join(VARIANTS))
    parser.add_argument("--without-training", action="store_true", help="leave out the picture of a run going on")
    options = parser.parse_args(words)
    if sys.platform == "linux" and not os.environ.get("DISPLAY") and not os.environ.get("QT_QPA_PLATFORM"):
        screen = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", sys.executable, __file__, *words]
        os.execvp(screen[0], screen)
    os.environ["STUDIO_HOME"] = str(options.home.resolve())
    make_run()
    for folder in (PICTURES, OTHERS):
        folder.mkdir(parents=True, exist_ok=True)
    studio = Studio(options.variants.split(","))
    try:
        studio.take_all(training=not options.without_training)
    finally:
        studio.close()
    print(f"{len(list(PICTURES.glob('*.png')))} pictures in {PICTURES}")
    return 0


def make_run() -> None:
    """A trained and tested run in the data folder, by the command line, where there is none yet."""
    from studio.runs.project import projects

    if any(run.jobs("exam") for project in projects() for run in project.runs()):
        return
    subprocess.run([sys.executable, "-m", "studio", "fetch", "starter"], cwd=ROOT, check=True)
    subprocess.run([sys.executable, "-m", "studio", "demo"], cwd=ROOT, check=False)  # 1 is an answer, too


class Studio:
    """The real app state and window, driven from outside."""

    def __init__(self, variants: list[str]) -> None:
        from PySide6.QtWidgets import QApplication

        from studio.runs.project import projects
        from studio.ui import app
        from studio.ui.main_window import MainWindow
        from studio.ui.state import preferences
        from studio.ui.state.app_state import AppState

        preferences.set_language("en")
        preferences.set_theme("light")
        self.variants = variants
        self.app: QApplication = app.make_application(["studio"])
        project = next(p for p in projects() if any(run.jobs("exam") for run in p.runs()))
        self.run = next(run for run in project.runs() if run.jobs("exam"))
        self.app_state = AppState(project)
        self.window = MainWindow(self.app_state)
        self.window.resize(1240, 820)
        self.window.show()
        self.wait(lambda: self.window.gpu_monitor is not None)

    def take_all(self, *, training: bool) -> None:
        app_state = self.app_state
        for _ in self.each("data-empty", "data"):
            app_state.open_data("")
        for language in self.each("data", "data"):
            self.open_sample(language)
        for _ in self.each("train", "train"):
            app_state.new_run()
            self.settle(2)  # what the card says is calculated first, then traced
            self.wait(lambda: not app_state.memory_fit.tracing, 120)
        app_state.attach(self.run)
        self.wait(lambda: app_state.state.ending is not None)
        for page in ("train", "test", "export", "runs", "compare", "settings"):
            for _ in self.each("trained" if page == "train" else page, page):
                pass
        self.talk()
        for _ in self.each("chat", "chat"):
            pass
        if training:
            self.take_training()

    def take_training(self) -> None:
        """A run going on, paused, interrupted and beside others; the queue while that one goes on."""
        from studio.runs.follow import processes_of
        from studio.ui.chat.conversation import conversation_of

        conversation_of(self.app_state).shutdown()
        self.open_sample("en")
        app_state = self.app_state
        app_state.new_run()
        app_state.start_training()
        self.wait(lambda: len(app_state.state.losses) >= 15 or app_state.state.ending is not None, 300)
        for _ in self.each("training", "train"):
            pass
        app_state.training.pause()
        self.wait(lambda: app_state.resumption is not None, 120)
        for _ in self.each("paused", "train"):
            pass
        run = app_state.run
        assert run is not None
        app_state.continue_run()
        self.wait(lambda: app_state.training.is_running() and app_state.state.continued is not None, 300)
        steps = len(app_state.state.losses)
        self.wait(lambda: len(app_state.state.losses) > steps + 1, 120)
        for process in processes_of(run):
            process.kill()
        self.wait(lambda: app_state.resumption is not None, 120)
        for _ in self.each("interrupted", "train"):
            pass
        self.take_queue()
        self.take_comparison()
        app_state.attach(self.run)
        shutil.rmtree(run.path)

    def take_queue(self) -> None:
        """Three runs that wait for tomorrow, so that none of them begins."""
        from studio.runs.queue import remove
        from studio.runs.queue_file import AtTime

        app_state = self.app_state
        app_state.new_run()
        self.wait(lambda: app_state.draft_obstacle() is None, 120)
        for number in range(1, 4):
            app_state.add_to_queue(AtTime(at=datetime.now() + timedelta(days=number)))
            self.wait(lambda number=number: len(app_state.queue.view.rows) == number)  # type: ignore[misc]
        for _ in self.each("queue", "runs"):
            pass
        for row in app_state.queue.view.rows:
            remove(row.run)
            shutil.rmtree(row.run)

    def take_comparison(self) -> None:
        from studio.ui.runs.page import RunsPage

        for _ in self.each("comparison", "runs"):
            page = cast(RunsPage, self.window.stack.currentWidget())
            self.wait(lambda page=page: page.model.rowCount() > 1)  # type: ignore[misc]
            page.table.selectAll()
            page.compare_button.click()
            self.wait(lambda page=page: page.comparison is not None)  # type: ignore[misc]

    def each(self, picture: str, page: str) -> Iterator[str]:
        """Show `page` in every variant; after what the caller does with its language, take `picture` of it."""
        from studio.ui.design import language, theme
        from studio.ui.state import preferences

        for variant in self.variants:
            tongue, look = variant.split("-")
            preferences.set_language(tongue)
            preferences.set_theme(look)
            language.set_language(tongue)
            theme.load_fonts()
            theme.apply(self.app, look)
            self.window.page_name = page
            self.window.rebuild()
            yield tongue
            self.wait(lambda: not self.app_state.data.reading)
            self.settle(2.5)
            name = f"{picture}-{variant}.png"
            shown = f"screenshots/{name}" in (ROOT / "README.md").read_text(encoding="utf-8")
            self.window.grab().save(str((PICTURES if shown else OTHERS) / name))
            print(name, flush=True)

    def open_sample(self, tongue: str) -> None:
        from studio.dataset.samples import sample

        self.app_state.open_data(sample(tongue))
        self.wait(lambda: self.app_state.data.report is not None and self.app_state.data.lengths is not None)

    def talk(self) -> None:
        """Ask both models the question of an example that was set aside."""
        from studio.dataset.examples import read_frozen
        from studio.ui.chat.conversation import conversation_of
        from studio.ui.chat.page import ChatPage

        self.window.open_page("chat")
        page = cast(ChatPage, self.window.stack.currentWidget())
        page.composer.setPlainText(read_frozen(self.run.held_out_data)[0].question)
        page.composer.send()
        conversation = conversation_of(self.app_state)
        self.wait(lambda: bool(conversation.turns[THIS_RUN]) and not conversation.is_answering(), 240)
        if not conversation.turns[THIS_RUN][-1].text:
            ending = conversation.job.state.ending
            raise SystemExit(f"The model didn't answer: {ending}")

    def wait(self, until: Callable[[], bool], seconds: float = 60.0) -> None:
        """Keep the window going until it is so. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise TimeoutError(f"not so after {seconds:.0f} s")
            self.settle(0.05)

    def settle(self, seconds: float) -> None:
        from PySide6.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(int(seconds * 1000), loop.quit)
        loop.exec()

    def close(self) -> None:
        from studio.ui.app import let_go
        from studio.ui.chat.conversation import conversation_of

        conversation_of(self.app_state).shutdown()
        self.window.close_without_asking()
        let_go(self.window, self.app_state)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
