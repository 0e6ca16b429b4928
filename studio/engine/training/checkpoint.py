"""Save points: written whole, checked, thinned out so that the best and the newest two stay, and read to go on from.

The order of writing matters: room first, then everything into a folder that no loader picks up, forced to the disk,
the manifest last, the rename, the event, and only then is an older one removed.

Beside what the method trained lies what a training needs to go on, in the files of transformers' `Trainer`: optimizer,
learning rate schedule, random states, and the step, from which the place in the data follows, because the order of the
examples depends on the seed and the epoch alone.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from studio.core.events import CheckpointCommitted, CheckpointRemoved
from studio.core.problems import Remedy, problem
from studio.core.run_folder import RunFolder, chosen_step
from studio.core.storage import (
    Manifest,
    is_intact,
    listed,
    read_manifest,
    require_room,
    size_of,
    staged,
    sync,
    tidy,
    write_manifest,
)
from studio.core.translatable import N_
from studio.core.versions import library_versions
from studio.engine.job_context import JobContext
from studio.engine.methods.method import TrainingMethod
from studio.engine.random_states import random_states
from studio.engine.training.trainer import StudioTrainer
from studio.tokenization.tokenizer_files import copy_tokenizer

MOST_OF_TIME = 0.035
"""Saving takes at most this part of a run's time: after a save point, the next one waits accordingly."""

NOTICEABLE = 2.0
"""Seconds. Saving that takes less isn't worth leaving out a save point for."""


class CheckpointWriter:
    """The save points of one run, and what every one of them takes along from the base model."""

    def __init__(
        self,
        context: JobContext,
        run: RunFolder,
        method: TrainingMethod,
        base: Path,
        base_name: str,
        minutes: float = math.inf,
    ) -> None:
        self._context = context
        self._run = run
        self._method = method
        self._base = base
        self._base_name = base_name
        self._every = 60 * minutes
        self._saved: dict[int, float | None] = {}
        self._pinned: int | None = None
        self._last_size = 0
        self._last_at = time.monotonic()
        self._took = 0.0
        run.checkpoints.mkdir(parents=True, exist_ok=True)

    def adopt(self, saved: Mapping[int, float | None]) -> None:
        """Take over what an earlier process saved: steps whose save points are whole, with their losses. Call it in the
        one process that saves."""
        tidy(self._run.checkpoints)  # the journal's lock is held, so nobody else is writing there
        self._saved = dict(saved)
        if saved:
            self._last_size = size_of(self._place(self.last_step))

    @property
    def last_step(self) -> int:
        """The newest step that was saved, 0 when none was."""
        return max(self._saved, default=0)

    @property
    def best_loss(self) -> float:
        """The lowest one with which a step was saved, infinite when none was."""
        return min((loss for loss in self._saved.values() if loss is not None), default=math.inf)

    def start_clock(self) -> None:
        """Count the minutes until the next save point from now."""
        self._last_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the minutes between two save points are over, and saving has waited long enough to stay cheap."""
        return time.monotonic() - self._last_at >= max(self._every, self._pause)

    @property
    def is_costly_now(self) -> bool:
        """Whether saving takes so long here that another save point now would take more than its part of the time."""
        return self._took > NOTICEABLE and time.monotonic() - self._last_at < self._pause

    @property
    def _pause(self) -> float:
        return self._took * (1 / MOST_OF_TIME - 1)

    def pin(self, step: int) -> None:
        """Keep the save point of `step` whatever comes after, until another one is pinned."""
        self._pinned = step

    def save(self, trainer: StudioTrainer, loss: float | None) -> None:
        """Write one after the trainer's last step, tell it, and remove those that are no longer needed. `loss` is that
        over the held-out examples, where it is known. Raises `ProblemError` without room."""
        began = time.monotonic()
        step, model = trainer.state.global_step, trainer.model
        place = self._place(step)
        require_room(place, self.needs(trainer))
        with staged(place) as folder:
            self._method.save(model, folder, self._base_name)
            copy_tokenizer(self._base, folder, self._method.new_words)
            _write_training_state(trainer, folder)
            for path in folder.iterdir():
                sync(path)
            manifest = Manifest(
                files=listed(folder), versions=library_versions(), step=step, trainable=fingerprint(model)
            )
            write_manifest(folder, manifest)
        self._last_size = size_of(place)
        self._saved[step] = loss
        event = CheckpointCommitted(step=step, folder=f"checkpoints/{place.name}", size=self._last_size, loss=loss)
        if self._context.write(event, durable=True):  # else the older ones are all that the journal tells of
            self._thin_out()
        self._last_at = time.monotonic()
        self._took = self._last_at - began

    def needs(self, trainer: StudioTrainer) -> int:
        """Bytes that must be free before a save point is written."""
        return int(1.5 * (self._last_size or 4 * _trainable_bytes(trainer.model)))

    def _place(self, step: int) -> Path:
        return self._run.checkpoints / f"step-{step:06d}"

    def _thin_out(self) -> None:
        whole = {step: loss for step, loss in self._saved.items() if is_intact(self._place(step), fully=False)}
        for step in set(whole) - steps_to_keep(whole) - {self._pinned, chosen_step(self._run)}:
            if self._remove(step):
                del self._saved[step]
                self._context.write(CheckpointRemoved(step=step, reason="rotated"))

    def _remove(self, step: int) -> bool:
        """Under its own name a save point is whole or not there at all, also when the process ends in between."""
        place = self._place(step)
        going = self._run.checkpoints / f".tmp-removed-{place.name}"
        try:
            place.rename(going)
        except OSError:  # something holds it under Windows: it stays, and is whole
            return False
        shutil.rmtree(going, ignore_errors=True)
        return True


def steps_to_keep(saved: Mapping[int, float | None]) -> set[int]:
    """Of the steps that were saved, with their losses: the newest two, and the best of those whose loss is known."""
    scored = [(loss, -step) for step, loss in saved.items() if loss is not None]
    return {*sorted(saved)[-2:], *(-step for _, step in sorted(scored)[:1])}


def require_fits(checkpoint: Path, model: torch.nn.Module) -> None:
    """Raises `ProblemError` unless the save point, which is whole, holds what `model` trains."""
    manifest = read_manifest(checkpoint)
    if manifest is None or manifest.trainable != fingerprint(model):
        raise problem(
            "checkpoint.other_model",
            N_("The save point {name} doesn't fit this model and these settings."),
            N_("What was trained there has another form, for instance another LoRA rank."),
            N_(
                "Go on with the recipe of the run that it belongs to. Or start a new run from what was learned there: "
                '"Continue from these weights", or `studio train RECIPE --from RUN`.'
            ),
            remedy=Remedy.see_settings,
            name=checkpoint.name,
        )


def fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and dtypes of what is trained: a save point fits a model when these are equal."""
    lines = [f"{n} {tuple(p.shape)} {p.dtype}" for n, p in model.named_parameters() if p.requires_grad]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _write_training_state(trainer: StudioTrainer, folder: Path) -> None:
    """The files of `TRAINING_STATE`, in the forms in which transformers' `Trainer` loads them with `weights_only`."""
    _save(trainer.optimizer.state_dict(), folder / "optimizer.pt")
    _save(trainer.lr_scheduler.state_dict(), folder / "scheduler.pt")
    if trainer.accelerator.scaler is not None:  # with float16 on a card
        _save(trainer.accelerator.scaler.state_dict(), folder / "scaler.pt")
    _save(random_states(), folder / "rng_state.pth")
    trainer.state.save_to_json(str(folder / "trainer_state.json"))


def _save(state: object, place: Path) -> None:
    # given a path, torch writes by itself, and makes of a full disk an error that says nothing of it
    with open(place, "wb") as file:
        torch.save(state, file)


def _trainable_bytes(model: torch.nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
