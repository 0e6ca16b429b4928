"""What a model is made of, read from its config.json: sizes, layers, parameters. No weights, no torch, no network."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Linear(_Fact):
    """One linear layer of a block, under the name by which target modules mean it.

    Layers with the same `reads` read the same tensor, as those for queries, keys and values do.
    """

    name: str
    inputs: int
    outputs: int
    bias: bool = False
    reads: str = ""

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        return self.weights + (self.outputs if self.bias else 0)


class Block(_Fact):
    """`count` equal layers. `experts` counts the parameters of all experts of one layer, which transformers keeps as
    two batched tensors: no linear layers, so they are never quantised. `others` counts norms,
    routers and the like. `intermediate` is the width of the feed-forward part that every token takes (0 when there are
    only experts), `expert_width` that of one expert."""

    count: int
    linears: tuple[Linear, ...]
    others: int
    intermediate: int
    experts: int = 0
    expert_width: int = 0
    window: int | None = None

    @property
    def parameters(self) -> int:
        return sum(linear.parameters for linear in self.linears) + self.experts + self.others


class ModelShape(_Fact):
    """Sizes of a decoder-only model as transformers builds it. Widths and counts; `vocab` in tokens.

    `head_dim` is that of queries and keys, `value_dim` that of values (they differ with latent attention). `norms`
    counts full-width norms in a layer, `norm_saves` the tensors that one keeps. `query_norm` says whether queries and
    keys are normalised too, each head for itself or as a whole. `gated` feed-forward parts multiply two projections.
    `softcapped` attention exists only in its eager form; `scores_softcapped` says that a tanh bounds what the head
    gives out. `fused` attention projects queries, keys and values at once.
    """

    family: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    vocab: int
    tied: bool
    blocks: tuple[Block, ...]
    max_context: int | None = None
    experts: int = 0
    experts_per_token: int = 0
    norms: int = 2
    norm_saves: int = 1
    query_norm: Literal["no", "head", "whole"] = "no"
    gated: bool = True
    fused: bool = False
    parallel: bool = False
    softcapped: bool = False
    scores_softcapped: bool = False
    latent: bool = False
    final_norm: int = 0
    """Parameters of the last norm."""

    @cached_property
    def embedding(self) -> int:
        return self.vocab * self.hidden

    @cached_property
    def head(self) -> int:
        """Parameters of the head that aren't the embedding's."""
        return 0 if self.tied else self.vocab * self.hidden

    @cached_property
    def parameters(self) -> int:
        """All of them, tied ones once, as `sum(p.numel() for p in model.parameters())` counts."""
        return self.embedding + self.head + self.final_norm + sum(b.count * b.parameters for b in self.blocks)

    @cached_property
    def packable(self) -> int:
        """Weights that bitsandbytes quantises: those of the blocks' linear layers, without biases."""
        return sum(b.count * sum(linear.weights for linear in b.linears) for b in self.blocks)
