"""What a model is made of, read from its config.json: sizes, layers, parameters. No weights, no torch, no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_

_LARGEST_CONFIG = 4 << 20
"""Bytes. Real ones have a few thousand."""


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Linear(_Fact):
    """One linear layer of a block, under the name by which target modules mean it.

    `packed` is False where bitsandbytes leaves it as it is: it only takes layers that are exactly `nn.Linear` or
    `Conv1D`. Layers with the same `reads` read the same tensor, as those for queries, keys and
    values do.
    """

    name: str
    inputs: int
    outputs: int
    bias: bool = False
    packed: bool = True
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
    counts full-width norms in a layer; `norm` "layer" means PyTorch's own, which mixed precision computes and returns
    in float32, where the families' own return the format that they got. `query_norm` says whether queries and keys are
    normalised too, each head for itself or as a whole. `gated` feed-forward parts multiply two projections.
    `softcapped` attention exists only in its eager form; `scores_softcapped` says that a tanh bounds what the head
    gives out. `activation_saves` counts tensors of the feed-forward width
    that the activation keeps, `norm_saves` those that a norm does, `dropouts` those of hidden width that a layer drops
    out of by its own config. `fused` attention projects queries, keys and values at once.
    """

    family: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    vocab: int
    tied: bool
    blocks: tuple[Block, ...]
    max_context: int | None = None
    sliding_window: int | None = None
    attention_bias: bool = False
    experts: int = 0
    experts_per_token: int = 0
    shared_experts: int = 0
    norm: Literal["rms", "layer"] = "rms"
    norms: int = 2
    norm_saves: int = 1
    query_norm: Literal["no", "head", "whole"] = "no"
    gated: bool = True
    fused: bool = False
    parallel: bool = False
    activation_saves: int = 1
    softcapped: bool = False
    scores_softcapped: bool = False
    latent: bool = False
    dropouts: int = 0
    positions: int = 0
    """Learned position embeddings, 0 where positions are rotations."""
    final_norm: int = 0
    """Parameters of the last norm."""
    head_bias: bool = False

    @cached_property
    def embedding(self) -> int:
        """Parameters of the token and position embeddings."""
        return (self.vocab + self.positions) * self.hidden

    @cached_property
    def head(self) -> int:
        """Parameters of the head that aren't the embedding's."""
        return (0 if self.tied else self.vocab * self.hidden) + (self.vocab if self.head_bias else 0)

    @cached_property
    def parameters(self) -> int:
        """All of them, tied ones once, as `sum(p.numel() for p in model.parameters())` counts."""
        return self.embedding + self.head + self.final_norm + sum(b.count * b.parameters for b in self.blocks)

    @cached_property
    def packable(self) -> int:
        """Weights that bitsandbytes quantises: those of the blocks' linear layers, without biases."""
        return sum(b.count * sum(linear.weights for linear in b.linears if linear.packed) for b in self.blocks)

    @cached_property
    def active(self) -> int:
        """Parameters that one token is computed with."""
        if not self.experts:
            return self.parameters
        asleep = sum(b.count * b.experts * (self.experts - self.experts_per_token) // self.experts for b in self.blocks)
        return self.parameters - asleep


def shape_of(config: Mapping[str, object]) -> ModelShape:
    """The shape that transformers builds from a config.json. Raises `ProblemError` "can't tell, because ..."."""
    from studio.models.architectures import READERS
    from studio.models.config import ConfigFacts

    if not isinstance(config, Mapping) or not config:
        raise _cannot_tell(
            "fit.no_config",
            N_("Its config.json holds no description of a model."),
            N_("Choose another model, or fetch this one again."),
        )
    kind = config.get("model_type")
    kind = kind if isinstance(kind, str) else ""
    if config.get("quantization_config") or config.get("compression_config"):
        raise _cannot_tell(
            "fit.already_quantised",
            N_("It is stored in a compressed form already, and compressed models can't be taught here."),
            N_("Choose the same model in its original form, usually the name without GPTQ, AWQ, FP8 or 4bit."),
        )
    reader = READERS.get(kind)
    if reader is None:
        if config.get("auto_map"):
            raise _cannot_tell(
                "fit.own_code",
                N_("It only works with program code that comes along with it, which is never run here ({kind})."),
                N_("Choose another model."),
                kind=_short(kind) or "?",
            )
        if isinstance(config.get("text_config"), Mapping):
            raise _cannot_tell(
                "fit.not_text_alone",
                N_("It does more than read and write text ({kind}), and the other parts aren't known here."),
                N_("Choose a model for text alone, or let it be traced."),
                kind=_short(kind) or "?",
            )
        raise _cannot_tell(
            "fit.unknown_architecture",
            N_("Its architecture isn't known here: {kind}."),
            N_("Let it be traced, which takes a few seconds, or choose another model."),
            kind=_short(kind) or "?",
        )
    return reader(ConfigFacts(kind, config))


def shape_in(folder: Path) -> ModelShape:
    """The shape of the model in `folder`, or of a config.json itself. Raises `ProblemError`."""
    path = folder / "config.json" if folder.is_dir() else folder
    try:
        with open(path, "rb") as opened:
            text = opened.read(_LARGEST_CONFIG + 1)
        config = json.loads(text) if len(text) <= _LARGEST_CONFIG else None
    except FileNotFoundError as error:
        raise _cannot_tell(
            "fit.no_config",
            N_("There is no config.json in {folder}."),
            N_("Choose the model's folder."),
            folder=str(folder),
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _cannot_tell(
            "fit.config_unreadable",
            N_("Its config.json can't be read: {reason}"),
            N_("Fetch or copy the model once more."),
            reason=_short(str(error)),
        ) from error
    return shape_of(config if isinstance(config, dict) else {})


def _short(text: str) -> str:
    return text.strip()[:80]


def _cannot_tell(code: str, why: str, fix: str, **values: str | int | float) -> ProblemError:
    what = N_("How much memory this model needs can't be told.")
    return problem(code, what, why, fix, remedy=Remedy.choose_model, **values)
