"""What a method has to be able to do. Its settings are an entry in `studio/core/recipe/method.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from transformers.pytorch_utils import Conv1D

from studio.core.problems import ProblemError
from studio.core.recipe.method import MethodSettings
from studio.engine.device import Device
from studio.engine.methods.base_model import Network, known_to_load, load_base_model, outline
from studio.engine.methods.layer_streaming import fits_resident, load_streamed
from studio.engine.methods.quantization import PackedWeights, packed_layers, quantization_of
from studio.engine.methods.weight_changes import Changes
from studio.models.merged import NO_CHANGE


@dataclass(frozen=True)
class Merged:
    """`network` is an ordinary model. `change` is how far its adapted weights are from the base's, as a part of their
    size (both as the root of the sum of squares): small changes are lost where each is rounded."""

    network: Network
    change: float

    @property
    def is_base(self) -> bool:
        """Whether it answers as the base does."""
        return self.change < NO_CHANGE


def without_adapter(network: Network) -> AbstractContextManager[None]:
    """A context in which a network answers as its base, which one without an adapter always does."""
    switch = getattr(network, "disable_adapter", None)
    return switch() if switch is not None else nullcontext()


class TrainingMethod(ABC):
    """One method with its settings, from the base model to what is saved of it and used afterwards. `shares_base` is
    whether what `load` gives is its base as well, `without_adapter`."""

    shares_base: ClassVar[bool] = True

    def __init__(self, settings: MethodSettings) -> None:
        self._settings = settings

    @property
    def new_words(self) -> tuple[str, ...]:
        """Words that are added to the base's tokenizer."""
        return self._settings.new_words

    def load_base(self, folder: Path, device: Device, *, streamed: bool | None = None) -> Network:
        """The base model as this method stores it, frozen. `streamed` is whether its layers only come to be computed,
        None for as the settings say. Raises `ProblemError`."""
        settings = self._settings
        quantization = quantization_of(settings.storage, device.dtype, folder)
        if not (settings.streams_layers if streamed is None else streamed):
            return load_base_model(folder, device, quantization)
        keeps_table = settings.memory().embeddings or bool(self.new_words)  # it learns, or grows
        return load_streamed(folder, device, quantization, settings.storage.bits, keeps_table=keeps_table)

    def streams_to_answer(self, folder: Path, device: Device) -> bool:
        """Whether the base's layers have to come one by one to answer, too: only where training does so, and where
        there isn't room for all of them, since each word would take as long as bringing the whole model."""
        storage = self._settings.storage
        if not self._settings.streams_layers:
            return False
        return not fits_resident(known_to_load(folder, device), storage.bits, device)

    @abstractmethod
    def make_trainable(self, base: Network) -> Network:
        """The model to train, which answers as `base` does until it is. What is trained requires a gradient, and
        nothing else does. Raises `ProblemError`."""

    def rate_of(self, parameter: str) -> float:
        """By how much faster than the learning rate says the parameter of this name in the trained model learns."""
        return 1.0

    @abstractmethod
    def save(self, model: Network, folder: Path, base_name: str) -> None:
        """Write what was trained, as safetensors in the form in which `from_pretrained` of its library reads it."""

    @abstractmethod
    def load_weights(self, model: Network, folder: Path) -> None:
        """Put what `save` wrote into a model that `make_trainable` made. Raises `ProblemError` when it doesn't fit."""

    @abstractmethod
    def load(self, base: Network, folder: Path) -> Network:
        """The model that answers as the trained one did, from `base` and what `save` wrote. Raises `ProblemError` when
        that was trained on another base."""

    def load_beside(self, model: Network, folder: Path, name: str) -> None:
        """Put another add-on, which `save` wrote into `folder`, beside the one in `model`, as `load` made it, for
        `model.set_adapter(name)`. Only for methods that make an `add_on`. Raises `ProblemError` where it doesn't
        fit, and leaves `model` as it was."""
        raise NotImplementedError

    def changes(self, folder: Path, saved: Path) -> Changes:
        """What `save` wrote into `saved` does to each weight of the base model in `folder`, of which no weights are
        read. Raises `ProblemError` as `load` does."""
        raise self._not_mergeable()

    def packed(self, folder: Path, device: Device) -> PackedWeights | None:
        """What this method stores of the base model in `folder` in 4 or 8 bits; None where it stores nothing so."""
        storage = self._settings.storage
        if storage.bits == 16:
            return None
        layers = packed_layers(outline(folder, quantization_of(storage, device.dtype, folder)))
        turned = {
            name for name, one in layers.items() if issubclass(getattr(one, "source_cls", torch.nn.Linear), Conv1D)
        }
        names, turned_names = (frozenset(f"{name}.weight" for name in some) for some in (layers, turned))
        return PackedWeights(names, turned_names, storage, device)

    def changes_nothing(self, model: Network) -> bool:
        """Whether `model`, as `load` gives it, certainly answers as its base does."""
        return False

    def merge(self, model: Network, dtype: torch.dtype) -> Merged:
        """The ordinary model in `dtype` that answers as `model` does, in the computer's own memory. `model` can't be
        used any more. Its base's layers must be ordinary ones, see `dequantize`. Raises `ProblemError`."""
        raise self._not_mergeable()

    def _not_mergeable(self) -> ProblemError:
        refusal = self._settings.merge_refusal()
        assert refusal is not None, "a method that can merge says how"
        return ProblemError(refusal)
