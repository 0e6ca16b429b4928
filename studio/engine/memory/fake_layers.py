"""Compressed layers without their numbers: the bytes of bitsandbytes' own, and the same temporary copies around each
product (bitsandbytes 0.50). Its own parameters can't be fake."""

from __future__ import annotations

from typing import Any

import bitsandbytes as bnb
import torch
from torch.nn import functional


def _bias_of(layer: Any) -> torch.nn.Parameter | None:
    if layer.bias is None:
        return None
    return torch.nn.Parameter(torch.empty(layer.out_features, dtype=layer.bias.dtype), requires_grad=False)


class FourBit(bnb.nn.Linear4bit):  # type: ignore[misc]
    """A 4-bit layer. Its weight is unpacked for every product, forward and backward."""

    def __init__(self, layer: Any) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.compute_dtype = layer.compute_dtype
        count = layer.in_features * layer.out_features
        blocks = -(-count // 64)
        self.weight = torch.nn.Parameter(torch.empty(-(-count // 2), 1, dtype=torch.uint8), requires_grad=False)
        self.weight.compress_statistics = layer.weight.compress_statistics  # type: ignore[attr-defined]
        self.weight.quant_type = layer.weight.quant_type  # type: ignore[attr-defined]
        self.nested = bool(layer.weight.compress_statistics)
        self.register_buffer("code", torch.empty(16))
        self.register_buffer("absmax", torch.empty(blocks, dtype=torch.uint8 if self.nested else torch.float32))
        if self.nested:
            self.register_buffer("outer_absmax", torch.empty(-(-blocks // 256)))
            self.register_buffer("outer_code", torch.empty(256))
            self.register_buffer("offset", torch.empty(()))
        self.bias = _bias_of(layer)

    def forward(self, x: Any) -> Any:
        dtype = x.dtype
        if self.compute_dtype is not None:
            x = x.to(self.compute_dtype)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return _FourBitProduct.apply(x, self, bias).to(dtype)  # type: ignore[no-untyped-call]

    @property
    def W_q(self) -> Any:
        """By this name peft knows layers that `dequantize` themselves; it can't know this one by its weight."""
        return self.weight

    def dequantize(self) -> Any:
        return self.unpacked(self.compute_dtype or torch.float32)

    def unpacked(self, dtype: torch.dtype) -> Any:
        """The weight that products are computed with, made for each of them anew."""
        if self.nested:
            inner = torch.empty_like(self.absmax, dtype=torch.float32)
            scales = torch.empty_like(inner)
            del inner
            weight = torch.empty(self.out_features, self.in_features, dtype=dtype)
            del scales
            return weight
        return torch.empty(self.out_features, self.in_features, dtype=dtype)


class _FourBitProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, layer: FourBit, bias: Any) -> Any:
        ctx.layer = layer
        return functional.linear(x, layer.unpacked(x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return torch.matmul(gradient, ctx.layer.unpacked(gradient.dtype)), None, None


class EightBit(bnb.nn.Linear8bitLt):  # type: ignore[misc]
    """An 8-bit layer (LLM.int8). Which columns are outliers only content tells; there are few, and none here."""

    def __init__(self, layer: Any) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features, self.index = layer.in_features, layer.out_features, None
        self.state = bnb.MatmulLtState()
        self.state.threshold, self.state.has_fp16_weights = layer.state.threshold, False
        self.weight = torch.nn.Parameter(
            torch.empty(layer.out_features, layer.in_features, dtype=torch.int8), requires_grad=False
        )
        self.register_buffer("scales", torch.empty(layer.out_features))
        self.bias = _bias_of(layer)

    def forward(self, x: Any) -> Any:
        return _EightBitProduct.apply(x, self)  # type: ignore[no-untyped-call]


class _EightBitProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, layer: EightBit) -> Any:
        flat = x.reshape(-1, x.shape[-1])
        halves = flat.to(torch.float16)
        if layer.state.threshold > 0:
            large = halves.abs()
            large = large >= layer.state.threshold
        rounded, scales = torch.empty_like(halves, dtype=torch.int8), halves.new_empty(len(halves), dtype=torch.float32)
        large = halves = None
        whole = flat.new_empty(len(flat), layer.out_features, dtype=torch.int32)
        out = flat.new_empty(len(flat), layer.out_features)
        del rounded, scales, whole
        ctx.layer, ctx.kept = layer, flat  # its own function keeps the input as well
        return out.reshape(*x.shape[:-1], layer.out_features)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        layer, kept = ctx.layer, ctx.kept
        weight = layer.weight.to(kept.dtype)
        return torch.matmul(gradient.to(kept.dtype), weight), None
