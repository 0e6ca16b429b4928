"""What an NVIDIA card's own kernels would hold, for tensors that have no content.

Where a card computes something in one kernel that a processor takes apart, or the other way round, a stand-in of the
same memory takes its place. Sizes are read from the kernels' sources (PyTorch 2.13, bitsandbytes 0.50, TRL 1.16).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import bnb as lora_on_packed
from torch.nn import functional
from trl.kernels import chunked_logprob
from trl.trainer import utils as trl_losses

from studio.engine.patches import Patch, patched

Card = tuple[int, int]
"""Compute capability: (7, 5) is a T4, (8, 0) an A100, (8, 9) a 4090, (9, 0) an H100."""

HALVES = (torch.float16, torch.bfloat16)


# Attention


class _Efficient(torch.autograd.Function):
    """The memory-efficient kernel (cutlass): never holds the scores, accumulates the query's gradient in float32."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, mask: Any, scale: Any) -> Any:
        batch, heads, length, _ = query.shape
        out = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        sums = query.new_empty(batch, heads, -(-length // 32) * 32, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, sums, mask)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        query, key, value, _, _, mask = ctx.saved_tensors
        of_query, of_key, of_value = (torch.empty_like(t) for t in (query, key, value))
        if query.dtype in HALVES:
            # gradients of keys and values stay in registers up to 64 numbers a head, beyond they need room as well
            wide = query.shape[-1] > 64
            room = _rounded(query, 64) + (_rounded(key, 64) + _rounded(value, 64) if wide else 0)
            query.new_empty(room, dtype=torch.float32)
        else:
            query.new_empty(query.shape[:-1], dtype=torch.float32)
        of_mask = torch.empty_like(mask) if mask is not None and ctx.needs_input_grad[3] else None
        return of_query, of_key, of_value, of_mask, None


class _Flash(torch.autograd.Function):
    """FlashAttention 2 as PyTorch has it: grouped heads as they are, no mask."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
        batch, heads, length, _ = query.shape
        out = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        sums = query.new_empty(batch, heads, length, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, sums)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        query, key, value, _, _ = ctx.saved_tensors
        room = query.new_empty(_rounded(query, 128), dtype=torch.float32)
        sums = query.new_empty(*query.shape[:2], -(-query.shape[2] // 128) * 128, dtype=torch.float32)
        of_query = torch.empty_like(query)
        if key.shape[1] != query.shape[1]:  # computed for every head, then added up within each group
            whole = (*key.shape[:1], query.shape[1], *key.shape[2:])
            of_keys, of_values = key.new_empty(whole), value.new_empty(whole)
            of_key, of_value = torch.empty_like(key), torch.empty_like(value)
            del of_keys, of_values
        else:
            of_key, of_value = torch.empty_like(key), torch.empty_like(value)
        del room, sums
        return of_query, of_key, of_value


def _rounded(tensor: Any, block: int) -> int:
    """Numbers in `tensor` [batch, heads, length, width] with length and width rounded up as kernels do it."""
    batch, heads, length, width = tensor.shape
    return int(batch * heads * (-(-length // block) * block) * (-(-width // 32) * 32))


def attention(card: Card, grouped: bool = True) -> Callable[..., Any]:
    """`scaled_dot_product_attention` as it chooses among its kernels on that card.

    `grouped` False expands keys and values first, as some measuring programs do to keep the efficient kernel.
    """

    def attend(
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            query, key, value = (t.to(dtype) for t in (query, key, value))
        if not grouped and key.shape[1] != query.shape[1]:
            times = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(times, dim=1), value.repeat_interleave(times, dim=1)
        same_heads = key.shape[1] == query.shape[1]
        fits_flash = card >= (8, 0) and query.dtype in HALVES and query.shape[-1] == value.shape[-1] <= 256
        if attn_mask is None and fits_flash:
            return _Flash.apply(query, key, value)  # type: ignore[no-untyped-call]
        if same_heads and (card >= (8, 0) or query.dtype is not torch.bfloat16):
            if attn_mask is not None:
                attn_mask = _as_bias(attn_mask, query.dtype)
            return _Efficient.apply(query, key, value, attn_mask, scale)  # type: ignore[no-untyped-call]
        return torch.ops.aten._scaled_dot_product_attention_math(
            query, key, value, attn_mask, dropout_p, is_causal, None, scale=scale, enable_gqa=enable_gqa
        )[0]

    return attend


def _as_bias(mask: Any, dtype: torch.dtype) -> Any:
    """Kernels take numbers to add, not yes or no, in rows of a multiple of 16."""
    if mask.dtype is torch.bool:
        mask = mask.new_empty(mask.shape, dtype=dtype)
    columns = mask.shape[-1]
    if columns % 16:
        mask = functional.pad(mask, (0, 16 - columns % 16))[..., :columns]
    return mask


# The loss in tiles


class _NoKernel:
    """Stands for a compiled kernel that works in place: `kernel[grid](...)`."""

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return lambda *_, **__: None


class _Ceil:
    @staticmethod
    def cdiv(a: int, b: int) -> int:
        return math.ceil(a / b)


# What depends on content


def answers(learned: int) -> dict[str, Callable[..., Any]]:
    """Answers to questions that only content can answer: `learned` positions are chosen wherever some are."""

    def item(tensor: Any) -> Any:
        return bool(learned) if tensor.dtype is torch.bool else learned if not tensor.is_floating_point() else 1.0

    def index(tensor: Any, indices: Any) -> Any:
        chosen = [i for i in indices if i is not None]
        if len(chosen) == 1 and indices[0] is not None and chosen[0].dtype is torch.bool:
            return tensor.new_empty(learned, *tensor.shape[chosen[0].dim() :])
        return NotImplemented

    return {"aten::_local_scalar_dense": item, "aten::index": index}


@contextmanager
def on_card(card: Card, *, grouped: bool = True) -> Iterator[None]:
    """Inside, computing on fake tensors holds what that card would hold."""
    kernel = _NoKernel()
    patches = (
        Patch(functional, "scaled_dot_product_attention", attention(card, grouped)),
        Patch(functional, "layer_norm", _in_float32(functional.layer_norm)),
        Patch(lora_on_packed, "torch", _MixedAsOnACard()),
        Patch(trl_losses, "_use_triton", lambda _: True),
        Patch(chunked_logprob, "_use_triton", lambda _: True),
        Patch(chunked_logprob, "_forward_kernel", kernel),
        Patch(chunked_logprob, "_backward_kernel", kernel),
        Patch(chunked_logprob, "_addmm_fp32", lambda *_: None),
        Patch(chunked_logprob, "triton", _Ceil, adds=True),  # not imported where it isn't installed
    )
    with patched(patches):
        yield


class _MixedAsOnACard:
    """PyTorch for peft's adapters on packed layers. They ask whether mixed precision is on for cards, and cast their
    input to float32 where it isn't; fake tensors lie on the processor, and so does its mixed precision."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def is_autocast_enabled(self) -> bool:
        return torch.is_autocast_enabled("cpu")


def _in_float32(norm: Callable[..., Any]) -> Callable[..., Any]:
    """Under autocast a card computes norms in float32; a processor doesn't."""

    def computed(tensor: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        if torch.is_autocast_enabled("cpu"):
            tensor, weight, bias = (None if t is None else t.float() for t in (tensor, weight, bias))
        return norm(tensor, shape, weight, bias, eps)

    return computed
