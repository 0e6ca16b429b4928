"""What one training step does: everything besides the model itself that decides how much memory it needs."""

from __future__ import annotations

from studio.core.recipe.defaults import DefaultsContext, resolve_defaults, usable_optimizer
from studio.core.recipe.recipe import Recipe
from studio.core.recipe.training import Optimizer
from studio.core.workload import A100, Dtype, OptimizerName, Workload


def workload_of(
    recipe: Recipe,
    facts: DefaultsContext,
    longest: int | None = None,
    learned: int | None = None,
    card: tuple[int, int] | None = None,
) -> Workload:
    """What this program's engine does for `recipe` in its largest batch, of which each pair is two sequences.

    `longest` is the longest example in tokens, None where it isn't known: then the limit is taken. `learned` counts
    the learned positions of the largest batch, None where it isn't known: then all are taken to be.
    `card` is the compute capability of the card, None where it isn't known: then an A100's is taken.

    The engine keeps embeddings and norms in the format it computes in (the engine doesn't call
    `prepare_model_for_kbit_training`), adapters in float32, and scores learned positions only: in tiles on a card
    (TRL), at once on a processor.
    """
    recipe = resolve_defaults(recipe, facts)
    memory, training = recipe.method.memory(), recipe.training
    dtype: Dtype = recipe.method.compute_dtype or ("bfloat16" if facts.cuda else "float32")
    batch = training.batch_size or 1
    if facts.examples is not None:
        batch = max(1, min(batch, facts.examples))
    batch *= recipe.objective.sequences
    before = memory.virtual_tokens if recipe.method.kind == "prompt" else 0
    return Workload(
        method=recipe.method.kind,
        rank=memory.rank,
        targets=memory.targets,
        excluded=memory.excluded,
        excluded_layers=memory.excluded_layers,
        dora=memory.dora,
        embeddings=memory.embeddings,
        virtual_tokens=memory.virtual_tokens,
        added=memory.added,
        base_bits=4 if recipe.method.storage.bits == 4 else 16,
        double_quantization=recipe.method.storage.double_quantization,
        compute_dtype=dtype,
        storage_dtype="float32" if recipe.method.kind == "full" else dtype,
        adapter_dtype="float32",
        optimizer=_optimizer(training.optimizer, facts),
        batch=batch,
        length=max(1, min(longest or training.max_length, training.max_length)) + before,
        learned=learned,
        padded=batch > 1,
        checkpointing=bool(training.activation_checkpointing) and memory.recomputes,
        checkpoint_every=training.checkpoint_every or 1,
        activation_offloading=bool(training.activation_offloading) and facts.cuda,
        layer_streaming=recipe.method.streams_layers,
        attention="sdpa",
        loss="tiled" if facts.cuda else "learned_positions",
        autocast=dtype == "bfloat16" or (dtype == "float16" and facts.cuda),
        accumulates=(training.gradient_accumulation_steps or 1) > 1,
        dropout=memory.dropout,
        device="cuda" if facts.cuda else "cpu",
        card=card or A100,
    )


def _optimizer(wanted: Optimizer | None, facts: DefaultsContext) -> OptimizerName:
    match usable_optimizer(wanted or Optimizer.adamw, facts):
        case Optimizer.adamw:
            return "adamw"
        case Optimizer.adamw_8bit:
            return "adamw_8bit"
        case Optimizer.paged_adamw_8bit:
            return "paged_adamw_8bit"
        case Optimizer.paged_adamw_32bit:
            return "paged_adamw_32bit"
