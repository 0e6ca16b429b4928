"""A run with a save point as the trainer leaves it, without a trainer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from studio.core.events import CheckpointCommitted, ProcessStarted
from studio.core.recipe.recipe import Recipe, to_yaml, with_values
from studio.core.run_folder import RunFolder
from studio.core.storage import Manifest, listed, size_of, write_manifest


def add_save_point(run: RunFolder, step: int, weights: bytes) -> int:
    """Files and manifest of one save point. Returns its size in bytes."""
    folder = run.checkpoints / f"step-{step:06d}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 16}), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    (folder / "optimizer.pt").write_bytes(b"state of the optimizer")
    write_manifest(folder, Manifest(files=listed(folder), step=step))
    return size_of(folder)


def lora_weights() -> bytes:
    """An adapter's weights, for one layer."""
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    return save({f"{layer}.lora_A.weight": np.ones((4, 800)), f"{layer}.lora_B.weight": np.ones((800, 4))})


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base model's folder with the files that are looked at; its one tensor is never loaded."""
    folder = tmp_path / "base"
    folder.mkdir()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [10], "data_offsets": [0, 20]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(20))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}), encoding="utf-8")
    return folder


@pytest.fixture
def run(base: Path, tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    size = add_save_point(made, 20, lora_weights())
    values = {"model.source": "folder", "model.name": str(base), "data.system_prompt": "Sort messages politely."}
    made.recipe.write_text(to_yaml(with_values(Recipe(), {**values, "name": "Support"})), encoding="utf-8")
    with made.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0))
        writer.write(CheckpointCommitted(step=20, folder="checkpoints/step-000020", size=size, loss=0.2))
    return made
