"""The queue: runs that wait for their turn, and what a person does with them.

An entry is the folder of a run that was created and not started yet, or that was interrupted and is to be continued,
with when it may start. What has become of it is never kept in the queue: the run's own folder tells. So whoever is
killed in whatever moment, nothing is lost, and nothing that goes on already is started again. `queue_runner` is the
process that starts what waits.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from studio.core.events import Crashed, Ending, Failed, Finished, Paused, Stopped
from studio.core.problems import Problem, ProblemError, Remedy, problem
from studio.core.recipe.defaults import DefaultsContext, resolve_defaults, windows_driver
from studio.core.recipe.recipe import Recipe, load, to_yaml
from studio.core.run_folder import RunFolder
from studio.core.storage import cannot_write, write_text
from studio.core.translatable import N_, Sentence, sentence
from studio.core.writer_lock import lock_is_held
from studio.dataset.fingerprint import DataFingerprint
from studio.hardware.gauge import cuda_card_present
from studio.models.base_model import locate, model_facts
from studio.runs.follow import ending_of, job_status
from studio.runs.queue_file import AtOnce, Ended, Entry, Queue, When, name_of, opened, queue_folder, read_queue
from studio.runs.resume import require_whole
from studio.runs.start import spawn

STARTING = 30.0
"""Seconds that a run which was just started may take until its process shows itself. Until then it counts as going on,
also for a runner that knows nothing of it because the one before was killed."""

EntryStatus = Literal["waiting", "held", "running", "paused", "interrupted", "unusable", "ended"]
"""`paused` and `interrupted` were begun; the first waits for a person, the second is continued before others begin.
`unusable` is skipped, see `problem_of`."""

GOING = ("waiting", "running", "interrupted")
"""How entries stand that need a runner."""


@dataclass(frozen=True)
class QueueResult:
    """What has become of a queue in which nothing waits or goes on any more. `skipped` are still in it."""

    ended: tuple[Ended, ...]
    skipped: tuple[tuple[Path, Problem], ...] = ()

    @property
    def sentence(self) -> Sentence:
        """For one notification."""
        count = len(self.ended) + len(self.skipped)
        others = [e.run for e in self.ended if e.outcome != "finished"] + [run for run, _ in self.skipped]
        if not others:
            text = (
                N_("The queue is done: {count} {count:run|runs} finished.")
                if count > 1
                else N_("The queue is done: its run finished.")
            )
            return sentence(text, count=count)
        return sentence(
            N_("The queue is done: {finished} of {count} runs finished. Not finished: {names}."),
            finished=count - len(others),
            count=count,
            names=", ".join(map(name_of, others)),
        )


# How an entry stands


def status_of(entry: Entry, now: datetime | None = None) -> EntryStatus:
    """How an entry stands now, as its run's folder tells."""
    try:
        if goes_on(entry, now):
            return "running"
        ending = _ending_since(entry)
        was_begun = entry.begun is not None and RunFolder(entry.run).events.exists()
    except OSError:
        return "unusable"
    if isinstance(ending, Paused):
        return "paused"
    if ending is not None and not _unseen(ending):
        return "ended"
    if entry.held:
        return "held"
    if problem_of(entry) is not None:
        return "unusable"
    return "interrupted" if was_begun else "waiting"


def problem_of(entry: Entry) -> Problem | None:
    """Why the run can't be started: its folder, its data or its base model is gone. None when it can."""
    run = RunFolder(entry.run)
    try:
        require_whole(run)
    except ProblemError as error:
        return error.problem
    except OSError as error:
        return cannot_write(run.path, error).problem
    return None


def goes_on(entry: Entry, now: datetime | None = None) -> bool:
    """Whether its run is at work, or was started so recently that its process need not have come so far. A clock that
    was set back makes no start of long ago. Raises OSError for a folder that can't be read."""
    if job_status(RunFolder(entry.run)) in ("running", "silent"):
        return True
    if entry.begun is None or _ending_since(entry) is not None or _was_heard_of(entry.run, entry.begun):
        return False
    now = now or datetime.now().astimezone()
    return abs((now - entry.begun).total_seconds()) < STARTING


def _was_heard_of(run: Path, since: datetime) -> bool:
    """Whether a process has written the run's journal since then."""
    try:
        return RunFolder(run).events.stat().st_mtime > since.timestamp()
    except FileNotFoundError:
        return False


def _ending_since(entry: Entry) -> Ending | None:
    """The ending that the run came to after it was queued."""
    ending = ending_of(RunFolder(entry.run))
    return None if ending is None or ending.at == entry.ended_before else ending


def _ended_before(run: RunFolder) -> float | None:
    ending = ending_of(run)
    return None if ending is None else ending.at


def _unseen(ending: Ending) -> bool:
    """An ending that somebody wrote who found the run gone: the computer was switched off, everything was killed."""
    return isinstance(ending, Crashed) and ending.exit_code is None and ending.signal is None


def settled(queue: Queue, now: datetime | None = None) -> Queue:
    """Without the runs that have ended, which are among `ended` instead."""
    for entry in queue.entries:
        try:
            ending = None if goes_on(entry, now) else _ending_since(entry)
        except OSError:  # told by `problem_of`
            continue
        match ending:
            case Crashed() if _unseen(ending):
                continue
            case Finished():
                ended = Ended(run=entry.run, group=entry.group, outcome="finished")
            case Failed() | Crashed():
                ended = Ended(run=entry.run, group=entry.group, outcome="failed", problem=ending.problem)
            case Stopped():
                ended = Ended(run=entry.run, group=entry.group, outcome="stopped")
            case _:
                continue
        queue = replace(queue.without(entry.run), ended=(*queue.ended, ended))
    return queue


# What a person does with it


def add(
    runs: Sequence[RunFolder], when: When | None = None, *, group: str = "", held: bool = False, processes: int = 1
) -> Queue:
    """Put runs at the end of the queue, in their order, each to be computed by so many `processes`. One that was begun
    before is continued when its turn comes.

    Raises `ProblemError` for a run that can't be started, goes on, is finished, or is in the queue already; then none
    is added.
    """
    with opened() as file:
        known = {entry.run for entry in file.queue.entries}
        added: list[Entry] = []
        for run in runs:
            entry = Entry(
                run=run.path.absolute(),
                when=when or AtOnce(),
                held=held,
                group=group,
                processes=processes,
                ended_before=_ended_before(run),
            )
            _require_startable(entry, known)
            known.add(entry.run)
            added.append(entry)
        file.write(replace(file.queue, entries=(*file.queue.entries, *added)))
        return file.queue


def _require_startable(entry: Entry, known: set[Path]) -> None:
    run = RunFolder(entry.run)
    found = problem_of(entry)
    if found is not None:
        raise ProblemError(found)
    if entry.run in known:
        raise problem(
            "queue.already_there",
            N_("{name} is in the queue already."),
            fix=N_("Move it where you want it, or change when it starts."),
            name=name_of(run.path),
        )
    if job_status(run) in ("running", "silent"):
        raise problem(
            "queue.goes_on",
            N_("{name} goes on already."),
            fix=N_("Pause it first, then it can wait for its turn."),
            name=name_of(run.path),
        )
    if isinstance(ending_of(run), Finished):
        raise problem(
            "queue.finished",
            N_("{name} is finished: there is nothing left to do."),
            fix=N_("Train it longer from the list of runs, or create a new run."),
            name=name_of(run.path),
        )


def move(run: Path, position: int) -> Queue:
    """Put an entry at `position`, counted from 0; beyond the end is the end. Raises `ProblemError`."""
    with opened() as file:
        entry = file.queue.entry(run)
        others = [e for e in file.queue.entries if e.run != run]
        others.insert(max(0, position), entry)
        file.write(replace(file.queue, entries=tuple(others)))
        return file.queue


def remove(run: Path) -> Queue:
    """Take an entry out; its run's folder stays as it is. Raises `ProblemError` for a run that goes on."""
    with opened() as file:
        _require_not_running(file.queue.entry(run))
        file.write(file.queue.without(run))
        return file.queue


def hold(run: Path) -> Queue:
    """Keep an entry from being started until it is released. Raises `ProblemError` for a run that goes on."""
    with opened() as file:
        entry = file.queue.entry(run)
        _require_not_running(entry)
        file.write(file.queue.with_entry(entry.model_copy(update={"held": True})))
        return file.queue


def release(run: Path) -> Queue:
    """Let a held entry wait for its turn again; one that was paused is continued then. One whose run has come to its
    end meanwhile stays as it is. Raises `ProblemError`."""
    with opened() as file:
        entry = file.queue.entry(run)
        _require_not_running(entry)
        if status_of(entry) == "ended":
            return file.queue
        update = {"held": False, "ended_before": _ended_before(RunFolder(run)), "begun": None, "starts": 0}
        file.write(file.queue.with_entry(entry.model_copy(update=update)))
        return file.queue


def reschedule(run: Path, when: When) -> Queue:
    """Change when an entry may start. Raises `ProblemError` for a run that goes on."""
    with opened() as file:
        entry = file.queue.entry(run)
        _require_not_running(entry)
        file.write(file.queue.with_entry(entry.model_copy(update={"when": when, "begun": None})))
        return file.queue


def edit(run: Path, recipe: Recipe) -> None:
    """Change the settings of a run that wasn't begun yet; automatic ones get their values. Raises `ProblemError` for
    one that was, and where `recipe` has other data or another base model, which were frozen when it was created."""
    with opened() as file:
        entry = file.queue.entry(run)
        folder = RunFolder(run)
        _require_not_running(entry)
        if folder.events.exists() or entry.begun is not None:
            raise problem(
                "queue.begun",
                N_("{name} was begun with its settings."),
                N_("It can only be continued with the ones that it has."),
                N_("Create a new run with other settings."),
                name=name_of(run),
            )
        before = load(folder.recipe)
        if (before.data, before.model) != (recipe.data, recipe.model):
            raise problem(
                "queue.other_data",
                N_("The data and the base model of a run that waits can't be changed."),
                N_("They were frozen when the run was created, so that it learns from what you checked."),
                N_("Take it out of the queue and create a new run."),
                name=name_of(run),
            )
        known = DefaultsContext(
            examples=DataFingerprint.read(folder).count,
            parameters=model_facts(locate(recipe.model)).parameters,
            cuda=cuda_card_present(),
            windows=windows_driver(),
        )
        write_text(folder.recipe, to_yaml(resolve_defaults(recipe, known)))


def _require_not_running(entry: Entry) -> None:
    if status_of(entry) == "running":
        raise problem(
            "queue.running",
            N_("{name} goes on already."),
            N_("The queue can only change what still waits."),
            N_("Pause or stop the run itself."),
            name=name_of(entry.run),
        )


def take_result() -> QueueResult | None:
    """What the queue came to, given once to whoever asks first when nothing waits or goes on any more; else None."""
    if not settled(read_queue()).ended:
        return None
    with opened() as file:
        queue = settled(file.queue)
        statuses = [status_of(entry) for entry in queue.entries]
        if not queue.ended or any(status in GOING for status in statuses):
            return None
        file.write(replace(queue, ended=()))
    skipped = [(entry.run, problem_of(entry)) for entry in queue.entries if not entry.held]
    return QueueResult(queue.ended, tuple((run, found) for run, found in skipped if found is not None))


def dismiss_set_aside() -> Queue:
    """Say no more of the lines that couldn't be read; the file with them stays."""
    with opened() as file:
        file.write(replace(file.queue, set_aside=()))
        return file.queue


# The process that starts what waits


def runner_is_going() -> bool:
    """Asked twice where somebody seems to hold its lock: who only asks holds it for an instant."""
    lock = queue_folder().lock
    if not lock_is_held(lock):
        return False
    time.sleep(0.02)
    return lock_is_held(lock)


def ensure_runner() -> bool:
    """Start the runner when something waits and none is at work. True when one is at work now.

    It outlives whoever starts it; where two start one at once, the second ends by itself.
    """
    if runner_is_going():
        return True
    if not any(status_of(entry) in GOING for entry in read_queue().entries):
        return False
    try:
        spawn([sys.executable, "-m", "studio.runs.queue_runner"], queue_folder())
    except OSError as error:
        raise cannot_write(queue_folder().path, error, remedy=Remedy.try_again) from error
    return True


_CLOCK = re.compile(r"(?:(\d{4}-\d\d-\d\d)[ T])?(\d{1,2}):(\d\d)")


def next_clock_time(text: str, now: datetime) -> datetime:
    """The next moment after `now` at which the clock shows `text`, such as 22:00; with a date before it, that day.
    `now` has this computer's zone or none. Raises `ProblemError`."""
    found = _CLOCK.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        day, hour, minute = found.groups()
        start = datetime.fromisoformat(day) if day else now
        at = start.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0, tzinfo=None)
    except ValueError:
        raise problem(
            "queue.no_time",
            N_("{text} isn't a time of the clock."),
            fix=N_("Write it as 22:00, or with the day before it: 2026-12-01 22:00."),
            text=text,
        ) from None
    if not day and at <= now.replace(tzinfo=None):
        at += timedelta(days=1)
    return at.astimezone()
