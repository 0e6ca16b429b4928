"""Parameters are counted to the last one, and what isn't known is said instead of guessed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.problems import ProblemError
from studio.models.architectures import READERS, shape_in, shape_of

ROOT = Path(__file__).resolve().parents[2]

SMALL: dict[str, object] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 160,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}
LLAMA: dict[str, object] = {"model_type": "llama", **SMALL}
EXPERTS: dict[str, object] = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
LATENT: dict[str, object] = {
    **EXPERTS, "n_routed_experts": 4, "n_shared_experts": 2, "first_k_dense_replace": 1, "kv_lora_rank": 16,
    "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 12, "n_group": 1, "topk_group": 1,
}  # fmt: skip

VARIANTS: list[dict[str, object]] = [
    LLAMA,
    {**LLAMA, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True, "head_dim": 32},
    {**SMALL, "model_type": "mistral", "head_dim": None},
    {**SMALL, "model_type": "ministral", "head_dim": 16},
    {**SMALL, "model_type": "qwen2", "tie_word_embeddings": True},
    {**SMALL, "model_type": "qwen3"},
    {**SMALL, "model_type": "qwen3", "attention_bias": True, "head_dim": 32},
    {**SMALL, "model_type": "gemma"},
    {**SMALL, "model_type": "gemma2"},
    {**SMALL, "model_type": "gemma3_text", "tie_word_embeddings": False},
    {**SMALL, "model_type": "olmo"},
    {**SMALL, "model_type": "olmo2"},
    {**SMALL, "model_type": "olmo3"},
    {**SMALL, "model_type": "granite", "attention_bias": True, "mlp_bias": True},
    {**SMALL, "model_type": "cohere"},
    {**SMALL, "model_type": "cohere", "use_qk_norm": True},
    {**SMALL, "model_type": "cohere2"},
    {**SMALL, "model_type": "smollm3"},
    {**SMALL, "model_type": "exaone4"},
    {**SMALL, "model_type": "seed_oss"},
    {**SMALL, "model_type": "seed_oss", "attention_bias": False, "attention_out_bias": True},
    {**SMALL, "model_type": "glm"},
    {**SMALL, "model_type": "glm4", "attention_bias": False},
    {**SMALL, "model_type": "phi3"},
    {**SMALL, "model_type": "nemotron", "mlp_bias": True},
    {**SMALL, "model_type": "arcee"},
    {**SMALL, "model_type": "ernie4_5", "use_bias": True},
    {**SMALL, "model_type": "hunyuan_v1_dense", "head_dim": 32},
    {**SMALL, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
    {**SMALL, **EXPERTS, "model_type": "qwen2_moe", "num_experts": 4, "shared_expert_intermediate_size": 40},
    {**SMALL, **EXPERTS, "model_type": "qwen2_moe", "num_experts": 4, "shared_expert_intermediate_size": 40,
     "mlp_only_layers": [0]},
    {**SMALL, **EXPERTS, "model_type": "qwen3_moe", "num_experts": 4, "head_dim": 32},
    {**SMALL, **EXPERTS, "model_type": "qwen3_moe", "num_experts": 4, "head_dim": 32, "decoder_sparse_step": 2},
    {**SMALL, "model_type": "olmoe", "num_experts": 4, "num_experts_per_tok": 2},
    {**SMALL, "model_type": "granitemoe", "num_local_experts": 4, "num_experts_per_tok": 2},
    {**SMALL, **LATENT, "model_type": "deepseek_v2"},
    {**SMALL, **LATENT, "model_type": "deepseek_v2", "q_lora_rank": None},
    {**SMALL, **LATENT, "model_type": "deepseek_v3"},
]  # fmt: skip


def test_every_family_counts_what_transformers_builds() -> None:
    lines = "".join(json.dumps(config) + "\n" for config in VARIANTS)
    child = subprocess.run(
        [sys.executable, "-m", "tests.models.shape_check"],
        input=lines, capture_output=True, text=True, cwd=ROOT, timeout=240, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-2000:]
    answers: list[dict[str, Any]] = [json.loads(line) for line in child.stdout.splitlines()]
    assert len(answers) == len(VARIANTS)
    for config, real in zip(VARIANTS, answers, strict=True):
        shape = shape_of(config)
        mine = sorted([x.name, x.weights, x.bias] for b in shape.blocks for _ in range(b.count) for x in b.linears)
        assert mine == real["linears"], config
        assert shape.parameters == real["parameters"], config
        assert shape.packable == real["packable"], config


def test_every_known_family_is_held_against_transformers() -> None:
    assert {str(config["model_type"]) for config in VARIANTS} == set(READERS)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model_type": "mamba"}, "fit.unknown_architecture"),
        ({"model_type": ""}, "fit.unknown_architecture"),
        ({"model_type": 7}, "fit.unknown_architecture"),
        ({"model_type": "exaone", "auto_map": {"AutoModelForCausalLM": "modeling_exaone.X"}}, "fit.own_code"),
        ({"model_type": "gemma3", "text_config": {"hidden_size": 8}}, "fit.not_text_alone"),
        ({"quantization_config": {"quant_method": "gptq"}}, "fit.already_quantised"),
        ({"hidden_size": None}, "fit.no_sizes"),
        ({"num_hidden_layers": None}, "fit.no_sizes"),
        ({"vocab_size": None}, "fit.no_sizes"),
        ({"hidden_size": -64}, "fit.config_wrong"),
        ({"hidden_size": 0}, "fit.config_wrong"),
        ({"hidden_size": "64"}, "fit.config_wrong"),
        ({"hidden_size": 64.0}, "fit.config_wrong"),
        ({"hidden_size": True}, "fit.config_wrong"),
        ({"hidden_size": [64]}, "fit.config_wrong"),
        ({"hidden_size": float("nan")}, "fit.config_wrong"),
        ({"num_hidden_layers": 10**12}, "fit.config_wrong"),
        ({"num_key_value_heads": 3}, "fit.config_wrong"),
        ({"tie_word_embeddings": "yes"}, "fit.config_wrong"),
        ({"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 8}, "fit.config_wrong"),
        ({"model_type": "mixtral"}, "fit.no_sizes"),
        ({"model_type": "qwen2_moe", **EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 40,
          "mlp_only_layers": "all"}, "fit.config_wrong"),
        ({"model_type": "deepseek_v3", **LATENT, "moe_layer_freq": 2}, "fit.unusual_config"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said(change: dict[str, object], code: str) -> None:
    with pytest.raises(ProblemError) as caught:
        shape_of({**LLAMA, **change})
    assert caught.value.problem.code == code
    assert "can't be told" in caught.value.problem.english()
    assert "{" not in caught.value.problem.english()


@given(
    st.dictionaries(
        st.sampled_from([*SMALL, "model_type", "head_dim", "tie_word_embeddings", "auto_map", "sliding_window"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([1])),
    )
)
@settings(max_examples=200, deadline=None)
def test_no_config_whatever_ends_in_anything_but_a_shape_or_a_problem(change: dict[str, object]) -> None:
    try:
        shape = shape_of({**LLAMA, **change})
    except ProblemError:
        return
    assert shape.parameters > 0


def test_code_that_came_along_does_not_matter_where_the_library_knows_the_model() -> None:
    assert shape_of({**LLAMA, "auto_map": {"AutoModel": "x.Y"}}).parameters == shape_of(LLAMA).parameters


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "model.damaged_file"),
        (b"\xff\xfe\x00", "model.damaged_file"),
        (b"[" * 100_000, "model.damaged_file"),
        (b"[1, 2]", "model.damaged_file"),
        (b"{}", "fit.no_config"),
    ],
)
def test_broken_config_files_are_said(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ProblemError) as caught:
        shape_in(tmp_path)
    assert caught.value.problem.code == code


def test_a_folder_without_config_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        shape_in(tmp_path)
    assert caught.value.problem.code == "fit.no_config"


def test_a_folder_and_its_config_file_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert shape_in(tmp_path) == shape_in(tmp_path / "config.json") == shape_of(LLAMA)


def test_experts_are_not_packed() -> None:
    shape = shape_of({**SMALL, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2})
    assert shape.packable < shape.parameters - 3 * 3 * 4 * 64 * 96 + 1
