"""What a step keeps of its way through the model until the backward pass has used it.

Every operation keeps what its own derivative needs and nothing else. A frozen linear layer keeps nothing (its gradient
only needs its weights); one that learns, or its adapter, keeps its input. A norm keeps its input in float32, a product
of two tensors keeps both, attention keeps queries, keys, values and its output. All below is read off the modelling
code of transformers and from PyTorch's derivatives; nothing is fitted.

Bytes for one token, unless something else is said.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.device.shape import Block, Linear, ModelShape
from studio.device.workload import ALL_LINEAR, BYTES, Workload

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

    def output(self, linear: Linear, work: Workload, given: int) -> int:
        """Of a linear layer: a 4-bit one gives back the format that it `given`, an 8-bit one too."""
        packed = linear.packed and work.method in ("qlora", "lora-8bit")
        return given if packed else self.compute


def formats(shape: ModelShape, work: Workload) -> Formats:
    """The formats that transformers, peft and bitsandbytes end up with."""
    stored, computed = BYTES[work.storage_dtype], BYTES[work.compute_dtype]
    in_float32 = shape.norm == "layer" and work.autocast and work.device == "cuda"
    normed = 4 if in_float32 else stored
    packed = work.method in ("qlora", "lora-8bit")
    product = computed if work.autocast else stored
    full = stored if work.method == "full" else BYTES[work.adapter_dtype]
    learner = computed if work.autocast else full
    return Formats(
        # What 4-bit layers make of a float32 norm is float32, and so is the stream once that is added to it.
        stream=max(stored, normed if packed else product),
        normed=normed,
        attention=computed if work.autocast else (normed if packed else product),
        compute=product,
        learner=learner,
    )


def learns(linear: Linear, work: Workload) -> bool:
    """Whether this layer's weights, or its adapter's, change."""
    if work.method == "full":
        return True
    return work.rank > 0 and (work.targets == ALL_LINEAR or linear.name in work.targets)


def masked(block: Block, work: Workload) -> bool:
    """Whether attention in this block gets an explicit mask, length by length."""
    return work.padded or (block.window is not None and work.length > block.window)


def layer_keeps(shape: ModelShape, block: Block, work: Workload) -> int:
    """Bytes that one layer of `block` keeps for the whole batch when nothing is checkpointed."""
    has = formats(shape, work)
    each = _norms(shape, work, has) + _attention(shape, block, work, has)
    each += _inputs(shape, block, work, has) + _feed_forward(shape, block, work, has)
    each += shape.dropouts * shape.hidden
    return each * work.tokens + _scores(shape, block, work, has)


def layer_works(shape: ModelShape, block: Block, work: Workload) -> int:
    """Bytes that the backward pass of one layer holds beside what was kept, at its fullest: the gradient of the
    stream, and either those of the feed-forward product's two factors and of the product itself, or those of the
    attention's scores. And the weights of one layer, unpacked to be computed with."""
    has = formats(shape, work)
    stream = 2 * shape.hidden * has.stream
    wide = _wide(shape, block, work, has)
    through_experts = shape.experts_per_token * 3 * block.expert_width * has.compute if block.experts else 0
    inner = max((3 if shape.gated else 2) * block.intermediate * wide, through_experts)
    attention = 3 * shape.heads * shape.head_dim * has.attention
    quadratic = 0
    if _eager(shape, work):
        quadratic = shape.heads * work.batch * work.length**2 * (4 + 4 + has.attention)
    feeding = (stream + inner) * work.tokens
    attending = (stream + attention) * work.tokens + quadratic
    return max(feeding, attending) + unpacked(shape, work)


def unpacked(shape: ModelShape, work: Workload) -> int:
    """Bytes of the largest 4- or 8-bit layer's weights in the format that is computed in: one exists at a time. Where
    the gradient is float32, a float32 copy of them comes on top."""
    if work.method not in ("qlora", "lora-8bit"):
        return 0
    largest = max((linear.weights for b in shape.blocks for linear in b.linears if linear.packed), default=0)
    has = formats(shape, work)
    copy = 4 if has.normed == 4 and BYTES[work.compute_dtype] < 4 else 0
    return largest * (BYTES[work.compute_dtype] + copy)


def _norms(shape: ModelShape, work: Workload, has: Formats) -> int:
    """Their inputs in float32; when their scales learn, what is multiplied with them too."""
    as_it_is = shape.norm == "layer" and not (work.autocast and work.device == "cuda")
    kept = has.stream if as_it_is else 4
    if work.method == "full" and shape.norm == "rms":
        kept += has.normed
    total = shape.norms * shape.hidden * kept
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
    grouped = not masked(block, work) and narrow and not _eager(shape, work)
    kv_heads = shape.kv_heads if grouped or work.attention == "flash" else shape.heads
    queries = shape.heads * shape.head_dim
    keys, values = kv_heads * shape.head_dim, kv_heads * shape.value_dim
    output = shape.heads * shape.value_dim
    return (queries + keys + values + output) * has.attention + shape.heads * 4


def _inputs(shape: ModelShape, block: Block, work: Workload, has: Formats) -> int:
    """Inputs of layers that learn. Those that read the same tensor share it where its format needs no cast; each cast
    is kept for itself. And the narrow middle of every adapter."""
    total = 0
    seen: set[str] = set()
    for linear in block.linears:
        if not learns(linear, work):
            continue
        if work.method != "full":
            total += work.rank * has.learner
        if work.dropout and work.method != "full":
            total += linear.inputs * (has.learner + 1)
            continue
        given = has.normed
        if linear.name in ("o_proj", "out_proj", "dense") or (
            linear.name == "c_proj" and linear.inputs == shape.hidden
        ):
            given = has.attention
            if given == has.learner:
                continue  # attention keeps it already
        elif not linear.reads and linear.inputs == block.intermediate:
            given = -1  # the feed-forward product: nobody else keeps it
        group = "shared" if shape.parallel and shape.norms == 1 and linear.reads else linear.reads
        if group and given == has.learner:
            if group in seen:
                continue
            seen.add(group)
        total += linear.inputs * has.learner
    return total


def _wide(shape: ModelShape, block: Block, work: Workload, has: Formats) -> int:
    """Bytes of a number inside the feed-forward part."""
    wide = [linear for linear in block.linears if block.intermediate and linear.outputs >= block.intermediate]
    return has.output(wide[-1], work, has.normed) if wide else has.compute


def _feed_forward(shape: ModelShape, block: Block, work: Workload, has: Formats) -> int:
    """The activation's input, and both factors of the product where there is one. For experts, the same for each one
    that a token goes through, and its output, which is weighted; and the router's scores, thrice, in float32."""
    factors = shape.activation_saves + (2 if shape.gated else 0)
    total = factors * block.intermediate * _wide(shape, block, work, has)
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
