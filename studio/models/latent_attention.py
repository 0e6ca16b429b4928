"""DeepSeek V2 and V3: keys and values are kept as one short vector a token, and most layers are mixtures of experts."""

from __future__ import annotations

from studio.models.config import LONGEST, ConfigFacts
from studio.models.mixtures import feed_forward
from studio.models.shape import Block, Linear, ModelShape


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
    attention, norms = _attention(
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
        linears = (*attention, *feed_forward(hidden, intermediate))
        blocks.append(Block(count=dense, linears=linears, others=others, intermediate=intermediate))
    chosen = shared = 0
    if layers > dense:
        chosen = facts.number("num_experts_per_tok")
        expert_width = facts.number("moe_intermediate_size")
        shared = facts.number("n_shared_experts")
        linears = (*attention, *feed_forward(hidden, shared * expert_width))
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
        intermediate=intermediate,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dim=plain + rotated,
        value_dim=value,
        vocab=facts.number("vocab_size"),
        tied=facts.flag("tie_word_embeddings", False),
        blocks=tuple(blocks),
        max_context=facts.maybe("max_position_embeddings", most=LONGEST),
        attention_bias=bias,
        experts=experts,
        experts_per_token=chosen,
        shared_experts=shared,
        latent=True,
        final_norm=hidden,
    )


def _attention(
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
