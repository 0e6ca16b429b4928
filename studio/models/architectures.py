"""How each family of models is put together by transformers, so that its parameters can be counted to the last one.

Names, biases and norms are those of the library's modelling code, and defaults those of its configurations
(transformers 5.23). A test builds small models of every family and compares the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.models.config import LONGEST, ConfigFacts, read_mapping
from studio.models.mixtures import attention, read_latent, read_mixture
from studio.models.shape import Block, Linear, ModelShape

Bias = Literal["never", "always", "attention_bias", "mlp_bias", "use_bias", "qkv_bias"]


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
    if facts.kind == "cohere" and facts.flag("use_qk_norm", False):
        query_norm = "head"
    linears = (
        *_attention(family, hidden, heads, kv_heads, width, qkv_bias, out_bias),
        *_feed_forward(family, hidden, intermediate, mlp_bias),
    )
    others = family.norm_weights * family.norms * hidden + _query_norm(facts.kind, query_norm, heads, kv_heads, width)
    window = _window(facts, family)
    return ModelShape(
        family=facts.kind,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=width,
        value_dim=width,
        vocab=facts.number("vocab_size"),
        tied=facts.flag("tie_word_embeddings", family.tied),
        blocks=(Block(count=layers, linears=linears, others=others, intermediate=intermediate, window=window),),
        max_context=facts.maybe("max_position_embeddings", most=LONGEST),
        norms=family.norms,
        query_norm=query_norm,
        gated=family.gated,
        fused=family.fused_attention,
        norm_saves=2 if facts.kind.startswith("cohere") else 1,  # what is left of the mean is computed twice
        parallel=family.parallel,
        softcapped=family.softcapped and facts.positive("attn_logit_softcapping", True),
        scores_softcapped=facts.positive("final_logit_softcapping", family.softcapped),
        final_norm=family.norm_weights * hidden,
    )


def _attention(
    family: Family, hidden: int, heads: int, kv_heads: int, width: int, qkv_bias: bool, out_bias: bool
) -> tuple[Linear, ...]:
    queries, keys = heads * width, kv_heads * width
    if family.fused_attention:
        return (
            Linear(name="qkv_proj", inputs=hidden, outputs=queries + 2 * keys, bias=qkv_bias),
            Linear(name="o_proj", inputs=queries, outputs=hidden, bias=out_bias),
        )
    return attention(hidden, queries, keys, qkv_bias, out_bias)


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
    each = query_norm == "whole" or kind == "cohere"
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
}
"""A reader for each `model_type` that is known here."""


def shape_of(config: Mapping[str, object]) -> ModelShape:
    """The shape that transformers builds from a config.json. Raises `ProblemError` "can't tell, because ..."."""
    if not config:
        raise _cannot_tell(
            "fit.no_config",
            N_("There is no config.json that describes a model."),
            N_("Choose the model's folder, or fetch the model again."),
        )
    kind = config.get("model_type")
    kind = kind if isinstance(kind, str) else ""
    if config.get("quantization_config") or config.get("compression_config"):
        raise _cannot_tell(
            "fit.already_quantised",
            N_("It is stored in a compressed form already, and compressed models can't be trained here."),
            N_("Choose the same model in its original form, usually the name without GPTQ, AWQ, FP8 or 4bit."),
        )
    reader = READERS.get(kind)
    if reader is None:
        code, why = "fit.unknown_architecture", N_("Its architecture isn't known here: {kind}.")
        fix = N_("Let it be traced, which takes a few seconds, or choose another model.")
        if config.get("auto_map"):
            code, fix = "fit.own_code", N_("Choose another model.")
            why = N_("It only works with program code that comes along with it, which is never run here ({kind}).")
        elif isinstance(config.get("text_config"), Mapping):
            code, fix = "fit.not_text_alone", N_("Choose a model for text alone, or let it be traced.")
            why = N_("It does more than read and write text ({kind}), and the other parts aren't known here.")
        raise _cannot_tell(code, why, fix, kind=kind.strip()[:80] or "?")
    return reader(ConfigFacts(kind, config))


def shape_in(folder: Path) -> ModelShape:
    """The shape of the model in `folder`, or of a config.json itself. Raises `ProblemError`."""
    return shape_of(read_mapping(folder / "config.json" if folder.is_dir() else folder))


def _cannot_tell(code: str, why: str, fix: str, **values: str | int | float) -> ProblemError:
    what = N_("How much memory this model needs can't be told.")
    return problem(code, what, why, fix, remedy=Remedy.choose_model, **values)
