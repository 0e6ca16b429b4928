"""Save points: written whole, checked, and thinned out so that the best and the newest two stay.

The order matters: room first, then everything into a folder that no loader picks up, forced to the disk, the
manifest last, the rename, the event, and only then is an older one removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from studio.core.events import CheckpointCommitted
from studio.core.run_folder import RunFolder
from studio.core.storage import Manifest, is_intact, listed, require_room, size_of, staged, sync, write_manifest
from studio.engine.job_context import JobContext, library_versions
from studio.tokenization.chat_template import ChatTemplate

_NAME = re.compile(r"step-(\d{6,})")
TRAINING_STATE = "training_state.pt"
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

    def __init__(self, report: JobContext, run: RunFolder, base: Path, base_name: str) -> None:
        self._report = report
        self._run = run
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

    def save(self, step: int, model: PeftModel, state: dict[str, Any], loss: float | None) -> None:
        """Write one, tell it, and remove those that are no longer needed. Raises `ProblemError` without room."""
        place = self._run.checkpoints / f"step-{step:06d}"
        require_room(place, int(1.5 * (self._last_size or 4 * _adapter_bytes(model))))
        with staged(place) as folder:
            _write_adapter(folder, model, self._base_name)
            copy_tokenizer(self._base, folder)
            torch.save({"step": step, **state, **_random_states()}, folder / TRAINING_STATE)
            for path in folder.iterdir():
                sync(path)
            manifest = Manifest(
                files=listed(folder), versions=library_versions(), step=step, trainable=fingerprint(model)
            )
            write_manifest(folder, manifest)
        self._last_size = size_of(place)
        self._saved[step] = loss
        event = CheckpointCommitted(step=step, folder=f"checkpoints/{place.name}", size=self._last_size, loss=loss)
        self._report.write(event, durable=True)
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


def intact(run: RunFolder) -> list[Path]:
    """Save points whose every file is what its manifest says, oldest first."""
    found = [(int(m.group(1)), p) for p in run.checkpoints.glob("step-*") if (m := _NAME.fullmatch(p.name))]
    return [path for _, path in sorted(found) if is_intact(path, fully=True)]


def copy_tokenizer(base: Path, folder: Path) -> None:
    """The base model's tokenizer as it is, with the chat template that was taught: its own or the default."""
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    (folder / "chat_template.jinja").write_text(ChatTemplate.from_folder(base).source, encoding="utf-8")


def fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and dtypes of what learns: a save point fits a model only when these are equal."""
    lines = [f"{n} {tuple(p.shape)} {p.dtype}" for n, p in model.named_parameters() if p.requires_grad]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _write_adapter(folder: Path, model: PeftModel, base_name: str) -> None:
    config = model.peft_config["default"]
    before, config.base_model_name_or_path = config.base_model_name_or_path, base_name
    try:
        model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    finally:
        config.base_model_name_or_path = before
    (folder / "README.md").unlink(missing_ok=True)  # peft's form, with nothing filled in


def _adapter_bytes(model: torch.nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)


def _random_states() -> dict[str, Any]:
    version, state, gauss = random.getstate()
    found: dict[str, Any] = {"random": [version, list(state), gauss], "torch_random": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["cuda_random"] = torch.cuda.get_rng_state_all()
    return found
