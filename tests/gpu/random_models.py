"""Models of any size with random weights, made where they are needed: nothing is downloaded or written."""

from __future__ import annotations

from typing import Any

import bitsandbytes as bnb
import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from transformers.quantizers.auto import AutoHfQuantizer

from studio.core.recipe.method import LoraSettings, Method
from studio.engine.device import Device
from studio.engine.methods.base_model import decoder_layers, keep_weights_as_they_are
from studio.engine.methods.layer_streaming import StreamedLayers, look_up_outside
from studio.engine.methods.lora import add_adapter


def _llama(hidden: int, inner: int, layers: int, heads: int, groups: int, words: int, tied: bool) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "vocab_size": words,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 32768,
    }


def _qwen(*measures: Any) -> dict[str, Any]:
    return {**_llama(*measures), "model_type": "qwen2"}


SHAPES: dict[str, dict[str, Any]] = {
    "0.5B": _qwen(896, 4864, 24, 14, 2, 151936, True),
    "1.2B": _llama(2048, 8192, 16, 32, 8, 128256, True),
    "1.7B": _llama(2048, 8192, 24, 32, 32, 49152, True),
    "3B": _llama(3072, 8192, 28, 24, 8, 128256, True),
    "7B": _qwen(3584, 18944, 28, 28, 4, 152064, False),
    "8B": _llama(4096, 14336, 32, 32, 8, 128256, False),
    "14B": _qwen(5120, 13824, 48, 40, 8, 152064, False),
    "32B": _qwen(5120, 27648, 64, 40, 8, 152064, False),
}
"""Measures of published models of these sizes, as their config.json gives them."""


def config_of(settings: dict[str, Any]) -> Any:
    """The config that transformers makes of one of `SHAPES`."""
    rest = {name: value for name, value in settings.items() if name != "model_type"}
    return AutoConfig.for_model(settings["model_type"], **rest)


def parameters_of(settings: dict[str, Any]) -> int:
    """All parameters, those of a tied head once."""
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config_of(settings))  # type: ignore[no-untyped-call]
    return sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())


def make(settings: dict[str, Any], method: Method, device: Device, *, streamed: bool = False) -> Any:
    """The base with random weights, quantised where the method says so, and an add-on: as the engine loads them.

    Layer by layer, so that never more than one layer lies there uncompressed; with `streamed`, never more than one.
    """
    place, dtype = device.torch_device, device.dtype
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config_of(settings), dtype=dtype
        )
        if method.kind == "qlora":
            quantization = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=method.double_quantization,
                bnb_4bit_compute_dtype=dtype,
            )
            model.hf_quantizer = AutoHfQuantizer.from_config(quantization)
            model.hf_quantizer.preprocess_model(model=model, device_map=None)
            model.hf_quantizer.postprocess_model(model)
    made: dict[int, torch.nn.Parameter] = {}
    outside = StreamedLayers(model, device) if streamed else None
    numbers = {id(m): index for index, layer in enumerate(decoder_layers(model)) for m in layer.modules()}
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is None:
                continue
            if id(parameter) not in made:
                made[id(parameter)] = _filled(module, name, parameter, place, dtype)
            module._parameters[name] = made[id(parameter)]
        index = numbers.get(id(module))
        if outside is not None and index is not None and outside.is_loaded(index) and not outside.is_kept(index):
            outside.keep(index)
    rotary = [m for m in model.modules() if hasattr(m, "inv_freq")]
    for module in rotary:  # buffers are computed from the config, not learned
        fresh = type(module)(module.config).to(place)
        for name in list(module._buffers):
            module._buffers[name] = fresh._buffers[name]
    model.requires_grad_(False)
    keep_weights_as_they_are(model)
    model.config.use_cache = False
    if outside is not None:
        outside.attach(model)
        look_up_outside(model, device)
    assert isinstance(method, LoraSettings)
    return add_adapter(model, method)


def _filled(module: Any, name: str, parameter: Any, place: torch.device, dtype: torch.dtype) -> torch.nn.Parameter:
    if isinstance(module, bnb.nn.Linear4bit) and name == "weight":
        plain = torch.empty(module.out_features, module.in_features, dtype=dtype, device=place).normal_(0.0, 0.02)
        compressed: torch.nn.Parameter = bnb.nn.Params4bit(
            plain,
            requires_grad=False,
            compress_statistics=parameter.compress_statistics,
            quant_type=parameter.quant_type,
            module=module,
        ).to(place)
        return compressed
    data = torch.empty(parameter.shape, dtype=parameter.dtype, device=place)
    is_norm = parameter.dim() == 1 and name == "weight"
    return torch.nn.Parameter(data.fill_(1.0) if is_norm else data.normal_(0.0, 0.02), requires_grad=False)
