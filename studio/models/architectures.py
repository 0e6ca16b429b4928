"""How each family of models is put together by transformers, so that its parameters can be counted to the last one.

Names, biases and norms are those of the library's modelling code, and defaults those of its configurations
(transformers 5.23). A test builds small models of every family and compares the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from studio.models.config import LONGEST, ConfigFacts, activation_saves
from studio.models.latent_attention import read_latent
from studio.models.mixtures import read_mixture
from studio.models.older_families import read_falcon, read_gpt2, read_gpt_neox, read_opt, read_phi, read_starcoder2
from studio.models.shape import Block, Linear, ModelShape

Bias = Literal["never", "always", "attention_bias", "mlp_bias", "use_bias", "qkv_bias", "use_qkv_bias"]


@dataclass(frozen=True)
class Family:
    """What distinguishes a family from Llama. `norm_weights` are a norm's parameters for each of its width: 1 for a
    scale, 2 with a shift, 0 for none. `head_width` None means hidden size over heads."""

    tied: bool = False
    kv_heads: int | None = None
    head_width: int | None = None
    qkv_bias: Bias = "never"
    out_bias: Bias = "never"
    mlp_bias: Bias = "never"
    norm: Literal["rms", "layer"] = "rms"
    norm_weights: int = 1
    norms: int = 2
    query_norm: Literal["no", "head", "whole"] = "no"
    gated: bool = True
    fused_attention: bool = False
    fused_mlp: bool = False
    parallel: bool = False
    softcapped: bool = False
    windows: Literal["none", "all", "types", "if_used"] = "none"


FAMILIES: Mapping[str, Family] = {
    "llama": Family(
        qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias",
    ),
    "mistral": Family(kv_heads=8, windows="all"),
    "ministral": Family(kv_heads=8, windows="types"),
    "qwen2": Family(qkv_bias="always", windows="if_used"),
    "qwen3": Family(
        head_width=128, qkv_bias="attention_bias", out_bias="attention_bias", query_norm="head", windows="if_used",
    ),
    "gemma": Family(tied=True, head_width=256, qkv_bias="attention_bias", out_bias="attention_bias"),
    "gemma2": Family(
        tied=True, kv_heads=4, head_width=256, qkv_bias="attention_bias", out_bias="attention_bias", norms=4,
        softcapped=True, windows="types",
    ),
    "gemma3_text": Family(
        tied=True, kv_heads=4, head_width=256, qkv_bias="attention_bias", out_bias="attention_bias", norms=4,
        query_norm="head", windows="types",
    ),
    "olmo": Family(qkv_bias="attention_bias", out_bias="attention_bias", norm_weights=0),
    "olmo2": Family(qkv_bias="attention_bias", out_bias="attention_bias", query_norm="whole"),
    "olmo3": Family(qkv_bias="attention_bias", out_bias="attention_bias", query_norm="whole", windows="types"),
    "granite": Family(qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias"),
    "cohere": Family(
        tied=True, qkv_bias="attention_bias", out_bias="attention_bias", norms=1, parallel=True,
    ),
    "cohere2": Family(
        tied=True, qkv_bias="attention_bias", out_bias="attention_bias", norms=1, parallel=True, windows="types",
    ),
    "smollm3": Family(
        tied=True, kv_heads=4, qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias",
        windows="if_used",
    ),
    "exaone4": Family(query_norm="head", windows="types"),
    "seed_oss": Family(head_width=128, qkv_bias="always", mlp_bias="mlp_bias"),
    "stablelm": Family(kv_heads=32, qkv_bias="use_qkv_bias", norm="layer", norm_weights=2),
    "glm": Family(kv_heads=2, head_width=128, qkv_bias="attention_bias", fused_mlp=True),
    "glm4": Family(kv_heads=2, head_width=128, qkv_bias="attention_bias", fused_mlp=True, norms=4),
    "phi3": Family(fused_attention=True, fused_mlp=True, windows="all"),
    "nemotron": Family(
        qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias", norm_weights=2,
        gated=False,
    ),
    "arcee": Family(
        qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias", gated=False,
    ),
    "ernie4_5": Family(tied=True, kv_heads=2, head_width=128, qkv_bias="use_bias", out_bias="use_bias",
                       mlp_bias="use_bias"),
    "hunyuan_v1_dense": Family(qkv_bias="attention_bias", out_bias="attention_bias", query_norm="head"),
}  # fmt: skip


def read_decoder(facts: ConfigFacts) -> ModelShape:
    """A model of one of `FAMILIES`. Raises `ProblemError`."""
    family = FAMILIES[facts.kind]
    hidden = facts.number("hidden_size")
    layers = facts.number("num_hidden_layers")
    heads = facts.number("num_attention_heads")
    kv_heads = facts.number("num_key_value_heads", default=family.kv_heads or heads)
    width = facts.number("head_dim", default=family.head_width or max(1, hidden // heads))
    intermediate = facts.number("intermediate_size")
    if heads % kv_heads:
        raise facts.wrong("num_key_value_heads", kv_heads)
    qkv_bias, out_bias, mlp_bias = (_bias(facts, b) for b in (family.qkv_bias, family.out_bias, family.mlp_bias))
    if facts.kind == "seed_oss":
        qkv_bias, out_bias = facts.flag("attention_bias", True), facts.flag("attention_out_bias", False)
    query_norm = family.query_norm
    norms = family.norms
    if facts.kind == "cohere" and facts.flag("use_qk_norm", False):
        query_norm = "head"
    if facts.kind == "stablelm":
        norms = 1 if facts.flag("use_parallel_residual", False) else 2
        query_norm = "head" if facts.flag("qk_layernorm", False) else "no"
    linears = (
        *_attention(family, hidden, heads, kv_heads, width, qkv_bias, out_bias),
        *_feed_forward(family, hidden, intermediate, mlp_bias),
    )
    others = family.norm_weights * norms * hidden + _query_norm(facts.kind, query_norm, heads, kv_heads, width)
    window = _window(facts, family)
    return ModelShape(
        family=facts.kind,
        hidden=hidden,
        intermediate=intermediate,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=width,
        value_dim=width,
        vocab=facts.number("vocab_size"),
        tied=facts.flag("tie_word_embeddings", family.tied),
        blocks=(Block(count=layers, linears=linears, others=others, intermediate=intermediate, window=window),),
        max_context=facts.maybe("max_position_embeddings", most=LONGEST),
        sliding_window=window,
        attention_bias=qkv_bias,
        norm=family.norm,
        norms=norms,
        query_norm=query_norm,
        gated=family.gated,
        fused=family.fused_attention,
        norm_saves=2 if facts.kind.startswith("cohere") else 1,  # what is left of the mean is computed twice
        parallel=family.parallel or norms == 1,
        activation_saves=activation_saves(facts),
        softcapped=family.softcapped and facts.positive("attn_logit_softcapping", True),
        scores_softcapped=facts.positive("final_logit_softcapping", family.softcapped),
        final_norm=family.norm_weights * hidden,
    )


def _attention(
    family: Family, hidden: int, heads: int, kv_heads: int, width: int, qkv_bias: bool, out_bias: bool
) -> tuple[Linear, ...]:
    out = Linear(name="o_proj", inputs=heads * width, outputs=hidden, bias=out_bias)
    if family.fused_attention:
        both = (heads + 2 * kv_heads) * width
        return Linear(name="qkv_proj", inputs=hidden, outputs=both, bias=qkv_bias), out
    query, other = heads * width, kv_heads * width
    return (
        Linear(name="q_proj", inputs=hidden, outputs=query, bias=qkv_bias, reads="attention"),
        Linear(name="k_proj", inputs=hidden, outputs=other, bias=qkv_bias, reads="attention"),
        Linear(name="v_proj", inputs=hidden, outputs=other, bias=qkv_bias, reads="attention"),
        out,
    )


def _feed_forward(family: Family, hidden: int, intermediate: int, bias: bool) -> tuple[Linear, ...]:
    down = Linear(name="down_proj", inputs=intermediate, outputs=hidden, bias=bias)
    if family.fused_mlp:
        return Linear(name="gate_up_proj", inputs=hidden, outputs=2 * intermediate, bias=bias), down
    up = Linear(name="up_proj", inputs=hidden, outputs=intermediate, bias=bias, reads="feed-forward")
    if not family.gated:
        return up, down
    return Linear(name="gate_proj", inputs=hidden, outputs=intermediate, bias=bias, reads="feed-forward"), up, down


def _query_norm(kind: str, query_norm: str, heads: int, kv_heads: int, width: int) -> int:
    if query_norm == "no":
        return 0
    # These give every head a scale of its own; the others share one among all heads.
    each = query_norm == "whole" or kind in ("cohere", "stablelm")
    return (heads + kv_heads) * width if each else 2 * width


def _bias(facts: ConfigFacts, bias: Bias) -> bool:
    if bias in ("never", "always"):
        return bias == "always"
    return facts.flag(bias, facts.kind in ("glm", "glm4"))


def _window(facts: ConfigFacts, family: Family) -> int | None:
    if family.windows == "none" or (family.windows == "if_used" and not facts.flag("use_sliding_window", False)):
        return None
    return facts.maybe("sliding_window")


READERS: Mapping[str, Callable[[ConfigFacts], ModelShape]] = {
    **dict.fromkeys(FAMILIES, read_decoder),
    **dict.fromkeys(("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe"), read_mixture),
    **dict.fromkeys(("deepseek_v2", "deepseek_v3"), read_latent),
    "gpt2": read_gpt2,
    "gpt_neox": read_gpt_neox,
    "falcon": read_falcon,
    "opt": read_opt,
    "phi": read_phi,
    "starcoder2": read_starcoder2,
}
"""A reader for each `model_type` that is known here."""
