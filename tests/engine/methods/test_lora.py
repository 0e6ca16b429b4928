"""What each method trains, and what it leaves as it is."""

from __future__ import annotations

from pathlib import Path

import torch

from studio.core.recipe.method import Lora, QLora
from studio.engine.device import Device
from tests.engine.conftest import trainable


def test_what_learns_is_float32_and_nothing_else_learns(tiny_model: Path) -> None:
    device = Device(torch.device("cpu"), "test", torch.bfloat16, None)
    for settings in (QLora(rank=4), Lora(rank=4)):
        model = trainable(tiny_model, settings, device)
        for name, parameter in model.named_parameters():
            assert parameter.requires_grad == ("lora_" in name)
            if parameter.requires_grad:
                assert parameter.dtype is torch.float32
        assert model.get_input_embeddings().weight.dtype is torch.bfloat16
