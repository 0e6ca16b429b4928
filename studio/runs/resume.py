"""Going on with a run: from its newest save point after a pause, a stop or a crash, or with more passes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from studio.core.events import Finished
from studio.core.jobs import HERE, Placement, Train, read_job
from studio.core.origin import require_trained_here
from studio.core.problems import Problem, ProblemError, Remedy, problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.core.storage import is_intact
from studio.core.translatable import N_, Sentence, sentence
from studio.core.versions import require_same_versions
from studio.models.base_model import locate
from studio.runs.start import JobProcess, require_at_rest, start_training

MOST_EPOCHS = 50.0
"""More passes can't be asked for at once."""


@dataclass(frozen=True)
class Resumption:
    """What continuing a run would do now: go on after `step` (0 from the beginning) of `total_steps`, and compute
    `repeated` steps again. `problem` says why it can't be continued, None where it can."""

    step: int = 0
    total_steps: int | None = None
    repeated: int = 0
    problem: Problem | None = None

    @property
    def sentence(self) -> Sentence:
        """What is going to happen, for a person who is about to press Continue."""
        if self.problem is not None:
            return self.problem.sentences()[0]
        if self.step == 0:
            return sentence(N_("Nothing was saved yet, so it starts from the beginning."))
        if self.repeated == 1:
            return sentence(
                N_("It goes on from the save point at step {step}; 1 step is computed again."), step=self.step
            )
        if self.repeated:
            return sentence(
                N_("It goes on from the save point at step {step}; {count} {count:step is|steps are} computed again."),
                step=self.step,
                count=self.repeated,
            )
        return sentence(N_("It goes on after step {step}; nothing is computed twice."), step=self.step)


def resumable(run: RunFolder, state: RunState | None = None) -> Resumption:
    """Whether and from where `run` can be continued, by names and sizes of its files: their contents are checked when
    it really goes on. `state` is the run's own where it is known already. Raises nothing."""
    try:
        state = state if state is not None else run.state()
        _require_usable(run, state)
        if isinstance(state.ending, Finished):
            raise problem(
                "run.finished",
                N_("This run is finished: there is nothing left to continue."),
                fix=N_('Use "Train longer" for more passes over the same data (`studio runs extend`).'),
            )
    except ProblemError as error:
        return Resumption(problem=error.problem)
    step, last = max(_whole(run, state), default=0), state.last
    repeated = max(0, last.step - step) if last is not None else 0
    return Resumption(step, last.total_steps if last is not None else None, repeated)


def extendable(run: RunFolder) -> Problem | None:
    """Why `run` can't be trained longer; None where it can. Finished runs can, and whatever can be continued."""
    try:
        _require_usable(run, run.state())
    except ProblemError as error:
        return error.problem
    return None


def resume_run(run: RunFolder, where: Placement | None = None) -> JobProcess:
    """Continue from the newest save point that is whole, where it was computed before unless `where` says otherwise.
    Raises `ProblemError` where that can't be."""
    plan = resumable(run)
    if plan.problem is not None:
        raise ProblemError(plan.problem)
    return start_training(run, Train(resume=True, where=where or placement_of(run)))


def placement_of(run: RunFolder) -> Placement:
    """Where the run was computed last. One that had a single card of several may have any now."""
    try:
        job = read_job(run)
    except (OSError, ValidationError):
        return HERE
    return job.where if isinstance(job, Train) and (job.where.processes > 1 or job.where.cluster) else HERE


def extend_run(run: RunFolder, epochs: float, where: Placement | None = None) -> JobProcess:
    """Continue and add so many passes over the data to those that were asked for before, `where` as in `resume_run`.
    Raises `ProblemError`."""
    if not 0 < epochs <= MOST_EPOCHS:
        raise problem(
            "run.wrong_epochs",
            N_("{epochs} more {epochs:pass|passes} can't be added."),
            fix=N_("Choose a number above 0 and up to {most}."),
            epochs=epochs,
            most=MOST_EPOCHS,
        )
    refusal = extendable(run)
    if refusal is not None:
        raise ProblemError(refusal)
    return start_training(run, Train(resume=True, extra_epochs=epochs, where=where or placement_of(run)))


def _require_usable(run: RunFolder, state: RunState) -> None:
    """Raises `ProblemError` for a run that is going on, for one that was computed with other libraries, and as
    `require_whole`."""
    require_at_rest(run)
    require_whole(run)
    whole = _whole(run, state)
    if whole:
        require_same_versions(whole[max(whole)])


def _whole(run: RunFolder, state: RunState) -> dict[int, Path]:
    """The save points whose files have the names and sizes that they were written with, by their steps."""
    return {c.step: run.path / c.folder for c in state.checkpoints if is_intact(run.path / c.folder, fully=False)}


def require_whole(run: RunFolder) -> None:
    """Raises `ProblemError` for a run whose folder, recipe, data or base model isn't all there."""
    if not run.path.is_dir():
        raise problem(
            "run.gone",
            N_("There is no run at {folder} any more."),
            N_("Its folder was moved, renamed or deleted, or the disk that holds it isn't connected."),
            N_("Connect the disk or put the folder back, then try again."),
            remedy=Remedy.choose_folder,
            folder=str(run.path),
        )
    if not os.access(run.path, os.W_OK):
        raise problem(
            "run.read_only",
            N_("Nothing can be written into the run's folder {folder}."),
            N_("A run that goes on adds save points and its diary there."),
            N_("Allow writing there, or copy the folder to another place and continue the copy."),
            remedy=Remedy.open_folder,
            folder=str(run.path),
        )
    require_trained_here(run)
    recipe = load(run.recipe)
    if not run.train_data.is_file():
        raise problem(
            "run.data_gone",
            N_("The examples of this run are gone: {file} isn't there."),
            N_("A run keeps its own copy of them. The folder may have been copied without it, or cleaned up."),
            N_("Put the file back, or start a new run from your data."),
            remedy=Remedy.open_folder,
            file=str(run.train_data),
        )
    locate(recipe.model)
