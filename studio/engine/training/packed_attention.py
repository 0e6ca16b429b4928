"""Attention among tokens of the same example where several stand one after the other in a row.

A card has one kernel for it, `varlen_attn` in PyTorch, FlashAttention with the examples' bounds; a processor computes
one example after the other. Neither holds a mask of all tokens by all tokens, and neither computes what it masks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from studio.engine.device import Device

AMPERE = (8, 0)
"""The compute capability from which on FlashAttention runs."""

_UNSUPPORTED = ("softcap", "s_aux", "position_bias")
"""What some models give to their attention and none of the kernels here takes."""

Attention = Callable[..., tuple[torch.Tensor, None]]


def is_fast(device: Device) -> bool:
    """Whether packing makes a training faster here.

    On a card it does: nothing of a batch is padding, and no mask keeps attention from its fast kernel. On a processor
    padding rows of similar length costs less than the many small products that take its place, see docs/benchmarks.md.
    """
    if not device.is_cuda or device.dtype is torch.float32 or not _has_kernel():
        return False
    return torch.cuda.get_device_capability(device.torch_device) >= AMPERE


def _has_kernel() -> bool:
    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: F401
    except ImportError:
        return False
    return True


def install() -> None:
    """Have transformers' `sdpa` attention keep examples apart where a batch says where they begin and end. Others are
    computed as ever."""
    ordinary = ALL_ATTENTION_FUNCTIONS["sdpa"]
    if not isinstance(ordinary, _Apart):
        AttentionInterface.register("sdpa", _Apart(ordinary))


class _Apart:
    """Attention as transformers calls it: `query`, `key` and `value` are [1, heads, tokens, width]."""

    def __init__(self, ordinary: Attention) -> None:
        self._ordinary = ordinary

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        sliding_window: int | None = None,
        cu_seq_lens_q: torch.Tensor | None = None,
        max_length_q: int = 0,
        **others: Any,
    ) -> tuple[torch.Tensor, None]:
        if cu_seq_lens_q is None:
            if sliding_window is not None:
                others["sliding_window"] = sliding_window
            return self._ordinary(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others)
        extra = [name for name in _UNSUPPORTED if others.get(name) is not None]
        if dropout or extra:
            raise ValueError(f"packed attention has no {', '.join(extra) or 'dropout'}")
        attend = _on_card if query.is_cuda else _one_by_one
        return attend(query, key, value, cu_seq_lens_q, max_length_q, scaling, sliding_window), None


def _on_card(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    flat = (one[0].transpose(0, 1).to(value.dtype) for one in (query, key, value))
    queries, keys, values = flat
    found = varlen_attn(
        queries,
        keys,
        values,
        bounds,
        bounds,
        longest,
        longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(found, torch.Tensor)
    return found.unsqueeze(0)


def _one_by_one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    limits = bounds.tolist()
    grouped = query.shape[1] != key.shape[1]
    parts = []
    for begin, end in itertools.pairwise(limits):
        mine = slice(begin, end)
        mask = _window(end - begin, window, query.device) if window is not None else None
        parts.append(
            functional.scaled_dot_product_attention(
                query[:, :, mine],
                key[:, :, mine],
                value[:, :, mine],
                attn_mask=mask,
                is_causal=mask is None,
                scale=scaling,
                enable_gqa=grouped,
            )
        )
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


def _window(length: int, window: int, device: torch.device) -> torch.Tensor | None:
    """Which tokens see which, where each sees at most `window` of them, itself among them; None where that is all."""
    if length <= window:
        return None
    return torch.ones(length, length, dtype=torch.bool, device=device).tril().triu(1 - window)
