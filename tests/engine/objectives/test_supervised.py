"""What is learned, counted, put side by side, and the loss over it: the one that every model computes itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from studio.core.conversation import Message
from studio.core.recipe.method import QLora
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.dataset.examples import Example, write_frozen
from studio.engine.device import Device
from studio.engine.objectives.supervised import (
    TokenizedDataset,
    as_rows,
    collate,
    held_out_loss,
    supervised_loss,
    tokenize_examples,
    tokenize_frozen,
)
from studio.tokenization.encoded import IGNORE_INDEX
from studio.tokenization.encoding import Encoder
from studio.tokenization.lengths import measure
from tests.engine.conftest import examples, trainable


def pair(question: str, answer: str) -> Example:
    return Example(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


MIXED = [
    pair("short", "yes"),
    pair("a question that alone is longer than the limit " * 3, "never read"),
    pair("short", "an answer that loses its end " * 5),
    Example(text="A text of several sentences. It goes on. " * 5),
    Example(
        messages=(Message(role="user", content="a"), Message(role="assistant", content="only read", in_loss=False))
    ),
]


def test_every_example_is_counted_once(tiny_model: Path) -> None:
    encoder = Encoder.from_folder(tiny_model, 90)

    def counted(dataset: TokenizedDataset) -> tuple[int, int, int, int]:
        counts = dataset.counts
        assert counts.examples == len(dataset.encoded) == len(dataset.examples)
        return counts.cut, counts.nothing_left, counts.left_out, counts.divided

    cut = tokenize_examples(encoder, MIXED)
    assert counted(cut) == (1, 2, 0, 1), "of a text nothing is ever lost"
    assert cut.examples[:2] == (0, 2) and set(cut.examples[2:]) == {3}
    left_out = tokenize_examples(encoder, MIXED, "leave_out")
    assert counted(left_out) == (0, 1, 3, 0) and left_out.examples == (0,)
    split = tokenize_examples(encoder, MIXED, "split")
    assert counted(split) == (1, 2, 0, 1)
    assert split.examples[:2] == (0, 2) and set(split.examples[2:]) == {3} and len(split.examples) > 4
    assert len(split.encoded) == len(split.examples)
    assert all(len(encoded.ids) <= 90 for encoded in split.encoded)


def test_the_counts_are_those_that_were_shown_before(tiny_model: Path) -> None:
    encoder = Encoder.from_folder(tiny_model, 90)
    for some in ([one for one in MIXED if one.messages], [one for one in MIXED if one.text]):
        lengths, counts = measure(encoder, some), tokenize_examples(encoder, some).counts
        assert (lengths.cut_at(90), lengths.nothing_left_at(90)) == (counts.cut, counts.nothing_left)


def test_rows_side_by_side_are_padded_with_what_is_neither_read_nor_learned(tiny_model: Path) -> None:
    encoded = tokenize_examples(Encoder.from_folder(tiny_model, 128), examples(5)).encoded
    batch = collate(as_rows(encoded))
    longest = max(len(one.ids) for one in encoded)
    assert {batch[name].shape for name in ("input_ids", "labels", "attention_mask")} == {(5, longest)}
    for row, one in enumerate(encoded):
        length = len(one.ids)
        assert batch["input_ids"][row, :length].tolist() == list(one.ids)
        assert batch["labels"][row, :length].tolist() == list(one.labels)
        assert batch["labels"][row, length:].eq(IGNORE_INDEX).all()
        assert batch["attention_mask"][row].tolist() == [1] * length + [0] * (longest - length)


def test_the_held_out_examples_are_treated_like_those_that_are_learned(
    make_run: Callable[..., RunFolder], tiny_model: Path
) -> None:
    run = make_run(learned=10, held_out=10, **{"training.max_length": 58, "data.truncation": "leave_out"})
    learned, held_out = (
        tokenize_frozen(file, load(run.recipe), tiny_model) for file in (run.train_data, run.held_out_data)
    )
    assert (learned.counts.cut, held_out.counts.cut) == (0, 0)
    assert learned.counts.left_out == held_out.counts.left_out == 4
    longer = make_run("longer", **{"training.max_length": 2048})
    write_frozen(longer.held_out_data, [pair("What? " * 200, "Nothing that the model could still read.")])
    assert (
        tokenize_frozen(longer.held_out_data, load(longer.recipe), tiny_model).counts.nothing_left == 1
    )  # the model reads 512 tokens


CPU = Device(torch.device("cpu"), "test", torch.float32, None)


def rows_of(model: Path, loss_on: str = "answers") -> list[dict[str, list[int]]]:
    return as_rows(tokenize_examples(Encoder.from_folder(model, 128, loss_on), examples(5)).encoded)


@pytest.mark.parametrize("loss_on", ["answers", "everything"])
def test_it_equals_the_models_own_loss_and_gradients(tiny_model: Path, loss_on: str) -> None:
    inputs = collate(rows_of(tiny_model, loss_on))
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    stock = model(**{name: inputs[name] for name in ("input_ids", "attention_mask", "labels")}).loss
    stock.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    scored = supervised_loss(model, inputs)
    assert scored.count == int((inputs["labels"][:, 1:] != -100).sum())
    ours: Any = scored.total / scored.count
    ours.backward()
    assert torch.allclose(ours, stock, rtol=1e-5)
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, wanted[name], rtol=1e-3, atol=1e-6), name


def test_splitting_a_batch_changes_nothing_in_the_token_weighted_sum(tiny_model: Path) -> None:
    rows = rows_of(tiny_model)
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    whole = supervised_loss(model, collate(rows))
    parts = [supervised_loss(model, collate(some)) for some in (rows[:2], rows[2:])]
    assert whole.count == sum(p.count for p in parts)
    assert torch.allclose(whole.total, parts[0].total + parts[1].total, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_gradients_are_the_same_before_and_after_an_evaluation(tiny_model: Path, dtype: torch.dtype) -> None:
    """bitsandbytes repacks 4-bit weights in eval mode on some processors, which would ruin the training after it."""
    device = Device(torch.device("cpu"), "test", dtype, None)
    encoded = tokenize_examples(Encoder.from_folder(tiny_model, 128, "answers"), examples(5)).encoded
    torch.manual_seed(0)
    model = trainable(tiny_model, QLora(rank=4), device)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)

    def gradients() -> dict[str, torch.Tensor]:
        model.train()
        model.zero_grad()
        loss: Any = supervised_loss(model, collate(as_rows(encoded))).total
        loss.backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    before = gradients()
    first = held_out_loss(model, encoded, 2, device)
    after = gradients()
    assert before.keys() == after.keys()
    assert len(before) == 2 * 2 * 7
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert held_out_loss(model, encoded, 2, device) == first
