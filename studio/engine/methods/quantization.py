"""How a base is stored while it is trained on: bitsandbytes' 4-bit numbers, its 8-bit ones (LLM.int8), or as it is."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import torch
from transformers import BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D

from studio.core.recipe.method import BaseStorage
from studio.engine.device import Device
from studio.models.config import read_mapping

_FUSED = ("conv1d", "dt_proj", "out_proj")
LEFT_ALONE: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"), _FUSED),
    **dict.fromkeys(("gemma3n", "gemma3n_text"), ("correction_coefs", "prediction_coefs")),
    **dict.fromkeys(("llama4", "llama4_text", "phimoe"), ("router",)),
    "longcat_flash": ("classifier",),
}
"""Layers by the kind of model that are neither adapted nor compressed: others read their weights past an adapter and as
plain numbers, or they give out more than a product."""

PACKED_LAYERS = (bnb.nn.Linear4bit, bnb.nn.Linear8bitLt)


def quantization_of(storage: BaseStorage, dtype: torch.dtype, folder: Path | None = None) -> BitsAndBytesConfig | None:
    """What transformers is asked for, computing in `dtype`; None where nothing is compressed. `folder` is the model's,
    where layers of its kind are to be left alone."""
    kind = str(read_mapping(folder / "config.json").get("model_type")) if folder is not None else ""
    alone = LEFT_ALONE.get(kind, ())
    skipped: Sequence[str] | None = [*alone, "lm_head"] if alone else None
    if storage.bits == 8:
        # it says of every product that it rounds its input, as it is meant to
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)  # type: ignore[no-untyped-call]
    if storage.bits == 4:
        return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type=storage.quant_type,
            bnb_4bit_use_double_quant=storage.double_quantization,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=skipped,
        )
    return None


def dequantize(model: torch.nn.Module, dtype: torch.dtype, onto: torch.device | None = None) -> None:
    """Replace each 4- or 8-bit layer by an ordinary one with the numbers that it stands for, in place, and put it
    `onto` another device where one is named.

    A 4-bit layer unpacks its weights again for every token on a processor. Unpacked once, the same products are
    computed from the same numbers, many times faster, for four times the memory. 8-bit layers round what they are given
    as well, which is left out then.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, PACKED_LAYERS):
                setattr(parent, name, dequantized(child, dtype).to(onto))


def dequantized(layer: Any, dtype: torch.dtype) -> torch.nn.Linear | Conv1D:
    """An ordinary layer in `dtype` from a bitsandbytes one: of the class that the model had there before, which with
    GPT-2 and its like stores its weight transposed."""
    weight = numbers_of(layer, dtype)
    plain: torch.nn.Linear | Conv1D
    if issubclass(getattr(layer, "source_cls", torch.nn.Linear), Conv1D):
        plain = Conv1D(layer.out_features, layer.in_features)  # type: ignore[no-untyped-call]
        weight = weight.T.contiguous()
    else:
        plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    plain.weight = torch.nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        plain.bias = torch.nn.Parameter(layer.bias.data.to(dtype), requires_grad=False)
    return plain


def numbers_of(layer: Any, dtype: torch.dtype) -> torch.Tensor:
    """What the weight of a bitsandbytes layer stands for, [outputs, inputs] in `dtype`."""
    if isinstance(layer, bnb.nn.Linear4bit):
        found: torch.Tensor = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        return found.to(dtype)
    # the constants lie beside the numbers before the first product, and in the layer's own state after it
    scales = layer.state.SCB if layer.weight.SCB is None else layer.weight.SCB
    rounded = layer.weight.data if layer.state.CB is None else layer.state.CB
    return _from_eight_bits(rounded, scales).to(dtype)


def _from_eight_bits(rounded: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return rounded.float() * (scales.float() / 127)[:, None]


@dataclass(frozen=True)
class PackedWeights:
    """The weights of a base that are compressed, by the model's names for them. `turned` are those that it keeps
    transposed, as GPT-2 does; `device` is where they are packed and computed."""

    names: frozenset[str]
    turned: frozenset[str]
    storage: BaseStorage
    device: Device

    def unpacked(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The numbers that the weight called `name` stands for when it is loaded, in the computer's own memory: packed
        as transformers' `Bnb4bitQuantize` and `Bnb8bitQuantize` do it, and unpacked as in `numbers_of`."""
        weight = weight.to(self.device.torch_device, self.device.dtype)
        plain = weight.T.contiguous() if name in self.turned else weight
        found = self._round(plain).to(self.device.dtype).cpu()
        return found.T.contiguous() if name in self.turned else found

    def _round(self, weight: torch.Tensor) -> torch.Tensor:
        if self.storage.bits == 8:
            rounded, scales, _ = bnb.functional.int8_vectorwise_quant(weight.to(torch.float16))
            return _from_eight_bits(rounded, scales)
        packed = bnb.nn.Params4bit(
            weight,
            requires_grad=False,
            compress_statistics=self.storage.double_quantization,
            quant_type=self.storage.quant_type,
        ).to(self.device.torch_device)
        found: torch.Tensor = bnb.functional.dequantize_4bit(packed.data, packed.quant_state)
        return found


def packed_layers(network: torch.nn.Module) -> dict[str, Any]:
    """The compressed layers of a model by their names."""
    return {name: one for name, one in network.named_modules() if isinstance(one, PACKED_LAYERS)}
