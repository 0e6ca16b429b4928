"""How much memory a step needs, calculated at once: no torch, no card, well under a millisecond.

The peak is one moment, not the sum of the largest of everything. It can be the loss, when all scores and their
gradients lie side by side; the backward pass of one layer, when its inside has been computed again; or the end, when
all gradients are there and the optimizer works. docs/memory.md explains every part and where it is from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from studio.core.translatable import N_
from studio.core.workload import BYTES, MOST_LOGITS, SMALLEST_8BIT, SMALLEST_PAGED, Workload
from studio.memory.activations import Formats, Layer, expert_adapters, formats, layer, learns, masked
from studio.models.shape import Block, Linear, ModelShape

PIECE = 512
"""Bytes to which PyTorch's allocator rounds every tensor up."""

BLOCK = 64
"""4-bit weights that share one constant (bitsandbytes)."""

NESTED_BLOCK = 256
"""Constants that share one of the second level."""

TILE = (4096, 32768)
"""Positions and vocabulary of one tile of TRL's loss (`TOKEN_CHUNK_SIZE`, `_CHUNKED_LOGPROB_CHUNK_SIZE`)."""

CONTEXT = (107 << 20, 800 << 20)
"""Bytes that a CUDA context takes beside all tensors, from card to card: the least measured elsewhere, the most on an
H200 (see docs/memory.md)."""

OVERHEAD = (0.07, 0.49)
"""Shares by which what PyTorch reserves exceeds what is allocated."""

STREAMED = 2
"""Layers that lie where it is computed when they come one by one (`engine/methods/layer_streaming.py`)."""

LABELS: dict[str, str] = {
    "weights": N_("The model"),
    "constants": N_("Constants of the compressed weights"),
    "unquantised": N_("What isn't compressed"),
    "adapters": N_("What is learned"),
    "gradients": N_("Gradients"),
    "optimizer": N_("Optimizer"),
    "activations": N_("Kept on the way through the model"),
    "logits": N_("Scores of the tokens"),
    "workspace": N_("Room to compute in"),
    "overhead": N_("Lost between the pieces"),
    "context": N_("The driver's own"),
}
"""The parts in the order in which they are stacked, with their plain names."""


class Share(BaseModel):
    """One part of the peak, in bytes."""

    model_config = ConfigDict(frozen=True)

    name: str
    bytes: int

    @property
    def label(self) -> str:
        """In plain words, to be translated."""
        return LABELS[self.name]


class Estimate(BaseModel):
    """The calculated peak of one step, in bytes.

    `allocated` is what `torch.cuda.max_memory_allocated` will say, and the sum of all parts but the last two. The
    whole process takes between `process_least` and `process`, by how badly the pieces fit together and by the card's
    context; `process` is what to count on, `process_most` the worst that was seen. `paged` bytes of optimizer state
    can make way to the computer's memory. `trainable` counts parameters. `moment` is when the peak is reached.
    `outside` bytes of the model stay in the computer's memory, or on its disk where the processor computes.
    """

    model_config = ConfigDict(frozen=True)

    parts: tuple[Share, ...]
    allocated: int
    process: int
    process_least: int
    process_most: int
    trainable: int
    paged: int = 0
    moment: str = "loss"
    outside: int = 0

    @property
    def reserved(self) -> int:
        """What PyTorch will hold, the driver's own left out: what a run's `peak_memory` can be compared with."""
        return self.process - self.of("context")

    def of(self, name: str) -> int:
        """Bytes of one part, 0 where there is none."""
        return sum(share.bytes for share in self.parts if share.name == name)


@dataclass(frozen=True)
class _Stored:
    """What lies in memory all the time."""

    weights: int
    constants: int
    unquantised: int
    adapters: int
    optimizer: int
    paged: int
    trainable: int
    outside: int

    @property
    def total(self) -> int:
        return self.weights + self.constants + self.unquantised + self.adapters + self.optimizer


_OTHER_NAMES = {"quantization constants": "constants"}


def with_parts(
    parts: Mapping[str, int],
    work: Workload,
    trainable: int,
    paged: int = 0,
    reserved: int | None = None,
    outside: int = 0,
) -> Estimate:
    """An estimate from another source, such as a trace: `parts` add up to what is allocated. `reserved` is what PyTorch
    holds for it where that is known, else the usual share is lost between the pieces. Parts with names that aren't
    known here count as room to compute in."""
    amounts = dict.fromkeys(LABELS, 0)
    for name, amount in parts.items():
        name = _OTHER_NAMES.get(name, name)
        amounts[name if name in amounts and name not in ("overhead", "context") else "workspace"] += amount
    return _with_process(amounts, work, trainable, paged, "traced", reserved, outside)


def estimate(shape: ModelShape, work: Workload) -> Estimate:
    """The peak of one step of `work` on a model of that `shape`."""
    has = formats(shape, work)
    stored = _stored(shape, work)
    learner = BYTES[work.storage_dtype if work.method == "full" else work.adapter_dtype]
    gradients = stored.trainable * learner
    scores, held = _scores(shape, work, has)
    layers = [(block.count, layer(shape, block, work)) for block in shape.blocks]
    kept, ends = _kept(shape, work, has, layers)
    fullest = max((one.fullest - (0 if work.checkpointing else one.keeps) for _, one in layers), default=0)
    behind = min(1, (shape.layers - 1) % work.checkpoint_every) if work.checkpointing else 0
    if work.checkpointing and has.stream == 4:
        fullest -= work.tokens * shape.hidden * 4  # the first norm's input is the checkpoint itself
    keeping = max((one.keeps for _, one in layers), default=0) if work.checkpointing else 0
    if work.checkpointing:
        first = work.tokens * shape.hidden * has.stream
    else:
        first = max((one.keeps for _, one in layers), default=0)
    of_layers, of_the_head = _casts(shape, work)
    kept += of_layers
    grown = gradients if work.accumulates else 0
    of_head = shape.vocab * shape.hidden * learner if _learns_head(work) else 0
    copy = stored.trainable * learner if work.optimizer == "adamw" and not work.fused_optimizer else 0
    moments = {
        "loss": {"activations": kept + ends, "logits": scores, "gradients": grown, "workspace": of_the_head},
        "layer": {
            # the last layer that is computed again comes when what the one behind it kept is used
            "activations": kept - behind * keeping + min(keeping, fullest),
            "logits": held,
            "gradients": max(grown, of_head),
            "workspace": fullest - min(keeping, fullest),
        },
        # The first layer comes last: all gradients are there by then, and only its own input.
        "first layer": {
            "activations": first + min(keeping, fullest),
            "logits": held,
            "gradients": gradients,
            "workspace": fullest - min(keeping, fullest),
        },
        # A tied embedding gets two gradients, and their sum.
        "embedding": {"logits": held, "gradients": gradients, "workspace": 2 * of_head if shape.tied else 0},
        "optimizer": {"logits": held, "gradients": gradients, "workspace": copy},
    }
    moment = max(moments, key=lambda name: sum(moments[name].values()))
    peak = moments[moment]
    amounts = {
        "weights": stored.weights,
        "constants": stored.constants,
        "unquantised": stored.unquantised,
        "adapters": stored.adapters,
        "gradients": peak["gradients"],
        "optimizer": stored.optimizer,
        "activations": peak.get("activations", 0),
        "logits": peak["logits"],
        "workspace": peak["workspace"] + work.product_workspace,
    }
    return _with_process(amounts, work, stored.trainable, stored.paged, moment, outside=stored.outside)


def _with_process(
    amounts: dict[str, int],
    work: Workload,
    trainable: int,
    paged: int,
    moment: str,
    reserved: int | None = None,
    outside: int = 0,
) -> Estimate:
    """All parts, with what the process takes on top."""
    allocated = sum(amounts.values())
    least = most = allocated
    context = overhead = 0
    if work.device == "cuda":
        least, most = (int(allocated * (1 + o)) + c for o, c in zip(OVERHEAD, CONTEXT, strict=True))
        context = sum(CONTEXT) // 2
        # The geometric middle: a little is lost more often than a lot.
        overhead = int(allocated * (OVERHEAD[0] * OVERHEAD[1]) ** 0.5)
        if reserved is not None:
            overhead = max(0, reserved - allocated)
            least = min(least, allocated + overhead + CONTEXT[0])
            most = max(most, allocated + overhead + CONTEXT[1])
    amounts = {**amounts, "overhead": overhead, "context": context}
    return Estimate(
        parts=tuple(Share(name=name, bytes=amounts[name]) for name in LABELS if amounts[name]),
        allocated=allocated,
        process=allocated + overhead + context,
        process_least=least,
        process_most=most,
        trainable=trainable,
        paged=paged,
        moment=moment,
        outside=outside,
    )


def _stored(shape: ModelShape, work: Workload) -> _Stored:
    adapters = trainable = state = paged = 0
    tensors = _own(shape, work)
    size = BYTES[work.storage_dtype]
    if work.method == "full":
        trainable = shape.parameters
        state, paged = _state_of_all(shape, work)
    layers: list[tuple[int, _StoredLayer]] = []
    for block in shape.blocks:
        adapted = [*expert_adapters(shape, block, work)]
        for linear in block.linears:
            if work.method != "full" and learns(linear, work, shape):
                adapted += (linear.inputs * work.rank, work.rank * linear.outputs)
                adapted += (linear.outputs,) if work.dora else ()
        learning = block.count - min(block.count, -(-work.excluded_layers * block.count // max(1, shape.layers)))
        tensors += [(learning, numbers) for numbers in adapted]
        layers.append((block.count, _stored_layer(block, work)))
    for count, numbers in tensors:
        adapters += count * _rounded(numbers * BYTES[work.adapter_dtype])
        trainable += count * numbers
        here, away = _state(numbers, work)
        state += count * here
        paged += count * away
    whole = sum(count * one.total for count, one in layers)
    table, outside = shape.embedding * size, 0
    if work.layer_streaming:
        largest = max((one for _, one in layers), key=lambda one: one.total)
        layers, outside = [(min(STREAMED, shape.layers), largest)], whole
        if work.device == "cuda" and not shape.tied and not work.embeddings:
            table, outside = 0, outside + table  # rows are looked up there
    weights, constants, unquantised = (
        sum(count * part for count, part in zip((c for c, _ in layers), parts, strict=True))
        for parts in zip(*((one.weights, one.constants, one.unquantised) for _, one in layers), strict=True)
    )
    unquantised += table + (shape.head + shape.final_norm) * size
    if not work.quantized:
        weights, unquantised = weights + unquantised, 0
    return _Stored(weights, constants, unquantised, adapters, state, paged, trainable, outside)


@dataclass(frozen=True)
class _StoredLayer:
    weights: int
    constants: int
    unquantised: int

    @property
    def total(self) -> int:
        return self.weights + self.constants + self.unquantised


def _stored_layer(block: Block, work: Workload) -> _StoredLayer:
    """Bytes of one layer of the base."""
    size = BYTES[work.storage_dtype]
    weights = constants = 0
    unquantised = (block.experts + block.others) * size
    for linear in block.linears:
        if work.quantized:
            weights += _rounded(linear.weights * work.bits // 8)
            constants += _constants(linear, work)
            unquantised += linear.outputs * size if linear.bias else 0
        else:
            unquantised += linear.parameters * size
    return _StoredLayer(weights, constants, unquantised)


def _learns_head(work: Workload) -> bool:
    return work.method == "full" or work.embeddings


def _own(shape: ModelShape, work: Workload) -> list[tuple[int, int]]:
    """What is trained beside adapters of single layers: how many tensors of how many numbers."""
    if work.embeddings:
        return [(1, numbers) for numbers in (shape.embedding, shape.head) if numbers]
    if work.method == "prompt":
        return [(1, work.virtual_tokens * shape.hidden)]
    if work.method == "prefix":
        return [(1, work.virtual_tokens * shape.layers * shape.kv_heads * (shape.head_dim + shape.value_dim))]
    layers = work.added * shape.layers
    return [(2 * layers, work.rank * shape.hidden), (layers, work.rank), (layers, shape.hidden)] if layers else []


def _constants(linear: Linear, work: Workload) -> int:
    """Constants of one packed layer: one float32 in 64 weights; doubly quantised, one byte, and one float32 in 256 of
    these. That is 0.5 bits a weight, and 0.127 doubly. 8-bit layers have one float32 for each output."""
    if work.bits == 8:
        return _rounded(linear.outputs * 4)
    blocks = -(-linear.weights // BLOCK)
    if not work.double_quantization:
        return _rounded(blocks * 4)
    return _rounded(blocks) + _rounded(-(-blocks // NESTED_BLOCK) * 4)


def _state(numbers: int, work: Workload) -> tuple[int, int]:
    """Bytes of the optimizer's state for one tensor: on the card, and paged."""
    if work.optimizer in ("adamw", "paged_adamw_32bit") or numbers < SMALLEST_8BIT:
        amount = 2 * _rounded(numbers * 4)
    else:
        amount = 2 * (_rounded(numbers) + _rounded(-(-numbers // 256) * 4))
    away = work.paged and numbers >= SMALLEST_PAGED and work.device == "cuda"
    return (0, amount) if away else (amount, 0)


def _state_of_all(shape: ModelShape, work: Workload) -> tuple[int, int]:
    """The same when everything learns; the few small tensors count like the large ones."""
    constants = 0
    amount = 8 * shape.parameters
    if work.optimizer not in ("adamw", "paged_adamw_32bit"):
        amount, constants = 2 * shape.parameters, 2 * 4 * (shape.parameters // 256)
    return (constants, amount) if work.paged and work.device == "cuda" else (amount + constants, 0)


def _kept(shape: ModelShape, work: Workload, has: Formats, layers: list[tuple[int, Layer]]) -> tuple[int, int]:
    """Bytes that the layers keep until the backward pass comes to them; and what the end of the model keeps on top
    until the loss is done with: the last norm's input in float32, and, when all learns, its product
    and the head's input."""
    stream = work.tokens * shape.hidden * has.stream
    mask = work.batch * work.length**2 if any(masked(block, work) for block in shape.blocks) else 0
    ends = work.tokens * shape.hidden * 4
    if work.method == "full":
        ends += work.tokens * shape.hidden * (has.normed + has.learner)
    if not work.checkpointing:
        return mask + sum(count * one.keeps for count, one in layers), ends
    again = -(-shape.layers // work.checkpoint_every)
    waiting = min(again, STREAMED) if work.activation_offloading else again  # one on its way, one that is used
    keeping = sum(count * one.keeps for count, one in layers) * (shape.layers - again) // shape.layers
    return mask + waiting * stream + keeping + _held_by_packed(shape, work, has), ends


def _held_by_packed(shape: ModelShape, work: Workload, has: Formats) -> int:
    """Inputs of 8-bit layers, which bitsandbytes (`MatMul8bitLt`) holds on to past any checkpoint. Layers that read the
    same tensor share it."""
    if work.bits != 8:
        return 0
    total = 0
    for block in shape.blocks:
        read = {linear.reads or linear.name: linear.inputs for linear in block.linears}
        total += block.count * sum(read.values())
    return work.tokens * total * has.linear


def _scores(shape: ModelShape, work: Workload, has: Formats) -> tuple[int, int]:
    """Bytes of the scores around the loss, and of those that are held until the step is over."""
    positions, hidden = work.scored, shape.hidden
    scores = positions * shape.vocab
    at_once = work.loss == "learned_positions" and scores * 4 <= MOST_LOGITS
    given = BYTES[work.compute_dtype] if work.autocast else BYTES[work.storage_dtype]
    if work.loss == "full" or at_once:
        # Logarithms, their gradient, and the gradient of the scores, all in float32; and the scores themselves.
        held = scores * given if work.holds_output else 0
        bounded = scores * given if shape.scores_softcapped else 0  # the tanh, kept for the backward pass
        return 12 * scores + held + bounded, held
    tile = min(positions, TILE[0]) * TILE[1] * BYTES[work.compute_dtype] * (2 if shape.scores_softcapped else 1)
    gradient = positions * hidden * 4
    if has.normed != BYTES[work.compute_dtype]:
        gradient += min(positions, TILE[0]) * hidden * BYTES[work.compute_dtype]
    gathered = positions * hidden * has.normed
    if _learns_head(work):
        gradient += shape.vocab * hidden * 4
    return tile + gradient + gathered, 0


def _casts(shape: ModelShape, work: Workload) -> tuple[int, int]:
    """Copies in the computing format of weights that are stored in float32, which autocast makes: of the layers, kept
    for their gradients where nothing is computed again, and of the head, whole or as much as a tile needs."""
    size = BYTES[work.compute_dtype]
    if work.embeddings and work.autocast and size < 4:
        return 0, (min(shape.vocab, TILE[1]) if work.loss == "tiled" else shape.vocab) * shape.hidden * size
    if not work.autocast or work.storage_dtype != "float32" or work.compute_dtype == "float32":
        return 0, 0
    packed = shape.packable if work.quantized else 0
    layers = sum(b.count * sum(linear.weights for linear in b.linears) for b in shape.blocks) - packed
    rows = min(shape.vocab, TILE[1]) if work.loss == "tiled" else shape.vocab
    return (0 if work.checkpointing else layers * size), rows * shape.hidden * size


def _rounded(amount: int) -> int:
    return -(-amount // PIECE) * PIECE
