"""The loss over the tokens that are learned, without scoring any other position.

A model's head turns each position into one number per word piece, 49,152 of them in the starter model, and that is
where a small model's time goes. Most positions, the question and the padding, are never learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from studio.tokenization.encoding import NOT_LEARNED

MOST_LOGITS = 512 << 20
"""Bytes of float32 scores that may be held at once; beyond, the loss has to be computed in tiles."""


@dataclass(frozen=True)
class Scored:
    """The sum of the losses of `count` learned tokens."""

    total: torch.Tensor
    count: int


def fits(model: Any, labels: torch.Tensor) -> bool:
    """Whether the scores of all learned positions may be held at once."""
    learned = int((labels[:, 1:] != NOT_LEARNED).sum())
    return learned * int(model.get_output_embeddings().weight.shape[0]) * 4 <= MOST_LOGITS


def learned_loss(model: Any, inputs: dict[str, torch.Tensor], head_of: Any = None) -> Scored:
    """Summed cross entropy of the next token over learned positions only, computed in float32.

    `inputs` as `collate` makes them. `head_of` is the model that owns the head when `model` is a wrapper.
    """
    labels = inputs["labels"]
    ahead = functional.pad(labels[:, 1:], (0, 1), value=NOT_LEARNED)  # what each position has to predict
    wanted = ahead != NOT_LEARNED
    count = int(wanted.sum())

    def only_wanted(_: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden = arguments[0]
        if hidden.shape[:2] != wanted.shape:
            return None
        return (hidden[wanted].unsqueeze(0), *arguments[1:])

    hook = (head_of or model).get_output_embeddings().register_forward_pre_hook(only_wanted)
    try:
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
    finally:
        hook.remove()
    if logits.shape[:2] == wanted.shape:  # the last position is never wanted, so this can't be (1, count)
        logits = logits[wanted]  # a model that doesn't call its head as the others do
    logits = logits.reshape(-1, logits.shape[-1])
    return Scored(functional.cross_entropy(logits.float(), ahead[wanted], reduction="sum"), count)
