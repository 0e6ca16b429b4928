"""What the tests of "Will it fit?" stand on: a model with sizes, cards as the gauge would report them."""

from __future__ import annotations

import json
import time
from pathlib import Path

from studio.core.problems import Problem
from studio.hardware.snapshot import Card, Snapshot
from studio.hardware.system import SystemMemory
from tests.ui.fake_memory_fit import CARD, GIB
from tests.ui.small_model import small_model

SYSTEM = SystemMemory(total=16 * GIB, used=6 * GIB, available=10 * GIB)

SIZES = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
"""Those of a model of 1.1 billion parameters; its weights don't matter."""


def sized_model(folder: Path, **other: object) -> Path:
    """A small model whose config says that it is a large one."""
    small_model(folder)
    (folder / "config.json").write_text(json.dumps({**SIZES, **other}), encoding="utf-8")
    return folder


def card(total: float, free: float, *, trouble: Problem | None = None) -> Snapshot:
    """One card with so many GiB."""
    size = round(total * GIB)
    left = round(free * GIB)
    one = Card(
        index=0, name=CARD, uuid="GPU-1", capability=(8, 9), total=size, used=size - left, free=left, problem=trouble
    )
    return Snapshot(cards=(one,), system=SYSTEM, at=time.monotonic())


def no_card() -> Snapshot:
    """The computer's own memory: 9 of its 16 GiB can be used."""
    return Snapshot(cards=(), system=SYSTEM, at=time.monotonic())
