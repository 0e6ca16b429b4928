"""What a model has read of a conversation is kept until the next question, so that it doesn't read it all again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import signature

import torch
from peft import PeftModel
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from studio.core.events import ModelUnderTest
from studio.engine.methods.base_model import Network

BLOCK = 256
"""Tokens that are read at once. A prompt is always read in blocks that begin at multiples of it, whether they were kept
or not: the same numbers are computed in the same order, so what is kept never changes an answer. What was written by
the model itself is read again, since one token at a time gives other roundings."""

_MOST_KEPT, _MOST_BYTES = 6, 1 << 30
"""How many prompts are kept at most, of all models together, and in how many bytes: two models side by side, what other
programs ask, and what is asked for a memory."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """What `model` read of a prompt that begins with `tokens`."""

    model: ModelUnderTest
    tokens: tuple[int, ...]
    cache: DynamicCache

    @property
    def size(self) -> int:
        kept: Iterable[tuple[torch.Tensor, torch.Tensor, object]] = self.cache
        return sum(keys.nbytes + values.nbytes for keys, values, _ in kept)


class PromptCache:
    """Keys and values of prompts: for `read` to go on from, with what `keep` was given."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []

    def read(
        self, network: Network, model: ModelUnderTest, prompt: list[int], go_on: Callable[[], bool]
    ) -> DynamicCache | None:
        """Read all whole blocks of `prompt` (token ids) but for its last token, those that are new. None where it is
        too short, where this kind of network keeps something else than keys and values of every token, and where
        `go_on` said no between two blocks."""
        whole = (len(prompt) - 1) // BLOCK * BLOCK
        cache = _empty(network) if whole else None
        if cache is None:
            return None
        begun = 0
        mine = [(_common(one.tokens, prompt[:whole]) // BLOCK * BLOCK, one) for one in self._kept if one.model == model]
        if mine:
            begun, kept = max(mine, key=lambda found: found[0])
            if begun:
                self._kept.remove(kept)
                cache = kept.cache
                crop(cache, begun)
        device = next(network.parameters()).device
        for start in range(begun, whole, BLOCK):
            if not go_on():
                self._keep(_Kept(model, tuple(prompt[:start]), cache))
                return None
            block = torch.tensor([prompt[start : start + BLOCK]], device=device)
            with torch.inference_mode():
                network(input_ids=block, past_key_values=cache, use_cache=True, **_only_last(network))
        return cache

    def keep(self, model: ModelUnderTest, prompt: list[int], cache: DynamicCache) -> None:
        """Keep what `read` gave back for `prompt`, after an answer was written with it."""
        whole = (len(prompt) - 1) // BLOCK * BLOCK
        crop(cache, whole)
        self._keep(_Kept(model, tuple(prompt[:whole]), cache))

    def _keep(self, new: _Kept) -> None:
        if new.tokens:
            self._kept.append(new)
        while len(self._kept) > _MOST_KEPT or sum(one.size for one in self._kept) > _MOST_BYTES:
            del self._kept[0]


def _only_last(network: Network) -> dict[str, int]:
    """Asks for the last token's logits alone, where that can be asked: those of a block could be a gigabyte."""
    plain = network.get_base_model() if isinstance(network, PeftModel) else network
    return {"logits_to_keep": 1} if "logits_to_keep" in signature(plain.forward).parameters else {}


def crop(cache: DynamicCache, tokens: int) -> None:
    """Forget all but the first `tokens`."""
    cache.crop(-max(0, cache.get_seq_length() - tokens))


def _empty(network: Network) -> DynamicCache | None:
    """A cache that can be cropped anywhere, where the network is one that has such a one."""
    plain = network.get_base_model() if isinstance(network, PeftModel) else network
    if isinstance(network, PeftModel) and network.active_peft_config.is_prompt_learning:
        return None  # puts numbers of its own before the prompt
    if getattr(plain, "_is_stateful", False):
        return None
    cache = DynamicCache(config=plain.config)
    return cache if all(type(layer) is DynamicLayer for layer in cache.layers) else None


def _common(one: tuple[int, ...], other: list[int]) -> int:
    """With how many tokens both begin."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
