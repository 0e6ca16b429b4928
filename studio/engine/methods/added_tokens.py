"""Tokens that were added to a tokenizer: what each means is learned, and how likely it is as the next one.

peft's `trainable_token_indices` copy the whole embedding and the whole head in every step, and again for their
gradients: gigabytes for a large vocabulary. Here only the added rows are computed, by hooks on both layers. What is
saved is in peft's form, which every program with peft reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from studio.engine.methods.base_model import Network
from studio.engine.methods.peft_method import ROWS
from studio.engine.methods.weight_changes import Changes, Rows
from studio.tokenization.added_tokens import add_tokens, pieces_of, read_tokenizer

NAME = "added_tokens"
"""Of the module below, in the embedding that it belongs to."""

_PREFIX = "base_model.model."
"""What peft writes before the name of a layer."""


class AddedTokens(torch.nn.Module):
    """The rows of tokens `first`, `first` + 1 and so on in the embedding, [tokens, width], and in the head, which are
    the same ones where both are tied. `is_on` False gives back the model without them."""

    def __init__(self, first: int, embedding: torch.Tensor, head: torch.Tensor | None) -> None:
        super().__init__()
        self.first = first
        self.embedding = torch.nn.Parameter(embedding)
        self.head = torch.nn.Parameter(head) if head is not None else None
        self.is_on = True
        self._hooks: list[RemovableHandle] = []

    def watch(self, embedding: torch.nn.Module, head: torch.nn.Module) -> None:
        """Take part in what both layers compute."""
        self._hooks = [embedding.register_forward_hook(self._embed), head.register_forward_hook(self._score)]
        embedding.add_module(NAME, self)

    def leave(self, embedding: torch.nn.Module) -> None:
        """The opposite of `watch`."""
        for hook in self._hooks:
            hook.remove()
        delattr(embedding, NAME)

    @property
    def ids(self) -> list[int]:
        return list(range(self.first, self.first + len(self.embedding)))

    def _embed(self, layer: Any, arguments: tuple[Any, ...], found: torch.Tensor) -> torch.Tensor:
        if not self.is_on:
            return found
        places = arguments[0] - self.first
        mine = (places >= 0) & (places < len(self.embedding))
        rows = functional.embedding(places.clamp(0, len(self.embedding) - 1), self.embedding)
        scale = getattr(layer, "embed_scale", None)  # Gemma's embeddings scale their rows
        rows = rows if scale is None else rows * scale
        return torch.where(mine[..., None], rows.to(found.dtype), found)

    def _score(self, layer: Any, arguments: tuple[Any, ...], found: torch.Tensor) -> torch.Tensor:
        if not self.is_on:
            return found
        rows = self.embedding if self.head is None else self.head
        own = functional.linear(arguments[0], rows.to(arguments[0].dtype))
        end = self.first + len(rows)
        if getattr(layer, "bias", None) is not None:
            own = own + layer.bias[self.first : end]
        return torch.cat([found[..., : self.first], own.to(found.dtype), found[..., end:]], dim=-1)


def attach(base: Network, words: Sequence[str]) -> AddedTokens:
    """Make room in `base` for `words`, each of which begins as the mean of the tokens that it
    consisted of, and let their rows be learned. Raises `ProblemError` for words that can't be added."""
    tokenizer = read_tokenizer(Path(base.name_or_path))  # from where it was loaded
    pieces = pieces_of(tokenizer, words)
    add_tokens(tokenizer, words)
    ids = [one for word in words if (one := tokenizer.token_to_id(word)) is not None]
    assert ids == list(range(ids[0], ids[0] + len(ids))), "tokens are added one behind the other"
    if ids[-1] >= base.get_input_embeddings().weight.shape[0]:
        base.resize_token_embeddings(ids[-1] + 1, mean_resizing=False)
        base.requires_grad_(False)
    embedding, head = base.get_input_embeddings(), base.get_output_embeddings()
    tied = head.weight is embedding.weight
    rows = [_begin(layer.weight.data, ids, pieces) for layer in ((embedding,) if tied else (embedding, head))]
    added = AddedTokens(ids[0], rows[0], None if tied else rows[1])
    added.watch(embedding, head)
    return added


def _begin(weight: torch.Tensor, ids: Sequence[int], pieces: Sequence[Sequence[int]]) -> torch.Tensor:
    """Write the mean of its pieces into the row of each token, and return these rows in float32."""
    for token, parts in zip(ids, pieces, strict=True):
        weight[token] = weight[list(parts)].float().mean(dim=0).to(weight.dtype)
    return weight[ids[0] : ids[-1] + 1].float().clone()


def added_to(network: Network) -> AddedTokens | None:
    """The tokens that were added to a model, or to the one inside of a peft model."""
    return getattr(network.get_input_embeddings(), NAME, None)


def fits_tiled_head(network: Network) -> bool:
    """Whether TRL's head, which reads the weights of the model's own past any hook, computes what the model does."""
    return added_to(network) is None


def switched_with_adapter(model: Network, added: AddedTokens) -> None:
    """Let the context in which `model` answers as its base leave out the added tokens as well."""
    disable = model.disable_adapter

    @contextmanager
    def disable_adapter() -> Iterator[None]:
        added.is_on = False
        try:
            with disable():
                yield
        finally:
            added.is_on = True

    model.disable_adapter = disable_adapter


def saved_rows(base: Network, added: AddedTokens) -> tuple[dict[str, torch.Tensor], dict[str, list[int]]]:
    """The rows by peft's names for them, and what its config says of them."""
    rows = {
        name: one.detach().cpu().contiguous()
        for name, one in zip(_layers(base), (added.embedding, added.head), strict=True)
        if one is not None
    }
    told = {name.rpartition(".")[2]: added.ids for name in rows}
    return {f"{_PREFIX}{name}{ROWS}": one for name, one in rows.items()}, told


def take_rows(base: Network, added: AddedTokens, weights: dict[str, torch.Tensor]) -> list[str]:
    """Move what `saved_rows` gave from `weights` into `added`. Returns the names of what doesn't fit."""
    strange = []
    for name, one in zip(_layers(base), (added.embedding, added.head), strict=True):
        found = weights.pop(f"{_PREFIX}{name}{ROWS}", None)
        if one is None:
            continue
        if found is None or found.shape != one.shape:
            strange.append(name)
        else:
            one.data.copy_(found)
    return strange


def _layers(base: Network) -> tuple[str, str]:
    layers = (base.get_input_embeddings(), base.get_output_embeddings())
    names = {id(module): name for name, module in base.named_modules()}
    return names[id(layers[0])], names[id(layers[1])]


def work_into(changes: Changes, base: Network) -> None:
    """Add what was learned of added tokens to `changes`, and take their module out of `base`."""
    added = added_to(base)
    if added is None:
        return
    ids = torch.tensor(added.ids)
    both = (added.embedding, added.embedding if added.head is None else added.head)
    for name, rows in zip(_layers(base), both, strict=True):
        changes[f"{name}.weight"] = (*changes.get(f"{name}.weight", ()), Rows(ids, rows.detach().cpu()))
    added.leave(base.get_input_embeddings())
