"""The base model as every method loads it, and what can be done with a loaded model whatever was trained on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import bitsandbytes as bnb
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from studio.core.problems import Remedy, problem
from studio.core.translatable import N_
from studio.engine.device import Device
from studio.engine.patches import missing

_REPACKS = "support_avx512bf16_for_cpu"
"""What bitsandbytes calls its permission to repack a layer's weights."""

Network: TypeAlias = Any
"""A model of transformers, or of peft around one. Their own annotations don't hold under strict checking."""


def load_base_model(folder: Path, device: Device, quantization: BitsAndBytesConfig | None = None) -> Network:
    """The model in `folder` on its device, frozen, in the format that the device computes in or quantised.

    Only safetensors are read, no code that came with the model is run, and nothing is asked of the network.
    """
    _refuse_quantized(folder)
    try:
        model: Network = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=device.dtype,
            quantization_config=quantization,
            device_map={"": str(device.torch_device)},
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            token=False,
        )
    except (OSError, ValueError, KeyError) as error:
        raise problem(
            "model.not_loadable",
            N_("The base model in {folder} can't be loaded."),
            N_("The library that loads it says: {reason}"),
            N_("Choose another model. It has to be one that answers in text, stored as safetensors."),
            remedy=Remedy.choose_model,
            folder=str(folder),
            reason=str(error).strip()[:400],
        ) from error
    model.requires_grad_(False)
    keep_weights_as_they_are(model)
    return model


def keep_weights_as_they_are(model: torch.nn.Module) -> None:
    """Forbid bitsandbytes to repack 4-bit weights.

    On processors with AVX512-BF16 it does so in the first forward pass in eval mode, and every backward pass after
    that reads the packed weights wrongly: training goes on and learns nonsense.
    """
    layers = [module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    if layers and not missing(layers[0], (_REPACKS,)):
        for layer in layers:
            setattr(layer, _REPACKS, False)


def in_format(model: Network, dtype: torch.dtype) -> Network:
    """The model with its parameters in `dtype`. Not its buffers: positions counted in 16 bits change answers."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


def dequantize(model: torch.nn.Module, dtype: torch.dtype, onto: torch.device | None = None) -> None:
    """Replace each 4-bit layer by an ordinary one with the numbers that it stands for, in place, and put it `onto`
    another device where one is named.

    A 4-bit layer unpacks its weights again for every token on a processor. Unpacked once, the same products are
    computed from the same numbers, many times faster, for four times the memory.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, bnb.nn.Linear4bit):
                setattr(parent, name, dequantized(child, dtype).to(onto))


def dequantized(layer: Any, dtype: torch.dtype) -> torch.nn.Linear:
    """An ordinary layer in `dtype` from a bitsandbytes Linear4bit."""
    weight = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(dtype)
    plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    plain.weight = torch.nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        plain.bias = torch.nn.Parameter(layer.bias.data.to(dtype), requires_grad=False)
    return plain


def stored_dtype(folder: Path) -> torch.dtype:
    """The 16-bit format in which a model's folder says that it is stored; bfloat16 where it says anything else."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = str(config.get("dtype") or config.get("torch_dtype")).removeprefix("torch.")
    return torch.float16 if name == "float16" else torch.bfloat16


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """Parameters that are trained, and all of them; a 4-bit layer counts as what it stands for."""
    trainable = total = 0
    seen: set[int] = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) in seen:  # the head is often the embedding once more
                continue
            seen.add(id(parameter))
            count = parameter.numel()
            if isinstance(module, bnb.nn.Linear4bit) and parameter is module.weight:
                count = module.in_features * module.out_features
            total += count
            if parameter.requires_grad:
                trainable += count
    return trainable, total


def forget_quantization(model: Network) -> None:
    """None of the layers is a 4-bit one any more, so the model may be converted and saved like any other."""
    for name in ("is_loaded_in_4bit", "is_quantized", "quantization_method", "hf_quantizer"):
        model.__dict__.pop(name, None)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _refuse_quantized(folder: Path) -> None:
    """A model that is stored quantised already can't be quantised again."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if isinstance(config, dict) and config.get("quantization_config"):
        raise problem(
            "model.already_quantised",
            N_("The base model in {folder} is stored in a compressed form already."),
            N_("The program compresses models itself, and needs the full one for that."),
            N_("Choose the same model in its original form, usually the name without GPTQ, AWQ, FP8 or 4bit."),
            remedy=Remedy.choose_model,
            folder=str(folder),
        )
