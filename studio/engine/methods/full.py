"""Full fine-tuning: every weight learns, in 32 bits. What is saved is a whole model."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig

from studio.core.problems import ProblemError
from studio.engine.device import Device
from studio.engine.methods.base_model import Network, in_format, load_base_model
from studio.engine.methods.method import Merged, TrainingMethod
from studio.engine.methods.peft_method import does_not_fit
from studio.engine.methods.weight_changes import Changes, Replaced

_LARGEST_FILE = "4GB"


class FullMethod(TrainingMethod):
    """In 16 bits the changes of a step would be rounded away, so weights that learn are kept in 32."""

    shares_base = False
    _base: Path | None = None

    def load_base(self, folder: Path, device: Device, *, streamed: bool | None = None) -> Network:
        self._base = folder
        return super().load_base(folder, device, streamed=streamed)

    def make_trainable(self, base: Network) -> Network:
        in_format(base, torch.float32)
        base.requires_grad_(True)
        return base

    def save(self, model: Network, folder: Path, base_name: str) -> None:
        before, model.generation_config = model.generation_config, GenerationConfig()  # type: ignore[no-untyped-call]
        try:  # the base's own may not be saveable, and lies beside the tokenizer
            model.save_pretrained(folder, max_shard_size=_LARGEST_FILE)
        finally:
            model.generation_config = before
        assert self._base is not None, "the base was loaded here"
        shutil.copyfile(self._base / "config.json", folder / "config.json")  # a training changes what it computes

    def load_weights(self, model: Network, folder: Path) -> None:
        saved = self._saved(folder, torch.device("cpu"), torch.float32)
        try:
            model.load_state_dict(saved.state_dict())
        except RuntimeError as error:  # other layers, other sizes
            raise does_not_fit(str(error)) from error

    def load(self, base: Network, folder: Path) -> Network:
        shapes = {name: one.shape for name, one in base.named_parameters()}
        found = self._saved(folder, base.device, base.dtype)
        if shapes != {name: one.shape for name, one in found.named_parameters()}:
            raise does_not_fit(folder.name)
        return found.eval()

    def changes(self, folder: Path, saved: Path) -> Changes:
        found = self._saved(saved, torch.device("cpu"), torch.float32)
        return {name: (Replaced(one.data),) for name, one in found.named_parameters(remove_duplicate=False)}

    def merge(self, model: Network, dtype: torch.dtype) -> Merged:
        return Merged(in_format(model.to("cpu"), dtype), 1.0)

    def _saved(self, folder: Path, place: torch.device, dtype: torch.dtype) -> Network:
        try:
            return load_base_model(folder, Device(place, "", dtype, None))
        except ProblemError as error:
            raise does_not_fit(error.problem.english()) from error
