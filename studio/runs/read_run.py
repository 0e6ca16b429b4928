"""Reading from its folder what is known of a run. What can't be read becomes a sentence, never an exception."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from studio.core.events import Crashed, Ending, Event, Failed, Finished, Paused, ProcessStarted, Stopped
from studio.core.problems import Problem, ProblemError, Remedy, problem
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.core.storage import MANIFEST, size_of
from studio.core.translatable import N_
from studio.dataset.fingerprint import DataFingerprint
from studio.runs.delete import spare_checkpoints
from studio.runs.follow import job_status
from studio.runs.project import project_of
from studio.runs.summary import CURVE_POINTS, Curve, Outcome, RunDetails, RunSummary, SettingValue

BUNDLE_NOTE = "bundle.json"
"""In the folder of a run that came in a bundle, see `studio.runs.bundle`: what isn't there was left out on purpose."""


def read_run(run: RunFolder) -> tuple[RunSummary, RunDetails]:
    """Of the journal's steps only as many are parsed as its curve shows."""
    recipe, no_recipe = _recipe(run)
    events, no_events = _events(run)
    try:
        return _known(run, recipe, events, no_events or no_recipe)
    except OSError as error:  # a folder into which nobody may look
        return _known(run, None, [], _cannot_read(error))


def _known(
    run: RunFolder, recipe: Recipe | None, events: Sequence[Event], wrong: Problem | None
) -> tuple[RunSummary, RunDetails]:
    state = RunState()
    for event in events:
        state.apply(event)
    project = project_of(run)
    later_losses = [loss for step, loss in state.held_out_losses if step > 0]
    summary = RunSummary(
        run=run,
        project=project.folder.name,
        project_name=project.name,
        name=(recipe.name if recipe else "") or run.path.name,
        model=(recipe.model.public_name or Path(recipe.model.name).name) if recipe else "",
        data=Path(recipe.data.path).name if recipe else "",
        method=recipe.method.kind if recipe else "",
        outcome="unreadable" if wrong is not None and not events else _outcome(run, state),
        best_loss=min(later_losses, default=None),
        started_at=state.started_at,
        seconds=_seconds_worked(events),
        step=state.last.step if state.last else 0,
        total_steps=state.last.total_steps if state.last else 0,
        size=size_of(run.path),
        clearable=sum(c.size for c in spare_checkpoints(run, state)),
        parent=run.parent,
        group_id=_word_in(run.path / "group.json", "id"),
        problem=wrong or _half_copied(run, state),
    )
    return summary, RunDetails(
        settings=dict(_flat(recipe.model_dump(mode="json"))) if recipe else {},
        data_fingerprint=DataFingerprint.read(run).whole,
        versions=next((e.versions for e in reversed(events) if isinstance(e, ProcessStarted) and e.versions), {}),
        losses=tuple(state.losses),
        held_out_losses=_evenly(state.held_out_losses),
    )


def _recipe(run: RunFolder) -> tuple[Recipe | None, Problem | None]:
    try:
        return load(run.recipe), None
    except ProblemError as error:
        if error.problem.code != "recipe.missing":
            return None, error.problem
    return None, problem(
        "run.no_recipe",
        N_("This run's folder has no recipe.yaml."),
        N_("It was copied or moved only in part, so nobody can tell what it learned from and how."),
        N_("Copy the whole folder once more from where it was, or delete it here."),
        remedy=Remedy.open_folder,
    ).problem


def _events(run: RunFolder) -> tuple[list[Event], Problem | None]:
    reader = run.reader()
    try:
        events = reader.read_new(thin=b'"type":"step_done"', thin_to=CURVE_POINTS)
    except ProblemError as error:
        return [], error.problem
    except OSError as error:
        return [], _cannot_read(error)
    if reader.bad and not events:
        return [], problem(
            "run.journal_damaged",
            N_("The journal of this run is damaged: nothing in it can be read."),
            N_("What became of the run can't be told. Its save points may be whole all the same."),
            N_("Copy the folder once more from where it was, or train again with its settings."),
            remedy=Remedy.open_folder,
        ).problem
    return events, None


def _cannot_read(error: OSError) -> Problem:
    return problem(
        "run.unreadable",
        N_("The folder of this run can't be read."),
        N_("The computer says: {reason}"),
        N_("Check that the disk is there and that you may read the folder."),
        remedy=Remedy.open_folder,
        reason=error.strerror or str(error),
    ).problem


def _half_copied(run: RunFolder, state: RunState) -> Problem | None:
    if (run.path / BUNDLE_NOTE).exists():
        return None
    gone = sum(not (run.path / c.folder / MANIFEST).exists() for c in state.checkpoints)
    data = run.fingerprint.exists() and not run.train_data.exists()
    if not gone and not data:
        return None
    return problem(
        "run.half_copied",
        N_("The folder of this run isn't complete: its examples are missing.")
        if data
        else N_("The folder of this run isn't complete: {gone} of its {count} save points {gone:is|are} missing."),
        N_("It was copied or moved only in part, or files in it were deleted."),
        N_("Copy the whole folder once more from where it was. What is there can be used all the same."),
        remedy=Remedy.open_folder,
        gone=gone,
        count=len(state.checkpoints),
    ).problem


def _outcome(run: RunFolder, state: RunState) -> Outcome:
    if run.is_at_work():
        return "silent" if job_status(run) == "silent" else "running"
    match state.ending:
        case Finished():
            return "finished"
        case Stopped():
            return "stopped"
        case Paused():
            return "paused"
        case Failed():
            return "failed"
        case Crashed(problem=found):
            return "interrupted" if found.code == "crashed.interrupted" else "crashed"
        case None:
            return "interrupted" if state.process is not None else "not_started"


def _seconds_worked(events: Sequence[Event]) -> float | None:
    """From each start of its training to its last word; a crash is told by others, maybe much later. None for what
    another program trained."""
    total = 0.0
    began = last = None
    for event in events:
        if isinstance(event, ProcessStarted):
            began = last = event.at if event.job == "train" else None
        elif began is not None and last is not None and not isinstance(event, Crashed):
            total += max(0.0, event.at - last)
            last = event.at
        if isinstance(event, Ending):
            began = None
    return total if last is not None else None


def _evenly(points: Sequence[tuple[int, float]]) -> Curve:
    stride = max(1, -(-len(points) // CURVE_POINTS))
    return tuple(points[-1::-stride][::-1])


def _flat(tree: dict[str, object], prefix: str = "") -> Iterator[tuple[str, SettingValue]]:
    """Settings by their dotted keys; lists as JSON."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, bool | int | float | str):
            yield prefix + name, value
        else:
            yield prefix + name, json.dumps(value, ensure_ascii=False)


def _word_in(file: Path, key: str) -> str:
    """What stands at `key` in a small JSON file, empty where nothing readable does."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    return str(found.get(key, "")) if isinstance(found, dict) else ""
