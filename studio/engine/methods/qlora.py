"""QLoRA: LoRA on a base whose linear layers are stored in 4 bits (NF4), and computed in 16."""

from __future__ import annotations

from pathlib import Path

import bitsandbytes as bnb
import torch
from transformers import BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D

from studio.core.recipe.method import QLora
from studio.engine.device import Device
from studio.engine.methods.base_model import Network, PackedWeights, load_base_model, outline
from studio.engine.methods.lora import LEFT_ALONE, LoraMethod
from studio.models.config import read_mapping


class QLoraMethod(LoraMethod):
    """LoRA on a base in 4 bits. In memory it is merged into the numbers that these stand for, see `dequantize`."""

    def __init__(self, settings: QLora) -> None:
        super().__init__(settings)
        self._double_quantization = settings.double_quantization

    def load_base(self, folder: Path, device: Device) -> Network:
        return load_base_model(folder, device, self._quantization(folder, device.dtype))

    def packed(self, folder: Path, device: Device) -> PackedWeights:
        network = outline(folder, self._quantization(folder, device.dtype))
        layers = {f"{n}.weight": one for n, one in network.named_modules() if isinstance(one, bnb.nn.Linear4bit)}
        turned = {name for name, one in layers.items() if issubclass(one.source_cls, Conv1D)}
        return PackedWeights(frozenset(layers), frozenset(turned), self._double_quantization, device)

    def _quantization(self, folder: Path, dtype: torch.dtype) -> BitsAndBytesConfig:
        alone = LEFT_ALONE.get(str(read_mapping(folder / "config.json").get("model_type")), ())
        return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=self._double_quantization,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=[*alone, "lm_head"] if alone else None,
        )
