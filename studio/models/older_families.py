"""Families with a structure of their own: biases everywhere, plain feed-forward parts, learned positions."""

from __future__ import annotations

from studio.models.config import LONGEST, ConfigFacts, activation_saves
from studio.models.shape import Block, Linear, ModelShape


def read_gpt2(facts: ConfigFacts) -> ModelShape:
    """GPT-2: learned positions, one fused projection for queries, keys and values. Raises `ProblemError`."""
    hidden = facts.number("n_embd", "hidden_size")
    layers = facts.number("n_layer", "num_hidden_layers")
    heads = facts.number("n_head", "num_attention_heads")
    intermediate = facts.number("n_inner", default=4 * hidden)
    positions = facts.number("n_positions", "max_position_embeddings")
    if facts.flag("add_cross_attention", False):
        raise facts.unusual("add_cross_attention")
    linears = (
        Linear(name="c_attn", inputs=hidden, outputs=3 * hidden, bias=True),
        Linear(name="c_proj", inputs=hidden, outputs=hidden, bias=True),
        Linear(name="c_fc", inputs=hidden, outputs=intermediate, bias=True),
        Linear(name="c_proj", inputs=intermediate, outputs=hidden, bias=True),
    )
    tied = facts.flag("tie_word_embeddings", True)
    return _plain(
        facts, hidden, layers, heads, heads, hidden // heads, linears, intermediate, tied,
        positions=positions, max_context=positions,
        dropouts=2 if facts.positive("resid_pdrop") or not facts.given("resid_pdrop") else 0,
    )  # fmt: skip


def read_gpt_neox(facts: ConfigFacts) -> ModelShape:
    """GPT-NeoX and Pythia. Raises `ProblemError`."""
    hidden = facts.number("hidden_size")
    layers = facts.number("num_hidden_layers")
    heads = facts.number("num_attention_heads")
    intermediate = facts.number("intermediate_size")
    bias = facts.flag("attention_bias", True)
    linears = (
        Linear(name="query_key_value", inputs=hidden, outputs=3 * hidden, bias=bias),
        Linear(name="dense", inputs=hidden, outputs=hidden, bias=bias),
        Linear(name="dense_h_to_4h", inputs=hidden, outputs=intermediate, bias=True),
        Linear(name="dense_4h_to_h", inputs=intermediate, outputs=hidden, bias=True),
    )
    tied = facts.flag("tie_word_embeddings", False)
    return _plain(
        facts, hidden, layers, heads, heads, hidden // heads, linears, intermediate, tied,
        max_context=facts.maybe("max_position_embeddings", most=LONGEST),
        parallel=facts.flag("use_parallel_residual", True),
        dropouts=2 if facts.positive("hidden_dropout") else 0,
    )  # fmt: skip


def read_falcon(facts: ConfigFacts) -> ModelShape:
    """Falcon 7B, 40B and 180B: its own kind of linear layer, which bitsandbytes leaves as it is."""
    hidden = facts.number("hidden_size")
    layers = facts.number("num_hidden_layers")
    heads = facts.number("num_attention_heads")
    width = hidden // heads
    new = facts.flag("new_decoder_architecture", False)
    multi_query = facts.flag("multi_query", True)
    kv_heads = facts.number("num_kv_heads", default=heads) if new else 1 if multi_query else heads
    intermediate = facts.number("ffn_hidden_size", default=4 * hidden)
    bias = facts.flag("bias", False)
    parallel = facts.flag("parallel_attn", True)
    linears = (
        _falcon("query_key_value", hidden, (heads + 2 * kv_heads) * width, bias),
        _falcon("dense", hidden, hidden, bias),
        _falcon("dense_h_to_4h", hidden, intermediate, bias),
        _falcon("dense_4h_to_h", intermediate, hidden, bias),
    )
    norms = facts.number("num_ln_in_parallel_attn", default=2 if new else 1)
    tied = facts.flag("tie_word_embeddings", True)
    return _plain(
        facts, hidden, layers, heads, kv_heads, width, linears, intermediate, tied,
        max_context=facts.maybe("max_position_embeddings", most=LONGEST),
        norms=min(2, norms) if parallel else 2,
        parallel=parallel,
    )  # fmt: skip


def read_opt(facts: ConfigFacts) -> ModelShape:
    """OPT, but for the 350M model, which is put together in another way."""
    hidden = facts.number("hidden_size")
    layers = facts.number("num_hidden_layers")
    heads = facts.number("num_attention_heads")
    intermediate = facts.number("ffn_dim")
    if facts.number("word_embed_proj_dim", default=hidden) != hidden:
        raise facts.unusual("word_embed_proj_dim")
    for name, usual in (("do_layer_norm_before", True), ("layer_norm_elementwise_affine", True)):
        if facts.flag(name, usual) != usual:
            raise facts.unusual(name)
    if facts.flag("_remove_final_layer_norm", False):
        raise facts.unusual("_remove_final_layer_norm")
    bias = facts.flag("enable_bias", True)
    linears = (
        Linear(name="k_proj", inputs=hidden, outputs=hidden, bias=bias, reads="attention"),
        Linear(name="v_proj", inputs=hidden, outputs=hidden, bias=bias, reads="attention"),
        Linear(name="q_proj", inputs=hidden, outputs=hidden, bias=bias, reads="attention"),
        Linear(name="out_proj", inputs=hidden, outputs=hidden, bias=bias),
        Linear(name="fc1", inputs=hidden, outputs=intermediate, bias=bias),
        Linear(name="fc2", inputs=intermediate, outputs=hidden, bias=bias),
    )
    context = facts.number("max_position_embeddings")
    tied = facts.flag("tie_word_embeddings", True)
    return _plain(
        facts, hidden, layers, heads, heads, hidden // heads, linears, intermediate, tied,
        positions=context + 2,  # the first two stand for padding
        max_context=context,
        dropouts=2 if facts.positive("dropout") else 0,
    )  # fmt: skip


def read_phi(facts: ConfigFacts) -> ModelShape:
    """Phi 1 and 2. Raises `ProblemError`."""
    hidden = facts.number("hidden_size")
    layers = facts.number("num_hidden_layers")
    heads = facts.number("num_attention_heads")
    kv_heads = facts.number("num_key_value_heads", default=heads)
    width = hidden // heads
    intermediate = facts.number("intermediate_size")
    if facts.flag("qk_layernorm", False):
        raise facts.unusual("qk_layernorm")
    linears = (
        Linear(name="q_proj", inputs=hidden, outputs=heads * width, bias=True, reads="attention"),
        Linear(name="k_proj", inputs=hidden, outputs=kv_heads * width, bias=True, reads="attention"),
        Linear(name="v_proj", inputs=hidden, outputs=kv_heads * width, bias=True, reads="attention"),
        Linear(name="dense", inputs=heads * width, outputs=hidden, bias=True),
        Linear(name="fc1", inputs=hidden, outputs=intermediate, bias=True),
        Linear(name="fc2", inputs=intermediate, outputs=hidden, bias=True),
    )
    tied = facts.flag("tie_word_embeddings", False)
    return _plain(
        facts, hidden, layers, heads, kv_heads, width, linears, intermediate, tied,
        max_context=facts.maybe("max_position_embeddings", most=LONGEST),
        norms=1, parallel=True, head_bias=True,
        dropouts=2 if facts.positive("resid_pdrop") else 0,
    )  # fmt: skip


def read_starcoder2(facts: ConfigFacts) -> ModelShape:
    """StarCoder 2. Raises `ProblemError`."""
    hidden = facts.number("hidden_size")
    layers = facts.number("num_hidden_layers")
    heads = facts.number("num_attention_heads")
    kv_heads = facts.number("num_key_value_heads", default=2)
    width = hidden // heads
    intermediate = facts.number("intermediate_size")
    bias = facts.flag("use_bias", True)
    linears = (
        Linear(name="q_proj", inputs=hidden, outputs=heads * width, bias=bias, reads="attention"),
        Linear(name="k_proj", inputs=hidden, outputs=kv_heads * width, bias=bias, reads="attention"),
        Linear(name="v_proj", inputs=hidden, outputs=kv_heads * width, bias=bias, reads="attention"),
        Linear(name="o_proj", inputs=heads * width, outputs=hidden, bias=bias),
        Linear(name="c_fc", inputs=hidden, outputs=intermediate, bias=bias),
        Linear(name="c_proj", inputs=intermediate, outputs=hidden, bias=bias),
    )
    tied = facts.flag("tie_word_embeddings", True)
    return _plain(
        facts, hidden, layers, heads, kv_heads, width, linears, intermediate, tied,
        max_context=facts.maybe("max_position_embeddings", most=LONGEST),
        window=facts.maybe("sliding_window"),
        dropouts=2 if facts.positive("residual_dropout") else 0,
    )  # fmt: skip


def _falcon(name: str, inputs: int, outputs: int, bias: bool) -> Linear:
    return Linear(name=name, inputs=inputs, outputs=outputs, bias=bias, packed=False)


def _plain(
    facts: ConfigFacts,
    hidden: int,
    layers: int,
    heads: int,
    kv_heads: int,
    width: int,
    linears: tuple[Linear, ...],
    intermediate: int,
    tied: bool,
    *,
    norms: int = 2,
    positions: int = 0,
    max_context: int | None = None,
    window: int | None = None,
    parallel: bool = False,
    head_bias: bool = False,
    dropouts: int = 0,
) -> ModelShape:
    """What these have in common: norms with scale and shift, a feed-forward part of two layers."""
    if hidden % heads:
        raise facts.wrong("num_attention_heads", heads)
    if heads % kv_heads:
        raise facts.wrong("num_key_value_heads", kv_heads)
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
        tied=tied,
        blocks=(
            Block(count=layers, linears=linears, others=2 * norms * hidden, intermediate=intermediate, window=window),
        ),
        max_context=max_context,
        sliding_window=window,
        attention_bias=linears[0].bias,
        norm="layer",
        norms=norms,
        gated=False,
        fused=len(linears) == 4,
        parallel=parallel,
        activation_saves=activation_saves(facts),
        positions=positions,
        final_norm=2 * hidden,
        head_bias=head_bias,
        dropouts=dropouts,
    )
