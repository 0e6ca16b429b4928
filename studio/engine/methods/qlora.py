"""QLoRA: LoRA on a base whose linear layers are stored in 4 bits (NF4), and computed in 16."""

from __future__ import annotations

from pathlib import Path

from transformers import BitsAndBytesConfig

from studio.core.recipe.method import QLora
from studio.engine.device import Device
from studio.engine.methods.base_model import Network, load_base_model
from studio.engine.methods.lora import LEFT_ALONE, LoraMethod
from studio.models.config import read_mapping


class QLoraMethod(LoraMethod):
    """LoRA on a base in 4 bits. It is merged into the numbers that these stand for, see `dequantize`."""

    def __init__(self, settings: QLora) -> None:
        super().__init__(settings)
        self._double_quantization = settings.double_quantization

    def load_base(self, folder: Path, device: Device) -> Network:
        alone = LEFT_ALONE.get(str(read_mapping(folder / "config.json").get("model_type")), ())
        quantization = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=self._double_quantization,
            bnb_4bit_compute_dtype=device.dtype,
            llm_int8_skip_modules=[*alone, "lm_head"] if alone else None,
        )
        return load_base_model(folder, device, quantization)
