"""Mixtures of experts: each token is computed with a few of many feed-forward parts.

Since transformers 5 all experts of a layer are two batched tensors, not linear layers. So bitsandbytes doesn't quantise
them, whatever the recipe says.
"""

from __future__ import annotations

from studio.models.config import LONGEST, ConfigFacts
from studio.models.shape import Block, Linear, ModelShape


def read_mixture(facts: ConfigFacts) -> ModelShape:
    """Mixtral, Qwen 2 and 3 MoE, OLMoE and Granite MoE. Raises `ProblemError`."""
    kind = facts.kind
    hidden = facts.number("hidden_size")
    layers = facts.number("num_hidden_layers")
    heads = facts.number("num_attention_heads")
    kv_heads = facts.number("num_key_value_heads", default=8 if kind == "mixtral" else heads)
    width = facts.number("head_dim", default=max(1, hidden // heads))
    if heads % kv_heads:
        raise facts.wrong("num_key_value_heads", kv_heads)
    qwen = kind.startswith("qwen")
    experts = facts.number("num_local_experts", "num_experts")
    chosen = facts.number("num_experts_per_tok")
    if chosen > experts:
        raise facts.wrong("num_experts_per_tok", chosen)
    expert_width = facts.number("moe_intermediate_size") if qwen else facts.number("intermediate_size")
    shared = facts.number("shared_expert_intermediate_size") if kind == "qwen2_moe" else 0
    attention_bias = facts.flag("qkv_bias", True) if kind == "qwen2_moe" else facts.flag("attention_bias", False)
    out_bias = attention_bias and kind != "qwen2_moe"
    linears = attention(hidden, heads * width, kv_heads * width, attention_bias, out_bias)
    query_norm = {"qwen3_moe": 2 * width, "olmoe": (heads + kv_heads) * width}.get(kind, 0)
    norms = 2 * hidden + query_norm
    window = facts.maybe("sliding_window") if not qwen or facts.flag("use_sliding_window", False) else None
    sparse = Block(
        count=1,
        linears=(*linears, *(_shared_expert(hidden, shared) if shared else ())),
        others=norms + experts * hidden,
        intermediate=shared,
        experts=3 * experts * hidden * expert_width,
        expert_width=expert_width,
        window=window,
    )
    dense_layers = _dense_layers(facts, layers) if qwen else 0
    blocks = [sparse.model_copy(update={"count": layers - dense_layers})] if layers > dense_layers else []
    if dense_layers:
        intermediate = facts.number("intermediate_size")
        blocks.append(
            Block(
                count=dense_layers,
                linears=(*linears, *feed_forward(hidden, intermediate)),
                others=norms,
                intermediate=intermediate,
                window=window,
            )
        )
    return ModelShape(
        family=kind,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=width,
        value_dim=width,
        vocab=facts.number("vocab_size"),
        tied=facts.flag("tie_word_embeddings", False),
        blocks=tuple(blocks),
        max_context=facts.maybe("max_position_embeddings", most=LONGEST),
        experts=experts,
        experts_per_token=chosen,
        query_norm="head" if kind == "qwen3_moe" else "whole" if kind == "olmoe" else "no",
        final_norm=hidden,
    )


def attention(hidden: int, queries: int, keys: int, bias: bool, out_bias: bool) -> tuple[Linear, ...]:
    """Queries, keys and values of these widths, each projected for itself, and the way back."""
    return (
        Linear(name="q_proj", inputs=hidden, outputs=queries, bias=bias, reads="attention"),
        Linear(name="k_proj", inputs=hidden, outputs=keys, bias=bias, reads="attention"),
        Linear(name="v_proj", inputs=hidden, outputs=keys, bias=bias, reads="attention"),
        Linear(name="o_proj", inputs=queries, outputs=hidden, bias=out_bias),
    )


def feed_forward(hidden: int, intermediate: int) -> tuple[Linear, ...]:
    """Two projections that are multiplied, and one back."""
    return (
        Linear(name="gate_proj", inputs=hidden, outputs=intermediate, reads="feed-forward"),
        Linear(name="up_proj", inputs=hidden, outputs=intermediate, reads="feed-forward"),
        Linear(name="down_proj", inputs=intermediate, outputs=hidden),
    )


def _shared_expert(hidden: int, width: int) -> tuple[Linear, ...]:
    gate = Linear(name="shared_expert_gate", inputs=hidden, outputs=1, reads="feed-forward")
    return (*feed_forward(hidden, width), gate)


def _dense_layers(facts: ConfigFacts, layers: int) -> int:
    """Layers without experts: those that are listed, and those between two sparse ones."""
    step = facts.number("decoder_sparse_step", default=1)
    listed = set(facts.numbers("mlp_only_layers"))
    return sum(1 for layer in range(layers) if layer in listed or (layer + 1) % step)


def read_latent(facts: ConfigFacts) -> ModelShape:
    """A model with multi-head latent attention. Raises `ProblemError`."""
    hidden = facts.number("hidden_size")
    layers = facts.number("num_hidden_layers")
    heads = facts.number("num_attention_heads")
    rotated = facts.number("qk_rope_head_dim")
    plain = facts.number("qk_nope_head_dim")
    value = facts.number("v_head_dim")
    short = facts.number("kv_lora_rank")
    query_short = facts.maybe("q_lora_rank")
    bias = facts.flag("attention_bias", False)
    projections, norms = _latent_attention(
        hidden, heads, plain + rotated, rotated, plain + value, value, short, query_short, bias
    )
    others = 2 * hidden + norms
    intermediate = facts.number("intermediate_size")
    experts = facts.maybe("n_routed_experts") or 0
    dense = min(layers, facts.number("first_k_dense_replace", default=0, least=0)) if experts else layers
    if facts.number("moe_layer_freq", default=1) != 1:
        raise facts.unusual("moe_layer_freq")
    blocks = []
    if dense:
        linears = (*projections, *feed_forward(hidden, intermediate))
        blocks.append(Block(count=dense, linears=linears, others=others, intermediate=intermediate))
    chosen = shared = 0
    if layers > dense:
        chosen = facts.number("num_experts_per_tok")
        expert_width = facts.number("moe_intermediate_size")
        shared = facts.number("n_shared_experts")
        linears = (*projections, *feed_forward(hidden, shared * expert_width))
        blocks.append(
            Block(
                count=layers - dense,
                linears=linears,
                others=others + experts * hidden,
                intermediate=shared * expert_width,
                experts=3 * experts * hidden * expert_width,
                expert_width=expert_width,
            )
        )
    return ModelShape(
        family=facts.kind,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dim=plain + rotated,
        value_dim=value,
        vocab=facts.number("vocab_size"),
        tied=facts.flag("tie_word_embeddings", False),
        blocks=tuple(blocks),
        max_context=facts.maybe("max_position_embeddings", most=LONGEST),
        experts=experts,
        experts_per_token=chosen,
        latent=True,
        final_norm=hidden,
    )


def _latent_attention(
    hidden: int,
    heads: int,
    query: int,
    rotated: int,
    key_value: int,
    value: int,
    short: int,
    query_short: int | None,
    bias: bool,
) -> tuple[tuple[Linear, ...], int]:
    """The attention's linear layers, and the parameters of the norms between them."""
    if query_short is None:
        queries: tuple[Linear, ...] = (Linear(name="q_proj", inputs=hidden, outputs=heads * query, reads="attention"),)
    else:
        queries = (
            Linear(name="q_a_proj", inputs=hidden, outputs=query_short, bias=bias, reads="attention"),
            Linear(name="q_b_proj", inputs=query_short, outputs=heads * query),
        )
    linears = (
        *queries,
        Linear(name="kv_a_proj_with_mqa", inputs=hidden, outputs=short + rotated, bias=bias, reads="attention"),
        Linear(name="kv_b_proj", inputs=short, outputs=heads * key_value),
        Linear(name="o_proj", inputs=heads * value, outputs=hidden, bias=bias),
    )
    return linears, short + (query_short or 0)
