"""Weights on the disk: whole or refused by name, and whether a base is still what it was."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from studio.core import paths
from studio.core.problems import Problem
from studio.models import weights
from studio.models.base_model import locate, model_facts
from studio.models.weights import BaseFingerprint, weight_files
from tests.dataset.conftest import problem_of
from tests.models.test_base_model import LLAMA, chosen, write_weights


@pytest.fixture
def model(tmp_path: Path, small_model: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(small_model, folder)
    (folder / "config.json").write_text(json.dumps(LLAMA))
    write_weights(folder / "model.safetensors", {"a": [100, 200], "b": [7]})
    return folder


def refusal(folder: Path) -> Problem:
    return problem_of(lambda: locate(chosen(folder)))


def test_several_files_without_their_index_are_refused_with_the_name_of_what_is_missing(model: Path) -> None:
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").unlink()
    for number in (1, 2):
        (model / f"model-0000{number}-of-00002.safetensors").write_bytes(whole)
    assert refusal(model).code == "model.no_index"
    assert "model.safetensors.index.json" in refusal(model).english()
    (model / "model-00002-of-00002.safetensors").unlink()
    assert refusal(model).code == "model.weights_incomplete"
    assert "1 of 2" in refusal(model).english()


def test_weights_under_another_name_are_not_taken_for_the_models(model: Path) -> None:
    shutil.copyfile(model / "model.safetensors", model / "consolidated.safetensors")
    assert weight_files(model) == [model / "model.safetensors"], "the same weights for another program"
    assert model_facts(model).parameters == 20_007
    (model / "model.safetensors").unlink()
    assert refusal(model).code == "model.weights_unknown_name"


def test_a_folder_of_checkpoints_says_which_one_to_choose(model: Path, tmp_path: Path) -> None:
    above = tmp_path / "output"
    for name in ("checkpoint-100", "checkpoint-200"):
        shutil.copytree(model, above / name)
    (above / "checkpoint-100" / "config.json").touch()
    found = refusal(above)
    assert found.code == "model.in_subfolder"
    assert "checkpoint-100, checkpoint-200" in found.english()
    assert found.values["newest"] == "checkpoint-100"
    (above / "config.json").write_text(json.dumps(LLAMA))
    (above / "tokenizer.json").write_text("{}")
    assert refusal(above).code == "model.in_subfolder", "a description without weights is no model either"


def test_the_cache_of_the_hubs_own_programs_says_which_folder_to_choose(model: Path, tmp_path: Path) -> None:
    above = tmp_path / "models--some--model"
    shutil.copytree(model, above / "snapshots" / "abc")
    assert refusal(above).values["newest"] == "snapshots/abc"


def test_an_add_on_is_told_from_a_model_whatever_lies_beside_it(model: Path) -> None:
    (model / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "some/base"}))
    write_weights(model / "adapter_model.safetensors", {"x": [3]})
    assert refusal(model).code == "model.with_adapter", "transformers would load both as one"
    (model / "model.safetensors").unlink()
    found = refusal(model)
    assert found.code == "model.is_adapter", "it has a config.json and a safetensors file"
    assert "some/base" in found.fix.format_map(found.values)


def test_a_model_that_mlx_compressed_is_refused_as_such(model: Path) -> None:
    (model / "config.json").write_text(json.dumps({**LLAMA, "quantization": {"group_size": 64, "bits": 4}}))
    assert refusal(model).code == "model.already_quantised"


def test_a_base_that_did_not_change_is_the_same_however_it_is_stored(model: Path) -> None:
    then = BaseFingerprint.of(model)
    raw = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").unlink()
    write_weights(model / "model-00001-of-00002.safetensors", {"b": [7]})
    write_weights(model / "model-00002-of-00002.safetensors", {"a": [100, 200]})
    index = {"weight_map": {"b": "model-00001-of-00002.safetensors", "a": "model-00002-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "config.json").write_text(json.dumps({"transformers_version": "99", **dict(reversed(LLAMA.items()))}))
    then.require_same(model)
    (model / "model.safetensors").write_bytes(raw)
    then.require_same(model)


def test_weights_are_read_once_and_again_when_they_changed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    hashed = weights._file_hash

    def hash_and_tell(file: Path) -> str:
        read.append(file.name)
        return hashed(file)

    monkeypatch.setattr(weights, "_file_hash", hash_and_tell)
    then = BaseFingerprint.of(model)
    then.require_same(model)
    assert read == ["model.safetensors"]
    held = (model / "model.safetensors").stat()
    _flip(model / "model.safetensors", -1)
    os.utime(model / "model.safetensors", ns=(held.st_atime_ns, held.st_mtime_ns))  # as a copy with its times has it
    assert problem_of(lambda: then.require_same(model)).code == "model.changed"
    (paths.models() / "weights.json").write_text("{")
    assert problem_of(lambda: then.require_same(model)).code == "model.changed"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: write_weights(m / "model.safetensors", {"a": [100, 200], "b": [8]}), "weights"),
        (lambda m: _flip(m / "model.safetensors", -14 - 20_000), "weights"),
        (lambda m: _flip(m / "model.safetensors", -14 - 1), "weights"),
        (lambda m: _flip(m / "model.safetensors", -1), "weights"),
        (lambda m: (m / "config.json").write_text(json.dumps({**LLAMA, "rope_theta": 5})), "config.json"),
        (lambda m: (m / "chat_template.jinja").write_text("{{ messages }}"), "chat_template.jinja"),
        (lambda m: (m / "tokenizer_config.json").unlink(), "tokenizer_config.json"),
    ],
)
def test_a_base_that_changed_is_refused_with_what_changed(model: Path, change: object, named: str) -> None:
    then = BaseFingerprint.of(model)
    assert callable(change)
    change(model)
    found = problem_of(lambda: then.require_same(model))
    assert (found.code, found.values["changed"]) == ("model.changed", named)
    assert "train once more" in found.fix


def _flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
