"""`python -m studio.runs.queue_runner`: starts the runs that wait in the queue, and ends when none is left.

One of it is at work at a time, by a lock of the operating system. It knows nothing that isn't in the queue's file and
in the folders of the runs: killed in whatever moment, the next one goes on where it was. The runs that it starts
outlive it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol, assert_never

from studio.core.events import CheckpointCommitted, DeviceChosen, Event, ProcessStarted
from studio.core.jobs import Placement, Train
from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.run_folder import RunFolder
from studio.core.storage import cannot_write
from studio.core.translatable import N_
from studio.core.writer_lock import WriterLock
from studio.hardware.gauge import Gauge
from studio.hardware.snapshot import Card, Snapshot
from studio.hardware.visible_cards import visible_cards
from studio.runs.follow import read_log_end
from studio.runs.measurements import record
from studio.runs.project import projects
from studio.runs.queue import GOING, goes_on, settled, status_of
from studio.runs.queue_file import (
    OTHER_FORMAT,
    AtOnce,
    AtTime,
    Ended,
    Entry,
    OpenQueue,
    Queue,
    WhenFree,
    opened,
    queue_folder,
    read_queue,
)
from studio.runs.start import JobProcess, start_training

LOOK_EVERY = 2.0
"""Seconds between two looks at the queue."""

FREE_FOR = 30.0
"""Seconds for which other programs must have left a card alone before it counts as free: a game that loads doesn't."""

OTHERS_MAY_USE, OTHERS_SHARE = 2 << 30, 1 / 8
"""Of a card's memory, what a desktop with its browser takes: so many bytes, or this share of a large card."""

OTHERS_MAY_COMPUTE = 20
"""Percent of the time in which drawing a desktop keeps a card busy at most."""

MOST_STARTS = 3
"""How often a run is started that doesn't come to a new save point."""

PROCESSOR = ""
"""Stands for the processor among the cards' UUIDs, and for a single card that doesn't tell its own."""


class StartTraining(Protocol):
    """`studio.runs.start.start_training`."""

    def __call__(self, run: RunFolder, job: Train) -> JobProcess: ...


_log = logging.getLogger(__name__)


class QueueRunner:
    """Looks at the queue and starts what may start. `lock` is the runner's own, held by whoever calls this; the rest is
    what a test puts in the place of clock, cards and training."""

    def __init__(
        self,
        lock: WriterLock,
        *,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        monotonic: Callable[[], float] = time.monotonic,
        look: Callable[[], Snapshot] | None = None,
        start: StartTraining = start_training,
    ) -> None:
        self._lock = lock
        self._now = now
        self._monotonic = monotonic
        self._look = look or Gauge().read
        self._start = start
        self._free_since: dict[str, float] = {}
        self._cards = 0
        """How many there are, also those that are taken."""
        self._cards_of: dict[Path, frozenset[str]] = {}
        self._children: list[JobProcess] = []

    def step(self) -> bool:
        """Take note of what ended and start what may start. False when nothing waits or goes on any more: the runner's
        lock is released then, before anybody can put another run into the queue. Raises `ProblemError`."""
        self._children = [child for child in self._children if child.poll() is None]
        queue = read_queue()
        free = self._free_cards(queue) if any(self._due(queue)) else []
        if not free:
            self._free_since = {}
        with opened() as file:
            told = len(file.queue.ended)
            queue = settled(file.queue, self._now())
            if queue != file.queue:
                file.write(queue)
            new = queue.ended[told:]
            for entry in list(self._due(queue)) if free else []:
                if 0 < self._cards < entry.processes:
                    self._give_up(file, entry, _too_few_cards(entry.processes, self._cards))
                    continue
                wanted = entry.processes if self._cards else 1
                cards = [card for card in free if self._may_take(entry, card)][:wanted]
                if len(cards) == wanted:
                    free = [card for card in free if card not in cards]
                    self._begin(file, entry, cards)
                elif wanted > 1:
                    break  # those behind it would take its cards one by one, for ever
            going = any(status_of(entry, self._now()) in GOING for entry in file.queue.entries)
            if not going:
                self._lock.release()
        for ended in new:
            _remember(ended)
        return going

    def _due(self, queue: Queue) -> Iterator[Entry]:
        """What may start now as far as the clock says, interrupted runs first: their time has come before."""
        now = self._now()
        begun = [entry for entry in queue.entries if entry.begun is not None]
        others = [entry for entry in queue.entries if entry.begun is None]
        timely = [entry for entry in others if not isinstance(entry.when, AtTime) or entry.when.at <= now]
        yield from (entry for entry in begun + timely if status_of(entry, now) in ("interrupted", "waiting"))

    def _free_cards(self, queue: Queue) -> list[str]:
        """UUIDs of the cards on which no run is, largest first; of a computer without cards, its processor."""
        snapshot = self._look()
        if snapshot.problem is not None:  # the cards can't be asked, and training on the processor isn't what was meant
            return []
        cards = visible_cards(snapshot.cards)
        self._cards = len(cards)
        self._watch_others(cards)
        going = [entry for entry in queue.entries if _goes_on(entry, self._now())]
        taken = {card for entry in going if entry.begun is not None for card in (entry.card, *entry.others)}
        usable = [card for card in cards if card.problem is None and (card.uuid or len(cards) == 1)]
        free = [card for card in usable if card.uuid not in taken]
        if cards and not any(self._may_take(entry, card.uuid) for card in free for entry in self._due(queue)):
            return []
        chosen = [entry.run for entry in going if entry.begun is None]
        found: list[str] = []
        for everywhere in (False, True):  # what is known from the last look mostly answers it, without all the folders
            by_hand = self._started_by_hand(queue, chosen, everywhere)
            if not cards:
                found = [] if going or by_hand else [PROCESSOR]
            elif by_hand <= {PROCESSOR, *(card.uuid for card in snapshot.cards)}:
                left = sorted((card for card in free if card.uuid not in by_hand), key=lambda card: -(card.total or 0))
                found = [card.uuid for card in left]
            else:  # on a card that isn't known, or it hasn't said yet where it is: that may be any of them
                found = []
            if not found:
                break
        return found

    def _watch_others(self, cards: tuple[Card, ...]) -> None:
        now = self._monotonic()
        self._free_since = {card.uuid: self._free_since.get(card.uuid, now) for card in cards if left_alone(card)}

    def _may_take(self, entry: Entry, card: str) -> bool:
        match entry.when:
            case AtOnce() | AtTime():
                return True
            case WhenFree():
                since = self._free_since.get(card)
                return card == PROCESSOR or (since is not None and self._monotonic() - since >= FREE_FOR)
            case _:
                assert_never(entry.when)

    def _started_by_hand(self, queue: Queue, chosen: list[Path], everywhere: bool) -> set[str | None]:
        """Where the runs compute that somebody else started: `chosen` ones of the queue, and those that aren't in it,
        of the last look or of all projects. None for one that hasn't said so yet."""
        queued = {entry.run for entry in queue.entries}
        every = (run.path for project in projects() for run in project.runs()) if everywhere else iter(self._cards_of)
        paths = chosen + [path for path in every if path not in queued and _is_at_work(path)]
        before = self._cards_of
        self._cards_of = {path: before.get(path) or cards_of(RunFolder(path)) for path in paths}
        told = {card for cards in self._cards_of.values() for card in cards}
        return told | {None for cards in self._cards_of.values() if not cards}

    def _begin(self, file: OpenQueue, entry: Entry, cards: Sequence[str]) -> None:
        """Start one run, with its entry on the disk before: a runner that is killed in between has begun it."""
        run = RunFolder(entry.run)
        save_point = newest_save_point(run)
        starts = 1 if save_point > entry.save_point else entry.starts + 1
        if starts > MOST_STARTS:
            self._give_up(file, entry, _no_progress(run))
            return
        update = {"begun": self._now(), "card": cards[0], "others": tuple(cards[1:])}
        update |= {"starts": starts, "save_point": save_point}
        file.write(file.queue.with_entry(entry.model_copy(update=update)))
        try:
            named = [card for card in cards if card != PROCESSOR]
            where = Placement.on_cards(named) if named else Placement(processes=entry.processes)
            self._children.append(self._start(run, Train(resume=run.events.exists(), where=where)))
        except OSError as error:
            self._give_up(file, entry, cannot_write(run.path, error).problem)
        except ProblemError as error:
            if error.problem.code != "run.already_going":  # somebody was faster: that is as good
                self._give_up(file, entry, error.problem)
        else:
            _log.info("started %s on %s", run.path, ", ".join(named) or "the processor")

    def _give_up(self, file: OpenQueue, entry: Entry, why: Problem) -> None:
        """The rest of the queue goes on."""
        ended = Ended(run=entry.run, group=entry.group, outcome="failed", problem=why)
        file.write(replace(file.queue.without(entry.run), ended=(*file.queue.ended, ended)))
        _log.info("can't start %s: %s", entry.run, why.english())


def _too_few_cards(wanted: int, found: int) -> Problem:
    return Problem(
        code="queue.too_few_cards",
        what=N_("The run was to have {wanted} graphics cards at once, and this computer has {found}."),
        fix=N_("Put it into the queue again with fewer."),
        values={"wanted": wanted, "found": found},
    )


def _no_progress(run: RunFolder) -> Problem:
    return Problem(
        code="queue.no_progress",
        what=N_("The run was started {count} {count:time|times} and got no further each time."),
        why=N_("The end of its log says: {log}"),
        fix=N_("Look at its log. It can be continued from the list of runs."),
        remedy=Remedy.open_log,
        values={"count": MOST_STARTS, "log": read_log_end(run.log)[-300:].strip() or "-"},
    )


def _remember(ended: Ended) -> None:
    """Estimates learn from what the run measured, as from one that somebody watched."""
    _log.info("%s: %s", ended.outcome, ended.run)
    try:
        record(RunFolder(ended.run))
    except (ProblemError, OSError) as error:
        _log.info("what it measured can't be kept: %s", error)


def _goes_on(entry: Entry, now: datetime) -> bool:
    try:
        return goes_on(entry, now)
    except OSError:  # a folder that can't be read: who runs it can't be told
        return False


def _is_at_work(path: Path) -> bool:
    try:
        return RunFolder(path).is_at_work()
    except OSError:
        return False


def cards_of(run: RunFolder) -> frozenset[str]:
    """The UUIDs of the cards on which the run computes, `PROCESSOR` for that; none when it hasn't said so yet."""
    found: frozenset[str] = frozenset()
    for event in _events(run):
        if isinstance(event, ProcessStarted):
            found = frozenset()
        elif isinstance(event, DeviceChosen) and event.device != "cuda":
            found = frozenset({PROCESSOR})
        elif isinstance(event, DeviceChosen) and event.uuid:
            found = frozenset({event.uuid, *event.others})
    return found


def newest_save_point(run: RunFolder) -> int:
    """Its step, 0 without one."""
    return max((event.step for event in _events(run) if isinstance(event, CheckpointCommitted)), default=0)


def _events(run: RunFolder) -> list[Event]:
    """Without all the single steps. None of a journal that can't be read."""
    try:
        return run.outline()
    except (ProblemError, OSError):
        return []


def left_alone(card: Card) -> bool:
    """Whether other programs use the card no more than a desktop does. Asked for cards on which no run is."""
    if card.used is None or card.total is None or card.problem is not None:
        return False
    quiet = card.utilisation is None or card.utilisation <= OTHERS_MAY_COMPUTE
    return quiet and card.used <= max(OTHERS_MAY_USE, card.total * OTHERS_SHARE)


def main() -> int:
    """Work until nothing is left to do. 1 where another runner is at work, or a newer version's has to be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    folder = queue_folder()
    folder.path.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(folder.lock)
    if not lock.acquire_patiently():
        return 1
    runner = QueueRunner(lock)
    _log.info("the queue's runner begins")
    told = ""
    while True:
        try:
            if not runner.step():
                break
            told = ""
        except ProblemError as error:  # a full disk, for instance: it goes on when there is room again
            if error.problem.code == OTHER_FORMAT:
                return 1
            if str(error) != told:
                told = str(error)
                _log.info("%s", told)
        time.sleep(LOOK_EVERY)
    _log.info("nothing waits any more")
    return 0


if __name__ == "__main__":
    sys.exit(main())
