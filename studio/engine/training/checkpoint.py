"""Save points: written whole, checked, thinned out so that the best and the newest two stay, and read to go on from.

The order of writing matters: room first, then everything into a folder that no loader picks up, forced to the disk,
the manifest last, the rename, the event, and only then is an older one removed.

Beside what the method trained lies what a training needs to go on, in the files of transformers' `Trainer`: optimizer,
learning rate schedule, random states, and the step, from which the place in the data follows, because the order of the
examples depends on the seed and the epoch alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import shutil
from pathlib import Path

import numpy
import torch

from studio.core.events import CheckpointCommitted
from studio.core.problems import Remedy, problem
from studio.core.run_folder import RunFolder
from studio.core.storage import (
    Manifest,
    is_intact,
    listed,
    read_manifest,
    require_room,
    size_of,
    staged,
    sync,
    write_manifest,
)
from studio.core.translatable import N_
from studio.engine.job_context import JobContext, library_versions
from studio.engine.methods.method import TrainingMethod
from studio.engine.training.trainer import StudioTrainer
from studio.tokenization.end_tokens import write_end_tokens
from studio.tokenization.template_capabilities import template_in

_NAME = re.compile(r"step-(\d{6,})")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.json",
)


class CheckpointWriter:
    """The save points of one run, and what every one of them takes along from the base model."""

    def __init__(self, context: JobContext, run: RunFolder, method: TrainingMethod, base: Path, base_name: str) -> None:
        self._context = context
        self._run = run
        self._method = method
        self._base = base
        self._base_name = base_name
        self._saved: dict[int, float | None] = {}
        self._last_size = 0
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        for torn in run.checkpoints.glob(".tmp-*"):  # the journal's lock is held, so nobody else is writing one
            shutil.rmtree(torn, ignore_errors=True)

    @property
    def last_step(self) -> int:
        """The newest step that was saved, 0 when none was."""
        return max(self._saved, default=0)

    def save(self, trainer: StudioTrainer, loss: float | None) -> None:
        """Write one after the trainer's last step, tell it, and remove those that are no longer needed. `loss` is that
        over the held-out examples, where it is known. Raises `ProblemError` without room."""
        step, model = trainer.state.global_step, trainer.model
        place = self._run.checkpoints / f"step-{step:06d}"
        require_room(place, int(1.5 * (self._last_size or 4 * _trainable_bytes(model))))
        with staged(place) as folder:
            self._method.save(model, folder, self._base_name)
            copy_tokenizer(self._base, folder)
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
        self._context.write(event, durable=True)
        self._thin_out()

    def _thin_out(self) -> None:
        newest = sorted(self._saved)[-2:]
        scored = [(loss, -step) for step, loss in self._saved.items() if loss is not None]
        keep = {*newest, -min(scored)[1]} if scored else set(newest)
        for step in set(self._saved) - keep:
            self._remove(step)
            del self._saved[step]

    def _remove(self, step: int) -> None:
        """Under its own name a save point is whole or not there at all, also when the process ends in between."""
        place = self._run.checkpoints / f"step-{step:06d}"
        going = self._run.checkpoints / f".tmp-removed-{place.name}"
        with contextlib.suppress(OSError):  # something holds it under Windows: it stays, and is whole
            place.rename(going)
            shutil.rmtree(going, ignore_errors=True)


def resume(trainer: StudioTrainer, checkpoint: Path) -> None:
    """Train on from a save point to the end, as if there had been no interruption: on a processor in float32 the
    weights become the same, bit for bit.

    `trainer` is a fresh one of the same recipe, data and base model. Raises `ProblemError` where the save point is
    damaged, or belongs to something else.
    """
    manifest = read_manifest(checkpoint)
    if manifest is None or not is_intact(checkpoint, fully=True):
        raise problem(
            "checkpoint.damaged",
            N_("The save point {name} is damaged."),
            N_("A file in it isn't what it was when it was written."),
            N_("Choose an earlier save point, or start the run again."),
            remedy=Remedy.try_again,
            name=checkpoint.name,
        )
    if manifest.trainable != fingerprint(trainer.model):
        raise problem(
            "checkpoint.other_model",
            N_("The save point {name} doesn't fit this model and these settings."),
            N_("What was trained there has another form, for instance another LoRA rank."),
            N_("Go on with the recipe of the run that it belongs to."),
            remedy=Remedy.see_settings,
            name=checkpoint.name,
        )
    trainer.train(resume_from_checkpoint=str(checkpoint))


def intact(run: RunFolder) -> list[Path]:
    """Save points whose every file is what its manifest says, oldest first."""
    found = [(int(m.group(1)), p) for p in run.checkpoints.glob("step-*") if (m := _NAME.fullmatch(p.name))]
    return [path for _, path in sorted(found) if is_intact(path, fully=True)]


def copy_tokenizer(base: Path, folder: Path) -> None:
    """The base model's tokenizer as it is, with the chat template that was trained with: its own or the default, and
    all tokens that end an answer."""
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    (folder / "chat_template.jinja").write_text(template_in(base).source, encoding="utf-8")
    write_end_tokens(base, folder)


def fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and dtypes of what is trained: a save point fits a model when these are equal."""
    lines = [f"{n} {tuple(p.shape)} {p.dtype}" for n, p in model.named_parameters() if p.requires_grad]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _write_training_state(trainer: StudioTrainer, folder: Path) -> None:
    """The files of `TRAINING_STATE`, in the forms in which transformers' `Trainer` loads them with `weights_only`."""
    torch.save(trainer.optimizer.state_dict(), folder / "optimizer.pt")
    torch.save(trainer.lr_scheduler.state_dict(), folder / "scheduler.pt")
    if trainer.accelerator.scaler is not None:  # with float16 on a card
        torch.save(trainer.accelerator.scaler.state_dict(), folder / "scaler.pt")
    states = {"python": random.getstate(), "numpy": numpy.random.get_state(), "cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    torch.save(states, folder / "rng_state.pth")
    trainer.state.save_to_json(str(folder / "trainer_state.json"))


def _trainable_bytes(model: torch.nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
