"""The loss over learned positions is the loss that every model computes itself, only with less work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from studio.core.recipe.method import Method
from studio.engine.device import Device
from studio.engine.methods.model import add_adapter, load_base
from studio.engine.training.dataset import LengthGroupedSampler, as_rows, collate, encode_all
from studio.engine.training.loss import learned_loss
from studio.engine.training.trainer import held_out_loss
from studio.tokenization.encoding import Encoder
from tests.engine.conftest import examples

CPU = Device(torch.device("cpu"), "test", torch.float32, None)


def batch_of(model: Path, loss_on: str = "answers") -> dict[str, torch.Tensor]:
    return collate(as_rows(encode_all(Encoder.from_folder(model, 128, loss_on), examples(5)).encoded))


@pytest.mark.parametrize("loss_on", ["answers", "everything"])
def test_it_equals_the_models_own_loss_and_gradients(tiny_model: Path, loss_on: str) -> None:
    inputs = batch_of(tiny_model, loss_on)
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    stock = model(**inputs).loss
    stock.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    scored = learned_loss(model, inputs)
    assert scored.count == int((inputs["labels"][:, 1:] != -100).sum())
    ours: Any = scored.total / scored.count
    ours.backward()
    assert torch.allclose(ours, stock, rtol=1e-5)
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, wanted[name], rtol=1e-3, atol=1e-6), name


def test_splitting_a_batch_changes_nothing_in_the_token_weighted_sum(tiny_model: Path) -> None:
    inputs = batch_of(tiny_model)
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    whole = learned_loss(model, inputs)
    parts = [learned_loss(model, {k: v[rows] for k, v in inputs.items()}) for rows in (slice(0, 2), slice(2, 5))]
    assert whole.count == sum(p.count for p in parts)
    assert torch.allclose(whole.total, parts[0].total + parts[1].total, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_gradients_are_the_same_before_and_after_an_evaluation(tiny_model: Path, dtype: torch.dtype) -> None:
    """bitsandbytes repacks 4-bit weights in eval mode on some processors, which would ruin the training after it."""
    device = Device(torch.device("cpu"), "test", dtype, None)
    encoded = encode_all(Encoder.from_folder(tiny_model, 128, "answers"), examples(5)).encoded
    torch.manual_seed(0)
    model = add_adapter(load_base(tiny_model, Method(rank=4), device), Method(rank=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)

    def gradients() -> dict[str, torch.Tensor]:
        model.train()
        model.zero_grad()
        loss: Any = learned_loss(model, collate(as_rows(encoded))).total
        loss.backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    before = gradients()
    first = held_out_loss(model, encoded, 2, device)
    after = gradients()
    assert before.keys() == after.keys()
    assert len(before) == 2 * 2 * 7
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert held_out_loss(model, encoded, 2, device) == first


def test_what_learns_is_float32_and_nothing_else_learns(tiny_model: Path) -> None:
    device = Device(torch.device("cpu"), "test", torch.bfloat16, None)
    for kind in ("qlora", "lora"):
        method = Method(rank=4, kind=kind)
        model = add_adapter(load_base(tiny_model, method, device), method)
        for name, parameter in model.named_parameters():
            assert parameter.requires_grad == ("lora_" in name)
            if parameter.requires_grad:
                assert parameter.dtype is torch.float32
        assert model.get_input_embeddings().weight.dtype is torch.bfloat16


def test_every_example_comes_once_a_pass_in_an_order_that_repeats() -> None:
    lengths = [(7 * n) % 50 + 1 for n in range(45)]
    passes = []
    for epoch in (0, 1):
        sampler = LengthGroupedSampler(lengths, 4, seed=3)
        sampler.set_epoch(epoch)
        passes.append(list(sampler))
        assert sorted(passes[-1]) == list(range(45))
        assert list(sampler) == passes[-1]
    assert passes[0] != passes[1]
    batches = [passes[0][i : i + 4] for i in range(0, 45, 4)]
    padded = sum(len(b) * max(lengths[i] for i in b) for b in batches)
    assert padded < 1.25 * sum(lengths)
    assert max(lengths[i] for i in batches[0]) == max(lengths)
