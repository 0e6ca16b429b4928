"""What one training step does: everything besides the model itself that decides how much memory it needs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.recipe import Recipe
from studio.core.recipe.training import Optimizer

Method = Literal["full", "lora", "lora-8bit", "qlora"]
Dtype = Literal["float32", "bfloat16", "float16"]
Attention = Literal["sdpa", "eager", "flash"]
Loss = Literal["learned_positions", "tiled", "full"]
OptimizerName = Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"]

ALL_LINEAR = ("all-linear",)
"""Target modules: every linear layer but the head."""

BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}

MOST_LOGITS = 512 << 20
"""Bytes of float32 scores that the loss over learned positions holds at once; beyond, it is computed in tiles. The
engine's `loss.MOST_LOGITS` is the same number."""


class Workload(BaseModel):
    """One step, forward, backward and optimizer, of `batch` examples of `length` tokens each.

    `storage_dtype` is that of what isn't quantised: embeddings, norms, head, and the whole base where nothing is.
    `autocast` says that products are computed in `compute_dtype` whatever is stored. `learned` counts the positions of
    the whole batch that are learned, None for all. `padded` says that examples of unequal length lie side by side, so
    that attention needs a mask. `loss`: "learned_positions" scores only these in one go, "tiled" the same in tiles
    (TRL's own), "full" every position at once (stock transformers). `holds_output` says that whoever calls the model
    keeps its scores until the step is over. `accumulates` says that gradients of earlier batches of the same step lie
    in memory. `fused_optimizer` works in place; the plain one of PyTorch holds another copy of what learns.
    `repeats_keys` says that keys and values which several heads share are repeated for each of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method
    rank: int = Field(default=0, ge=0, le=4096)
    targets: tuple[str, ...] = ALL_LINEAR
    double_quantization: bool = True
    compute_dtype: Dtype = "bfloat16"
    storage_dtype: Dtype = "bfloat16"
    adapter_dtype: Dtype = "float32"
    optimizer: OptimizerName = "paged_adamw_8bit"
    batch: int = Field(ge=1, le=1 << 16)
    length: int = Field(ge=1, le=1 << 24)
    learned: int | None = Field(default=None, ge=0)
    padded: bool = False
    checkpointing: bool = True
    attention: Attention = "sdpa"
    loss: Loss = "tiled"
    autocast: bool = True
    accumulates: bool = False
    holds_output: bool = False
    fused_optimizer: bool = True
    repeats_keys: bool = False
    dropout: bool = False
    device: Literal["cuda", "cpu"] = "cuda"

    @property
    def tokens(self) -> int:
        """Tokens in one batch, padding included."""
        return self.batch * self.length

    @property
    def scored(self) -> int:
        """Positions whose scores are computed."""
        if self.loss == "full" or self.learned is None:
            return self.tokens
        return min(self.learned, self.tokens)

    @property
    def paged(self) -> bool:
        """Whether the optimizer's state may leave the card for the computer's memory."""
        return self.optimizer.startswith("paged")


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
