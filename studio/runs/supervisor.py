"""The process that watches over a training: `python -m studio.runs.supervisor FOLDER`.

It starts the engine and waits. What a fresh process recovers from, memory that ran out without an exception or a
graphics card that has to be set up anew, it answers with another engine that goes on from the last save point; whatever
else ends a training stays an ending. It is small and imports nothing heavy, because it lives as long as the training;
killed, it takes nothing along: the engine goes on by itself.

While it lives it holds a lock of its own, so that nobody takes the moment between two engines for the end of the run,
and keeps the computer from falling asleep.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import psutil
from pydantic import ValidationError

from studio.core.events import (
    Crashed,
    Event,
    Extended,
    Failed,
    NoticeLogged,
    ProcessStarted,
    StepDone,
)
from studio.core.jobs import FRESH_START, Train, read_job, write_job
from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState, smaller_batch
from studio.core.translatable import N_, sentence
from studio.core.writer_lock import WriterLock
from studio.hardware.card_problems import card_failure
from studio.runs.follow import (
    SUPERVISOR,
    ending_asked_for,
    explain_crash,
    name_of_signal,
    read_log_end,
    write_missing_ending,
)
from studio.runs.start import JobProcess, start_engine

MAY_SLEEP = "computer.may_sleep"

MOST_RESTARTS = 3
"""So many engines in a row may come no step further than the one before; then the run ends."""


class Supervisor:
    """Watches over the training in `run`, from `watch` until it has an ending."""

    def __init__(self, run: RunFolder, lock: WriterLock) -> None:
        self._run = run
        self._lock = lock
        self._engine: JobProcess | None = None
        self._leaving = False
        self._highest_step = 0
        self._without_progress = 0
        self._card_restarts = 0

    def watch(self, job: Train) -> None:
        """Have the training done, with as many engines as it takes; with none where the card is lost, because it would
        be computed on the processor instead."""
        gone = card_failure()
        if gone is not None:
            self._write(Failed(problem=gone))
            return
        extended = _count_extended(self._run.outline())
        while True:
            code = self._run_engine(job)
            events = self._run.outline()
            if not self._goes_on(code, events):
                return
            # a run that an engine has let grow already mustn't grow once more
            before, extended = extended, _count_extended(events)
            extra = 0.0 if extended > before else job.extra_epochs
            job = job.model_copy(update={"resume": True, "extra_epochs": extra})
            write_job(self._run, job)

    def leave(self, number: int, frame: FrameType | None) -> None:
        """The session or the computer ends: the engine is told, and no other is started."""
        self._leaving = True
        if self._engine is not None:
            with contextlib.suppress(OSError):
                self._engine.process.terminate()

    def _run_engine(self, job: Train) -> int:
        """The exit code of an engine that was started and has ended."""
        self._engine = start_engine(self._run, job, self._lock)
        if self._leaving:  # asked to while it was being started
            self._engine.process.terminate()
        code = self._engine.process.wait()
        self._engine = None
        return code

    def _goes_on(self, code: int, events: Sequence[Event]) -> bool:
        """Whether another engine is to be started. Where not, the journal has its ending now."""
        state = RunState()
        for event in events:
            state.apply(event)
        if state.ending is not None:
            return False
        highest = max((event.step for event in events if isinstance(event, StepDone)), default=0)
        if highest > self._highest_step:
            self._highest_step, self._without_progress = highest, 0
        self._without_progress += 1
        enough = self._without_progress > MOST_RESTARTS
        if not self._leaving and not self._is_told_to_end():
            if code == FRESH_START and enough:
                self._write(Failed(problem=_no_progress()))
                return False
            if not enough and (code == FRESH_START or self._recovers(code, state)):
                return True
        write_missing_ending(self._run, code)
        return False

    def _recovers(self, code: int, state: RunState) -> bool:
        """Whether what ended the engine without a word is different for another one, which is told then."""
        crash = explain_crash(code, name_of_signal(code), read_log_end(self._run.log))
        if crash.code == "crashed.out_of_memory":
            return self._shrink(state)
        return crash.code == "crashed.cuda" and self._restart_card()

    def _is_told_to_end(self) -> bool:
        with self._run.writer() as writer:
            return ending_asked_for(self._run, writer) is not None

    def _shrink(self, state: RunState) -> bool:
        """Have the next engine compute fewer examples at once. False where that can't be told or nothing helps."""
        begun = state.prepared
        if begun is None:
            return False
        try:
            checkpointing = bool(load(self._run.recipe).training.activation_checkpointing)
        except (OSError, ProblemError):
            return False
        smaller = smaller_batch(begun.batch_size, begun.gradient_accumulation_steps, checkpointing, state.batch)
        if smaller is None:
            return False
        text = sentence(
            N_(
                "Memory ran out, which ended the process that computed. It goes on from the last save point with at "
                "most {count} at once; what is learned stays the same."
            ),
            count=smaller.batch_size,
        )
        self._write(NoticeLogged(code="memory.restarted", text=text), smaller)
        return True

    def _restart_card(self) -> bool:
        """Once, a card that reported an error is set up anew. False the second time, or where the card is gone."""
        gone = card_failure()
        if gone is not None:
            self._write(Failed(problem=gone))
            return False
        self._card_restarts += 1
        if self._card_restarts > 1:
            return False
        text = sentence(
            N_(
                "The graphics card reported an error. It is set up anew, once, and training goes on from the last save "
                "point."
            )
        )
        self._write(NoticeLogged(code="card.restarted", text=text))
        return True

    def _write(self, *events: Event) -> None:
        with self._run.writer() as writer:
            for event in events:
                writer.write(event, durable=True)


def _no_progress() -> Problem:
    return Problem(
        code="training.no_progress",
        what=N_("Training was started again {count} {count:time|times} and came no step further."),
        why=N_("What it met each time stands among its notices and in its log."),
        fix=N_(
            "Choose fewer examples at once, a shorter longest example or a gentler learning strength, then start "
            "again. What was saved before is kept."
        ),
        values={"count": MOST_RESTARTS},
        remedy=Remedy.see_settings,
    )


def _count_extended(events: Iterable[Event]) -> int:
    return sum(isinstance(event, Extended) for event in events)


@contextlib.contextmanager
def kept_awake() -> Iterator[bool]:
    """Inside, the computer doesn't fall asleep by itself; its screen may. Yields whether the system allowed that."""
    from wakepy import keep

    with keep.running(on_fail="pass") as mode:
        yield bool(mode.active)


def _introduce(run: RunFolder, awake: bool) -> None:
    """Clear an earlier ending at once: whoever looks now finds a run that goes on."""
    process = psutil.Process()
    with run.writer() as writer:
        writer.write(ProcessStarted(job=SUPERVISOR, pid=process.pid, started=process.create_time()))
        if not awake and all(one.code != MAY_SLEEP for one in run.state().notices):
            text = sentence(
                N_(
                    "This computer may fall asleep while it trains: it offers no way to hold that off. Turn sleep off "
                    "in its settings for a long run."
                )
            )
            writer.write(NoticeLogged(code=MAY_SLEEP, text=text))


def main(arguments: list[str]) -> int:
    """Exit codes: 0 when the training finished, was stopped or paused, 1 when it failed or crashed, 2 when there was
    nothing to do here."""
    if len(arguments) != 1:
        print("usage: python -m studio.runs.supervisor FOLDER", file=sys.stderr)  # noqa: T201 - nowhere else to say it
        return 2
    run = RunFolder(Path(arguments[0]).absolute())
    lock = WriterLock(run.supervisor_lock)
    if not lock.acquire_patiently():
        return 2  # another one watches over this run already
    supervisor = Supervisor(run, lock)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.leave)
    try:
        job = read_job(run)
        if not isinstance(job, Train):
            raise ValueError(f"{run.path} holds a {job.job} job, not a training")
        with kept_awake() as awake:
            _introduce(run, awake)
            supervisor.watch(job)
    except (OSError, ValidationError, ValueError, ProblemError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - it goes to the run's log
        return 2
    finally:
        lock.release()
    return 1 if isinstance(run.state().ending, Failed | Crashed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
