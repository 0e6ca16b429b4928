"""Adapter layers (Houlsby et al. 2019, Pfeiffer et al. 2021): narrow layers behind parts of each layer of a base that
stays as it is.

The `adapters` project, which knows them best, needs an older transformers than this program, and peft has none. They
are hooks on the modules of transformers' own model, so that everything that asks or trains it goes on as before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.method import AdapterLayers
from studio.core.translatable import N_
from studio.engine.methods.base_model import Network, decoder_layers
from studio.engine.methods.method import TrainingMethod
from studio.engine.methods.peft_method import does_not_fit
from studio.models.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS

KIND = "BOTTLENECK"
"""What stands in the config where peft's have their own kind, which this is none of."""

DEFAULT = "default"
"""The adapter that a network is made with, as peft calls it."""

_NAME = "adapter_layer"
_ATTENTION = ("self_attn", "attn", "attention", "self_attention", "linear_attn", "mixer", "mamba")
_FEED_FORWARD = ("mlp", "feed_forward", "block_sparse_moe", "ffn", "moe", "fc2")


class AdapterLayer(torch.nn.Module):
    """What comes out of a part of a layer, and the little that is learned about it. Begins as nothing."""

    def __init__(self, hidden: int, width: int, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.down = torch.nn.Linear(hidden, width, device=device, dtype=dtype)
        self.up = torch.nn.Linear(width, hidden, device=device, dtype=dtype)
        torch.nn.init.zeros_(self.up.weight)
        torch.nn.init.zeros_(self.up.bias)
        self.is_on = True

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., hidden] in whichever format, which it gives back."""
        if not self.is_on:
            return hidden
        learned: torch.Tensor = self.up(functional.gelu(self.down(hidden.to(self.down.weight.dtype))))
        return hidden + learned.to(hidden.dtype)


class AdapterLayersMethod(TrainingMethod):
    """One adapter layer behind attention and one behind the feed-forward part, or the second alone."""

    def __init__(self, settings: AdapterLayers) -> None:
        super().__init__(settings)
        self._added = settings

    def make_trainable(self, base: Network) -> Network:
        return add_layers(base, self._added.width, self._added.placement == "both", torch.float32)

    def save(self, model: Network, folder: Path, base_name: str) -> None:
        folder.mkdir(exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in _parameters(model)}
        save_file(weights, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        about = {
            "peft_type": KIND,
            "base_model_name_or_path": base_name,
            "task_type": "CAUSAL_LM",
            "width": self._added.width,
            "placement": self._added.placement,
        }
        (folder / ADAPTER_CONFIG).write_text(json.dumps(about, indent=2), encoding="utf-8")

    def load_weights(self, model: Network, folder: Path) -> None:
        self._read(model, folder, DEFAULT)

    def _read(self, model: Network, folder: Path, adapter: str) -> None:
        """Put what `save` wrote into the layers of that adapter."""
        saved = load_file(folder / ADAPTER_WEIGHTS)
        weights = {name.replace(f".{_NAME}.", f".{_module(adapter)}."): one for name, one in saved.items()}
        places = dict(_parameters(model, adapter))
        strange = weights.keys() ^ places.keys()
        strange |= {name for name in weights.keys() & places.keys() if weights[name].shape != places[name].shape}
        if strange:
            raise does_not_fit(", ".join(sorted(strange)[:4]))
        with torch.no_grad():
            for name, place in places.items():
                place.copy_(weights[name])

    def load(self, base: Network, folder: Path) -> Network:
        model = add_layers(base, self._added.width, self._added.placement == "both", base.dtype)
        self.load_weights(model, folder)
        model.requires_grad_(False)
        return model.eval()

    def load_beside(self, model: Network, folder: Path, name: str) -> None:
        try:
            add_layers(model, self._added.width, self._added.placement == "both", model.dtype, name)
            self._read(model, folder, name)
        except ProblemError:
            _take_out(model, name)
            raise
        for layer in _added(model, name):
            layer.requires_grad_(False)
            layer.is_on = False

    def changes_nothing(self, model: Network) -> bool:
        return not any(parameter.any() for name, parameter in _parameters(model) if ".up." in name)


def add_layers(
    base: Network, width: int, behind_attention: bool, dtype: torch.dtype, adapter: str = DEFAULT
) -> Network:
    """The same network with adapter layers of that width, which change nothing yet. As with peft, there may be several
    adapters, `set_adapter` chooses one by its name, and `disable_adapter` is a context in which none does anything.
    Raises `ProblemError` for a model whose layers have no parts that are known here."""
    hidden = int(base.config.get_text_config().hidden_size)
    parts = [one for layer in decoder_layers(base) for one in _parts(layer, behind_attention)]
    if not parts:
        raise _no_parts()
    for part in parts:
        part.add_module(_module(adapter), AdapterLayer(hidden, width, base.device, dtype))
        part.register_forward_hook(partial(_behind, _module(adapter)))
    base.set_adapter, base.disable_adapter = partial(_set_adapter, base), partial(_disable_adapter, base)
    if getattr(base, "is_quantized", False):
        base._hf_peft_config_loaded = True  # else transformers' trainer finds nothing in it that could be trained
    return base


def _module(adapter: str) -> str:
    """What the layers of that adapter are called in the parts that they stand behind."""
    return _NAME if adapter == DEFAULT else f"{_NAME}_{adapter}"


def _added(network: Network, adapter: str | None = None) -> Iterator[AdapterLayer]:
    """The layers of one adapter, or of all."""
    for name, module in network.named_modules():
        if isinstance(module, AdapterLayer) and adapter in (None, _adapter_at(name)):
            yield module


def _adapter_at(name: str) -> str:
    return name.rpartition(".")[2].removeprefix(_NAME).removeprefix("_") or DEFAULT


def _set_adapter(network: Network, adapter: str, inference_mode: bool = False) -> None:
    for layer in _added(network):
        layer.is_on = False
    for layer in _added(network, adapter):
        layer.is_on = True
        layer.requires_grad_(not inference_mode)


@contextmanager
def _disable_adapter(network: Network) -> Iterator[None]:
    on = [layer for layer in _added(network) if layer.is_on]
    for layer in on:
        layer.is_on = False
    try:
        yield
    finally:
        for layer in on:
            layer.is_on = True


def _take_out(network: Network, adapter: str) -> None:
    """Leave nothing of that adapter; its hooks find nothing to do."""
    for part in list(network.modules()):
        if hasattr(part, _module(adapter)):
            delattr(part, _module(adapter))


def _behind(name: str, part: torch.nn.Module, _: Any, given: Any) -> Any:
    layer = getattr(part, name, None)
    if layer is None:
        return given
    return (layer(given[0]), *given[1:]) if isinstance(given, tuple) else layer(given)


def _parts(layer: torch.nn.Module, behind_attention: bool) -> Iterator[torch.nn.Module]:
    children = dict(layer.named_children())
    for names in (_ATTENTION, _FEED_FORWARD) if behind_attention else (_FEED_FORWARD,):
        found = next((children[name] for name in names if name in children), None)
        if found is not None:
            yield found


def _parameters(model: Network, adapter: str = DEFAULT) -> Iterator[tuple[str, torch.nn.Parameter]]:
    for name, parameter in model.named_parameters():
        if f".{_module(adapter)}." in name:
            yield name, parameter


def _no_parts() -> ProblemError:
    return problem(
        "method.no_parts",
        N_("Layers can't be added to this base model."),
        N_("Its own layers aren't made of an attention and a feed-forward part with names that are known here."),
        N_("Train it with LoRA."),
        remedy=Remedy.see_settings,
    )
