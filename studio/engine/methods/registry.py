"""Which class does a method of the recipe. A method that is missing here is an error of types."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from peft import PeftModel

from studio.core.recipe.method import (
    AdapterLayers,
    FullFineTuning,
    Lora,
    Lora8bit,
    Method,
    PrefixTuning,
    PromptTuning,
    QLora,
)
from studio.engine.methods.adapter_layers import KIND, AdapterLayersMethod
from studio.engine.methods.base_model import Network
from studio.engine.methods.full import FullMethod
from studio.engine.methods.lora import LoraMethod, make_room_for_tokens
from studio.engine.methods.method import TrainingMethod
from studio.engine.methods.prompts import PromptMethod
from studio.models.adapter import ADAPTER_CONFIG
from studio.models.config import read_mapping


def load_add_on(base: Network, folder: Path) -> Network:
    """The add-on in `folder` on `base`, as the README beside it says."""
    told = read_mapping(folder / ADAPTER_CONFIG)
    if told.get("peft_type") == KIND:
        settings = AdapterLayers.model_validate({name: told.get(name) for name in ("width", "placement")})
        return AdapterLayersMethod(settings).load(base, folder)
    if told.get("peft_type") == "LORA":
        make_room_for_tokens(base, folder)
    loaded: Network = PeftModel.from_pretrained(base, str(folder))
    return loaded


def method_of(settings: Method) -> TrainingMethod:
    """The method that `settings` of a recipe describe."""
    match settings:
        case QLora() | Lora() | Lora8bit():
            return LoraMethod(settings)
        case FullFineTuning():
            return FullMethod(settings)
        case PromptTuning() | PrefixTuning():
            return PromptMethod(settings)
        case AdapterLayers():
            return AdapterLayersMethod(settings)
        case _:
            assert_never(settings)
