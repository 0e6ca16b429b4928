"""The longest example that fits under caps of 4 to 24 GB, by the shape of the model and the way to train: calculated.

`python -m tests.benchmarks.lengths_by_card` prints the table of docs/memory.md. One example at once, rank 32 on all
linear layers, activation checkpointing, paged 8-bit AdamW, an A100's kernels; the card has nothing else to do.
Unsloth's figures are its own, as its README gives them (8 billion parameters, rank 32, one example at once).
"""

from __future__ import annotations

from studio.core.workload import Workload
from studio.memory.model_by_card import longest_of
from studio.models.catalogue import named

CAPS = (4, 8, 12, 16, 24)
MODELS = (
    "Qwen/Qwen2.5-0.5B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct",
    "Qwen/Qwen2.5-3B-Instruct",
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen2.5-14B-Instruct",
    "Qwen/Qwen2.5-32B-Instruct",
)
WAYS: dict[str, dict[str, object]] = {
    "LoRA, 16-bit": {"method": "lora"},
    "QLoRA": {"method": "qlora"},
    "QLoRA, checkpoints put aside": {"method": "qlora", "activation_offloading": True},
    "QLoRA, layers come one by one": {"method": "qlora", "layer_streaming": True},
    "QLoRA, both": {"method": "qlora", "layer_streaming": True, "activation_offloading": True},
}
UNSLOTH = {8: 2_972, 12: 21_848, 16: 40_724, 24: 78_475}
UNBOUNDED = 1 << 20
"""Tokens that are counted up to, beyond what a model was made for."""


def rows() -> list[list[str]]:
    """The table, heading first."""
    found = [["model", "way", *(f"{cap} GB" for cap in CAPS)]]
    for name in MODELS:
        model = named(name)
        assert model is not None, name
        shape = model.shape.model_copy(update={"max_context": None})
        for way, values in WAYS.items():
            work = Workload.model_validate({"rank": 32, "batch": 1, "length": 1, **values})
            lengths = (longest_of(shape, work, cap << 30) for cap in CAPS)
            words = [f"{length:,}" if length is not None else "-" for length in lengths]
            found.append([name.partition("/")[2] if way == next(iter(WAYS)) else "", way, *words])
        if "8B" in name:
            found.append(
                ["", "Unsloth's own figures", *(f"{UNSLOTH[cap]:,}" if cap in UNSLOTH else "" for cap in CAPS)]
            )
    return found


def table() -> str:
    """The same in Markdown."""
    heading, *lines = (f"| {' | '.join(row)} |" for row in rows())
    return "\n".join([heading, "|---" * (2 + len(CAPS)) + "|", *lines])


if __name__ == "__main__":
    print(table())
