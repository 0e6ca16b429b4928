"""LoRA: two small matrices beside each linear layer are trained, and the base stays as it is."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    get_peft_model,
    load_peft_weights,
)
from peft.tuners.lora import LoraLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

from studio.core.problems import Remedy, problem
from studio.core.recipe.method import ALL_LINEAR, ATTENTION, Lora, LoraSettings, QLora
from studio.core.translatable import N_
from studio.engine.methods.added_tokens import (
    AddedTokens,
    added_to,
    attach,
    saved_rows,
    switched_with_adapter,
    take_rows,
    work_into,
)
from studio.engine.methods.base_model import (
    Network,
    forget_quantization,
    in_format,
    outline,
)
from studio.engine.methods.method import Merged
from studio.engine.methods.peft_method import PeftMethod, does_not_fit
from studio.engine.methods.quantization import LEFT_ALONE
from studio.engine.methods.starts import Factors, adapted_layers, begin_with_principal, begin_with_residual, shift_base
from studio.engine.methods.weight_changes import Changes, Grown, Replaced, changes_of, merge_into
from studio.models.adapter import ADAPTER_WEIGHTS, adapter_tensors, trained_tokens
from studio.models.fitting import no_such_layers


class LoraMethod(PeftMethod):
    """LoRA on a base in 16 bits (or 32, where the device computes in that), in 8 or in 4.

    With PiSSA the base is changed in memory; what is saved is an ordinary adapter of twice the rank for the base as it
    was: what was learned, and beside it what was taken out of the base, with the other sign.
    """

    def __init__(self, settings: LoraSettings) -> None:
        super().__init__(settings)
        self._lora = settings
        self._taken: Factors = {}

    def make_trainable(self, base: Network) -> Network:
        added = self._add_tokens(base)
        model = add_adapter(base, self._lora)
        if added is not None:
            added.requires_grad_(True)
            switched_with_adapter(model, added)
        if isinstance(self._lora, Lora) and self._lora.pissa:
            self._taken = begin_with_principal(model)
        if isinstance(self._lora, QLora) and self._lora.loftq:
            assert self._base is not None, "the base was loaded here"
            begin_with_residual(model, self._base)
        return model

    def _add_tokens(self, base: Network) -> AddedTokens | None:
        """None where there are no new words, or all words are learned."""
        if not self.new_words:
            return None
        added = attach(base, self.new_words)
        if self._lora.train_embeddings:
            added.leave(base.get_input_embeddings())
            return None
        return added

    def rate_of(self, parameter: str) -> float:
        return self._lora.loraplus_lr_ratio if "lora_B" in parameter or "lora_embedding_B" in parameter else 1.0

    def save(self, model: Network, folder: Path, base_name: str) -> None:
        super().save(model, folder, base_name)
        base, added = model.get_base_model(), added_to(model.get_base_model())
        if not self._taken and added is None:
            return
        config, weights = LoraConfig.from_pretrained(str(folder)), load_file(folder / ADAPTER_WEIGHTS)
        if added is not None:
            rows, config.trainable_token_indices = saved_rows(base, added)
            weights |= rows
        if self._taken:
            self._put_together(config, weights)
        save_file(weights, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        config.save_pretrained(str(folder))

    def _put_together(self, config: LoraConfig, weights: dict[str, torch.Tensor]) -> None:
        """Make of an adapter for the base without its strongest part one of twice the rank, for the whole base."""
        config.r, config.lora_alpha = 2 * config.r, config.lora_alpha * (math.sqrt(2) if config.use_rslora else 2)
        for name, (down, up) in self._taken.items():
            first, second = _matrices(name)
            weights[first] = torch.cat([weights[first], -down])
            weights[second] = torch.cat([weights[second], up], dim=1)

    def load_weights(self, model: Network, folder: Path) -> None:
        weights = load_peft_weights(str(folder), device="cpu")
        if self._taken:
            self._take_apart(model, weights)
        self._take_rows(model.get_base_model(), weights)
        self._put(model, weights)

    def _take_rows(self, base: Network, weights: dict[str, torch.Tensor]) -> None:
        added = added_to(base)
        strange = take_rows(base, added, weights) if added is not None else []
        if strange:
            raise does_not_fit(", ".join(strange))

    def _take_apart(self, model: Network, weights: dict[str, torch.Tensor]) -> None:
        """Of an adapter of twice the rank, leave what was learned in `weights`, and make the base what it was beside
        that: here the same was taken out of it, unless it was another machine that did."""
        for name, layer in adapted_layers(model):
            first, second = _matrices(name)
            if first not in weights or second not in weights or len(weights[first]) != 2 * self._lora.rank:
                raise does_not_fit(name)
            (down, before), (up, after) = weights[first].chunk(2), weights[second].chunk(2, dim=1)
            weights[first], weights[second] = down, up
            mine = self._taken[name]
            if not (torch.equal(mine[0], -before) and torch.equal(mine[1], after)):
                shift_base(layer, *mine, 1.0)
                shift_base(layer, -before, after, -1.0)
                self._taken[name] = (-before).contiguous(), after.contiguous()

    def load(self, base: Network, folder: Path) -> Network:
        added = self._add_tokens(base)
        make_room_for_tokens(base, folder)
        if added is None:
            return self._load(base, folder)
        self._take_rows(base, load_peft_weights(str(folder), device="cpu"))
        config = PeftConfig.from_pretrained(str(folder))
        config.trainable_token_indices = None  # hooks do what copies of whole layers would
        model = self._load(base, folder, config=config)
        added.to(base.device, base.dtype).requires_grad_(False)
        switched_with_adapter(model, added)
        return model

    def changes(self, folder: Path, saved: Path) -> Changes:
        network = outline(folder)
        shapes = {name: one.shape for name, one in network.named_parameters(remove_duplicate=False)}
        make_room_for_tokens(network, saved)
        before = dict(network.named_parameters(remove_duplicate=False))
        model = self._load(network, saved, assign=True)
        changes = changes_of(model)
        for name, parameter in model.unload().named_parameters(remove_duplicate=False):
            if parameter.data_ptr() != before[name].data_ptr():  # the adapter's file has the base's own, too
                changes[name] = (Replaced(parameter.detach()), *changes.get(name, ()))
            elif parameter.shape != shapes[name]:
                changes[name] = (Grown(len(parameter)), *changes.get(name, ()))
        return changes

    def changes_nothing(self, model: Network) -> bool:
        if any(isinstance(module, AuxiliaryTrainingWrapper | AddedTokens) for module in model.modules()):
            return False  # whole layers or rows were trained
        layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
        without_magnitude = not any(layer.lora_magnitude_vector for layer in layers)
        return without_magnitude and all(
            any(not p.any() for n, p in layer.named_parameters() if "lora_" in n) for layer in layers
        )

    def merge(self, model: Network, dtype: torch.dtype) -> Merged:
        return merge_lora(model, dtype)


def _matrices(layer: str) -> tuple[str, str]:
    """By which names a file has A and B of the layer that the base calls so."""
    return f"base_model.model.{layer}.lora_A.weight", f"base_model.model.{layer}.lora_B.weight"


def make_room_for_tokens(base: Network, folder: Path) -> None:
    """Rows in `base` for tokens that an add-on made elsewhere brings along, in its embedding or head. Without the
    add-on they stand for the mean of all others, and are never the likeliest."""
    layers = (base.get_input_embeddings(), base.get_output_embeddings())
    names = [f"{name}.weight" for name, module in base.named_modules() if any(module is layer for layer in layers)]
    found, had = adapter_tensors(folder), layers[0].weight.shape[0]
    rows = max([trained_tokens(folder), *(found[name].shape[0] for name in names if name in found)])
    if rows <= had:
        return
    base.resize_token_embeddings(rows, mean_resizing=False)
    for layer in (base.get_input_embeddings(), base.get_output_embeddings()):
        weight = layer.weight.data
        weight[had:] = weight[:had].float().mean(dim=0).to(weight.dtype)
    base.requires_grad_(False)


def add_adapter(base: Network, settings: LoraSettings) -> Network:
    """An adapter that changes nothing yet. Its parameters are float32, whatever the base computes in: in 16 bits,
    small changes of a step would be rounded away. Raises `ProblemError` for layers that the base doesn't have."""
    embeddings = _embeddings(base) if settings.train_embeddings else None
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha if settings.alpha is not None else 2 * settings.rank,
        lora_dropout=settings.dropout,
        target_modules=_targets(base, settings),
        exclude_modules=_excluded(base, settings),
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        modules_to_save=embeddings,
        ensure_weight_tying=embeddings is not None and len(embeddings) == 1,
        task_type="CAUSAL_LM",
    )
    try:
        adapted: Network = get_peft_model(base, config)
    except ValueError as error:
        raise no_such_layers(settings, N_("The library says: {reason}"), str(error)) from error
    _refuse_tied_layers(adapted)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def _targets(base: Network, settings: LoraSettings) -> str | list[str]:
    if settings.targets == ALL_LINEAR:
        return ALL_LINEAR[0]
    if settings.targets != ATTENTION:
        return list(settings.targets)
    linear = (torch.nn.Linear, Conv1D)
    names = (name.split(".") for name, one in base.named_modules() if isinstance(one, linear))
    found = {path[-1] for path in names if any(re.search("attn|attention", part.lower()) for part in path[:-1])}
    if not found:
        raise no_such_layers(settings, N_("Its layers aren't named so that attention could be told from the rest."), "")
    return sorted(found)


def _excluded(base: Network, settings: LoraSettings) -> str | None:
    """A pattern of the names of modules that get no adapter."""
    every = settings.targets == ALL_LINEAR
    names = [*settings.excluded_names, *(LEFT_ALONE.get(base.config.model_type, ()) if every else ())]
    patterns = [rf"(.*\.)?({'|'.join(map(re.escape, names))})"] if names else []
    if settings.excluded_layers:
        numbers = "|".join(map(str, sorted(settings.excluded_layers)))
        patterns.append(rf"(.*\.)?(layers|h|blocks)\.({numbers})\..*")
    return "|".join(patterns) or None


def _embeddings(base: Network) -> list[str]:
    """Names of the layers that turn tokens into numbers and back; of the first alone where they are one."""
    layers = [base.get_input_embeddings()]
    if not getattr(base, "all_tied_weights_keys", None):
        layers.append(base.get_output_embeddings())
    return [name for name, module in base.named_modules() if any(module is layer for layer in layers)]


def _refuse_tied_layers(model: Network) -> None:
    """A weight that two layers share can't take the change of one of them: merged, the other would change too."""
    owners = Counter(id(p) for module in model.modules() for p in module.parameters(False))
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and any(owners[id(p)] > 1 for p in module.get_base_layer().parameters(False)):
            raise problem(
                "model.tied_layer",
                N_("The layer {name} can't learn on its own in this base model."),
                N_("It shares its numbers with another one: the embedding and the head are the same."),
                N_('Leave it out of "Layers that learn", or set that to all-linear.'),
                remedy=Remedy.see_settings,
                name=name.rpartition(".")[2],
            )


def merge_lora(model: Network, dtype: torch.dtype) -> Merged:
    """The adapter worked into the weights, each rounded once; see `TrainingMethod.merge`."""
    changes = changes_of(model)
    plain: Network = model.unload()
    work_into(changes, plain)
    moved = merge_into(plain, changes, dtype)
    forget_quantization(plain)
    return Merged(in_format(plain.to("cpu"), dtype), moved.share)
