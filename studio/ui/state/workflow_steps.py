"""The five steps as the sidebar shows them: where each stands, in a mark and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from studio.core.events import Finished, Paused, Stopped
from studio.ui.design.language import duration, examples, tr
from studio.ui.state.app_state import AppState
from studio.ui.state.dataset_state import reasons_against_training

Step = Literal["data", "train", "test", "chat", "export"]
STEPS: tuple[Step, ...] = ("data", "train", "test", "chat", "export")

Mark = Literal["todo", "ready", "running", "done", "attention"]


@dataclass(frozen=True)
class StepStatus:
    """`share` is how much of a running step is done, 0 to 1."""

    step: Step
    mark: Mark
    line: str
    share: float | None = None

    @property
    def title(self) -> str:
        return step_title(self.step)


def step_title(step: Step) -> str:
    return {
        "data": tr("Data"),
        "train": tr("Train"),
        "test": tr("Test"),
        "chat": tr("Chat"),
        "export": tr("Export"),
    }[step]


def mark_words(mark: Mark) -> str:
    return {
        "todo": tr("not yet"),
        "ready": tr("ready"),
        "running": tr("under way"),
        "done": tr("done"),
        "attention": tr("needs you"),
    }[mark]


def workflow_steps(app_state: AppState) -> tuple[StepStatus, ...]:
    return (_data(app_state), _train(app_state), _test(app_state), _chat(app_state), _export(app_state))


def learned(app_state: AppState) -> bool:
    """Whether the run on show has something to test, chat with and export."""
    return bool(app_state.state.checkpoints)


def _data(app_state: AppState) -> StepStatus:
    if app_state.data.reading:
        return StepStatus("data", "running", tr("Reading"))
    if app_state.data.problem is not None:
        return StepStatus("data", "attention", tr("Look at the file"))
    if app_state.data.examples is None:
        return StepStatus("data", "ready", tr("Start here"))
    reasons = reasons_against_training(app_state.data, app_state.recipe)
    if any(reason.code != "run.still_checking" for reason in reasons):
        return StepStatus("data", "attention", tr("Can't be trained on yet"))
    return StepStatus("data", "done", examples(len(app_state.data.examples)))


def _train(app_state: AppState) -> StepStatus:
    state = app_state.state
    if app_state.starting:
        return StepStatus("train", "running", tr("Getting ready"), 0.0)
    if app_state.training.is_running():
        left = state.seconds_left
        words = tr("{time} left", time=duration(left)) if left is not None else tr("Getting ready")
        return StepStatus("train", "running", words, state.share_done)
    match state.ending:
        case Finished():
            return StepStatus("train", "done", tr("Finished"))
        case Stopped():
            if not learned(app_state):
                return StepStatus("train", "ready", tr("Stopped, nothing kept"))
            return StepStatus("train", "done", tr("Stopped, kept"))
        case Paused():
            return StepStatus("train", "attention", tr("Paused"))
        case None:
            pass
        case _:
            words = tr("Interrupted") if state.ending.problem.code == "crashed.interrupted" else tr("Didn't finish")
            return StepStatus("train", "attention", words)
    if app_state.model.is_fetching():
        return StepStatus("train", "running", tr("Fetching the model"))
    if reasons_against_training(app_state.data, app_state.recipe):
        return StepStatus("train", "todo", tr("After the data"))
    if app_state.model.folder is None and not app_state.model.looking:
        return StepStatus("train", "attention", tr("Choose a model"))
    return StepStatus("train", "ready", tr("Ready"))


def _test(app_state: AppState) -> StepStatus:
    check = app_state.exam
    if check.is_running():
        progress = check.state.progress
        share = progress.done / progress.total if progress is not None and progress.total else None
        return StepStatus("test", "running", tr("Testing"), share)
    if check.state.completed is not None:
        return StepStatus("test", "done", tr("Tested"))
    return _after_training("test", app_state)


def _chat(app_state: AppState) -> StepStatus:
    if not learned(app_state) and app_state.model.folder is not None:
        return StepStatus("chat", "ready", tr("With the base model"))
    return _after_training("chat", app_state)


def _export(app_state: AppState) -> StepStatus:
    if app_state.exports.is_running():
        progress = app_state.exports.job.state.progress
        share = progress.done / progress.total if progress is not None and progress.total else None
        return StepStatus("export", "running", tr("Exporting"), share)
    if app_state.run is not None and learned(app_state) and _has_exports(app_state):
        return StepStatus("export", "done", tr("Exported"))
    return _after_training("export", app_state)


def _has_exports(app_state: AppState) -> bool:
    assert app_state.run is not None
    try:
        return any(not p.name.startswith(".") and ".failed" not in p.name for p in app_state.run.exports.iterdir())
    except OSError:
        return False


def _after_training(step: Step, app_state: AppState) -> StepStatus:
    if app_state.is_training() or not learned(app_state):
        return StepStatus(step, "todo", tr("After training"))
    return StepStatus(step, "ready", tr("Ready"))
