"""Where the two matrices of a LoRA adapter begin, other than at nothing.

PiSSA (arXiv:2404.02948) takes the strongest directions of each layer out of its weights and trains them; LoftQ
(arXiv:2310.08659, one round of it) begins with the strongest part of what compressing the weights to 4 bits left out.
peft offers both; its PiSSA decomposes whole matrices, which takes half an hour for 7 billion parameters, and its LoftQ
for a base that is compressed already works on a card only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from transformers.pytorch_utils import Conv1D

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.engine.methods.base_model import Network
from studio.engine.methods.quantization import PACKED_LAYERS, numbers_of
from studio.models.weights import tensors, weight_files

_ADAPTER = "default"

_ROUNDS = 8
"""Of the power iteration: after so many the directions of layers as models have them change no more."""

Factors = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""By the layer's name in the adapted model: A [rank, inputs] and B [outputs, rank], in the computer's own memory."""


def begin_with_principal(model: Network) -> Factors:
    """PiSSA: the adapter of each layer becomes its strongest part, which its weights then lack. Returns what was taken
    out."""
    taken: Factors = {}
    for name, layer in adapted_layers(model):
        down, up = strongest(_weight(layer), layer.r[_ADAPTER], layer.scaling[_ADAPTER])
        _set(layer, down, up)
        shift_base(layer, down, up, -1.0)
        taken[name] = down.to("cpu", copy=True), up.to("cpu", copy=True)
    return taken


def begin_with_residual(model: Network, folder: Path) -> None:
    """LoftQ: the adapter of each 4-bit layer becomes the strongest part of what it lacks of the model in `folder`.
    Raises `ProblemError` where that model's files hold its layers in another form."""
    places = {tensor.name: file for file in weight_files(folder) for tensor in tensors(file)}
    prefix = getattr(model.get_base_model(), "base_model_prefix", "")
    for name, layer in adapted_layers(model):
        packed = layer.get_base_layer()
        if not isinstance(packed, PACKED_LAYERS):
            continue
        found = f"{name}.weight"
        found = found if found in places else found.removeprefix(f"{prefix}.")
        if found not in places:
            raise _not_found(name)
        with safe_open(str(places[found]), framework="pt") as file:
            whole = file.get_tensor(found).to(packed.weight.device, torch.float32)
        whole = whole.T if issubclass(getattr(packed, "source_cls", torch.nn.Linear), Conv1D) else whole
        if whole.shape != (packed.out_features, packed.in_features):
            raise _not_found(name)
        lost = whole - numbers_of(packed, torch.float32)
        _set(layer, *strongest(lost, layer.r[_ADAPTER], layer.scaling[_ADAPTER]))


def strongest(weight: torch.Tensor, rank: int, scaling: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A and B whose product, times `scaling`, is the strongest part of `weight` [outputs, inputs] that has that rank,
    on its device. The same for the same weight; nobody else's random numbers are used up for it."""
    devices = [weight.device] if weight.device.type == "cuda" else []
    most = min(weight.shape)
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        left, sizes, right = torch.svd_lowrank(weight.float(), q=min(rank + 8, most), niter=_ROUNDS)
    root = (sizes[:rank] / scaling).sqrt()
    down, up = root[:, None] * right[:, :rank].T, left[:, :rank] * root
    if len(root) < rank:  # narrower than the rank: the rest begins at nothing
        down = torch.cat([down, down.new_zeros(rank - len(root), down.shape[1])])
        up = torch.cat([up, up.new_zeros(up.shape[0], rank - up.shape[1])], dim=1)
    return down.contiguous(), up.contiguous()


def shift_base(layer: LoraLayer, down: torch.Tensor, up: torch.Tensor, sign: float) -> None:
    """Add the product of A and B, scaled as the layer scales its adapter's, to its own weights, `sign` times."""
    base = layer.get_base_layer()
    change = sign * layer.scaling[_ADAPTER] * (up.float() @ down.float())
    change = (change.T if isinstance(base, Conv1D) else change).to(base.weight.device)
    base.weight.data = (base.weight.data.float() + change).to(base.weight.dtype)


def adapted_layers(model: Network) -> Iterator[tuple[str, LoraLayer]]:
    """Linear layers with an adapter of two matrices, by the base model's names for them."""
    for name, module in model.get_base_model().named_modules():
        if isinstance(module, LoraLayer) and _ADAPTER in module.lora_A and not hasattr(module, "parameter_name"):
            yield name, module


def _weight(layer: LoraLayer) -> torch.Tensor:
    base = layer.get_base_layer()
    weight: torch.Tensor = base.weight.data
    return weight.T if isinstance(base, Conv1D) else weight


def _set(layer: LoraLayer, down: torch.Tensor, up: torch.Tensor) -> None:
    for module, value in ((layer.lora_A[_ADAPTER], down), (layer.lora_B[_ADAPTER], up)):
        module.weight.data = value.to(module.weight.device, torch.float32)


def _not_found(name: str) -> ProblemError:
    return problem(
        "method.no_original",
        N_("What compressing this base model lost can't be told, so that the add-on can't begin with it."),
        N_("Its files hold the layer {name} in another form than it is computed in."),
        N_('Turn off "Begin with what compressing lost".'),
        remedy=Remedy.see_settings,
        name=name,
    )
