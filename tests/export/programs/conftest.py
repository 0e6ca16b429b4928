"""A finished run of a known family of models with an export of it, and a home in which programs may be or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from studio.core.events import CheckpointCommitted, ProcessStarted
from studio.core.recipe.recipe import Recipe, to_yaml, with_values
from studio.core.run_folder import RunFolder
from studio.core.storage import Manifest, listed, write_manifest
from studio.export.programs import ollama as ollama_program
from studio.export.programs.program import Handover
from tests.fakes.ollama import FakeOllama, install_ollama
from tests.tokenization.families import FAMILIES, save_family


@pytest.fixture(autouse=True)
def user_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder, empty, with nothing on the path."""
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in (
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "JAN_DATA_FOLDER",
        "JAN_DATA_ROOT",
        "OLLAMA_HOST",
        "OLLAMA_MODELS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ollama_program, "usual_folders", lambda: [folder / "programs"])
    return folder


@pytest.fixture
def ollama(tmp_path: Path) -> FakeOllama:
    return install_ollama(tmp_path / "bin")


@pytest.fixture
def finished(tmp_path: Path) -> Callable[..., Handover]:
    """Makes a run on a family, with a GGUF file exported: what is handed over."""

    def make(family: str = "qwen 2.5", name: str = "support", adds_bos: bool = False, **values: object) -> Handover:
        run = RunFolder(tmp_path / "run")
        checkpoint = save_family(FAMILIES[family], run.checkpoints / "step-000020", marked=True)
        (checkpoint / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 1]}), encoding="utf-8")
        write_manifest(checkpoint, Manifest(files=listed(checkpoint), step=20))
        run.recipe.write_text(to_yaml(with_values(Recipe(), {"name": "Support", **values})), encoding="utf-8")
        with run.writer() as writer:
            writer.write(ProcessStarted(job="train", pid=1, started=0.0))
            writer.write(CheckpointCommitted(step=20, folder="checkpoints/step-000020", size=1, loss=0.2))
        export = run.exports / "gguf-best"
        export.mkdir(parents=True)
        save_gguf(export / "고객 응대-Q8_0.gguf", adds_bos=adds_bos)
        return Handover(run=run, export=export, name=name)

    return make


def save_gguf(file: Path, *, adds_bos: bool | None = None, model: str = "gpt2", pre: str = "qwen2") -> Path:
    """A file with the values that are read and one small tensor. `adds_bos` None: the file doesn't say."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(2048)
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(["a", "b", "<|im_end|>"])
    writer.add_token_scores([0.0, 1.0, 2.0])
    if adds_bos is not None:
        writer.add_add_bos_token(adds_bos)
    writer.add_tensor("output.weight", np.zeros((8, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
