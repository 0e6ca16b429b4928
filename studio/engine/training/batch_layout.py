"""How the examples of a micro-batch lie beside each other: one a row, padded at the right; or one after the other in a
single row, without padding ("packed").

Which of it gives the right numbers depends on the model, and what a library passes on to its layers is seen by trying:
a convolution, a state that runs through the row, learned positions or tokens before each row would let packed examples
see each other. So a few tokens are computed in each way, and a way that gives anything else isn't used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import torch

from studio.core.recipe.training import Packing
from studio.engine.device import Device
from studio.engine.methods.base_model import Network, balances_experts
from studio.engine.objectives.supervised import autocast, collate, eval_mode, forward_arguments, moved, pack
from studio.engine.training import packed_attention

NOISE = 0.03
"""By how much scores may differ on average, as a share of how much they vary: what 16-bit numbers come to in other
kernels is a third of that, and a wrong position or a neighbour that is seen many times as much."""

FIRST, SECOND = 11, 7
"""Tokens of the two examples that are tried: the longer one comes first, so that the second is padded."""

log = logging.getLogger(__name__)


class BatchLayout(StrEnum):
    """`unmasked` is padded rows without a mask: nothing that is read stands behind what is padded, so no example sees
    padding, and nobody has to look whether a mask masks anything."""

    packed = "packed"
    unmasked = "unmasked"
    padded = "padded"


def layout_for(model: Network, device: Device, wanted: Packing, *, may_pack: bool = True) -> BatchLayout:
    """The layout in which a training of `model` computes: the fastest that gives the same as rows that are padded and
    masked. `may_pack` says whether the objective can."""
    packs = may_pack and (wanted == "on" or (wanted == "auto" and packed_attention.is_fast(device)))
    if packs:
        packed_attention.install()
    with eval_mode(model), torch.no_grad(), autocast(device):
        trial = _Trial(model, device)
        if packs and _works(trial.packs):
            return BatchLayout.packed
        # without a mask, padding would count among the tokens that a mixture of experts has to spread evenly
        if not balances_experts(model) and _works(trial.needs_no_mask):
            return BatchLayout.unmasked
    return BatchLayout.padded


def _works(trial: Callable[[], bool]) -> bool:
    """What `trial` says; False where the model refuses, which some hundred architectures do in as many ways."""
    try:
        return trial()
    except Exception as error:
        log.info("this model computes no other layout: %s: %s", type(error).__name__, error)
        return False


def attention_of(model: Network, layout: BatchLayout) -> str:
    """What computes the attention of `model` in a training, as a journal tells it."""
    return "varlen" if layout is BatchLayout.packed else str(model.config._attn_implementation or "")


class _Trial:
    """Two examples of random tokens, computed in several ways."""

    def __init__(self, model: Network, device: Device) -> None:
        self._model = model
        self._device = device
        chance = torch.Generator().manual_seed(0)
        words = int(model.get_input_embeddings().weight.shape[0])
        first, second, other = (
            torch.randint(0, words, (count,), generator=chance).tolist() for count in (FIRST, SECOND, FIRST)
        )
        self._rows = [{"input_ids": one, "labels": one} for one in (first, second)]
        self._beside_another = [{"input_ids": one, "labels": one} for one in (other, second)]
        self._wanted = self._scores(collate, self._rows)

    def packs(self) -> bool:
        """Whether packed examples get the scores that they get in rows of their own, and don't change with what stands
        before them."""
        together = self._scores(pack, self._rows)
        beside_another = self._scores(pack, self._beside_another)
        apart = torch.equal(together[1], beside_another[1])
        if balances_experts(self._model):  # the tokens of an expert are computed together, and rounded so
            apart = _close(beside_another[1:], together[1:])
        return apart and _close(together, self._wanted)

    def needs_no_mask(self) -> bool:
        unmasked = self._scores(lambda rows: without_mask(collate(rows)), self._rows)
        return _close(unmasked, self._wanted)

    def _scores(
        self, collate: Callable[[Sequence[dict[str, list[int]]]], dict[str, Any]], rows: list[dict[str, list[int]]]
    ) -> list[torch.Tensor]:
        """[tokens, vocabulary] of each of the two."""
        batch = moved(collate(rows), self._device.torch_device)
        with forward_arguments(batch) as arguments:
            scores = self._model(**arguments).logits.float()
        if len(scores) == 1:
            first, second = scores[0].split((FIRST, SECOND))
        else:
            before = scores.shape[1] - FIRST
            first, second = scores[0, before:], scores[1, before : before + SECOND]
        return [first, second]


def without_mask(batch: dict[str, Any]) -> dict[str, Any]:
    """The same batch, whose padding isn't masked."""
    return {name: value for name, value in batch.items() if name != "attention_mask"}


def _close(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> bool:
    """Whether no token's scores, [tokens, vocabulary] of each example, differ by more than noise."""
    return all(
        bool(((one - other).abs().mean(dim=-1) <= NOISE * other.std()).all())
        for one, other in zip(found, wanted, strict=True)
    )
