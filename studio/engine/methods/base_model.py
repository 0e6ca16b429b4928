"""The base model as every method loads it, and what can be done with a loaded model whatever was trained on it."""

from __future__ import annotations

import json
import re
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

_BUFFERS = re.compile(r"(attn|attention)\.(masked_)?bias$|rotary_emb\.(inv_freq|cos_cached|sin_cached)$")
"""What older libraries saved beside the weights: computed anew, never learned."""

Network: TypeAlias = Any
"""A model of transformers, or of peft around one. Their own annotations don't hold under strict checking."""


def load_base_model(folder: Path, device: Device, quantization: BitsAndBytesConfig | None = None) -> Network:
    """The model in `folder` on its device, frozen, in the format that the device computes in or quantised.

    Only safetensors are read, no code that came with the model is run, and nothing is asked of the network.
    """
    known_to_load(folder, device)
    return read_base_model(folder, device, quantization)


def known_to_load(folder: Path, device: Device) -> Network:
    """The model in `folder` without its weights, of which is known whether they are the right ones. Raises
    `ProblemError`."""
    _refuse_quantized(folder)
    return _load(folder, device.dtype, "meta")


def read_base_model(folder: Path, device: Device, quantization: BitsAndBytesConfig | None = None) -> Network:
    """What `load_base_model` gives, of a model that is `known_to_load`."""
    model = _load(folder, device.dtype, str(device.torch_device), quantization)
    model.requires_grad_(False)
    keep_weights_as_they_are(model)
    return model


def decoder_layers(network: Network) -> tuple[torch.nn.Module, ...]:
    """The layers of the part of the model that goes on with a text; none where it isn't built of such."""
    count = int(network.config.get_text_config().num_hidden_layers)
    for module in network.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return tuple(module)
    return ()


def outline(folder: Path, quantization: BitsAndBytesConfig | None = None) -> Network:
    """The model in `folder` with all its modules, names and shapes, and no weights: each parameter is a single zero
    that is shown in the shape of the real one. Adapters can be loaded onto it. Raises `ProblemError`."""
    network = _load(folder, torch.float32, "meta", quantization)
    shown: dict[int, torch.nn.Parameter] = {}  # those that are tied stay the same one
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            zero = torch.zeros((), dtype=torch.float32).expand(parameter.shape)
            place = shown.setdefault(id(parameter), torch.nn.Parameter(zero, requires_grad=False))
            setattr(module, name, place)
    return network


def _load(folder: Path, dtype: torch.dtype, device: str, quantization: BitsAndBytesConfig | None = None) -> Network:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            quantization_config=quantization,
            device_map={"": device},
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            token=False,
            ignore_mismatched_sizes=True,  # told below, instead of as a traceback
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise problem(
            "model.not_loadable",
            N_("The base model in {folder} can't be loaded."),
            N_("The library that loads it says: {reason}"),
            N_("Choose another model. It has to be one that answers in text, stored as safetensors."),
            remedy=Remedy.choose_model,
            folder=str(folder),
            reason=str(error).strip()[:400],
        ) from error
    model, loading = loaded
    _require_all_weights(
        folder,
        missing=sorted(loading["missing_keys"]),
        misshaped=sorted(str(name) for name, *_ in loading["mismatched_keys"]),
        unknown=sorted(loading["unexpected_keys"]),
        extra=sorted(name for name in loading["unexpected_keys"] if _belongs_to(model, name)),
    )
    return model


def _require_all_weights(
    folder: Path, *, missing: list[str], misshaped: list[str], unknown: list[str], extra: list[str]
) -> None:
    """Raises `ProblemError` unless the files hold what config.json says. What isn't there would be filled with random
    numbers. `extra` are those of the `unknown` weights without which it is another model."""
    names = misshaped or missing or extra
    if not names:
        return
    if misshaped:
        what = N_(
            "{count} of the weights of the base model in {folder} {count:has another size|have other sizes} than "
            "its config.json says."
        )
        why = N_("They are: {names}. The files don't belong together, or one of them was changed.")
    elif missing:
        what = N_("{count} of the weights of the base model in {folder} {count:is|are} missing.")
        why = N_("They are: {names}. Without them the model would answer nonsense.")
    else:
        what = N_(
            "The base model in {folder} has {count} {count:weight that doesn't|weights that don't} fit its config.json."
        )
        why = N_("They are: {names}. Without them it would be another model.")
    if missing and unknown and not misshaped:
        why = N_("They are: {names}. The files hold other names instead, such as {other}.")
    raise problem(
        "model.weights_misshaped" if misshaped else "model.weights_missing" if missing else "model.weights_extra",
        what,
        why,
        N_("Fetch or copy the model once more, or choose another."),
        remedy=Remedy.choose_model,
        folder=str(folder),
        count=len(names),
        names=", ".join(names[:4]) + (", ..." if len(names) > 4 else ""),
        other=unknown[0] if unknown else "",
    )


def _belongs_to(model: torch.nn.Module, weight: str) -> bool:
    """Whether a weight that the model has no place for belongs to a part that it has: a bias of one of its layers, or a
    layer more. Towers for pictures and other heads don't, and it answers the same without them."""
    if _BUFFERS.search(weight):
        return False
    path = weight.split(".")[:-1]
    modules = dict(model.named_modules())
    while path and ".".join(path) not in modules:
        path.pop()
    nearest = modules[".".join(path)]
    in_a_layer = any(part.isdigit() for part in path)
    return in_a_layer or isinstance(nearest, torch.nn.ModuleList) or any(True for _ in nearest.parameters(False))


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


def balances_experts(model: Network) -> bool:
    """Whether TRL can compute the loss that keeps a mixture's experts evenly used. It takes every config that names
    router logits for a mixture's, and wants the number of experts under a name that not all have (TRL 1.16,
    `_fused_forward`); without that loss these train as well, and the others fail."""
    config = model.config.get_text_config()
    named = hasattr(config, "output_router_logits") and getattr(config, "num_experts", None)
    return bool(named) and bool(getattr(config, "is_moe", True))


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
