"""A run is a folder, and its state is a fold over its journal."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from studio.core.problems import Remedy, problem
from studio.core.storage import is_intact, read_manifest, write_text
from studio.core.translatable import N_
from studio.core.writer_lock import lock_is_held

if TYPE_CHECKING:  # a list of runs opens no journal, and needs none of its events
    from studio.core.events import Event
    from studio.core.job_states import ProcessState
    from studio.core.journal import JournalReader, JournalWriter
    from studio.core.run_state import RunState

StateT = TypeVar("StateT", bound="ProcessState")

TRAINING_STATE = frozenset({"optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "trainer_state.json"})
"""Files of a save point that only a training which goes on from it needs; the rest is the model's."""


@dataclass(frozen=True)
class JobFolder:
    """What every job has, whether it trains, tests, chats, merges or downloads."""

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
    def supervisor_lock(self) -> Path:
        """Held by the process that watches over a training, also between two attempts of it."""
        return self.path / "supervisor.lock"

    def is_at_work(self) -> bool:
        """Whether some process does this job now, or is about to go on with it."""
        return lock_is_held(self.lock) or lock_is_held(self.supervisor_lock)

    @property
    def heartbeat(self) -> Path:
        """Touched every two seconds by the job's process."""
        return self.path / "heartbeat"

    def writer(self) -> JournalWriter:
        from studio.core.journal import JournalWriter

        return JournalWriter(self.events, self.lock)

    def reader(self) -> JournalReader:
        from studio.core.journal import JournalReader

        return JournalReader(self.events)

    def outline(self) -> list[Event]:
        """The journal without its single steps, all but the last: how the job stands, at little cost for a long one."""
        return self.reader().read_new(thin=b'"type":"step_done"')

    def fold(self, state: StateT) -> StateT:
        """Take the whole journal into `state`, a fresh one of the job's kind, and return it."""
        for event in self.reader().read_new():
            state.apply(event)
        return state


@dataclass(frozen=True)
class RunFolder(JobFolder):
    """The folder of one training run; its own job is the training, later jobs have folders inside it."""

    def state(self) -> RunState:
        from studio.core.run_state import RunState

        return self.fold(RunState())

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def train_data(self) -> Path:
        """Frozen examples to train on: a JSON object a line, see `studio.dataset.examples`."""
        return self.path / "data" / "train.jsonl"

    @property
    def held_out_data(self) -> Path:
        return self.path / "data" / "held_out.jsonl"

    @property
    def rehearsal_data(self) -> Path:
        """The base model's own answers that are trained on as well, in the form of `train_data`; not there before the
        training begins, nor where none are wanted, see `studio.dataset.rehearsal`."""
        return self.path / "data" / "rehearsal.jsonl"

    @property
    def fingerprint(self) -> Path:
        return self.path / "data" / "fingerprint.json"

    @property
    def base_fingerprint(self) -> Path:
        """What the base model was when the run was created, see `studio.models.weights`."""
        return self.path / "base_model.json"

    @property
    def brought_base(self) -> Path:
        """The base model itself, in the copy of a run that is computed on other computers."""
        return self.path / "base_model"

    @property
    def origin(self) -> Path:
        """Which program made what this run holds, where that was another one, see `studio.core.origin`."""
        return self.path / "origin.json"

    @property
    def initial_weights(self) -> Path:
        """What another run learned and this one begins with, where it does, with a manifest."""
        return self.path / "initial_weights"

    @property
    def reference(self) -> Path:
        """How likely the model held each answer of pairs before the training: what it learns is compared with that."""
        return self.path / "reference.safetensors"

    @property
    def parent(self) -> str:
        """The folder name of the run whose weights this one begins with, empty where it begins with none."""
        manifest = read_manifest(self.initial_weights)
        return manifest.source if manifest is not None else ""

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def chosen_checkpoint(self) -> Path:
        """Which save point a person wants to use, see `choose_step`; not there where it is the best one."""
        return self.path / "chosen_checkpoint.json"

    def rank(self, number: int) -> JobFolder:
        """Where the other processes of this training tell what they meet, counted from 1; see `engine/distributed`."""
        return JobFolder(self.path / "ranks" / f"rank-{number}")

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    @property
    def blind_choices(self) -> Path:
        """What a person preferred in blind tests, a line each, see `studio.evaluation.blind`."""
        return self.path / "blind.jsonl"

    def job(self, kind: str) -> JobFolder:
        """A fresh folder for another job of this run, such as an exam: `jobs/<kind>-<id>`. Not created here."""
        return JobFolder(self.path / "jobs" / f"{kind}-{uuid.uuid4().hex[:8]}")

    def jobs(self, kind: str) -> list[JobFolder]:
        """Jobs of that kind, oldest first."""
        named = re.compile(re.escape(kind) + "-[^-]+")  # "gguf-adapter-..." is no job of the kind "gguf"
        found = [p for p in (self.path / "jobs").glob(f"{kind}-*") if named.fullmatch(p.name) and p.is_dir()]
        return [JobFolder(p) for p in sorted(found, key=lambda p: p.stat().st_mtime)]


def chosen_step(run: RunFolder) -> int | None:
    """The step whose save point a person wants to use for tests, chats and exports; None where it is the best one."""
    try:
        return int(json.loads(run.chosen_checkpoint.read_bytes())["step"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def choose_step(run: RunFolder, step: int | None) -> None:
    """Use the save point of `step` for tests, chats and exports from now on; None is the best one again. Raises
    `ProblemError` where no whole save point is of that step, and OSError."""
    if step is None:
        run.chosen_checkpoint.unlink(missing_ok=True)
        return
    if not any(c.step == step and is_intact(run.path / c.folder, fully=False) for c in run.state().checkpoints):
        raise problem(
            "run.no_such_save_point",
            N_("There is no save point of step {step}, or its files are damaged."),
            fix=N_("Choose another one, or the best."),
            step=step,
        )
    write_text(run.chosen_checkpoint, json.dumps({"step": step}))


def choose_checkpoint(run: RunFolder, *, fully: bool = True) -> Path:
    """The folder of the save point that stands for the run: the one that a person chose, else the best one, whose files
    are what its manifest says, else the newest such one. With `fully`, SHA-256 is compared and not just the size.
    Raises `ProblemError` without any.
    """
    state, wanted = run.state(), chosen_step(run)
    first = [c for c in state.checkpoints if c.step == wanted]
    first += [best] if (best := state.best_checkpoint) is not None else []
    others = sorted((c for c in state.checkpoints if c not in first), key=lambda c: -c.step)
    for candidate in first + others:
        folder = run.path / candidate.folder
        if is_intact(folder, fully=fully):
            return folder
    raise problem(
        "run.nothing_learned",
        N_("This run has nothing saved that it learned."),
        N_("It ended before its first save point, or its files were damaged or removed."),
        N_("Train once more."),
        remedy=Remedy.try_again,
    )
