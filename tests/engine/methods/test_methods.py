"""What each method trains, and what it leaves as it is."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch

from studio.core.problems import ProblemError
from studio.core.recipe.method import Lora, QLora
from studio.engine.device import Device
from studio.engine.methods.method import TrainingMethod
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


class Prefix(Lora):
    """Stands for a method whose result can't become part of the weights."""

    title: ClassVar[str] = "Prefix"
    cannot_merge: ClassVar[str] = "What it learns stands before each conversation."


class PrefixMethod(TrainingMethod):
    make_trainable = save = load = None  # type: ignore[assignment]


def test_a_method_that_cannot_be_merged_says_so_in_words() -> None:
    with pytest.raises(ProblemError) as refused:
        PrefixMethod(Prefix()).merge(None, torch.float16)
    said = refused.value.problem.english()
    assert "Prefix can't be combined" in said and "stands before each conversation" in said
