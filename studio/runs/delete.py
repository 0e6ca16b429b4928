"""Making room: a run goes into the system's bin, old save points of a run that is over go for good."""

from __future__ import annotations

import shutil
import uuid

from send2trash import send2trash

from studio.core.events import CheckpointCommitted, CheckpointRemoved, Finished, Stopped
from studio.core.journal import JournalWriter
from studio.core.problems import problem
from studio.core.run_folder import RunFolder, chosen_step
from studio.core.run_state import RunState
from studio.core.storage import is_intact, rename, size_of
from studio.core.translatable import N_
from studio.core.writer_lock import lock_is_held
from studio.runs.follow import job_status


def delete_run(run: RunFolder, *, forever: bool = False) -> int:
    """Move the run's folder into the system's bin, or with `forever` remove it. The bytes that it held: moved to the
    bin they are free when that is emptied.

    Raises `ProblemError` for a run that is going on or used by a job, and, with the code `run.no_bin`, where the system
    has no bin for that disk.
    """
    _require_at_rest(run)
    size = size_of(run.path)
    try:
        if forever:
            # renamed first, so that a half-removed run never shows
            hidden = run.path.with_name(f".deleted-{uuid.uuid4().hex[:8]}")
            rename(run.path, hidden)
            shutil.rmtree(hidden)
        else:
            send2trash(run.path)
    except OSError as error:
        if not forever and run.path.exists():
            raise problem(
                "run.no_bin",
                N_("The run can't be put into the bin."),
                N_("The computer says: {reason}. Not every disk has a bin."),
                N_("Nothing was deleted. Delete it for ever instead (on the command line: --forever)."),
                reason=error.strerror or str(error),
            ) from error
        raise problem(
            "run.not_deleted",
            N_("The run can't be deleted completely."),
            N_("The computer says: {reason}"),
            N_("Close programs that have its files open, then try again."),
            reason=error.strerror or str(error),
        ) from error
    return size


def spare_checkpoints(run: RunFolder, state: RunState) -> list[CheckpointCommitted]:
    """The save points of a run that is over which nothing needs any more: all but the best, the newest, and the one
    that a person chose."""
    if not isinstance(state.ending, Finished | Stopped) or not state.checkpoints:
        return []
    kept = (state.best_checkpoint, max(state.checkpoints, key=lambda c: c.step))
    chosen = chosen_step(run)
    return [c for c in state.checkpoints if c not in kept and c.step != chosen]


def clear_checkpoints(run: RunFolder) -> int:
    """Remove the spare save points, each told in the journal. The bytes that are free then.

    Raises `ProblemError` for a run that is going on or isn't over, and where a save point that would stay is damaged:
    then all of them stay.
    """
    _require_at_rest(run)
    try:
        with run.writer() as writer:  # nobody can continue the run meanwhile
            return _clear(run, writer)
    except OSError as error:
        raise problem(
            "run.not_cleared",
            N_("Not all old save points could be deleted."),
            N_("The computer says: {reason}"),
            N_("Close programs that have the files open, then try again. The best and the newest one are untouched."),
            reason=error.strerror or str(error),
        ) from error


def _clear(run: RunFolder, writer: JournalWriter) -> int:
    state = run.state()
    if not isinstance(state.ending, Finished | Stopped):
        raise problem(
            "run.not_over",
            N_("This run can still be continued, and needs its save points for that."),
            fix=N_("Continue it first, or delete the whole run."),
        )
    spare = spare_checkpoints(run, state)
    for kept in state.checkpoints:
        if spare and kept not in spare and not is_intact(run.path / kept.folder, fully=True):
            raise problem(
                "run.kept_damaged",
                N_("The save point of step {step} is damaged, so the others are kept."),
                N_("It is the best one or the newest, and would have to stand for all of them."),
                N_("Nothing was deleted. Test or export the run to see what can still be used."),
                step=kept.step,
            )
    freed = 0
    for left in run.checkpoints.glob(".tmp-*"):  # by a clearing that was cut short
        freed += size_of(left)
        shutil.rmtree(left)
    for point in spare:
        folder = run.path / point.folder
        # renamed first: a name that no loader picks up, removed at the next start where this is cut short
        aside = folder.with_name(f".tmp-removed-{folder.name}")
        if folder.exists():
            freed += size_of(folder)
            rename(folder, aside)
        writer.write(CheckpointRemoved(step=point.step, reason="cleared"), durable=True)
        if aside.exists():
            shutil.rmtree(aside)
    return freed


def _require_at_rest(run: RunFolder) -> None:
    if job_status(run) in ("running", "silent"):
        raise problem(
            "run.delete_running",
            N_("This run is still going on."),
            fix=N_("Stop it first, then delete it."),
        )
    if any(lock_is_held(lock) for lock in (run.path / "jobs").glob("*/writer.lock")):
        raise problem(
            "run.delete_in_use",
            N_("This run is being used: it is tested, chatted with or exported right now."),
            fix=N_("Wait until that is done, or stop it, then try again."),
        )
