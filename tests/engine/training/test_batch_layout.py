"""Packed examples don't see each other, and learn what they learn in rows of their own; where a model would let them
see each other, they aren't packed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    Lfm2Config,
    LlamaConfig,
    MambaConfig,
    Qwen3Config,
    Qwen3MoeConfig,
)

from studio.core.events import StepDone
from studio.core.jobs import Train
from studio.core.recipe.method import Lora, PromptTuning
from studio.core.run_folder import RunFolder
from studio.engine.device import Device
from studio.engine.objectives.supervised import Labels, collate, pack, scores_of_labels, supervised_loss
from studio.engine.training.batch_layout import BatchLayout, layout_for
from studio.engine.training.packed_attention import install
from tests.engine.conftest import do_here, trainable

CPU = Device(torch.device("cpu"), "test", torch.float32, None)
TINY: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}


def network(config: Any) -> Any:
    torch.manual_seed(3)
    model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return model.to(torch.float32)


def rows(*lengths: int, seed: int = 0) -> list[dict[str, list[int]]]:
    """Random examples whose second half has labels."""
    chance = torch.Generator().manual_seed(seed)
    made = []
    for length in lengths:
        ids = torch.randint(0, 96, (length,), generator=chance).tolist()
        made.append({"input_ids": ids, "labels": [-100] * (length // 2) + ids[length // 2 :]})
    return made


LLAMA = LlamaConfig(**TINY)
SLIDING: dict[str, Any] = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}


@pytest.mark.parametrize(
    ("config", "layout"),
    [
        (LLAMA, BatchLayout.packed),
        (Qwen3Config(**TINY), BatchLayout.packed),
        (Qwen3Config(**TINY, use_sliding_window=True, **SLIDING), BatchLayout.packed),
        (Gemma3TextConfig(**TINY, **SLIDING, query_pre_attn_scalar=8), BatchLayout.packed),
        (Qwen3MoeConfig(**TINY, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32), BatchLayout.packed),
        (GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=256), BatchLayout.packed),
        # its attention takes caps that no fast kernel has
        (Gemma2Config(**TINY, **SLIDING, query_pre_attn_scalar=8), BatchLayout.unmasked),
        # convolutions and states run through the row
        (Lfm2Config(**TINY, layer_types=["conv", "full_attention"]), BatchLayout.unmasked),
        (MambaConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, state_size=8), BatchLayout.unmasked),
    ],
    ids=lambda one: type(one).__name__ if hasattr(one, "model_type") else str(one),
)
def test_examples_are_packed_only_where_the_model_keeps_them_apart(config: Any, layout: BatchLayout) -> None:
    model = network(config)
    assert layout_for(model, CPU, "on") is layout
    assert layout_for(model, CPU, "off") in (BatchLayout.unmasked, BatchLayout.padded)
    assert layout_for(model, CPU, "on", may_pack=False) is not BatchLayout.packed


def test_virtual_tokens_before_each_row_are_never_packed(tiny_model: Path) -> None:
    model = trainable(tiny_model, PromptTuning(), CPU)
    assert layout_for(model, CPU, "on") is not BatchLayout.packed


def test_on_a_processor_packing_is_a_wish(tiny_model: Path) -> None:
    assert layout_for(trainable(tiny_model, Lora(rank=4), CPU), CPU, "auto") is BatchLayout.unmasked


@pytest.mark.parametrize("config", [LLAMA, Qwen3Config(**TINY, use_sliding_window=True, **SLIDING)])
def test_a_packed_example_does_not_see_what_stands_beside_it(config: Any) -> None:
    install()
    model = network(config).eval()
    first, second, third = rows(13, 9, 11)
    (other,) = rows(13, seed=1)
    with torch.no_grad():
        one, another = (
            scores_of_labels(model, pack(some)) for some in ([first, second, third], [other, second, third])
        )
    learned = 13 - 13 // 2
    assert not torch.allclose(one[:learned], another[:learned], atol=1e-3)
    assert torch.equal(one[learned:], another[learned:])


@pytest.mark.parametrize("tiled", [False, True])
def test_packed_and_padded_examples_have_the_same_loss_and_gradients(tiny_model: Path, tiled: bool) -> None:
    install()
    model = trainable(tiny_model, Lora(rank=4), CPU)
    transformers.set_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    if tiled:
        from trl.trainer.utils import add_fused_lm_head

        add_fused_lm_head(model.get_base_model(), outputs=("log_probs",))
    some = rows(31, 8, 17, 24)

    def learned(batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        model.zero_grad()
        summed = supervised_loss(model, batch, tiled=tiled)
        assert summed.count == 16 + 4 + 9 + 12
        total: Any = summed.total
        total.backward()
        return summed.total, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    padded, packed = learned(collate(some)), learned(pack(some))
    alone = [supervised_loss(model, collate([one]), tiled=tiled).total for one in some]
    assert torch.allclose(packed[0], padded[0], rtol=1e-5)
    assert torch.allclose(packed[0], sum(alone, torch.zeros(())), rtol=1e-5)
    for name, gradient in padded[1].items():
        assert torch.allclose(packed[1][name], gradient, rtol=1e-3, atol=1e-5), name


def test_the_first_token_of_a_packed_example_is_learned_from_nothing_before_it() -> None:
    some = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]}, {"input_ids": [4, 5], "labels": [4, 5]}]
    batch = pack(some)
    scored: Labels = batch["scored"]
    assert (scored.places.tolist(), scored.targets.tolist()) == ([0, 1, 3], [2, 3, 5])
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1]] and batch["bounds"].tolist() == [0, 3, 5]


def test_a_packed_training_takes_the_steps_of_a_padded_one(make_run: Callable[..., RunFolder]) -> None:
    told = []
    for packing in ("on", "off"):
        settings = {"method.kind": "lora", "method.compute_dtype": "float32", "training.packing": packing}
        run = make_run(packing, learned=12, **settings)
        assert do_here(run, Train()) == 0
        told.append([event for event in run.reader().read_new() if isinstance(event, StepDone)])
        assert run.state().prepared.layout == ("packed" if packing == "on" else "unmasked")  # type: ignore[union-attr]
    packed, padded = told
    assert [(one.examples, one.tokens) for one in packed] == [(one.examples, one.tokens) for one in padded]
    assert [one.loss for one in packed] == pytest.approx([one.loss for one in padded], rel=1e-4)
