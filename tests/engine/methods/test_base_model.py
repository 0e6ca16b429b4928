"""A base model is whole or refused with the names of what is wrong, before anything is trained on random numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.core.events import Failed
from studio.core.job_states import ProcessState
from studio.core.jobs import Train
from studio.core.problems import Problem
from studio.core.recipe.method import Lora, QLora
from studio.core.run_folder import RunFolder
from studio.engine.device import Device
from studio.engine.methods.base_model import load_base_model
from studio.engine.methods.registry import method_of
from tests.dataset.conftest import problem_of
from tests.engine.conftest import do_here, trainable

DEVICE = Device(torch.device("cpu"), "test", torch.float32, None)
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
BIAS = "model.layers.0.self_attn.q_proj.bias"

Weights = dict[str, torch.Tensor]


@pytest.fixture
def change(tiny_model: Path, tmp_path: Path) -> Callable[[Callable[[Weights], Weights]], Path]:
    """A copy of the tiny model with other weights."""

    def make(edit: Callable[[Weights], Weights]) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(tiny_model, folder)
        weights = edit(load_file(folder / "model.safetensors"))
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return make


def refusal(folder: Path) -> Problem:
    return problem_of(lambda: load_base_model(folder, DEVICE))


def test_weights_under_other_names_are_not_replaced_by_random_numbers(change: Callable[..., Path]) -> None:
    found = refusal(change(lambda weights: {f"base_model.model.{name}": w for name, w in weights.items()}))
    assert found.code == "model.weights_missing"
    assert HEAD in found.english() and f"base_model.model.{HEAD}" in found.english()


def test_a_missing_head_is_named_and_no_training_starts(
    change: Callable[..., Path], make_run: Callable[..., RunFolder]
) -> None:
    folder = change(lambda weights: {name: w for name, w in weights.items() if name != HEAD})
    assert refusal(folder).values["names"] == HEAD
    run = make_run(**{"model.name": str(folder)})
    assert do_here(run, Train()) == 2
    ending = run.fold(ProcessState()).ending
    assert isinstance(ending, Failed) and ending.problem.code == "model.weights_missing"


def test_a_model_whose_head_is_its_embedding_needs_no_head(change: Callable[..., Path]) -> None:
    folder = change(lambda weights: {name: w for name, w in weights.items() if name != HEAD})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    assert load_base_model(folder, DEVICE) is not None


def test_weights_of_other_sizes_are_named(change: Callable[..., Path]) -> None:
    found = refusal(change(lambda weights: {**weights, HEAD: torch.zeros(300, 64)}))
    assert (found.code, found.values["names"]) == ("model.weights_misshaped", HEAD)


@pytest.mark.parametrize("name", [BIAS, "model.layers.2.mlp.up_proj.weight"])
def test_weights_that_the_model_would_need_but_the_config_does_not_know_are_named(
    change: Callable[..., Path], name: str
) -> None:
    found = refusal(change(lambda weights: {**weights, name: torch.zeros(64)}))
    assert (found.code, found.values["names"]) == ("model.weights_extra", name)


def test_parts_that_answers_do_not_depend_on_may_lie_beside(change: Callable[..., Path]) -> None:
    beside = ("vision_tower.layers.0.weight", "v_head.bias", "model.layers.0.self_attn.rotary_emb.inv_freq")
    assert load_base_model(change(lambda weights: {**weights, **{name: torch.zeros(8) for name in beside}}), DEVICE)


def test_an_adapter_of_another_base_is_refused(tiny_model: Path, change: Callable[..., Path], tmp_path: Path) -> None:
    method = method_of(Lora(rank=4))
    method.save(trainable(tiny_model, Lora(rank=4), DEVICE), tmp_path / "adapter", "base")
    smaller = change(lambda weights: {name: w for name, w in weights.items() if ".layers.1." not in name})
    config = json.loads((smaller / "config.json").read_text())
    (smaller / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    found = problem_of(lambda: method.load(method.load_base(smaller, DEVICE), tmp_path / "adapter"))
    assert found.code == "model.other_base"
    assert "layers.1." in found.english()
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    save_file({f"x.{name}": w for name, w in weights.items()}, tmp_path / "adapter" / "adapter_model.safetensors")
    renamed = problem_of(lambda: method.load(method.load_base(tiny_model, DEVICE), tmp_path / "adapter"))
    assert renamed.code == "model.other_base", "names that match nothing"
    save_file(
        {name: w[:, :3].contiguous() for name, w in weights.items()}, tmp_path / "adapter" / "adapter_model.safetensors"
    )
    other = problem_of(lambda: method.load(method.load_base(tiny_model, DEVICE), tmp_path / "adapter"))
    assert other.code == "model.other_base", "sizes that don't fit"


@pytest.mark.parametrize("settings", [Lora(rank=4), QLora(rank=4)])
def test_an_adapter_that_changes_nothing_is_told_from_one_that_does(tiny_model: Path, settings: Lora) -> None:
    model = trainable(tiny_model, settings, DEVICE)
    method = method_of(settings)
    assert method.changes_nothing(model)
    next(p for n, p in model.named_parameters() if "lora_B" in n).data[0, 0] = 0.1
    assert not method.changes_nothing(model)
