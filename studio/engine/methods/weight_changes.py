"""What an adapter changes in its base model: each parameter that it belongs to, by the base's own name for it.

Merged in memory or one tensor at a time, it is the same arithmetic: float32, in blocks of rows that stay in a
processor's cache, each number rounded once.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import torch
from peft import get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import Embedding, ParamWrapper
from peft.tuners.lora.variants import DoraLinearVariant
from peft.tuners.trainable_tokens import TrainableTokensLayer
from peft.utils.other import ModulesToSaveWrapper
from transformers.pytorch_utils import Conv1D

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.engine.methods.base_model import Network

_ADAPTER = "default"
"""What peft calls the only adapter of a model."""

_WRAPPERS = ("base_layer", "original_module", "token_adapter")
"""How peft calls what it puts between a module and its own name."""

BLOCK = 1 << 18
"""Numbers that are computed at once."""


@dataclass
class Moved:
    """How far merged weights are from what they were: sums of squares, over all adapted weights."""

    squared: float = 0.0
    size: float = 0.0

    def add(self, before: torch.Tensor, after: torch.Tensor) -> None:
        """Both as they are stored."""
        self.count(_squares(before.float(), after))

    def count(self, squares: tuple[float, float]) -> None:
        """Of the difference, and of what it was before."""
        self.squared += squares[0]
        self.size += squares[1]

    @property
    def share(self) -> float:
        """The root of the one over that of the other; 1 where nothing was adapted."""
        return math.sqrt(self.squared / self.size) if self.size else 1.0


def _squares(before: torch.Tensor, after: torch.Tensor) -> tuple[float, float]:
    moved = after.float() - before
    return float(torch.linalg.vector_norm(moved)) ** 2, float(torch.linalg.vector_norm(before)) ** 2


class Change(ABC):
    """What becomes of one parameter."""

    @abstractmethod
    def apply(self, source: torch.Tensor, out: torch.Tensor, moved: Moved) -> None:
        """Write what `source` becomes into `out`, in the format of `out`. They may be the same tensor."""

    def shape(self, before: tuple[int, ...]) -> tuple[int, ...]:
        """That of the changed parameter."""
        return before

    @property
    @abstractmethod
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The adapter's own that it is made of."""

    def is_same(self, other: Change) -> bool:
        """Whether two parameters that are one in the base stay one."""
        mine, others = self.tensors, other.tensors
        return type(self) is type(other) and len(mine) == len(others) and all(map(torch.equal, mine, others))


@dataclass(frozen=True, eq=False)
class LowRank(Change):
    """LoRA: `scaling * left @ right` is added. With three dimensions the first counts experts. `magnitude` is DoRA's
    (arXiv:2402.09353), by row or, where the base stores its weight transposed, `by_column`."""

    left: torch.Tensor
    right: torch.Tensor
    scaling: float
    own: tuple[torch.Tensor, ...]
    magnitude: torch.Tensor | None = None
    by_column: bool = False

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        return self.own

    def apply(self, source: torch.Tensor, out: torch.Tensor, moved: Moved) -> None:
        if self.left.dim() == 3:
            for expert in range(len(self.left)):
                self._apply(source[expert], out[expert], self.left[expert], self.right[expert], moved)
        else:
            self._apply(source, out, self.left, self.right, moved)

    def _apply(
        self, source: torch.Tensor, out: torch.Tensor, left: torch.Tensor, right: torch.Tensor, moved: Moved
    ) -> None:
        factor = self._column_factor(source, left, right) if self.magnitude is not None and self.by_column else None

        def work(rows: slice) -> tuple[float, float]:
            before = source[rows].float()
            changed = torch.addmm(before, left[rows], right, alpha=self.scaling)
            if factor is not None:
                changed *= factor
            elif self.magnitude is not None:
                changed *= (self.magnitude[rows] / torch.linalg.vector_norm(changed, dim=1))[:, None]
            if source.dtype is not out.dtype:
                before = before.to(out.dtype).float()
            out[rows] = changed
            return _squares(before, out[rows])

        for squares in _workers().map(work, _blocks(source)):
            moved.count(squares)

    def _column_factor(self, source: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        assert self.magnitude is not None
        squares = torch.zeros(source.shape[1], dtype=torch.float64)
        for rows in _blocks(source):
            changed = torch.addmm(source[rows].float(), left[rows], right, alpha=self.scaling)
            squares += changed.double().square_().sum(0)
        return self.magnitude / squares.sqrt().float()


@dataclass(frozen=True, eq=False)
class Added(Change):
    """The whole of `value` is added."""

    value: torch.Tensor
    own: tuple[torch.Tensor, ...]

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        return self.own

    def apply(self, source: torch.Tensor, out: torch.Tensor, moved: Moved) -> None:
        before = source.to(out.dtype, copy=True)
        out.copy_(source.float() + self.value.float())
        moved.add(before, out)


@dataclass(frozen=True, eq=False)
class Replaced(Change):
    """It was trained itself: `value` stands in its place, which may have more rows where tokens were added."""

    value: torch.Tensor

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        return (self.value,)

    def shape(self, before: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.value.shape)

    def apply(self, source: torch.Tensor, out: torch.Tensor, moved: Moved) -> None:
        same_shape = source.shape == out.shape
        flat = self.value.reshape(-1)
        for start in range(0, flat.numel(), BLOCK):
            part = slice(start, start + BLOCK)
            before = source.reshape(-1)[part].to(out.dtype, copy=True) if same_shape else None
            out.view(-1)[part] = flat[part]
            moved.add(torch.zeros_like(out.view(-1)[part]) if before is None else before, out.view(-1)[part])


@dataclass(frozen=True, eq=False)
class Grown(Change):
    """There are more tokens: the added rows are the mean of the others."""

    rows: int

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        return ()

    def shape(self, before: tuple[int, ...]) -> tuple[int, ...]:
        return (self.rows, *before[1:])

    def apply(self, source: torch.Tensor, out: torch.Tensor, moved: Moved) -> None:
        had = len(source)
        out[:had] = source
        out[had:] = sum(source[rows].double().sum(dim=0) for rows in _blocks(source)) / had


@dataclass(frozen=True, eq=False)
class Rows(Change):
    """Some tokens were trained: `values` stand in the rows of these `indices`."""

    indices: torch.Tensor
    values: torch.Tensor

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        return (self.values,)

    def apply(self, source: torch.Tensor, out: torch.Tensor, moved: Moved) -> None:
        if source.data_ptr() != out.data_ptr():
            out.copy_(source)
        before = out[self.indices].clone()
        out[self.indices] = self.values.to(out.dtype)
        moved.add(before, out[self.indices])


def _blocks(source: torch.Tensor) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, source.shape[1]))
    return (slice(start, start + step) for start in range(0, source.shape[0], step))


@cache
def _workers() -> ThreadPoolExecutor:
    """Threads that compute a block each. Shared among torch's own threads, a block is so little work that they would
    mostly wait for one another, on a busy machine for a long time."""
    return ThreadPoolExecutor(os.cpu_count(), "merge", initializer=torch.set_num_threads, initargs=(1,))


Changes = dict[str, tuple[Change, ...]]
"""By the base model's names of its parameters, those that stand outermost last."""


def changes_of(model: Network) -> Changes:
    """Everything that a peft model's adapter does to its base. Raises `ProblemError` with its name for what isn't known
    here."""
    found: defaultdict[str, list[Change]] = defaultdict(list)
    for name, module in model.base_model.model.named_modules():
        place = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        for parameter, change in _changes(place, module):
            found[f"{place}.{parameter}" if place else parameter].insert(0, change)
    used = {tensor.data_ptr() for changes in found.values() for change in changes for tensor in change.tensors}
    known = get_peft_model_state_dict(model, save_embedding_layers=False)
    left = [key for key, tensor in known.items() if tensor.data_ptr() not in used]
    if left:
        raise _unknown(", ".join(left[:4]))
    return {name: tuple(changes) for name, changes in found.items()}


def _changes(place: str, module: torch.nn.Module) -> Iterator[tuple[str, Change]]:
    if isinstance(module, ModulesToSaveWrapper):
        for name, value in module.modules_to_save[_ADAPTER].named_parameters():
            yield name, Replaced(value.detach())
    elif isinstance(module, TrainableTokensLayer):
        rows = module.trainable_tokens_delta[_ADAPTER].detach()
        yield "weight", Rows(torch.as_tensor(module.token_indices[_ADAPTER]), rows)
    elif isinstance(module, ParamWrapper) and _ADAPTER in module.lora_A:
        yield module.parameter_name, _of_experts(module)
    elif isinstance(module, LoraLayer) and (_ADAPTER in module.lora_A or _ADAPTER in module.lora_embedding_A):
        yield "weight", _of_layer(place, module)
        if module.lora_bias.get(_ADAPTER):
            bias = module.lora_B[_ADAPTER].bias.detach()
            yield "bias", Added(bias * module.scaling[_ADAPTER], (bias,))


def _of_layer(place: str, module: LoraLayer) -> Change:
    variant = module.lora_variant.get(_ADAPTER)
    scaling = module.scaling[_ADAPTER]
    if isinstance(module, Embedding):
        down, up = module.lora_embedding_A[_ADAPTER].detach(), module.lora_embedding_B[_ADAPTER].detach()
        transposed = True
    else:
        down, up = module.lora_A[_ADAPTER].weight.detach(), module.lora_B[_ADAPTER].weight.detach()
        transposed = isinstance(module.get_base_layer(), Conv1D)
    own = (down, up)
    if down.dim() != 2 or up.dim() != 2 or not (variant is None or issubclass(_class(variant), DoraLinearVariant)):
        raise _unknown(place)
    left, right = (down.float().T, up.float().T) if transposed else (up.float(), down.float())
    if variant is None:
        return LowRank(left, right, scaling, own)
    magnitude = module.lora_magnitude_vector[_ADAPTER].weight.detach()
    return LowRank(left, right, scaling, (*own, magnitude), magnitude.float().reshape(-1), by_column=transposed)


def _class(variant: object) -> type:
    return variant if isinstance(variant, type) else type(variant)


def _of_experts(module: ParamWrapper) -> Change:
    down, up = module.lora_A[_ADAPTER].weight.detach(), module.lora_B[_ADAPTER].weight.detach()
    scaling, own = module.scaling[_ADAPTER], (down, up)
    down, up = down.float(), up.float()
    if module.num_experts == 1:
        return LowRank(up, down, scaling, own)
    # as in ParamWrapper.get_delta_weight, which multiplies them out for all experts at once
    down = down.reshape(module.num_experts, -1, down.shape[-1])
    up = up.reshape(up.shape[0], -1, module.num_experts).permute(2, 0, 1)
    if module._did_swap_in_out_features:
        return LowRank(up, down, scaling, own)
    return LowRank(down.transpose(-2, -1), up.transpose(-2, -1), scaling, own)


def _unknown(names: str) -> ProblemError:
    return problem(
        "merge.unknown_part",
        N_("Parts of the add-on can't be combined with the base model: {names}."),
        N_("They change it in a way that this program can't work into its weights, so nothing was left out silently."),
        N_("Export the add-on alone, and use it together with its base model."),
        remedy=Remedy.choose_folder,
        names=names,
    )


def settle_ties(changes: Changes, tied: Mapping[str, str]) -> tuple[Changes, frozenset[str]]:
    """`changes` without those that a parameter shares with the one that it is tied to, and which parameters can't be
    tied any more because only one of two was changed, or each otherwise. `tied` is target to source, as in
    transformers' `all_tied_weights_keys`."""
    settled, apart = dict(changes), set()
    for target, source in tied.items():
        mine, others = changes.get(target, ()), changes.get(source, ())
        if len(mine) == len(others) and all(a.is_same(b) for a, b in zip(mine, others, strict=True)):
            settled.pop(target, None)
        else:
            apart.add(target)
    return settled, frozenset(apart)


def merge_into(network: Network, changes: Changes, dtype: torch.dtype) -> Moved:
    """Work `changes` into an ordinary model in memory. What they change is in `dtype` and in the computer's own memory
    afterwards."""
    moved = Moved()
    ties: dict[str, str] = dict(getattr(network, "all_tied_weights_keys", None) or {})
    changes, apart = settle_ties(changes, ties)
    parameters = dict(network.named_parameters(remove_duplicate=False))
    for name, several in changes.items():
        before = parameters[name].data.to("cpu")
        out = torch.empty(several[-1].shape(tuple(before.shape)), dtype=dtype)
        for change in several:
            change.apply(before, out, moved)
            before = out
        merged = torch.nn.Parameter(out, requires_grad=False)
        for place in (name, *(target for target, source in ties.items() if source == name and target not in apart)):
            module, _, parameter = place.rpartition(".")
            setattr(network.get_submodule(module), parameter, merged)
    if apart:
        network.config.get_text_config().tie_word_embeddings = network.config.tie_word_embeddings = False
        network.all_tied_weights_keys = {target: ties[target] for target in ties.keys() - apart}
    return moved
