"""What one training step does: everything besides the model itself that decides how much memory it needs."""

from __future__ import annotations

from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.recipe import Recipe
from studio.core.recipe.training import Optimizer
from studio.core.workload import ALL_LINEAR, Attention, Dtype, Method, OptimizerName, Workload


def workload_of(
    recipe: Recipe, facts: DefaultsContext, longest: int | None = None, learned: int | None = None
) -> Workload:
    """What this program's engine does for `recipe` in its largest batch.

    `longest` is the longest example in tokens, None where it isn't known: then the limit is taken. `learned` counts
    the learned positions of the largest batch, None where it isn't known: then all are taken to be.

    The engine keeps embeddings and norms in the format it computes in (`engine/model.py` doesn't call
    `prepare_model_for_kbit_training`), adapters in float32, and scores learned positions only: in tiles on a card
    (TRL), at once on a processor.
    """
    recipe = resolve_defaults(recipe, facts)
    method, training = recipe.method, recipe.training
    dtype: Dtype = method.compute_dtype or ("bfloat16" if facts.cuda else "float32")
    batch = training.batch_size or 1
    if facts.examples is not None:
        batch = max(1, min(batch, facts.examples))
    return Workload(
        method=method.kind,
        rank=method.rank,
        targets=_targets(method.target_modules),
        double_quantization=method.double_quantization,
        compute_dtype=dtype,
        storage_dtype=dtype,
        adapter_dtype="float32",
        optimizer=_optimizer(training.optimizer, facts),
        batch=batch,
        length=max(1, min(longest or training.max_length, training.max_length)),
        learned=learned,
        padded=batch > 1,
        checkpointing=bool(training.activation_checkpointing),
        attention="sdpa",
        loss="tiled" if facts.cuda else "learned_positions",
        autocast=dtype == "bfloat16" or (dtype == "float16" and facts.cuda),
        accumulates=(training.gradient_accumulation_steps or 1) > 1,
        dropout=method.dropout > 0,
        device="cuda" if facts.cuda else "cpu",
    )


def stock(
    method: Method,
    *,
    batch: int,
    length: int,
    rank: int = 0,
    targets: tuple[str, ...] = ALL_LINEAR,
    attention: Attention = "sdpa",
    checkpointing: bool = True,
) -> Workload:
    """The settings of plain transformers and peft in a plain loop, as others measure them.

    float16 computing without autocast, adapters in float32, what a 4- or 8-bit base doesn't quantise in float32
    (`prepare_model_for_kbit_training`), bitsandbytes' default of no double quantization, every position scored, the
    output held in a variable, PyTorch's own AdamW with float32 states, shared keys repeated as before Ampere. Full
    fine-tuning computes in float32.
    """
    return Workload(
        method=method,
        rank=rank,
        targets=targets,
        double_quantization=False,
        compute_dtype="float32" if method == "full" else "float16",
        storage_dtype="float16" if method == "lora" else "float32",
        adapter_dtype="float32",
        optimizer="adamw",
        batch=batch,
        length=length,
        checkpointing=checkpointing,
        attention=attention,
        loss="full",
        autocast=False,
        holds_output=True,
        fused_optimizer=False,
        repeats_keys=True,
    )


def _targets(text: str) -> tuple[str, ...]:
    if text.strip() == ALL_LINEAR[0]:
        return ALL_LINEAR
    return tuple(name.strip() for name in text.split(",") if name.strip()) or ALL_LINEAR


def _optimizer(wanted: Optimizer | None, facts: DefaultsContext) -> OptimizerName:
    """What the engine really takes, see `train.optimizer_for`: plain AdamW on a processor, never paged on Windows."""
    if not facts.cuda or wanted is None or wanted is Optimizer.adamw:
        return "adamw"
    if facts.windows:
        return "adamw_8bit"
    match wanted:
        case Optimizer.adamw_8bit:
            return "adamw_8bit"
        case Optimizer.paged_adamw_32bit:
            return "paged_adamw_32bit"
        case _:
            return "paged_adamw_8bit"
