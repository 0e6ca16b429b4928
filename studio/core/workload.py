"""One training step as far as its memory depends on it: what an estimate, a trace and a job speak of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from studio.core.recipe.method import ALL_LINEAR, MethodName

Dtype = Literal["float32", "bfloat16", "float16"]
Attention = Literal["sdpa", "eager", "flash"]
Loss = Literal["learned_positions", "tiled", "full"]
OptimizerName = Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"]

BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}

MOST_LOGITS = 512 << 20
"""Bytes of float32 scores that the loss over learned positions holds at once; beyond, it is computed in tiles."""

SMALLEST_8BIT, SMALLEST_PAGED = 4096, 100_000
"""Numbers in a tensor from which bitsandbytes keeps its optimizer state in 8 bits, and pages it."""

A100 = (8, 0)
"""Compute capability that is taken where no card is known."""


class Workload(BaseModel):
    """One step, forward, backward and optimizer, of `batch` examples of `length` tokens each.

    `storage_dtype` is that of what isn't quantised: embeddings, norms, head, and the whole base where nothing is.
    `autocast` says that products are computed in `compute_dtype` whatever is stored. `learned` counts the positions of
    the whole batch that are learned, None for all. `padded` says that examples of unequal length lie side by side, so
    that attention needs a mask. `loss`: "learned_positions" scores only these in one go, "tiled" the same in tiles
    (TRL's own), "full" every position at once (stock transformers). `holds_output` says that whoever calls the model
    keeps its scores until the step is over. `accumulates` says that gradients of earlier batches of the same step lie
    in memory. `fused_optimizer` works in place; the plain one of PyTorch holds another copy of what learns.
    `excluded` and `excluded_layers` are names and a number of layers without an adapter; `embeddings` says that those
    of the tokens, and the head, learn themselves, from a copy in `adapter_dtype`. `virtual_tokens` stand before each
    example: with prompt tuning they are a part of its `length`. Behind `added` parts of each layer another one of width
    `rank` is put. `base_bits` counts where the method doesn't say how the base is stored. `repeats_keys` says that keys
    and values which several heads share are repeated for each of them. With `checkpointing` every `checkpoint_every`-th
    layer, from the first on, is computed again, and what it begins with waits in the computer's memory with
    `activation_offloading`. With `layer_streaming` two of the base's layers lie where it is computed, see
    `engine/methods/layer_streaming.py`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName
    rank: int = Field(default=0, ge=0, le=4096)
    targets: tuple[str, ...] = ALL_LINEAR
    excluded: tuple[str, ...] = ()
    excluded_layers: int = Field(default=0, ge=0)
    dora: bool = False
    embeddings: bool = False
    virtual_tokens: int = Field(default=0, ge=0)
    added: int = Field(default=0, ge=0)
    base_bits: Literal[4, 16] = 16
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
    checkpoint_every: int = Field(default=1, ge=1)
    activation_offloading: bool = False
    layer_streaming: bool = False
    attention: Attention = "sdpa"
    loss: Loss = "tiled"
    autocast: bool = True
    accumulates: bool = False
    holds_output: bool = False
    fused_optimizer: bool = True
    repeats_keys: bool = False
    dropout: bool = False
    device: Literal["cuda", "cpu"] = "cuda"
    card: tuple[int, int] = A100
    """The card's compute capability, which decides what kernels run."""

    @property
    def bits(self) -> Literal[4, 8, 16]:
        """In which the base's linear layers are stored; 16 stands for the whole of `storage_dtype`."""
        match self.method:
            case "qlora":
                return 4
            case "lora-8bit":
                return 8
            case "lora" | "full":
                return 16
            case _:
                return self.base_bits

    @property
    def quantized(self) -> bool:
        return self.bits < 16

    @property
    def product_workspace(self) -> int:
        """Bytes that cuBLAS takes through PyTorch, one each for the threads of the forward and the backward pass:
        `:4096:2:16:8`, on Hopper `:4096:8` (`CUDABlas` in ATen). 0 on a processor."""
        if self.device == "cpu":
            return 0
        return 2 * (4096 * 8 if self.card[0] == 9 else 4096 * 2 + 16 * 8) * 1024

    @property
    def stock(self) -> bool:
        """Whether it is plain transformers': every position scored, no mixed precision, what isn't quantised in
        float32 on a quantised base."""
        return self.loss == "full"

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
        return self.optimizer.startswith("paged")
