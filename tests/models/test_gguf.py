"""What is known of a GGUF file before it is made: its size, and whether it can be made at all."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from studio.models.gguf import (
    FILE_TYPES,
    file_type,
    gguf_adapter_refusal,
    gguf_disk,
    gguf_refusal,
    gguf_size,
    known_models,
    narrow_share,
)


def save_outline(folder: Path, width: int = 512, architecture: str = "LlamaForCausalLM", **config: object) -> Path:
    """A base model of two layers whose weights are a header and a hole in the file."""
    folder.mkdir()
    shapes = {"model.embed_tokens.weight": (300, width), "lm_head.weight": (300, width), "model.norm.weight": (width,)}
    for layer in range(2):
        begin = f"model.layers.{layer}"
        shapes |= {f"{begin}.self_attn.{name}_proj.weight": (width, width) for name in "qkvo"}
        shapes |= {f"{begin}.mlp.{name}_proj.weight": (width, width) for name in ("gate", "up", "down")}
    header, end = {}, 0
    for name, shape in shapes.items():
        begin_at, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin_at, end]}
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture], **config}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}, "merges": []}}))
    return folder


def test_each_smaller_quality_is_smaller(tmp_path: Path) -> None:
    base = save_outline(tmp_path / "base")
    sizes = {one.quality: gguf_size(base, one) for one in FILE_TYPES}
    assert sizes["f16"] == sizes["bf16"] > sizes["best"] > sizes["q6_k"] > sizes["balanced"] > sizes["smaller"]
    matrices = 2 * 300 * 512 + 2 * 7 * 512 * 512
    assert sizes["best"] == pytest.approx(matrices * 34 / 32, rel=0.01)


def test_the_16_bit_file_is_counted_where_a_smaller_one_is_made_of_it(tmp_path: Path) -> None:
    base, merged = save_outline(tmp_path / "base"), 10_000_000
    best, smaller, whole = file_type("best"), file_type("smaller"), gguf_size(tmp_path / "base", file_type("f16"))
    assert gguf_disk(base, best, merged) == merged + gguf_size(base, best)
    assert gguf_disk(base, smaller, merged) == merged + whole
    assert gguf_disk(base, smaller, 0) == gguf_size(base, smaller) + whole


def test_a_narrow_model_is_kept_larger_and_refused_where_nothing_would_be_gained(tmp_path: Path) -> None:
    base = save_outline(tmp_path / "base", width=576)
    assert narrow_share(base, file_type("smaller")) == 1.0
    assert gguf_refusal(base, file_type("smaller")) is None
    refused = gguf_refusal(base, file_type("q6_k"))
    assert refused is not None and refused.code == "gguf.too_narrow" and "100 %" in refused.english()
    assert narrow_share(save_outline(tmp_path / "wide"), file_type("smaller")) == 0.0


@pytest.mark.parametrize("name", ["OPTForCausalLM", "GPTJForCausalLM", "", "../etc"])
def test_what_llama_cpp_does_not_know_is_refused_before_any_work(name: str, tmp_path: Path) -> None:
    refused = gguf_refusal(save_outline(tmp_path / "base", architecture=name))
    assert refused is not None and refused.code == "gguf.unknown_architecture"


def test_what_only_the_converter_knows_is_refused_where_the_quantiser_is_needed(tmp_path: Path) -> None:
    known = known_models().architectures
    name = next(name for name, what in known.items() if what == "converts")
    base = save_outline(tmp_path / "base", architecture=name)
    assert gguf_refusal(base, file_type("best")) is None
    refused = gguf_refusal(base, file_type("smaller"))
    assert refused is not None and refused.code == "gguf.not_quantized"


def test_the_text_model_within_one_that_sees_counts(tmp_path: Path) -> None:
    base = save_outline(tmp_path / "base", text_config={"architectures": ["LlamaForCausalLM"]}, architecture="Nobody")
    assert gguf_refusal(base) is None


def test_damaged_weights_are_said(tmp_path: Path) -> None:
    base = save_outline(tmp_path / "base")
    with open(base / "model.safetensors", "r+b") as file:
        file.truncate(1000)
    refused = gguf_refusal(base, file_type("smaller"))
    assert refused is not None and refused.code == "model.weights_damaged"


def test_an_add_on_with_more_than_two_matrices_a_layer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "use_dora": True}))
    header = {"base_model.model.q.lora_A.weight": {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]}}
    text = json.dumps(header).encode()
    (tmp_path / "adapter_model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(128))
    refused = gguf_adapter_refusal(tmp_path)
    assert refused is not None and refused.code == "gguf.adapter_not_plain" and "DoRA" in refused.english()
