"""How long a step takes, calculated from what it computes and what it moves: good for comparing two ways on one card,
not for a promise in seconds. Every figure says that it is a calculation.

A pass through the model takes as long as its products, or as reading the weights (and unpacking compressed ones), if
that is longer; and some time for each layer whatever its size. A frozen model goes through one pass forward and one
backward, layers that are computed again through one more. Layers that come one by one come during the computation,
twice a batch: what takes longer of the two counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.workload import BYTES, Workload
from studio.memory.estimate import Estimate
from studio.models.shape import ModelShape


@dataclass(frozen=True)
class Pace:
    """What a usual card of a generation does: `products` in floating-point operations a second that a training step
    reaches (about 40 % of what the maker states for 16 bits), `memory` and `bus` in bytes a second, from the card's
    memory and from the computer's."""

    products: float
    memory: float
    bus: float


PACES: tuple[tuple[tuple[int, int], Pace], ...] = (
    ((7, 0), Pace(25e12, 0.3e12, 12e9)),  # T4; PCIe 3.0
    ((8, 0), Pace(120e12, 1.5e12, 22e9)),  # A100; PCIe 4.0
    ((8, 6), Pace(20e12, 0.4e12, 22e9)),  # RTX 3060
    ((8, 9), Pace(40e12, 0.5e12, 22e9)),  # RTX 4070
    ((9, 0), Pace(350e12, 3.0e12, 45e9)),  # H100; PCIe 5.0
    ((10, 0), Pace(60e12, 0.7e12, 45e9)),  # RTX 5070
)
"""By the compute capability from which on they count."""

PROCESSOR = Pace(0.2e12, 20e9, 4e9)
"""Of two to eight cores; layers come out of a file that the system keeps in memory."""

EACH_LAYER = {"cuda": 0.4e-3, "cpu": 1e-3}
"""Seconds in which a pass gets one layer going."""


def pace_of(work: Workload) -> Pace:
    if work.device == "cpu":
        return PROCESSOR
    return [pace for least, pace in PACES if work.card >= least or least == PACES[0][0]][-1]


def seconds_per_token(shape: ModelShape, work: Workload, outside: int = 0) -> float:
    """Of one batch, forward and backward; `outside` are the bytes that `Estimate` says so of."""
    pace = pace_of(work)
    numbers = shape.parameters - shape.embedding + (shape.embedding if shape.tied else 0)
    if shape.experts:
        idle = sum(block.count * block.experts for block in shape.blocks) * (
            1 - shape.experts_per_token / shape.experts
        )
        numbers -= int(idle)
    attention = 2 * shape.layers * shape.heads * shape.head_dim * work.batch * work.length**2
    products = (2 * numbers * work.tokens + attention) / pace.products
    stored = BYTES[work.storage_dtype]
    read: float = shape.parameters * stored
    if work.quantized:  # read packed, written in the computing format and read again
        read += shape.packable * (work.bits / 8 + BYTES[work.compute_dtype])
    one_pass = max(products, read / pace.memory) + shape.layers * EACH_LAYER[work.device]
    backward = one_pass * (2 if work.method == "full" else 1)
    again = one_pass / work.checkpoint_every if work.checkpointing else 0.0
    stream = work.tokens * shape.hidden * BYTES[work.compute_dtype] / pace.bus
    aside = 2 * shape.layers / work.checkpoint_every * stream if work.activation_offloading else 0.0
    computing = one_pass + backward + again + aside
    if work.layer_streaming and shape.layers:
        each = outside / shape.layers / pace.bus
        computing = max(computing, 2 * max(0, shape.layers - 2) * each) + each
    return computing / work.tokens


def slowdown(shape: ModelShape, work: Workload, found: Estimate) -> float:
    """How many times longer a batch takes because its layers come one by one: 1 where that costs nothing."""
    resident = work.model_copy(update={"layer_streaming": False})
    return max(1.0, seconds_per_token(shape, work, found.outside) / seconds_per_token(shape, resident))
