"""The five steps as the rail shows them: where each stands, in a mark and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from studio.core.events import Finished, Stopped
from studio.ui.design.language import duration, examples, tr
from studio.ui.state.app_state import AppState

Step = Literal["data", "train", "test", "chat", "export"]
STEPS: tuple[Step, ...] = ("data", "train", "test", "chat", "export")

Mark = Literal["todo", "ready", "running", "done", "attention"]


@dataclass(frozen=True)
class StepStatus:
    """`share` is how much of a running step is done, 0 to 1."""

    step: Step
    title: str
    mark: Mark
    line: str
    share: float | None = None


def step_title(step: Step) -> str:
    match step:
        case "data":
            return tr("Data")
        case "train":
            return tr("Teach")
        case "test":
            return tr("Check")
        case "chat":
            return tr("Chat")
        case "export":
            return tr("Export")


def mark_words(mark: Mark) -> str:
    """The mark in a word, for those who don't see its shape."""
    match mark:
        case "todo":
            return tr("not yet")
        case "ready":
            return tr("ready")
        case "running":
            return tr("under way")
        case "done":
            return tr("done")
        case "attention":
            return tr("needs you")


def workflow_steps(session: AppState) -> tuple[StepStatus, ...]:
    """How all steps stand now."""
    return (_data(session), _teach(session), _check(session), _chat(session), _export(session))


def learned(session: AppState) -> bool:
    """Whether the run on show has something to check, chat with and export."""
    return bool(session.state.checkpoints)


def _data(session: AppState) -> StepStatus:
    title = step_title("data")
    if session.reading_data:
        return StepStatus("data", title, "running", tr("Reading"))
    if session.data_problem is not None:
        return StepStatus("data", title, "attention", tr("Look at the file"))
    if session.examples is None:
        return StepStatus("data", title, "ready", tr("Start here"))
    return StepStatus("data", title, "done", examples(len(session.examples.examples)))


def _teach(session: AppState) -> StepStatus:
    title, state = step_title("train"), session.state
    if session.starting:
        return StepStatus("train", title, "running", tr("Getting ready"), 0.0)
    if session.training.is_running():
        left = state.seconds_left
        words = tr("{time} left", time=duration(left)) if left is not None else tr("Getting ready")
        return StepStatus("train", title, "running", words, state.share_done)
    match state.ending:
        case Finished():
            return StepStatus("train", title, "done", tr("Finished"))
        case Stopped():
            if not learned(session):
                return StepStatus("train", title, "ready", tr("Stopped, nothing kept"))
            return StepStatus("train", title, "done", tr("Stopped, kept"))
        case None:
            pass
        case _:
            words = tr("Interrupted") if state.ending.problem.code == "crashed.interrupted" else tr("Didn't finish")
            return StepStatus("train", title, "attention", words)
    if session.model.is_fetching():
        return StepStatus("train", title, "running", tr("Fetching the model"))
    if session.examples is None:
        return StepStatus("train", title, "todo", tr("After the data"))
    if session.model.folder is None and not session.model.looking:
        return StepStatus("train", title, "attention", tr("Choose a model"))
    return StepStatus("train", title, "ready", tr("Ready"))


def _check(session: AppState) -> StepStatus:
    title = step_title("test")
    check = session.job("exam")
    if check.is_running():
        progress = check.state.progress
        share = progress.done / progress.total if progress is not None and progress.total else None
        return StepStatus("test", title, "running", tr("Checking"), share)
    if check.state.checked is not None:
        return StepStatus("test", title, "done", tr("Checked"))
    return _after_teaching("test", title, session)


def _chat(session: AppState) -> StepStatus:
    title = step_title("chat")
    if not learned(session) and session.model.folder is not None:
        return StepStatus("chat", title, "ready", tr("With the base model"))
    return _after_teaching("chat", title, session)


def _export(session: AppState) -> StepStatus:
    title = step_title("export")
    if session.run is not None and learned(session) and _has_exports(session):
        return StepStatus("export", title, "done", tr("Exported"))
    return _after_teaching("export", title, session)


def _has_exports(session: AppState) -> bool:
    assert session.run is not None
    try:
        return any(not p.name.startswith(".") for p in session.run.exports.iterdir())
    except OSError:
        return False


def _after_teaching(step: Step, title: str, session: AppState) -> StepStatus:
    if session.is_training() or not learned(session):
        return StepStatus(step, title, "todo", tr("After teaching"))
    return StepStatus(step, title, "ready", tr("Ready"))
