"""A run is a folder, and its state is a fold over its journal."""

from __future__ import annotations

import hashlib
import uuid
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, assert_never

from pydantic import ValidationError

from studio.core.events import (
    COMMAND,
    Answered,
    AnswerEnded,
    AnswerGrew,
    ChatReady,
    Checked,
    CheckpointCommitted,
    Command,
    CommandReceived,
    DeviceChosen,
    Died,
    Ending,
    Evaluated,
    Event,
    Exported,
    Failed,
    Fetched,
    Finished,
    Noticed,
    PhaseChanged,
    Prepared,
    ProcessStarted,
    Progressed,
    StepDone,
    Stopped,
    Traced,
    TrialDone,
)
from studio.core.journal import JournalReader, JournalWriter
from studio.core.words import N_, Sentence, sentence


@dataclass(frozen=True)
class JobFolder:
    """What every job has, whether it trains, checks, chats, merges or downloads."""

    path: Path

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def commands(self) -> Path:
        return self.path / "commands"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def lock(self) -> Path:
        return self.path / "writer.lock"

    @property
    def heartbeat(self) -> Path:
        """Touched every two seconds by the job's process."""
        return self.path / "heartbeat"

    def writer(self) -> JournalWriter:
        return JournalWriter(self.events, self.lock)

    def reader(self) -> JournalReader:
        return JournalReader(self.events)

    def state(self) -> RunState:
        """The whole journal, folded."""
        state = RunState()
        for event in self.reader().read_new():
            state.apply(event)
        return state


@dataclass(frozen=True)
class RunFolder(JobFolder):
    """The folder of one training run; its own job is the training, later jobs have folders inside it."""

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def train_data(self) -> Path:
        """Frozen examples to learn from: a JSON object a line, see `studio.data.examples`."""
        return self.path / "data" / "train.jsonl"

    @property
    def held_out_data(self) -> Path:
        return self.path / "data" / "held_out.jsonl"

    @property
    def fingerprint(self) -> Path:
        return self.path / "data" / "fingerprint.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    def job(self, kind: str) -> JobFolder:
        """A fresh folder for another job of this run, such as a check: `jobs/<kind>-<id>`. Not created here."""
        return JobFolder(self.path / "jobs" / f"{kind}-{uuid.uuid4().hex[:8]}")

    def jobs(self, kind: str) -> list[JobFolder]:
        """Jobs of that kind, oldest first."""
        found = [p for p in (self.path / "jobs").glob(f"{kind}-*") if p.is_dir()]
        return [JobFolder(p) for p in sorted(found, key=lambda p: p.stat().st_mtime)]


def send(folder: JobFolder, command: Command) -> None:
    """Put a command into the job's mailbox. Written whole or not at all."""
    folder.commands.mkdir(parents=True, exist_ok=True)
    temporary = folder.commands / f".{command.id}.tmp"
    temporary.write_text(command.model_dump_json(), encoding="utf-8")
    temporary.replace(folder.commands / f"{command.id}.json")


def new_id() -> str:
    """A fresh id for a command."""
    return uuid.uuid4().hex


class Mailbox:
    """The job's end of `commands/`: each command is taken once, however often it was put there."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._seen: set[str] = set()

    def take(self) -> list[Command]:
        """Commands that arrived since the last call, oldest first. Files that are no commands are removed."""
        try:
            files = sorted(
                (p for p in self._folder.commands.iterdir() if p.suffix == ".json"),
                key=lambda p: (p.stat().st_mtime_ns, p.name),
            )
        except FileNotFoundError:
            return []
        taken: list[Command] = []
        for file in files:
            try:
                command = COMMAND.validate_json(file.read_bytes())
            except (OSError, ValidationError):
                file.unlink(missing_ok=True)
                continue
            file.unlink(missing_ok=True)
            if command.id not in self._seen:
                self._seen.add(command.id)
                taken.append(command)
        return taken


Outlook = Literal["starting", "better", "level", "memorising", "worse"]


@dataclass
class RunState:
    """Everything the window, the command line and reports show of a job, folded from its events."""

    process: ProcessStarted | None = None
    phase: PhaseChanged | None = None
    device: DeviceChosen | None = None
    prepared: Prepared | None = None
    last: StepDone | None = None
    losses: list[tuple[int, float]] = field(default_factory=list)
    held_out_losses: list[tuple[int, float]] = field(default_factory=list)
    baseline_loss: float | None = None
    checkpoints: list[CheckpointCommitted] = field(default_factory=list)
    notices: list[Noticed] = field(default_factory=list)
    progress: Progressed | None = None
    fetched: Fetched | None = None
    answers: list[Answered] = field(default_factory=list)
    checked: Checked | None = None
    chat: ChatReady | None = None
    replies: dict[str, AnswerEnded] = field(default_factory=dict)
    exported: Exported | None = None
    traced: Traced | None = None
    trial: TrialDone | None = None
    peak_memory: int | None = None
    ending: Ending | None = None
    started_at: float | None = None
    _recent: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=20))

    def apply(self, event: Event) -> None:
        """Take one event in. Order matters; a new `ProcessStarted` clears an earlier ending."""
        match event:
            case ProcessStarted():
                self.process, self.ending = event, None
                self.started_at = self.started_at or event.at
                self._recent.clear()
            case PhaseChanged():
                self.phase = event
            case DeviceChosen():
                self.device = event
            case Prepared():
                self.prepared = event
            case StepDone():
                self.last = event
                self.losses.append((event.step, event.loss))
                if event.seconds > 0:
                    self._recent.append((event.tokens, event.seconds))
                if event.peak_memory is not None:
                    self.peak_memory = max(self.peak_memory or 0, event.peak_memory)
            case Evaluated():
                if event.side == "before":
                    self.baseline_loss = event.loss
                self.held_out_losses.append((event.step, event.loss))
            case CheckpointCommitted():
                self.checkpoints.append(event)
            case Noticed():
                self.notices.append(event)
            case Progressed():
                self.progress = event
            case Fetched():
                self.fetched = event
            case Answered():
                self.answers.append(event)
            case Checked():
                self.checked = event
            case ChatReady():
                self.chat = event
            case AnswerEnded():
                self.replies[event.ask] = event
            case Exported():
                self.exported = event
            case Traced():
                self.traced = event
            case TrialDone():
                self.trial = event
            case Finished() | Stopped() | Failed() | Died():
                self.ending = event
            case AnswerGrew() | CommandReceived():
                pass
            case _:
                assert_never(event)

    @property
    def tokens_per_second(self) -> float | None:
        """Over the last steps; None before the first."""
        seconds = sum(s for _, s in self._recent)
        return sum(t for t, _ in self._recent) / seconds if seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """From the pace of the last steps; None before the second step and after the ending."""
        if self.last is None or self.ending is not None or len(self._recent) < 2:
            return None
        pace = sum(s for _, s in self._recent) / len(self._recent)
        return max(0, self.last.total_steps - self.last.step) * pace

    @property
    def share_done(self) -> float:
        """0 to 1."""
        if isinstance(self.ending, Finished):
            return 1.0
        if self.last is not None and self.last.total_steps:
            return min(1.0, self.last.step / self.last.total_steps)
        return 0.0

    @property
    def best_checkpoint(self) -> CheckpointCommitted | None:
        """The save point with the lowest held-out loss, else the newest."""
        scored = [c for c in self.checkpoints if c.loss is not None]
        if scored:
            return min(scored, key=lambda c: (c.loss if c.loss is not None else 0.0, -c.step))
        return self.checkpoints[-1] if self.checkpoints else None

    @property
    def outlook(self) -> Outlook:
        """How it is going, from the held-out losses where there are any, else from the training loss."""
        scores = [loss for _, loss in self.held_out_losses]
        if len(scores) >= 2:
            best = min(scores[:-1])
            if len(scores) >= 3 and scores[-1] > min(scores) * 1.05 and self._training_loss_fell():
                return "memorising"
            return "better" if scores[-1] < best * 0.995 else "worse" if scores[-1] > best * 1.02 else "level"
        if len(self.losses) < 8:
            return "starting"
        return "better" if self._training_loss_fell() else "level"

    def _training_loss_fell(self) -> bool:
        width = min(50, max(4, len(self.losses) // 5))
        early, late = self.losses[:width], self.losses[-width:]
        return sum(loss for _, loss in late) / len(late) < 0.95 * sum(loss for _, loss in early) / len(early)


OUTLOOK_WORDS: dict[Outlook, str] = {
    "starting": N_("Just started: too early to say."),
    "better": N_("Getting better."),
    "level": N_("Holding level: more steps change little now."),
    "memorising": N_("Starting to memorise instead of learn. The best version so far is kept."),
    "worse": N_("Getting worse on the examples set aside. The best version so far is kept."),
}


def headline(state: RunState) -> Sentence:
    """One sentence that says how the run stands."""
    ending = state.ending
    if ending is None:
        if state.last is None and state.phase is not None:
            return state.phase.text
        if state.last is None:
            return sentence(N_("Getting ready."))
        return sentence(OUTLOOK_WORDS[state.outlook])
    match ending:
        case Finished():
            return sentence(N_("Finished. Now check whether it is really better."))
        case Stopped():
            return sentence(N_("Stopped at step {step}. What was learned until then is kept."), step=ending.step)
        case Failed() | Died():
            return Sentence(text=ending.problem.what, values=ending.problem.values)
        case _:
            assert_never(ending)


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
