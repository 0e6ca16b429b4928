"""From where a training goes on: what its journal tells of earlier attempts, and the save points that are whole.

A save point that isn't what it was written as is set aside under a name that no loader picks up, never deleted, and the
one before it is used. What can't be continued exactly is refused in words instead of being computed otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from studio.core.events import CheckpointCommitted, CheckpointRemoved, Continued, Extended, ProcessStarted
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.core.storage import is_intact, rename, size_of, tidy
from studio.core.translatable import N_
from studio.core.versions import require_same_versions
from studio.engine.job_context import JobContext

_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class EarlierAttempts:
    """What a run's journal tells. `begun` is whether another process has worked on it before this one; `extensions` are
    all the times that more passes were asked for, and `extended_after` is the last step before the newest of them."""

    state: RunState = field(default_factory=RunState)
    begun: bool = False
    extensions: tuple[Extended, ...] = ()
    extended_after: int = 0

    @classmethod
    def of(cls, run: RunFolder) -> EarlierAttempts:
        """Call it from the process that has just begun in the run's folder."""
        state, processes, extensions, after = RunState(), 0, [], 0
        for event in run.reader().read_new():
            processes += isinstance(event, ProcessStarted) and event.job == "train"  # not its supervisor
            if isinstance(event, Extended):
                extensions.append(event)
                after = state.last.step if state.last is not None else 0
            state.apply(event)
        return cls(state, processes > 1, tuple(extensions), after)

    def loss_at(self, step: int) -> float | None:
        """The loss over the held-out examples that its save point was told with."""
        return next((c.loss for c in self.state.checkpoints if c.step == step), None)


@dataclass(frozen=True)
class ResumePoint:
    """Where a training goes on: after `step`, from the save point in `folder`, or from the beginning without one."""

    step: int = 0
    folder: Path | None = None
    earlier: EarlierAttempts = field(default_factory=EarlierAttempts)

    def tell(self, context: JobContext, run: RunFolder) -> None:
        """Write `Continued`, where there is anything that goes on; without a save point, say that all begins anew."""
        if not self.earlier.begun:
            return
        last = self.earlier.state.last
        repeated = max(0, last.step - self.step) if last is not None else 0
        folder = self.folder.relative_to(run.path).as_posix() if self.folder is not None else ""
        context.write(Continued(step=self.step, folder=folder, repeated=repeated), durable=True)
        if self.folder is None and repeated:
            context.notice(
                "resume.from_the_beginning",
                N_("There is no whole save point to go on from, so the training starts again from the beginning."),
            )


def saved_steps(run: RunFolder) -> dict[int, Path]:
    """The folders of all save points under their final names, by step, oldest first."""
    found = {int(m.group(1)): p for p in run.checkpoints.glob("step-*") if (m := _NAME.fullmatch(p.name))}
    return dict(sorted(found.items()))


def resume_point(context: JobContext, run: RunFolder) -> ResumePoint:
    """The newest save point whose every file is what it was when it was written. Damaged ones are set aside, and the
    journal is made to tell what is there. Raises `ProblemError` where the newest can't be continued exactly."""
    earlier = EarlierAttempts.of(run)
    told = {c.step for c in earlier.state.checkpoints}
    whole = {}
    tidy(run.checkpoints)
    for step, folder in saved_steps(run).items():
        if not is_intact(folder, fully=True):
            _set_aside(context, step, folder)
            told.discard(step)
            continue
        whole[step] = folder
        if step not in told:  # the process ended between the save point and the line that tells it
            place = folder.relative_to(run.path).as_posix()
            context.write(CheckpointCommitted(step=step, folder=place, size=size_of(folder)), durable=True)
    for step in told - whole.keys():  # the process ended between their removal and the line that tells it
        context.write(CheckpointRemoved(step=step, reason="rotated"))
    if not whole:
        return ResumePoint(earlier=earlier)
    newest = max(whole)
    require_same_versions(whole[newest])
    return ResumePoint(newest, whole[newest], earlier)


def require_same_optimizer(point: ResumePoint, optimizer: str) -> None:
    """Raises `ProblemError` when the save point's optimizer isn't the one that works on this machine."""
    before = point.earlier.state.prepared
    if point.folder is None or before is None or before.optimizer == optimizer:
        return
    raise problem(
        "checkpoint.other_optimizer",
        N_("This run can't go on exactly on this computer."),
        N_("It was computed with the optimizer {before}, which keeps a memory of its own; here {now} is used."),
        N_(
            "Continue it on a computer with the same kind of card. Or start a new run from what this one learned: "
            '"Continue from these weights", or `studio train RECIPE --from RUN`.'
        ),
        before=before.optimizer,
        now=optimizer,
    )


def initial_weights(run: RunFolder) -> Path:
    """The folder with what another run learned, which this one begins with. Raises `ProblemError`."""
    if not is_intact(run.initial_weights, fully=True):
        raise problem(
            "run.initial_weights_damaged",
            N_("What this run begins with is damaged or gone."),
            N_("It was copied from the run {parent} when this one was created, to {folder}."),
            N_('Start once more from that run: "Continue from these weights", or `studio train RECIPE --from RUN`.'),
            parent=Path(load(run.recipe).model.parent).name,
            folder=run.initial_weights.name,
        )
    return run.initial_weights


def _set_aside(context: JobContext, step: int, folder: Path) -> None:
    aside = folder.with_name(f"damaged-{folder.name}")
    number = 1
    while aside.exists():
        number += 1
        aside = folder.with_name(f"damaged-{folder.name}-{number}")
    try:
        rename(folder, aside)
    except OSError as error:
        raise _stays(folder, error) from error
    context.write(CheckpointRemoved(step=step, reason="damaged"), durable=True)
    context.notice(
        "checkpoint.damaged",
        N_("The save point of step {step} is damaged and was set aside as {name}. The one before it is used."),
        step=step,
        name=aside.name,
    )


def _stays(folder: Path, error: OSError) -> ProblemError:
    return problem(
        "checkpoint.cannot_set_aside",
        N_("The save point {name} is damaged and can't be renamed."),
        N_("The computer says: {reason}"),
        N_("Close other programs that use the run's folder, or rename it yourself, then continue."),
        remedy=Remedy.open_folder,
        name=folder.name,
        reason=error.strerror or str(error),
    )
