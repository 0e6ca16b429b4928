"""A run over a tiny model that answers as it was taught, for what is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from studio.core.conversation import Message
from studio.core.jobs import Train
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.dataset.examples import read_frozen, write_frozen
from studio.engine.evaluation.generate import of_run
from studio.engine.export.llama_cpp import run
from studio.engine.export.measurement import Reference
from studio.engine.export.reference import ask_run, questions_of
from studio.engine.job_context import JobContext
from studio.tokenization.tokenizer_files import copy_tokenizer
from tests.engine.conftest import do_here, frozen_run, save_tiny_model

CONVERSION = "studio.engine.export.gguf_conversion"


@dataclass(frozen=True)
class Trained:
    """A run whose model answers as it was taught, what it answers, and its combined model."""

    run: RunFolder
    base: Path
    reference: Reference
    merged: Path


def save_merged(base: Path, adapter: Path, folder: Path, factor: float = 1.0) -> Path:
    """The combined model, with what was learned `factor` times as strong as it was."""
    loaded: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model: Any = PeftModel.from_pretrained(loaded, str(adapter))
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.scaling["default"] *= factor
    model.merge_and_unload().to(torch.bfloat16).save_pretrained(folder)
    copy_tokenizer(base, folder)
    return folder


def converted(context: JobContext, tools: Path, folder: Path, file: Path, kind: str = "f16") -> Path:
    """The model in `folder` as a GGUF file, by llama.cpp's own converter."""
    words = ("model", str(folder), str(folder), str(file), kind)
    assert run(context, tools, CONVERSION, str(file.with_suffix(".json")), *words) == 0
    return file


def taught(folder: Path, width: int = 64, epochs: float = 12.0, seed: int = 7, answer: str = "") -> Trained:
    """With `answer` it learns to answer that to everything."""
    base = save_tiny_model(folder / "base", width=width, merges=[("I", "t")], seed=seed)  # llama.cpp loads none without
    weights = load_file(base / "model.safetensors")
    narrow = (64 / width) ** 0.5
    weights["lm_head.weight"] *= 16 * narrow  # else it can't be sure of anything, whatever it learns
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    settings = {"method.kind": "lora", "method.rank": 16, "training.learning_rate": 5e-3 * narrow}
    made = frozen_run(folder / "run", base, learned=24, held_out=6, **{**settings, "training.epochs": epochs})
    for file in (made.train_data, made.held_out_data) if answer else ():
        said = Message(role="assistant", content=answer)
        write_frozen(file, [one.model_copy(update={"messages": (*one.prompt, said)}) for one in read_frozen(file)])
    assert do_here(made, Train()) == 0
    context = JobContext(JobFolder(folder / "job"), "merge")
    generator, _ = of_run(context, made)
    reference = ask_run(context, generator, questions_of(made, 6))
    return Trained(made, base, reference, save_merged(base, choose_checkpoint(made), folder / "merged"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return taught(tmp_path_factory.mktemp("trained"))
