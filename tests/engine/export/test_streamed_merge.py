"""A merge tensor by tensor gives what peft gives in memory, in the base's own files, and never holds the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load
from transformers import AutoModelForCausalLM

from studio.core.recipe.method import Lora, QLora
from studio.engine.device import Device
from studio.engine.export.streamed_merge import StreamedMerge
from studio.engine.methods.quantization import dequantize
from studio.engine.methods.registry import method_of
from studio.engine.methods.weight_changes import Added, Changes, Replaced
from studio.models.merged import MergedLayout
from studio.models.weights import tensors, weight_files
from tests.dataset.conftest import problem_of
from tests.engine.conftest import trainable
from tests.engine.methods.test_architectures import saved

DEVICE = Device(torch.device("cpu"), "test", torch.bfloat16, None)
IDS = torch.arange(12).reshape(2, 6)
LINEAR: dict[str, object] = {"r": 4, "target_modules": "all-linear"}

FORMS: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
    "plain": ("llama", LINEAR, {}),
    "rank-stabilised": ("llama", {**LINEAR, "use_rslora": True, "lora_alpha": 3}, {}),
    "DoRA": ("llama", {**LINEAR, "use_dora": True}, {}),
    "ranks and alphas of their own": (
        "llama",
        {**LINEAR, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"k_proj": 16}},
        {},
    ),
    "some layers left out": ("llama", {**LINEAR, "exclude_modules": ["gate_proj", "o_proj"]}, {}),
    "transposed weights": ("gpt2", {"r": 4, "target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}, {}),
    "DoRA on transposed weights": (
        "gpt2",
        {"r": 4, "target_modules": ["c_attn"], "fan_in_fan_out": True, "use_dora": True},
        {},
    ),
    "biases beside": ("gpt2", {"r": 4, "target_modules": ["c_fc"], "fan_in_fan_out": True, "lora_bias": True}, {}),
    "experts, which the files hold one by one": (
        "mixture",
        {"r": 2, "target_modules": ["q_proj"], "target_parameters": ["experts.gate_up_proj", "experts.down_proj"]},
        {},
    ),
    "an embedding": ("llama", {"r": 4, "target_modules": ["embed_tokens", "q_proj"]}, {}),
    "DoRA on an embedding": ("llama", {"r": 4, "target_modules": ["embed_tokens"], "use_dora": True}, {}),
    "trained embedding and head": ("llama", {**LINEAR, "modules_to_save": ["embed_tokens", "lm_head"]}, {}),
    "one of a tied pair": (
        "llama",
        {**LINEAR, "modules_to_save": ["lm_head"]},
        {"tie_word_embeddings": True},
    ),
    "both of a tied pair": (
        "llama",
        {**LINEAR, "modules_to_save": ["embed_tokens", "lm_head"]},
        {"tie_word_embeddings": True},
    ),
    "some tokens, tied": ("llama", {**LINEAR, "trainable_token_indices": [3, 7]}, {"tie_word_embeddings": True}),
}


def adapter(base: Path, folder: Path, settings: dict[str, object]) -> Any:
    """The peft model, with random numbers in all that it trains, saved to `folder`."""
    model = get_peft_model(model_in(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * (0.05 if "magnitude" in name else 0.2))
    model.save_pretrained(folder, save_embedding_layers=False)
    return model.eval()


def model_in(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def in_16_bits(base: Path) -> None:
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)


def merged(base: Path, changes: Changes, out: Path, shard: int = 30_000) -> StreamedMerge:
    out.mkdir()
    merge = StreamedMerge(base, changes, shard=shard)
    merge.write(out, lambda done, total: None)
    merge.write_config(out)
    return merge


def held(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in weight_files(folder) for name, tensor in load(file.read_bytes()).items()}


def steps(left: torch.Tensor, right: torch.Tensor) -> int:
    """How many numbers of their 16-bit format lie between those of both that are furthest apart."""

    def place(tensor: torch.Tensor) -> torch.Tensor:
        bits = tensor.contiguous().view(torch.int16).int()
        return torch.where(bits < 0, -(bits & 0x7FFF), bits)

    return int((place(left) - place(right)).abs().max())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_adapter_gives_what_peft_gives_rounded_once(form: str, tmp_path: Path) -> None:
    name, settings, changed = FORMS[form]
    base = saved(name, tmp_path / "base", **changed)
    in_16_bits(base)
    wanted = adapter(base, tmp_path / "adapter", settings)
    with torch.no_grad():
        logits = wanted(IDS).logits
        plain = model_in(base)(IDS).logits
    method = method_of(Lora(rank=4))
    merge = merged(base, method.changes(base, tmp_path / "adapter"), tmp_path / "out")
    theirs = PeftModel.from_pretrained(model_in(base), tmp_path / "adapter").merge_and_unload().to(torch.bfloat16)
    theirs.save_pretrained(tmp_path / "peft")
    ours, expected = held(tmp_path / "out"), held(tmp_path / "peft")
    assert merge.unties == ("of a tied pair" in form)
    for key in ours.keys() & expected.keys():
        assert steps(ours[key], expected[key]) <= 1, key
    if not merge.unties:
        assert ours.keys() == expected.keys()
    with torch.no_grad():
        found = model_in(tmp_path / "out")(IDS).logits
    assert (logits - plain).abs().max() > 0.05
    assert (found - logits).abs().max() < 0.15 * (logits - plain).abs().max()


@pytest.fixture
def llama(tmp_path: Path) -> tuple[Path, Changes]:
    base = saved("llama", tmp_path / "base")
    in_16_bits(base)
    adapter(base, tmp_path / "adapter", LINEAR)
    return base, method_of(Lora(rank=4)).changes(base, tmp_path / "adapter")


def test_the_files_are_the_bases_own_in_shards_and_as_large_as_was_said(
    llama: tuple[Path, Changes], tmp_path: Path
) -> None:
    base, changes = llama
    merge = merged(base, changes, tmp_path / "out")
    before = sorted(tensors(weight_files(base)[0]), key=lambda tensor: tensor.start)
    files = weight_files(tmp_path / "out")
    after = [tensor for file in files for tensor in sorted(tensors(file), key=lambda tensor: tensor.start)]
    assert [(t.name, t.shape, t.dtype) for t in after] == [(t.name, t.shape, t.dtype) for t in before]
    assert len(files) > 2 and all(file.stat().st_size < 31_000 for file in files)
    written = sum(p.stat().st_size for p in (tmp_path / "out").iterdir() if p.name != "config.json")
    assert written == merge.layout.size == MergedLayout.of(base, shard=30_000).size
    untouched = [name for name in held(base) if name not in changes]
    assert untouched and all(torch.equal(held(base)[name], held(tmp_path / "out")[name]) for name in untouched)


def test_a_base_in_32_bits_is_rounded_to_16(tmp_path: Path) -> None:
    base = saved("llama", tmp_path / "base")
    adapter(base, tmp_path / "adapter", LINEAR)
    merge = merged(base, method_of(Lora(rank=4)).changes(base, tmp_path / "adapter"), tmp_path / "out")
    assert {tensor.dtype for tensor in held(tmp_path / "out").values()} == {torch.bfloat16}
    assert merge.dtype == json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    assert merge.layout.size < 0.6 * sum(file.stat().st_size for file in weight_files(base))


@pytest.mark.parametrize("name", ["llama", "gpt2", "mixture"])
def test_the_numbers_that_4_bit_layers_stand_for_are_those_that_the_loaded_model_has(name: str, tmp_path: Path) -> None:
    base = saved(name, tmp_path / "base")
    in_16_bits(base)
    method = method_of(QLora(rank=4))
    model = trainable(base, QLora(rank=4), DEVICE)
    with torch.no_grad():
        for part, parameter in model.named_parameters():
            if "lora_B" in part:
                parameter.normal_(std=0.1)
    method.save(model, tmp_path / "adapter", "base")
    loaded = method.load(method.load_base(base, DEVICE), tmp_path / "adapter")
    dequantize(loaded, DEVICE.dtype)
    method.merge(loaded, torch.bfloat16).network.save_pretrained(tmp_path / "wanted")
    wanted = held(tmp_path / "wanted")

    merge = StreamedMerge(base, method.changes(base, tmp_path / "adapter"), method.packed(base, DEVICE), shard=40_000)
    first, second = tmp_path / "original", tmp_path / "dequantized"
    first.mkdir()
    second.mkdir()
    moved = merge.write(first, lambda done, total: None)
    original = held(first)
    merge.write(second, lambda done, total: None, unpacked=True, over=first)
    assert not list(first.glob("*.safetensors")), "the second takes the place of the first on the disk"
    found = held(second)
    assert all(torch.equal(found[key], wanted[key]) for key in wanted) and found.keys() == wanted.keys()
    assert any(not torch.equal(found[key], original[key]) for key in wanted)
    merge.write(first, lambda done, total: None, over=second)
    again = held(first)
    assert all(torch.equal(again[key], original[key]) for key in original)
    assert moved.share > 1e-3


def test_a_merge_that_was_cut_short_goes_on_with_the_files_that_are_whole(
    llama: tuple[Path, Changes], tmp_path: Path
) -> None:
    base, changes = llama
    merged(base, changes, tmp_path / "wanted")
    out = tmp_path / "out"
    out.mkdir()

    def cut(done: int, total: int) -> None:
        if done > 0.6 * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StreamedMerge(base, changes, shard=30_000).write(out, cut)
    whole = {file.name: file.stat().st_mtime_ns for file in out.glob("*.safetensors")}
    assert whole and any(file.suffix != ".safetensors" for file in out.iterdir()), "one file was not complete"
    StreamedMerge(base, changes, shard=30_000).write(out, lambda done, total: None)
    assert all((out / name).stat().st_mtime_ns == at for name, at in whole.items())
    assert {f.name: f.read_bytes() for f in weight_files(out)} == {
        f.name: f.read_bytes() for f in weight_files(tmp_path / "wanted")
    }


def test_a_change_that_belongs_to_no_weight_is_named_and_nothing_is_written(llama: tuple[Path, Changes]) -> None:
    base, changes = llama
    own = torch.ones(3)
    found = problem_of(lambda: StreamedMerge(base, {**changes, "model.extra.weight": (Added(own, (own,)),)}))
    assert (found.code, found.values["names"]) == ("merge.no_such_weight", "model.extra.weight")


def test_tokens_that_an_adapter_brought_along_are_rows_of_the_merged_model(
    llama: tuple[Path, Changes], tmp_path: Path
) -> None:
    base, _ = llama
    model: Any = model_in(base)
    model.resize_token_embeddings(70, mean_resizing=False)
    peft = get_peft_model(
        model, LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])
    )
    peft.save_pretrained(tmp_path / "grown", save_embedding_layers=False)
    changes = method_of(Lora(rank=4)).changes(base, tmp_path / "grown")
    assert any(isinstance(change, Replaced) for several in changes.values() for change in several)
    merged(base, changes, tmp_path / "out")
    with torch.no_grad():
        found, wanted = model_in(tmp_path / "out")(IDS).logits, peft.eval()(IDS).logits
    assert found.shape == wanted.shape == (2, 6, 70)
    assert torch.allclose(found, wanted, atol=0.05)
