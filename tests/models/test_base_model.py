"""Base models: found where they are kept, measured by their headers, and refused in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from studio.core import paths
from studio.core.problems import Remedy
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.models.base_model import hub_folder, locate, model_facts
from tests.dataset.conftest import problem_of

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 3,
    "max_position_embeddings": 2048,
}


def write_weights(file: Path, shapes: Mapping[str, list[int]], kind: str = "BF16", width: int = 2) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        size = width
        for length in shape:
            size *= length
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    file.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(at))


@pytest.fixture
def model(tmp_path: Path, small_model: Path) -> Path:
    folder = tmp_path / "모델 one"
    shutil.copytree(small_model, folder)
    (folder / "config.json").write_text(json.dumps(LLAMA))
    write_weights(folder / "model.safetensors", {"a": [10, 20], "b": [7]})
    return folder


def chosen(folder: Path | str) -> ModelChoice:
    return ModelChoice(source=Source.folder, name=str(folder))


def code_of(choice: ModelChoice) -> str:
    return problem_of(lambda: locate(choice)).code


def test_a_folder_is_found_and_measured(model: Path) -> None:
    assert locate(chosen(model)) == model
    facts = model_facts(model)
    assert (facts.architecture, facts.parameters, facts.layers, facts.context_length) == (
        "LlamaForCausalLM",
        207,
        3,
        2048,
    )
    assert facts.size == (model / "model.safetensors").stat().st_size
    assert facts.chat_template


def test_weights_in_several_files_are_summed_and_a_missing_one_is_noticed(model: Path) -> None:
    (model / "model.safetensors").unlink()
    write_weights(model / "model-1.safetensors", {"a": [10, 20]})
    write_weights(model / "model-2.safetensors", {"b": [7]})
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert locate(chosen(model)) == model
    assert model_facts(model).parameters == 207
    (model / "model-2.safetensors").unlink()
    assert code_of(chosen(model)) == "model.weights_incomplete"


def test_unknown_numbers_are_none(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "llama", "text_config": {"num_hidden_layers": 9}}')
    facts = model_facts(model)
    assert (facts.context_length, facts.layers, facts.architecture) == (None, 9, "llama")


def test_models_that_are_not_here_yet_say_how_to_get_them() -> None:
    starter = problem_of(lambda: locate(ModelChoice()))
    assert (starter.code, starter.remedy) == ("model.starter_missing", Remedy.use_starter)
    assert code_of(ModelChoice(source=Source.hub, name="some/model")) == "model.not_downloaded"
    assert code_of(ModelChoice(source=Source.hub, name="../../etc")) == "model.bad_name"
    assert code_of(ModelChoice(source=Source.hub, name="")) == "model.bad_name"
    assert hub_folder("some/model", "v1/x") == paths.models() / "some--model@v1_x"


def test_a_downloaded_hub_model_is_found(model: Path) -> None:
    place = hub_folder("some/model", "main")
    place.parent.mkdir(parents=True)
    shutil.copytree(model, place)
    assert locate(ModelChoice(source=Source.hub, name="some/model", revision="main")) == place
    assert code_of(ModelChoice(source=Source.hub, name="some/model")) == "model.not_downloaded"


def test_the_starter_model_is_found_and_measured(home_with_starter: Path) -> None:
    facts = model_facts(locate(ModelChoice()))
    assert (facts.parameters, facts.layers, facts.context_length) == (134_515_008, 30, 8192)
    assert facts.size == 269_060_552
    assert facts.chat_template


def test_folders_that_are_no_models_are_told_apart(model: Path, tmp_path: Path) -> None:
    assert code_of(chosen("")) == "model.folder_missing"
    assert code_of(chosen(tmp_path / "gone")) == "model.folder_missing"
    assert code_of(chosen(model / "config.json")) == "model.not_a_folder"
    (tmp_path / "empty").mkdir()
    assert code_of(chosen(tmp_path / "empty")) == "model.no_config"
    (tmp_path / "empty" / "adapter_config.json").write_text("{}")
    assert code_of(chosen(tmp_path / "empty")) == "model.is_adapter"
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf" / "model-q4.gguf").write_bytes(b"GGUF")
    assert code_of(chosen(tmp_path / "gguf")) == "model.only_gguf"


def test_weights_that_are_missing_pickled_or_damaged_are_told_apart(model: Path) -> None:
    whole = (model / "model.safetensors").read_bytes()
    for torn in (whole[:-1], whole[:50], b"", b"\xff" * 8 + whole[8:], whole + b"x", b"<html>Not found</html>"):
        (model / "model.safetensors").write_bytes(torn)
        assert code_of(chosen(model)) == "model.weights_damaged"
    (model / "model.safetensors").unlink()
    assert code_of(chosen(model)) == "model.no_weights"
    (model / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert code_of(chosen(model)) == "model.only_pickles"


def test_models_that_cannot_be_taught_here_say_why(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    assert code_of(chosen(model)) == "model.no_tokenizer"
    (model / "tokenizer.json").write_text("{}")
    own_code = {"auto_map": {"AutoModelForCausalLM": "modeling_odd.OddForCausalLM"}}
    (model / "config.json").write_text(json.dumps({**LLAMA, "model_type": "odd", **own_code}))
    assert code_of(chosen(model)) == "model.needs_own_code"
    (model / "config.json").write_text(json.dumps({**LLAMA, "model_type": "phi3", **own_code}))
    assert locate(chosen(model)) == model
    (model / "config.json").write_text(json.dumps({"model_type": "t5", "is_encoder_decoder": True}))
    assert code_of(chosen(model)) == "model.not_a_chat_model"
    (model / "config.json").write_text("{")
    assert code_of(chosen(model)) == "model.damaged_file"


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "fp8"])
def test_a_model_that_is_quantised_already_is_refused_when_it_is_chosen(model: Path, method: str) -> None:
    config = {**LLAMA, "quantization_config": {"quant_method": method}}
    (model / "config.json").write_text(json.dumps(config))
    assert code_of(chosen(model)) == "model.already_quantised"
