"""What a step keeps of its way through the model until the backward pass has used it.

Every operation keeps what its own derivative needs and nothing else. A frozen linear layer keeps nothing (its gradient
only needs its weights); one that learns, or its adapter, keeps its input. A norm keeps its input in float32, a product
of two tensors keeps both, attention keeps queries, keys, values and its output. All below is read off the modelling
code of transformers and from PyTorch's derivatives; nothing is fitted.

Bytes for one token, unless something else is said.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.recipe.method import ALL_LINEAR, ATTENTION
from studio.core.workload import BYTES, Workload
from studio.models.shape import Block, Linear, ModelShape

MOST_FLASH_WIDTH = 256
"""Widest head for which transformers leaves grouped keys and values as they are (`use_gqa_in_sdpa`)."""


@dataclass(frozen=True)
class Formats:
    """Bytes of a number in each place of a step."""

    stream: int
    """The residual stream between the layers."""
    normed: int
    """What a norm gives out."""
    attention: int
    """Queries, keys and values as attention computes with them."""
    compute: int
    """Plain products."""
    learner: int
    """The input of a layer that learns, or of an adapter, as it is kept for the gradient."""

    linear: int
    """What a layer's linear parts give out: a 4-bit one the format that it was given, an 8-bit one too."""


def formats(shape: ModelShape, work: Workload) -> Formats:
    """The formats that transformers, peft and bitsandbytes end up with."""
    stored, computed = BYTES[work.storage_dtype], BYTES[work.compute_dtype]
    if work.embeddings:  # what they give out goes through all layers in their format
        stored = BYTES[work.adapter_dtype]
    quantized = work.quantized
    product = computed if work.autocast else stored
    full = stored if work.method == "full" else BYTES[work.adapter_dtype]
    learner = computed if work.autocast else full
    return Formats(
        stream=max(stored, stored if quantized else product),
        normed=stored,
        attention=computed if work.autocast else (stored if quantized else product),
        compute=product,
        linear=stored if quantized else product,
        learner=learner,
    )


def learns(linear: Linear, work: Workload, shape: ModelShape) -> bool:
    """Whether this layer's weights, or its adapter's, change. In a mixture of experts peft takes the names of the
    feed-forward layers to mean those of the experts, so that the others of these names get no adapter."""
    if work.method == "full":
        return True
    if work.added or (shape.experts and linear.name in _EXPERT_NAMES) or linear.name in work.excluded or not work.rank:
        return False
    if work.targets == ATTENTION:
        return not _feeds(linear)
    return work.targets == ALL_LINEAR or linear.name in work.targets


_EXPERT_NAMES = frozenset({"gate_proj", "up_proj", "down_proj"})


def expert_adapters(shape: ModelShape, block: Block, work: Workload) -> tuple[int, ...]:
    """Numbers in each tensor of the adapters of one layer's experts, and of its router's. peft gives every expert one
    of its own, and the fused gate and up projection twice the rank."""
    if not block.experts or work.method == "full" or not work.rank:
        return ()
    everything = work.targets == ALL_LINEAR
    if not everything and not set(work.targets) >= _EXPERT_NAMES:
        return ()
    rank, hidden, width = work.rank * shape.experts, shape.hidden, block.expert_width
    router = (work.rank * hidden, work.rank * shape.experts) if everything else ()
    return (2 * rank * hidden, 2 * rank * 2 * width, rank * width, rank * hidden, *router)


def _kept_by(linear: Linear, work: Workload, shape: ModelShape) -> bool:
    """Whether a linear layer keeps its input: those that learn do, and 8-bit ones always (`MatMul8bitLt`)."""
    return learns(linear, work, shape) or work.bits == 8


def masked(block: Block, work: Workload) -> bool:
    """Whether attention in this block gets an explicit mask, length by length."""
    return work.padded or (block.window is not None and work.length > block.window)


@dataclass(frozen=True)
class Layer:
    """One layer, in bytes for the whole batch: what it `keeps` when nothing is checkpointed, and what its backward
    pass holds at its fullest: that of the feed-forward part with all kept, or that of attention when the feed-forward
    part is done with."""

    keeps: int
    feeding: int
    attending: int

    @property
    def fullest(self) -> int:
        return max(self.feeding, self.attending)


def layer(shape: ModelShape, block: Block, work: Workload) -> Layer:
    """A layer of `block`."""
    has = formats(shape, work)
    tokens = work.tokens
    norms = _norms(shape, work, has) * tokens
    before, after = _inputs(shape, block, work, has)
    attention = (_attention(shape, block, work, has) + before) * tokens
    product = _product(shape, block, work, has) * tokens
    factors = _feed_forward(shape, block, work, has) * tokens
    scores = _scores(shape, block, work, has)
    # An adapter on experts is added to all of their weights, and the sum is kept; so are the adapter's own casts.
    on_experts = expert_adapters(shape, block, work)
    summed = (block.experts + sum(on_experts)) * has.compute if on_experts else 0
    added = _added(shape, work, has) * tokens
    keeps = added + norms + attention + after * tokens + product + factors + scores + summed
    # The gradient of the stream, once as it comes in and once for each of the two that are added.
    stream = 3 * shape.hidden * has.stream * tokens
    inner = block.intermediate * has.linear
    if block.experts:
        inner = max(inner, shape.experts_per_token * block.expert_width * has.compute)
    # The product's gradient and those of its factors (or, with an adapter, the two that it is the sum of); by then the
    # product itself has been used. Or the product, its gradient and the weights that it went through, unpacked.
    gradients = (3 if shape.gated or product else 2) * inner * tokens
    weights = max(unpacked(shape, work), _rescaled(block, work))
    if on_experts:
        weights = max(weights, block.experts * 2 // 3 * has.compute)  # the gradient of the larger of the two sums
    # Where an adapter casts what it reads, the product lies there three times: itself, in float32, and cast back.
    read_by_adapter = any(_is_product(linear) and learns(linear, work, shape) for linear in block.linears)
    cast = block.intermediate * 4 * tokens if read_by_adapter and _cast_twice(work) else 0
    feeding = stream + max(keeps - product + gradients, keeps + inner * tokens + max(weights, cast))
    squares = 0
    if _eager(shape, work):
        # Probabilities, their gradient and that of the scores, in float32.
        squares = 12 * shape.heads * work.batch * work.length**2 - scores
    gradient = 2 * shape.heads * shape.head_dim * has.attention * tokens
    attending = stream + added + norms + attention + scores + max(squares + gradient, gradient + weights)
    return Layer(keeps=keeps, feeding=feeding, attending=attending)


def unpacked(shape: ModelShape, work: Workload) -> int:
    """Bytes of the largest 4- or 8-bit layer's weights in the format that is computed in: one exists at a time. Where
    the gradient is float32, a float32 copy of them comes on top."""
    if not work.quantized:
        return 0
    largest = max((linear.weights for b in shape.blocks for linear in b.linears), default=0)
    has = formats(shape, work)
    copy = 4 if has.normed == 4 and BYTES[work.compute_dtype] < 4 else 0
    return largest * (BYTES[work.compute_dtype] + copy)


def _rescaled(block: Block, work: Workload) -> int:
    """Bytes in which DoRA finds out how long the rows of a layer's changed weights are: those in float32, what is added
    to them, in the format of products, in float32 and scaled, their sum; and the unit matrix that peft multiplies the
    adapter out with, twice. One layer's exist at a time."""
    if not work.dora:
        return 0
    product = BYTES[work.compute_dtype]
    return max(
        (linear.weights * (16 + product) + linear.inputs**2 * (4 + product) for linear in block.linears), default=0
    )


def _added(shape: ModelShape, work: Workload, has: Formats) -> int:
    """Of each adapter layer behind a part: its input as it is multiplied, and the narrow middle before and after the
    activation."""
    return work.added * (shape.hidden + 2 * work.rank) * has.learner


def _norms(shape: ModelShape, work: Workload, has: Formats) -> int:
    """Their inputs in float32; when their scales learn, what is multiplied with them too."""
    kept = 4 + (has.normed if work.method == "full" else 0)
    total = shape.norms * shape.hidden * kept * shape.norm_saves
    if shape.query_norm != "no":
        width = (shape.heads + shape.kv_heads) * shape.head_dim
        total += width * (4 + (has.normed if work.method == "full" else 0))
    if shape.latent:
        short = [linear.inputs for linear in shape.blocks[0].linears if linear.name in ("q_b_proj", "kv_b_proj")]
        total += sum(short) * 4
    return total


def _attention(shape: ModelShape, block: Block, work: Workload, has: Formats) -> int:
    """Queries, keys, values, output, and the sum of each row of scores."""
    narrow = shape.head_dim == shape.value_dim and shape.head_dim <= MOST_FLASH_WIDTH
    grouped = not masked(block, work) and narrow and not _eager(shape, work) and not work.repeats_keys
    kv_heads = shape.kv_heads if grouped or work.attention == "flash" else shape.heads
    queries = shape.heads * shape.head_dim
    keys, values = kv_heads * shape.head_dim, kv_heads * shape.value_dim
    output = shape.heads * shape.value_dim
    total = (queries + keys + values + output) * has.attention + shape.heads * 4
    if shape.fused and kv_heads == shape.kv_heads:
        # The values are a part of one tensor, all of which is kept with them.
        total += (queries + keys) * has.linear
    return total


def _inputs(shape: ModelShape, block: Block, work: Workload, has: Formats) -> tuple[int, int]:
    """Inputs of layers that learn, but for the feed-forward product: those of attention, and the others'. Layers that
    read the same tensor share it where its format needs no cast; each cast is kept for itself. And the narrow middle
    of every adapter."""
    before = after = 0
    seen: set[str] = set()
    for linear in block.linears:
        if not _kept_by(linear, work, shape):
            continue
        adapted = work.method != "full" and learns(linear, work, shape)
        amount = work.rank * has.learner if adapted else 0
        if work.dora and adapted:  # what the layer gives out and what the adapter does, each to be scaled
            amount += 2 * linear.outputs * has.linear
        if work.dropout and adapted:
            amount += linear.inputs * (has.learner + 1)
        elif adapted and _cast_twice(work):
            amount += linear.inputs * has.learner if not _is_product(linear) else 0
        elif _is_output(linear):
            # Attention keeps its own output already.
            amount += linear.inputs * has.learner if has.attention != has.learner else 0
        elif not _is_product(linear):
            group = "shared" if shape.parallel and shape.norms == 1 and linear.reads else linear.reads
            if not group or has.normed != has.learner or group not in seen:
                amount += linear.inputs * has.learner
            seen.add(group)
        if _feeds(linear):
            after += amount
        else:
            before += amount
    return before, after


def _cast_twice(work: Workload) -> bool:
    """peft casts each adapter's input to float32, which mixed precision casts back: a copy for each. Only beside a
    quantised layer does it ask first whether mixed precision is on, and then for cards only."""
    asks = work.quantized and work.device == "cuda"
    return work.autocast and not asks and work.adapter_dtype != work.compute_dtype


def _feeds(linear: Linear) -> bool:
    """Whether it belongs to the feed-forward part."""
    return linear.reads == "feed-forward" or linear.name == "gate_up_proj" or _is_product(linear)


def _is_output(linear: Linear) -> bool:
    return linear.name == "o_proj"


def _is_product(linear: Linear) -> bool:
    return linear.name == "down_proj"


def _product(shape: ModelShape, block: Block, work: Workload, has: Formats) -> int:
    """The feed-forward product, kept when the layer that reads it learns."""
    learning = any(_is_product(linear) and _kept_by(linear, work, shape) for linear in block.linears)
    if not learning or (work.dropout and work.method != "full"):
        return 0
    return block.intermediate * has.learner


def _feed_forward(shape: ModelShape, block: Block, work: Workload, has: Formats) -> int:
    """The activation's input, and both factors of the product where there is one. For experts, the same for each one
    that a token goes through, and its output, which is weighted; and the router's scores, thrice, in float32."""
    factors = 3 if shape.gated else 1
    total = factors * block.intermediate * has.linear
    if block.experts:
        inside = (3 * block.expert_width + 2 * shape.hidden) * has.compute
        total += shape.experts_per_token * inside + 3 * 4 * shape.experts
    return total


def _scores(shape: ModelShape, block: Block, work: Workload, has: Formats) -> int:
    """What grows with the square of the length, for the whole batch: eager attention's probabilities, in float32 and
    as they are multiplied; or the mask, as it is added to the scores."""
    square = work.batch * work.length**2
    if _eager(shape, work):
        return shape.heads * square * (4 + (has.attention if has.attention < 4 else 0))
    if masked(block, work) and work.attention != "flash":
        return square * has.attention
    return 0


def _eager(shape: ModelShape, work: Workload) -> bool:
    return work.attention == "eager" or shape.softcapped
