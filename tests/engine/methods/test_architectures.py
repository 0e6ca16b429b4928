"""Models whose layers aren't plain linear ones: what is merged answers as what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MambaConfig, PretrainedConfig, Qwen3MoeConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from studio.core.problems import ProblemError
from studio.core.recipe.method import Lora, QLora
from studio.engine.device import Device
from studio.engine.methods.base_model import load_base_model
from studio.engine.methods.quantization import dequantize
from studio.engine.methods.registry import method_of
from studio.models.support import support_table
from tests.benchmarks.architectures import outcome, try_kind
from tests.engine.conftest import save_tiny_model, trainable

DEVICE = Device(torch.device("cpu"), "test", torch.float32, None)
CONFIGS: dict[str, PretrainedConfig] = {
    "gpt2": GPT2Config(vocab_size=64, n_embd=64, n_head=4, n_layer=2, n_positions=32, bos_token_id=1, eos_token_id=2),
    "mixture": Qwen3MoeConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=64,
        moe_intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
    ),
    "mamba": MambaConfig(vocab_size=64, hidden_size=64, num_hidden_layers=2, state_size=16),
    "llama": LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4
    ),
}


def saved(name: str, folder: Path, **changes: object) -> Path:
    torch.manual_seed(3)
    config = CONFIGS[name]
    config = type(config).from_dict({**config.to_dict(), **changes})
    model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("settings", [Lora(rank=4), QLora(rank=4)], ids=["lora", "qlora"])
@pytest.mark.parametrize("name", ["gpt2", "mixture", "mamba"])
def test_the_merged_model_has_the_logits_of_the_trained_one(name: str, settings: Lora, tmp_path: Path) -> None:
    base = saved(name, tmp_path / "base")
    method = method_of(settings)
    model = trainable(base, settings, DEVICE).eval()
    ids = torch.arange(12).reshape(2, 6)
    with torch.no_grad():
        before = model(ids).logits
        for part, parameter in model.named_parameters():
            if "lora_B" in part:
                parameter.normal_(std=0.1)
        method.save(model, tmp_path / "adapter", "base")
        wanted = model(ids).logits
        again = method.load(method.load_base(base, DEVICE).eval(), tmp_path / "adapter")
        assert torch.allclose(again(ids).logits, wanted, atol=1e-4)
        dequantize(again, torch.float32)
        method.merge(again, torch.float32).network.save_pretrained(tmp_path / "merged")
        found = load_base_model(tmp_path / "merged", DEVICE).eval()(ids).logits
    assert (wanted - before).abs().max() > 0.01
    assert torch.allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "method"), [("granitemoe", "lora"), ("gemma3_text", "lora"), ("bert", "lora"), ("llama4_text", "qlora")]
)
def test_the_table_says_what_comes_of_trying(kind: str, method: str, tmp_path: Path) -> None:
    """The short form of `python -m tests.benchmarks.architectures`, which tries all kinds in all methods."""
    tokenizer = save_tiny_model(tmp_path / "tokenizer")
    assert outcome(try_kind(kind, method, tokenizer, tmp_path)) == support_table().kinds[kind][method]


def test_every_kind_that_the_installed_library_knows_is_in_the_table() -> None:
    untried = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - set(support_table().kinds)
    assert not untried, "run `python -m tests.benchmarks.architectures` with this version of the libraries"


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
def test_a_layer_that_shares_its_weights_is_no_target(target: str, tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "base", tie_word_embeddings=True)
    with pytest.raises(ProblemError) as refused:
        trainable(base, Lora(rank=4, target_modules=target), DEVICE)
    assert refused.value.problem.code == "model.tied_layer"
    assert refused.value.problem.values["name"] == target
    own = saved("llama", tmp_path / "untied", tie_word_embeddings=False)
    assert trainable(own, Lora(rank=4, target_modules=target), DEVICE)
