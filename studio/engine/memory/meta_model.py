"""A model as a training step needs it, without its numbers: any that transformers can build from a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.quantizers.auto import AutoHfQuantizer

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.method import BaseStorage, Lora
from studio.core.translatable import N_
from studio.core.workload import Workload
from studio.engine.device import DTYPES
from studio.engine.memory.fake_layers import EightBit, FourBit
from studio.engine.methods.adapter_layers import add_layers
from studio.engine.methods.base_model import Network, decoder_layers
from studio.engine.methods.layer_streaming import BUFFERS
from studio.engine.methods.lora import add_adapter
from studio.engine.methods.prompts import add_virtual_tokens
from studio.engine.methods.quantization import quantization_of
from studio.models.config import read_mapping


def read_config(place: Path) -> Any:
    """The config of a model's folder, or of a config.json alone. Raises `ProblemError` where it can't be traced."""
    tree = read_mapping(place / "config.json" if place.is_dir() else place)
    kind = tree.get("model_type")
    if not isinstance(kind, str):
        raise cannot_tell("config.json names no model_type")
    if tree.get("quantization_config"):
        raise cannot_tell("the model is stored in a compressed form already")
    settings = {name: value for name, value in tree.items() if name not in ("model_type", "auto_map")}
    try:
        return AutoConfig.for_model(kind, **settings)
    except Exception as error:  # whatever a config's own code makes of what stands in the file
        raise cannot_tell(str(error)) from error


def meta_model(config: Any, work: Workload) -> Network:
    """The model with its adapters, ready to learn, on the device "meta": layers and shapes, nothing else.

    Raises `ProblemError` for architectures that transformers can't build as a model that answers in text.
    """
    try:
        with torch.device("meta"):
            model: Network = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                config,
                dtype=DTYPES[work.storage_dtype if work.method == "full" else work.compute_dtype],
                attn_implementation="eager" if work.attention == "eager" else None,
                trust_remote_code=False,
            )
            if work.quantized:
                _quantise(model, work)
    except Exception as error:  # any of some hundred architectures may object in a way of its own
        raise cannot_tell(str(error)) from error
    model.config.use_cache = False
    model.requires_grad_(work.method == "full")
    if work.stock and work.quantized:
        for parameter in model.parameters():  # what peft's prepare_model_for_kbit_training does
            if parameter.dtype in (torch.float16, torch.bfloat16):
                parameter.data = parameter.data.float()
    if work.method == "full":
        return model
    if work.added:
        return add_layers(model, max(1, work.rank), work.added > 1, torch.float32)
    if work.virtual_tokens:
        with torch.device("meta"):
            return add_virtual_tokens(model, work.virtual_tokens, is_prefix=work.method == "prefix")
    layers = (str(number) for number in range(work.excluded_layers))  # which of them makes no difference
    settings = Lora(
        rank=max(1, min(work.rank, 256)),
        target_modules=",".join(work.targets),
        exclude=",".join((*layers, *work.excluded)),
        dropout=0.1 if work.dropout else 0,
        use_dora=work.dora,
        train_embeddings=work.embeddings,
    )
    with torch.device("meta"):
        return add_adapter(model, settings)


def fill_fake(model: Network) -> None:
    """Fake tensors in place of the skeleton's parameters and buffers; one that stands in two places stays one. Call it
    inside `FakeTensorMode`."""
    made: dict[int, Any] = {}
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in [(name, tensor) for name, tensor in table.items() if tensor is not None]:
                if id(tensor) not in made:
                    empty = torch.empty(tensor.shape, dtype=tensor.dtype)
                    if table is module._parameters:
                        empty = torch.nn.Parameter(empty, requires_grad=tensor.requires_grad)
                    made[id(tensor)] = empty
                table[name] = made[id(tensor)]


_STREAMED = ("absmax", "outer_absmax", "scales")
"""Of a compressed layer, what comes with its weights; its tables of a few numbers stay."""


def share_buffers(model: Network) -> None:
    """As with layers that come one by one: what is frozen of each is the same memory as that of the one before the last
    (`engine/methods/layer_streaming.py`). Call it after `fill_fake`."""
    layers = decoder_layers(model)
    for layer, other in zip(layers[BUFFERS:], layers, strict=False):
        for module, same in zip(layer.modules(), other.modules(), strict=False):
            for name, tensor in module._parameters.items():
                found = same._parameters.get(name)
                if tensor is not None and found is not None and not tensor.requires_grad:
                    module._parameters[name] = found if found.shape == tensor.shape else tensor
            if isinstance(module, FourBit | EightBit):
                module._buffers.update({name: same._buffers[name] for name in _STREAMED if name in same._buffers})


def _quantise(model: Network, work: Workload) -> None:
    storage = BaseStorage(work.bits, double_quantization=work.double_quantization)
    settings = quantization_of(storage, DTYPES[work.compute_dtype])
    assert settings is not None, "it is quantized"
    AutoHfQuantizer.from_config(settings).preprocess_model(model=model, device_map=None)
    model.is_loaded_in_4bit, model.is_loaded_in_8bit = work.bits == 4, work.bits == 8
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, bnb.nn.Linear4bit):
                setattr(parent, name, FourBit(child))
            elif isinstance(child, bnb.nn.Linear8bitLt):
                setattr(parent, name, EightBit(child))


def cannot_tell(reason: str) -> ProblemError:
    """The problem to raise where a model can't be gone through."""
    return problem(
        "trace.cannot_tell",
        N_("How much memory this model needs can't be told by going through it."),
        N_("The library that builds it says: {reason}"),
        N_("The calculated figure stays. A 30-second trial on the card measures the real one."),
        remedy=Remedy.choose_model,
        reason=reason.strip()[:400],
    )
